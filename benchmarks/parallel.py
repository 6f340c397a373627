"""Workers kept busy: `python benchmarks/parallel.py`.

A one-by-one model that sleeps, so that two cores can drive many workers: speed-up over one worker for one run of
N = 100, l = 1, as decided (dataflow) and with a barrier after each iteration of the same engine; then K = 8 runs;
then a model that computes, on two processes; then what a segment costs, and how many one driver feeds to Dask: 16
workers in this process, segments that cost next to nothing, as they go out by themselves (`many at once`) and one a
task.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import pytams
from pytams.core.ports import Stepper
from pytams.core.segments import Past, Point, Problem, Progress, SegmentKey, Start
from pytams.core.verification import Beginning, Outline
from pytams.engine import InProcess, Keeping, OnDask, OnExecutor
from pytams.engine.beginnings import on_workers
from pytams.engine.clusters import connect
from pytams.engine.pool import ExecutorWorkers
from pytams.engine.tasks import TaskQueue
from speed import OneByOne

STEP_SECONDS = 0.005
TASK_SECONDS = 0.1


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


class BarrierStepper:
    """Holds the branches of an iteration back until those of the one before have ended."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._running: set[SegmentKey] = set()
        self._groups: list[list[Point]] = []

    @property
    def n_steps(self) -> int:
        return self._stepper.n_steps

    @property
    def n_busy(self) -> int:
        return self._stepper.n_busy

    def open_group(self) -> None:
        """Take what joins from now on for another iteration's."""
        self._groups.append([])

    def join(self, point: Point) -> None:
        self._groups[-1].append(point)

    def advance(self, block_length: int | None) -> list[Progress]:
        while self._groups and not self._running:
            for point in self._groups.pop(0):
                self._running.add(point.key)
                self._stepper.join(point)
        reports = self._stepper.advance(block_length)
        self._running -= {report.key for report in reports if report.ended}
        return reports

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        reports, points = self._stepper.checkpoint()
        return reports, points + [point for group in self._groups for point in group]

    def close(self) -> None:
        self._stepper.close()


class Barrier:
    """An engine with a barrier after each iteration."""

    note = ""

    def __init__(self, problem: Problem, executor: Executor, n_workers: int) -> None:
        workers = ExecutorWorkers(problem, executor, n_workers, TASK_SECONDS)
        self._stepper = BarrierStepper(TaskQueue(workers))
        self._engine = Keeping(self._stepper, partial(on_workers, workers, None), problem=problem)

    @property
    def n_steps(self) -> int:
        return self._engine.n_steps

    @property
    def n_busy(self) -> int:
        return self._engine.n_busy

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        return self._engine.begin_again(lists)

    def start(self, starts: Iterable[Start]) -> None:
        self._stepper.open_group()
        self._engine.start(starts)

    def resume(self, start: Start, past: Past) -> None:
        self._engine.resume(start, past)

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        self._engine.drop(keys)

    def pass_level(self, run: int, level: float) -> None:
        self._engine.pass_level(run, level)

    def advance(self) -> list[Progress]:
        return self._engine.advance()

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        return self._engine.checkpoint()

    def close(self) -> None:
        self._engine.close()


@contextmanager
def warm_executor(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes: that is not counted."""
    with ProcessPoolExecutor(n_workers, multiprocessing.get_context("forkserver")) as executor:
        wait([executor.submit(time.sleep, 1.0) for _ in range(n_workers)])
        yield executor


def seconds(tams: pytams.TAMS, engine: Any, n_runs: int = 1) -> tuple[float, Any]:
    """Time of a study; making the engine is not counted."""
    with tams.study(n_runs, seed=1, engine=engine) as study:
        start = perf_counter()
        for _ in study:
            pass
        return perf_counter() - start, study.result().runs


def on_processes(tams: pytams.TAMS, n_workers: int, n_runs: int = 1, *, barrier: bool = False) -> tuple[float, Any]:
    """Time of a study on processes that have been started."""
    with warm_executor(n_workers) as executor:
        engine: Any = partial(OnExecutor, executor=executor, n_workers=n_workers, seconds=TASK_SECONDS)
        if barrier:
            engine = partial(Barrier, executor=executor, n_workers=n_workers)
        return seconds(tams, engine, n_runs)


def main() -> None:
    settings: dict[str, Any] = {"end_time": 4.0, "step_size": 0.1, "target_score": 0.95}
    tams = pytams.TAMS(Sleepy(), n_trajectories=100, n_discard=1, **settings)
    one, expected = on_processes(tams, 1)
    n_tasks = expected[0].n_steps
    print(f"one run, N = 100, l = 1, {n_tasks} steps of {STEP_SECONDS * 1e3:g} ms: {one:.1f} s on one worker")
    print(f"{'workers':>8} {'dataflow':>9} {'barrier':>8}")
    for n_workers in (4, 8, 16):
        ours, runs = on_processes(tams, n_workers)
        assert runs == expected
        theirs, runs = on_processes(tams, n_workers, barrier=True)
        assert runs == expected
        print(f"{n_workers:>8} {one / ours:>9.1f} {one / theirs:>8.1f}", flush=True)
    many, runs = on_processes(tams, 32, n_runs=8)
    steps = sum(run.n_steps for run in runs)
    print(f"\n8 runs on 32 workers: {steps / n_tasks * one / many:.1f}")

    busy = pytams.TAMS(Busy(), n_trajectories=60, n_discard=4, **settings)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for n_workers, found in times.items():
            found.append(on_processes(busy, n_workers)[0])
    print(f"a model that computes, two processes over one: {np.median(times[1]) / np.median(times[2]):.2f}")

    def a_task(engine: Any) -> float:
        cheap = pytams.TAMS(OneByOne(), n_trajectories=50, n_discard=5, **settings)
        spent, runs = seconds(cheap, engine, n_runs=4)
        return spent / sum(len(run.iterations) * 5 + 50 for run in runs)

    client = connect("local", n_workers=2)
    with warm_executor(2) as executor:
        engines: dict[str, Any] = {
            "in process": InProcess,
            "two processes": partial(OnExecutor, executor=executor, n_workers=2),
            "two Dask workers": partial(OnDask, connect=client),
        }
        for name, engine in engines.items():
            print(f"a segment of 40 steps that cost next to nothing, {name}: {a_task(engine) * 1e3:.2f} ms")
    client.shutdown()
    for name, batch in (("many at once", None), ("one a task", 1)):
        print(f"segments a second through one driver to 16 Dask workers, {name}: {on_threads(batch):,.0f}")


def on_threads(batch: int | None) -> float:
    """Segments a second of 64 runs, on Dask workers that are threads of this process."""
    options = {"threads_per_worker": 8, "processes": False, "dashboard_address": None}
    client = connect("local", n_workers=2, options=options)
    tams = pytams.TAMS(OneByOne(), end_time=1.0, step_size=0.1, target_score=0.9, n_trajectories=100, n_discard=5)
    spent, runs = seconds(tams, partial(OnDask, connect=client, batch=batch), n_runs=64)
    client.shutdown()
    n_started = sum(not start.ended for run in runs for iteration in run.iterations for start in iteration.starts)
    return (n_started + 64 * 100) / spent


if __name__ == "__main__":
    main()
