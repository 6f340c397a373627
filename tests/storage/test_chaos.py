"""Killed at any moment and resumed until done, a study gives what an undisturbed one gives."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import chaos_driver
import pytest

import pytams
from exact import DoubleWell2D
from pytams.storage.directory import RunDirectory

N_STUDIES = 12
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"}


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


def drive(path: Path, url: str, *how: str) -> bool:
    """Drive a study in a process, which perhaps kills itself; True if it came to its end."""
    driver = [sys.executable, chaos_driver.__file__, str(path), url, *how]
    done = subprocess.run(driver, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode == 0


def check(tmp_path: Path, url: str, n_studies: int, seed: int) -> None:
    rng = random.Random(seed)
    assert drive(tmp_path / "undisturbed", url)
    expected = facts(tmp_path / "undisturbed", url)
    in_memory = pytams.TAMS(DoubleWell2D(), **chaos_driver.SETTINGS).run(chaos_driver.N_RUNS, chaos_driver.SEED)
    assert url or expected[0] == in_memory.runs
    a_fifth = {"file": 7, "commit": 20, "block": 150}
    for i in range(n_studies):
        path = tmp_path / f"study{i}"
        for how in rng.sample(["file", "commit", "block", "block"], k=3):
            assert not drive(path, url, how, str(rng.randint(1, a_fifth[how]))), "there was more to do"
        assert drive(path, url)
        assert facts(path, url) == expected


@pytest.mark.slow
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
