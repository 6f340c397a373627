"""Workers kept busy: `python benchmarks/parallel.py`.

A one-by-one model that sleeps, so that two cores can drive many workers: speed-up over one worker for one run of
N = 100, l = 1, as decided (dataflow) and with a barrier after each iteration of the same engine; then K = 8 runs;
then a model that computes, on two processes; then what a task costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import wait
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import pytams
from pytams.core.segments import Point, Problem, Progress, SegmentKey, Start
from pytams.engine import InProcess, OnDask, Processes
from pytams.engine.clusters import connect
from pytams.engine.pool import PoolStepper
from speed import OneByOne

STEP_SECONDS = 0.005


class Sleepy(OneByOne):
    """As long as `STEP_SECONDS` a step, without computing."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        time.sleep(STEP_SECONDS)
        return super().step(state, noise, t, dt)


class Busy(OneByOne):
    """Computes for a while at each step."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        total = 0.0
        for i in range(20_000):
            total += i * 1e-30
        return super().step(state + total * 0.0, noise, t, dt)


class Barrier(Processes):
    """Starts the branches of an iteration when those of the one before have ended."""

    def __init__(self, problem: Problem, n_workers: int) -> None:
        super().__init__(problem, n_workers, seconds=0.1)
        self._running: set[SegmentKey] = set()
        self._groups: list[list[Point]] = []

    def start(self, starts: Iterable[Start]) -> None:
        group: list[Point] = []
        join = self._stepper.join
        self._stepper.join = group.append  # type: ignore[method-assign, assignment] # put them aside
        super().start(starts)
        self._stepper.join = join  # type: ignore[method-assign]
        self._groups.append(group)
        self._release()

    def advance(self) -> list[Progress]:
        reports = super().advance()
        self._running -= {report.key for report in reports if report.ended}
        self._release()
        return reports

    def _release(self) -> None:
        while self._groups and not self._running:
            for point in self._groups.pop(0):
                self._running.add(point.key)
                self._stepper.join(point)


def seconds(tams: pytams.TAMS, engine: Any, n_runs: int = 1) -> tuple[float, Any]:
    """Time of a study; starting the workers is not counted."""
    with tams.study(n_runs, seed=1, engine=engine) as study:
        stepper: Any = study._engine._stepper  # type: ignore[attr-defined] # to start its workers
        if isinstance(stepper, PoolStepper):
            wait([stepper._executor.submit(time.sleep, 1.0) for _ in range(stepper._n_workers)])
        start = perf_counter()
        for _ in study:
            pass
        return perf_counter() - start, study.result().runs


def main() -> None:
    settings: dict[str, Any] = {"end_time": 4.0, "step_size": 0.1, "target_score": 0.95}
    tams = pytams.TAMS(Sleepy(), n_trajectories=100, n_discard=1, **settings)
    one, expected = seconds(tams, partial(Processes, n_workers=1, seconds=0.1))
    n_tasks = expected[0].n_steps
    print(f"one run, N = 100, l = 1, {n_tasks} steps of {STEP_SECONDS * 1e3:g} ms: {one:.1f} s on one worker")
    print(f"{'workers':>8} {'dataflow':>9} {'barrier':>8}")
    for n_workers in (4, 8, 16):
        ours, runs = seconds(tams, partial(Processes, n_workers=n_workers, seconds=0.1))
        assert runs == expected
        theirs, runs = seconds(tams, partial(Barrier, n_workers=n_workers))
        assert runs == expected
        print(f"{n_workers:>8} {one / ours:>9.1f} {one / theirs:>8.1f}", flush=True)
    many, runs = seconds(tams, partial(Processes, n_workers=32, seconds=0.1), n_runs=8)
    steps = sum(run.n_steps for run in runs)
    print(f"\n8 runs on 32 workers: {steps / n_tasks * one / many:.1f}")

    busy = pytams.TAMS(Busy(), n_trajectories=60, n_discard=4, **settings)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for n_workers, found in times.items():
            found.append(seconds(busy, partial(Processes, n_workers=n_workers))[0])
    print(f"a model that computes, two processes over one: {np.median(times[1]) / np.median(times[2]):.2f}")

    def a_task(engine: Any) -> float:
        cheap = pytams.TAMS(OneByOne(), n_trajectories=50, n_discard=5, **settings)
        spent, runs = seconds(cheap, engine, n_runs=4)
        return spent / sum(len(run.iterations) * 5 + 50 for run in runs)

    client = connect("local", n_workers=2)
    engines: dict[str, Any] = {
        "in process": InProcess,
        "two processes": partial(Processes, n_workers=2),
        "two Dask workers": partial(OnDask, connect=client),
    }
    for name, engine in engines.items():
        print(f"a segment of 40 steps that cost next to nothing, {name}: {a_task(engine) * 1e3:.2f} ms")
    client.shutdown()


if __name__ == "__main__":
    main()
