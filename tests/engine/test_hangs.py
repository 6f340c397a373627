"""A model that hangs is noticed, and ended where that can be."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d
from pytams.core.errors import WorkersLostError
from pytams.core.streams import Streams
from pytams.engine import InProcess, OnExecutor, Processes, watchdog
from pytams.models.loading import make_model

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.01,
    "target_score": 0.7,
    "n_trajectories": 12,
    "n_discard": 1,
}


def run(model: pytams.Model, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **SETTINGS).run(n_runs, seed=4, **more).runs


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is short here."""
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "FACTOR", 2.0)
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.02)


class Slow(DoubleWell2DSingle):
    """Takes long at one step of one trajectory."""

    seconds = 0.5

    def __init__(self, at: int = 217) -> None:
        super().__init__()
        self.at, self.n = at, 0

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        self.n += 1
        if self.n == self.at:
            time.sleep(self.seconds)
        return super().step(state, noise, t, dt)


class SlowBatch(DoubleWell2D):
    def score(self, state: Any, t: Any) -> Any:
        if np.max(t) == pytest.approx(0.17):
            time.sleep(0.5)
        return super().score(state, t)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_block_that_takes_long_is_said_aloud_once(caplog: pytest.LogCaptureFixture) -> None:
    n_threads = threading.active_count()
    run(Slow())
    [said] = warnings(caplog)
    assert said.startswith("Slow.step at run 0, slot 0, step 216 (t = 2.16): this block has taken 0.")
    assert "the slowest before it took" in said
    caplog.clear()
    run(SlowBatch(), n_runs=1)
    [said] = warnings(caplog)
    where = "SlowBatch.score for a batch of 12 members, the first at run 0, slot 0, step 17 (t = 0.17):"
    assert said.startswith(where)
    deadline = time.monotonic() + 5.0
    while threading.active_count() > n_threads:
        assert time.monotonic() < deadline, "watchdogs end with their engines"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_hang_in_the_first_block_of_all_is_said_with_its_step(caplog: pytest.LogCaptureFixture) -> None:
    """Beginnings are computed again before anything else: twice, with a copy of the model, then in earnest."""
    run(Slow(at=1), n_runs=1)
    said = warnings(caplog)[0]
    assert said.startswith("Slow.step at run 0, slot 0, step 0 (t = 0): this block has taken 0.")
    assert "and it is the first" in said


@pytest.mark.usefixtures("impatient")
def test_the_compiled_loop_says_which_segments_it_has(caplog: pytest.LogCaptureFixture) -> None:
    long = SETTINGS | {"end_time": 30_000.0, "target_score": 2.0, "n_trajectories": 2}  # in one block
    tams = pytams.TAMS(double_well_2d(), **long)
    with tams.study(2, seed=4, engine=partial(InProcess, block_length=10**8)) as study:
        next(iter(study))
    said = [text for text in warnings(caplog) if "has taken" in text]
    assert len(said) == 1
    where = "SDE's compiled loop, at one of 4 segments of runs 0 to 1, the first run 0, slot 0, from step 0 on:"
    assert said[0].startswith(where)
    assert "it is the first" in said[0]


class OneIsBad(DoubleWell2DSingle):
    """From step 50 on, the trajectory of one slot does what it must not; its state knows who it is."""

    def __init__(self, slot: int, act: Callable[[], object]) -> None:
        super().__init__()
        self.slot, self.act = slot, act

    def initial_state(self, rng: np.random.Generator) -> Any:
        bad = Streams(4).initial_state(0, self.slot).random()
        return np.array([-1.0, 0.0, rng.random() == bad])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        if state[2] and 0.495 < t < 0.505:
            self.act()
        return np.append(super().step(state[:2], noise, t, dt), state[2])

    def score(self, state: Any, t: Any) -> Any:
        return super().score(state[:2], t)


@pytest.mark.slow
def test_what_hangs_is_ended_three_times_and_named(caplog: pytest.LogCaptureFixture) -> None:
    model = OneIsBad(7, partial(time.sleep, 1000))
    start = time.monotonic()
    message = r"^run 0, slot 7, from step \d+ on: not done within 0.3 s, 3 times"
    with pytest.raises(WorkersLostError, match=message):
        run(model, n_runs=1, engine=partial(Processes, n_workers=2, seconds=0.05, timeout=0.3))
    assert time.monotonic() - start < 20
    said = [text for text in warnings(caplog) if re.search("run 0, slot 7, .* its worker is ended", text)]
    assert len(said) == 3


@pytest.mark.slow
def test_what_ends_its_process_is_named() -> None:
    model = OneIsBad(7, partial(os._exit, 0))
    with pytest.raises(WorkersLostError, match=r"(?s)^run 0, slot 7, from step \d+ on: its worker ended, 3 times"):
        run(model, n_runs=1, engine=partial(Processes, n_workers=2, seconds=0.05))


@pytest.mark.slow
def test_what_exits_on_a_worker_is_a_model_error() -> None:
    model = OneIsBad(7, partial(sys.exit, 3))
    with pytest.raises(pytams.ModelError, match=r"^OneIsBad.step raised SystemExit at run 0, slot 7, step 50 .*: 3"):
        run(model, n_runs=1, engine=partial(Processes, n_workers=2, seconds=0.05))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_on_an_executor_of_the_users_own(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can end its tasks: what takes long is said, and named if there is a timeout."""
    model = OneIsBad(7, partial(time.sleep, 1.5))
    with ThreadPoolExecutor(2) as executor:
        engine = partial(OnExecutor, executor=executor, n_workers=2, batch=1, seconds=0.05)
        assert run(model, n_runs=1, engine=engine) == run(OneIsBad(7, int), n_runs=1)
        said = [
            text for text in warnings(caplog) if re.match(r"run 0, slot 7, from step \d+ on: this task has", text)
        ]
        assert len(said) == 1
        message = "^run 0, slot 7, .* more than 0.3 s; the executor broke down, or"
        with pytest.raises(WorkersLostError, match=message):
            run(model, n_runs=1, engine=partial(engine, timeout=0.3))


def test_a_model_that_cannot_be_sent() -> None:
    model = OneIsBad(7, threading.Lock().acquire)
    with pytest.raises(pytams.ModelError, match="^OneIsBad cannot be sent to workers .TypeError: cannot pickle"):
        run(model, engine=partial(Processes, n_workers=1))


def test_a_model_that_cannot_be_imported_on_workers(tmp_path: Path) -> None:
    file = tmp_path / "here.py"
    file.write_text(
        "import multiprocessing, sys\n"
        "if multiprocessing.parent_process():\n    sys.exit('not here')\n"
        "from exact import DoubleWell2DSingle\nclass Here(DoubleWell2DSingle): pass\n"
    )
    model = make_model("here.py:Here", {}, tmp_path)
    with pytest.raises(pytams.SettingsError, match=r"importing .*here.py raised SystemExit: not here"):
        pytams.TAMS(model, **SETTINGS).run(1, engine=partial(Processes, n_workers=1))
