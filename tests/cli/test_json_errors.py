"""With --json there is JSON, also where there is an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "no.toml"], 2, "no.toml: cannot be read: No such file or directory"),
        (["run", "no.toml", "--reference", "2"], 2, "--reference: 2.0 is no probability"),
        (["resume", "no.tams"], 1, "no.tams"),
        (["improve", "no.tams", "--out", "x.tams"], 1, "no.tams"),
        (["repair", "no.tams"], 1, "no.tams"),
        (["run"], 2, "the command line is wrong"),
        (["resume", "no.tams", "--nonsense"], 2, "the command line is wrong"),
    ],
)
def test_errors_are_json_too(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytams", "-q", *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["finished"]) == (code, False)
    assert message in told["error"]
    assert done.stderr.startswith(("Usage: pytams", f"pytams: {told['error']}"))
