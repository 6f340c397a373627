"""Killed at any moment and resumed until done, a study gives what an undisturbed one gives."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import chaos_driver
import pytest

import pytams
from exact import DoubleWell2D
from pytams.storage.directory import RunDirectory

N_STUDIES = 30
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def facts(path: Path, url: str = "") -> tuple[Any, Any]:
    """The result, and all iteration rows, of a finished study."""
    directory = RunDirectory(path, url or None)
    rows = []
    for run in range(chaos_driver.N_RUNS):
        with directory.ledger(run, read_only=True) as ledger:
            assert ledger.driver() is None
            rows.append(ledger.iterations())
            assert {row.status for row in ledger.trajectories()} == {"completed"}
    if url:
        return None, rows
    saved = pytams.load(path)
    result = saved.result
    saved.close()
    return result.runs, rows


def drive(path: Path, url: str, *how: str, kill_after: float | None = None) -> bool:
    """Drive a study in a process, and perhaps kill it; True if it came to its end."""
    driver = Path(chaos_driver.__file__)
    with subprocess.Popen(
        [sys.executable, driver, path, url, *how], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            _, errors = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    assert process.returncode in {0, -9}, errors
    return process.returncode == 0


def check(tmp_path: Path, url: str, n_studies: int, seed: int) -> None:
    rng = random.Random(seed)
    assert drive(tmp_path / "undisturbed", url)
    expected = facts(tmp_path / "undisturbed", url)
    in_memory = pytams.TAMS(DoubleWell2D(), **chaos_driver.SETTINGS).run(chaos_driver.N_RUNS, chaos_driver.SEED)
    assert url or expected[0] == in_memory.runs
    began = time.monotonic()
    drive(tmp_path / "timed", url)
    duration = time.monotonic() - began
    n_kills = 0
    for i in range(n_studies):
        path = tmp_path / f"study{i}"
        for how in rng.sample(["file", "commit", "clock", "clock"], k=3):
            if how == "clock":
                done = drive(path, url, kill_after=rng.uniform(0.3, 1.0) * duration)
            else:
                done = drive(path, url, how, str(rng.randint(1, 30)))
            n_kills += not done
        assert drive(path, url)
        assert facts(path, url) == expected
    assert n_kills > n_studies


def test_killed_in_a_file_and_before_a_commit(tmp_path: Path) -> None:
    """The two worst moments, once each, and each followed by the other."""
    path = tmp_path / "study"
    assert not drive(path, "", "file", "2")
    assert list((path / "segments").glob("*.tmp"))
    assert not drive(path, "", "commit", "9")
    assert drive(path, "")
    assert not list((path / "segments").glob("*.tmp"))
    assert drive(tmp_path / "undisturbed", "")
    assert facts(path) == facts(tmp_path / "undisturbed")


@pytest.mark.slow
def test_chaos_on_sqlite(tmp_path: Path) -> None:
    check(tmp_path, "", N_STUDIES, seed=1)


@pytest.mark.slow
def test_chaos_on_postgresql(tmp_path: Path, postgres: str) -> None:
    check(tmp_path, postgres, N_STUDIES, seed=2)
