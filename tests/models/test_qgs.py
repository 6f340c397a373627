"""qgs, a model of the atmosphere, as a simulator: direct simulation's probability, and the same scores everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.engine import InProcess, Processes

pytest.importorskip("qgs", reason="qgs is not installed here: `make test-simulators`")
pytestmark = pytest.mark.simulators

EXAMPLE = Path(__file__).parents[2] / "examples" / "westerlies"
sys.path.insert(0, str(EXAMPLE))
from westerlies import Westerlies  # noqa: E402 - it imports qgs

TIMES: dict[str, Any] = {"end_time": 100.0, "step_size": 2.0}
SHORT: dict[str, Any] = TIMES | {"target_score": -8.0, "n_trajectories": 8, "n_discard": 2}
DIRECT = {0.0: (0.0621, 0.0012), 5.0: (0.0154, 0.0006), 10.0: (0.00238, 0.00024)}
"""By target: probability and standard error of 40,000 trajectories, `python examples/westerlies/westerlies.py`."""


def run(model: pytams.Simulator, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **SHORT).run(n_runs, seed=4, **more).runs


@pytest.fixture(scope="module")
def expected() -> tuple[Any, ...]:
    found = run(Westerlies())
    assert sum(one.n_branchings for one in found) > 8
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_it_agrees_with_direct_simulation(seed: int) -> None:
    tams = pytams.TAMS(Westerlies(), **TIMES, target_score=5.0, n_trajectories=128, n_discard=16)
    result = tams.run(8, seed)
    p, error = DIRECT[5.0]
    assert abs(result.probability - p) < 3 * np.hypot(result.standard_error, error)
    assert result.standard_error < 0.5 * p


def test_what_is_perturbed_too_little_is_no_study() -> None:
    result = pytams.TAMS(Westerlies(size=1e-9), **TIMES, target_score=5.0, n_trajectories=8, n_discard=2).run(2, 1)
    assert result.health.word == "collapsed"
    assert "initial trajectories never part" in result.health.reason
    assert "perturb more" in result.health.advice


def test_what_is_not_perturbed_is_refused() -> None:
    with pytest.raises(pytams.ModelError, match=r"all 8 initial trajectories are the same .*the seed has no effect"):
        run(Westerlies(size=0.0))


def test_the_same_scores_on_processes(expected: tuple[Any, ...], tmp_path: Path) -> None:
    assert run(Westerlies(), engine=partial(Processes, n_workers=2, seconds=0.05)) == expected
    assert run(Westerlies(), engine=partial(InProcess, block_length=3), out=tmp_path / "out") == expected


def test_the_same_scores_on_dask(expected: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    from pytams.engine import OnDask  # noqa: PLC0415 - an extra

    (tmp_path / "dask").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    silent: dict[str, Any] = {"dashboard_address": None, "silence_logs": 50, "local_directory": tmp_path / "dask"}
    with (
        distributed.LocalCluster(2, threads_per_worker=1, **silent) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert run(Westerlies(), engine=partial(OnDask, connect=client, seconds=0.05)) == expected
    assert not list((tmp_path / "here").iterdir())


def pytams_in(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytams", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(out: Path) -> tuple[Any, ...]:
    with pytams.load(out) as saved:
        return tuple(run for run in saved.result.runs if run.finished)


def test_the_same_scores_after_kill_9(expected: tuple[Any, ...], tmp_path: Path) -> None:
    here, out = tmp_path / "here", tmp_path / "out"
    here.mkdir()
    settings: dict[str, dict[str, float]] = {
        "tams": {"ntrajectories": 8, "ndiscard": 2, "nruns": 2, "seed": 4},
        "trajectory": {"targetscore": -8.0},
        "database": {"checkpoint_interval": 0.1},
    }
    said = [f"--set={table}.{key}={value}" for table, keys in settings.items() for key, value in keys.items()]
    driver = pytams_in(here, "run", str(EXAMPLE / "input.toml"), "--out", str(out), *said)
    deadline = time.monotonic() + 300
    while not list(out.glob("segments/*.nc")) and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    assert len(finished(out)) < 2, "there was more to do"
    driver = pytams_in(here, "resume", str(out))
    _, log = driver.communicate()
    assert driver.returncode == 0, log
    assert finished(out) == expected
    assert not list(here.iterdir())


def test_it_is_fit_for_a_study(tmp_path: Path) -> None:
    driver = pytams_in(tmp_path, "check", str(EXAMPLE / "input.toml"))
    said, log = driver.communicate()
    assert driver.returncode == 0, log
    assert said.count("yes ") == 13
    assert not list(tmp_path.iterdir())


def test_without_perturbations_it_is_not(tmp_path: Path) -> None:
    driver = pytams_in(tmp_path, "check", str(EXAMPLE / "input.toml"), "--set", "model.size=0.0")
    said, log = driver.communicate()
    assert driver.returncode == 1, log
    assert "NO   two branches from one state part" in said
