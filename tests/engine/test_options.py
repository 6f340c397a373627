"""What an engine is given is checked, in Python as in a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2DSingle, Walk
from pytams.cli.config import Config
from pytams.engine import InProcess, OnExecutor, Processes

WORKERS: list[tuple[str, Any, str]] = [
    ("n_workers", 0, "0 is too small; it must be at least 1"),
    ("n_workers", 2.5, "2.5 is not a whole number"),
    ("batch", 0, "0 is too small; it must be at least 1"),
    ("seconds", -1, "-1.* must be positive"),
    ("seconds", "x", "'x' is not a finite number"),
    ("timeout", 0.0, "0.0 must be positive"),
]
IN_PROCESS: list[tuple[str, Any, str]] = [
    ("block_length", 0, "0 is too small; it must be at least 1"),
    ("threads", "x", "'x' is not a whole number"),
    ("threads", 0, "0 is too small; it must be at least 1"),
]


def refused(engine: Any, name: str, message: str) -> None:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=10)
    with pytest.raises(pytams.SettingsError, match=f"^{name}: {message}"):
        tams.study(2, seed=1, engine=engine)


@pytest.mark.parametrize(("name", "value", "message"), IN_PROCESS)
def test_in_process(name: str, value: Any, message: str) -> None:
    refused(partial(InProcess, **{name: value}), name, message)


@pytest.mark.parametrize(("name", "value", "message"), WORKERS)
def test_workers(name: str, value: Any, message: str) -> None:
    refused(partial(Processes, **{name: value}), name, message)
    with ThreadPoolExecutor(1) as executor:
        refused(partial(OnExecutor, executor=executor, **({"n_workers": 1} | {name: value})), name, message)


@pytest.mark.parametrize(("name", "value", "message"), WORKERS)
def test_workers_of_a_cluster(name: str, value: Any, message: str) -> None:
    """They are refused before there is one."""
    pytest.importorskip("distributed")
    refused(partial(import_module("pytams.engine.dask").OnDask, connect=pytest.fail, **{name: value}), name, message)


def test_numpy_numbers_will_do() -> None:
    tams = pytams.TAMS(DoubleWell2DSingle(), end_time=1, step_size=0.1, target_score=0.7, n_trajectories=4)
    numbers: dict[str, Any] = {"block_length": np.int64(3), "threads": np.int32(1)}
    assert tams.run(1, seed=1, engine=partial(InProcess, **numbers)).runs == tams.run(1, seed=1).runs


def test_a_file_gives_the_same_engines_and_is_written_with_its_own_names(tmp_path: Path) -> None:
    runner = {"type": "process", "nworkers": 3, "batch": 2, "block_seconds": 0.25, "block_timeout": 9.0}
    table: dict[str, Any] = {
        "tams": {"ntrajectories": 10},
        "trajectory": {"end_time": 20, "step_size": 1, "targetscore": 4},
        "model": {"class": "exact:Walk"},
        "dask": {"backend": "slurm", "queue": "long"},
    }
    config = Config({**table, "runner": runner}, tmp_path)
    assert config.engine.keywords == {"n_workers": 3, "batch": 2, "seconds": 0.25, "timeout": 9.0}  # type: ignore[attr-defined] # a partial
    assert config.storage(tmp_path).runner == {"runner": runner, "dask": {"backend": "slurm", "queue": "long"}}
    config = Config({**table, "runner": {"nthreads": 2, "block_length": 7}}, tmp_path)
    assert config.engine.keywords == {"threads": 2, "block_length": 7}  # type: ignore[attr-defined] # likewise
