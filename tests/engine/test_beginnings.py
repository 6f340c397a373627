"""Beginnings that workers compute again: what hangs is found soon and named, what is only slow is waited for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

import pytams
from pytams.core.segments import Problem, SegmentKey, Start
from pytams.core.streams import Streams
from pytams.core.verification import Beginning
from pytams.engine import InProcess
from pytams.engine.beginnings import on_workers
from pytams.engine.contract import SETTINGS, Drifting
from pytams.engine.pool import ExecutorWorkers

END = threading.Event()
"""Lets go of all that hangs."""


@pytest.fixture(autouse=True)
def end() -> Iterator[None]:
    END.clear()
    yield
    END.set()


class Slow(Drifting):
    """Takes some time for every step."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        time.sleep(0.01)
        return super().step(state, noise, t, dt)


class Hangs(Drifting):
    """Hangs from a step on."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        if t >= self.at:
            END.wait(60)
        return super().step(state, noise, t, dt)


def problem_of(model: pytams.Model) -> Problem:
    return Problem.of(model, SETTINGS, seed=5, traced=True)


def workers_of(
    problem: Problem, n_workers: int = 2, make: Callable[[str, bytes], Executor] | None = None
) -> ExecutorWorkers:
    return ExecutorWorkers(problem, make or (lambda name, packed: ThreadPoolExecutor(n_workers)), n_workers, 0.1)


def beginning_of(run: int, slot: int, n_steps: int) -> Beginning:
    return Beginning(Start(SegmentKey(run, slot, 0), None, 0, math.nan), n_steps)


def beginnings(n_steps: int, n_runs: int = 1) -> list[list[Beginning]]:
    return [[beginning_of(run, 0, n_steps)] for run in range(n_runs)]


@pytest.mark.slow
def test_what_takes_longer_than_the_timeout_as_it_has_many_steps_does_not_hang() -> None:
    problem = problem_of(Slow())
    lists = beginnings(50)
    start = time.monotonic()
    assert on_workers(workers_of(problem), 0.2, lists) == InProcess(problem).begin_again(lists)
    assert time.monotonic() - start > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("at", "known"), [(0, 0), (5, 1), (20, 8)])
def test_what_hangs_is_named_after_three_tries(at: int, known: int, caplog: pytest.LogCaptureFixture) -> None:
    two = [beginning_of(3, slot, 30) for slot in (0, 1)]
    start = time.monotonic()
    names = f"run 3, slot 0, from step {known} on; run 3, slot 1, from step {known} on"
    with pytest.raises(
        pytams.WorkersLostError, match=rf"^{names}: not done within 0.\d+ s, 3 times. .*block_timeout"
    ):
        on_workers(workers_of(problem_of(Hangs(at))), 0.2, [two, two[::-1]])
    assert time.monotonic() - start < 20
    assert sum(record.getMessage().startswith(names) for record in caplog.records) == 3


@pytest.mark.slow
def test_of_many_the_one_that_hangs_is_named() -> None:
    """With one worker, and with several."""
    problem = problem_of(OneHangs())
    for n_workers in (1, 3):
        with pytest.raises(pytams.WorkersLostError, match=r"^run 4, slot 0, from step 0 on: not done within 0.2 s"):
            on_workers(workers_of(problem, n_workers), 0.2, beginnings(3, n_runs=8))


class OneHangs(Drifting):
    """Hangs in one run."""

    def initial_state(self, rng: Any) -> Any:
        if rng.random() == Streams(5).initial_state(4, 0).random():
            END.wait(60)
        return super().initial_state(rng)


class Broken(Executor):
    """An executor whose workers die as they start."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("they are dead"))
        return future


def test_workers_that_are_lost_while_they_start_are_no_fault_of_the_models() -> None:
    problem = problem_of(Drifting())
    n_broken = 15

    def make(name: str, packed: bytes) -> Executor:
        nonlocal n_broken
        n_broken -= 1
        return Broken() if n_broken >= 0 else ThreadPoolExecutor(2)

    lists = beginnings(5)
    assert on_workers(workers_of(problem, make=make), None, lists) == InProcess(problem).begin_again(lists)
    n_broken = 1000
    with pytest.raises(pytams.WorkersLostError, match="^the workers broke down 20 times in a row: they are dead"):
        on_workers(workers_of(problem, make=make), None, lists)


def test_workers_that_are_lost_at_it_are_named() -> None:
    class DiesLater(ThreadPoolExecutor):
        def submit(self, function: Any, *arguments: Any, **more: Any) -> Future[Any]:  # type: ignore[override] # looser
            if arguments[-1] and isinstance(arguments[-1], list):
                return Broken().submit()
            return super().submit(function, *arguments, **more)

    workers = workers_of(problem_of(Drifting()), make=lambda name, packed: DiesLater(2))
    with pytest.raises(pytams.WorkersLostError, match=r"^run 0, slot 0, from step 0 on: they are dead, 3 times"):
        on_workers(workers, None, beginnings(5))


def test_nobody_ends_the_workers_of_others() -> None:
    with ThreadPoolExecutor(2) as executor:
        workers = ExecutorWorkers(problem_of(Hangs(0)), executor, 2, 0.1)
        message = r"^run 0, slot 0, from step 0 on: not done within 0.1 s; the executor broke down, or a task hangs"
        with pytest.raises(pytams.WorkersLostError, match=message):
            on_workers(workers, 0.1, beginnings(5))
        END.set()
