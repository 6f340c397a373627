"""What a shell is told when a line is to be completed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytams.analysis import plot
from pytams.cli.keys import KEYS
from pytams.cli.looking import KINDS


def completed(line: str) -> list[str]:
    words = line.split(" ")
    told = subprocess.run(
        [sys.executable, "-c", "from pytams.cli.main import main; main()"],
        env=os.environ | {"_PYTAMS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.split()


def test_kinds_are_those_that_there_are() -> None:
    assert list(KINDS) == ["overview", *plot.KINDS, "score"]


@pytest.mark.slow
def test_kinds_of_pictures() -> None:
    assert completed("pytams plot x.tams --kind ") == list(KINDS)
    assert completed("pytams plot x.tams --kind d") == ["discarded", "density"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "resume", "check", "plan"])
def test_settings(command: str) -> None:
    assert completed(f"pytams {command} x --set runner.") == [f"runner.{key}=" for key in KEYS["runner"]]
    assert completed(f"pytams {command} x --set runner.ty") == ["runner.type="]


@pytest.mark.slow
def test_completing_takes_no_matplotlib() -> None:
    code = "import sys, pytams.cli.main, pytams.cli.keys; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path("/"), check=False).returncode == 0
