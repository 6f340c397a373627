"""Programs on several MPI ranks, also where pytams itself runs under mpirun."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import pytams
from programs import EXAMPLES, PRINTED, WELL, needs, running, tams
from pytams.engine.launches import Launches

pytestmark = [pytest.mark.slow, needs("mpirun", "mpicc")]

MPIRUN = "mpirun --allow-run-as-root --oversubscribe --bind-to none -n"


@cache
def built_in(folder: Path) -> Path:
    subprocess.run(["mpicc", "-O2", "-o", "dw_mpi", str(EXAMPLES / "dw_mpi.c"), "-lm"], cwd=folder, check=True)
    subprocess.run([*MPIRUN.split(), "2", "./dw_mpi", "--out", "init.bin"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_in(tmp_path_factory.mktemp("mpi"))


def told(folder: Path, **launch: Any) -> dict[str, Any]:
    launch = {"command": f"{MPIRUN} {{ranks}}", "ranks": 2, "backoff": 0.0, "timeout": 30.0, **launch}
    command = ["./dw_mpi", *WELL]
    more = {"initial": "init.bin", "inner_step": 0.01, "steps_per_launch": 10, **PRINTED}
    return {"command": command, "folder": str(folder), "launch": launch, **more}


few = partial(tams, target_score=0.4)
"""A launch of two ranks takes its time."""


def run(folder: Path, **launch: Any) -> Any:
    problem = few(pytams.Program(**told(folder, **launch)))
    return problem.run(1, seed=3, engine=partial(Launches, slots=4, seconds=0.1), verify=False).runs


@pytest.fixture(scope="module")
def expected(folder: Path) -> Any:
    runs = few(pytams.Program(**told(folder))).run(1, seed=3, verify=False).runs
    assert runs[0].n_branchings > 2
    return runs


def test_four_slots_of_two_ranks_and_one_hangs(folder: Path, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is ended and made again; the others go on meanwhile."""
    monkeypatch.setenv("PYTAMS_HANG", str(folder / "hung"))
    assert run(folder, timeout=5.0) == expected
    assert (folder / "hung").exists()
    assert not re.search("dw_mpi", running())


SCRIPT = """
import sys
from pathlib import Path

sys.path[:0] = [{tests!r}, {here!r}]
from test_mpi import run

if __name__ == "__main__":
    print(run(Path({folder!r})))
"""


def test_under_another_mpirun(folder: Path, expected: Any) -> None:
    here = Path(__file__).parent
    text = SCRIPT.format(tests=str(here.parents[1]), here=str(here), folder=str(folder))
    (folder / "script.py").write_text(text)
    command = [*MPIRUN.split(), "1", sys.executable, str(folder / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout.strip() == str(expected), done.stderr
    unclear = text.replace("run(Path(", "run(clear_env=[], retries=0, folder=Path(")
    (folder / "script.py").write_text(unclear)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert "mpirun does not support recursive calls" in done.stderr
