"""Our time over the yardstick's: `python benchmarks/speed.py [--quick]`.

The 2-D double well, T = 10. Each cell alternates between K runs of ours and as many of the hand-written loop in
`limit.py`, in one process, on one thread but for the rows that say two, and shows the ratio of the medians of their
times per model step. `--quick` has one column, and few runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import pytams
from limit import tams as yardstick
from pytams import SDE
from pytams.engine import InProcess

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "double_well_2d"))
from double_well_2d import DoubleWell2D

N_STEPS = 1000
_SMALL, _LARGE, _MOST = 1000, 20_000, 50_000
"""Trajectories of initial ensembles: fewer repeats beyond, and none beyond the last."""


def drift(x: Any, t: Any, p: Any) -> Any:
    return x[0] - x[0] * x[0] * x[0], -2.0 * x[1]


def diffusion(x: Any, t: Any, p: Any) -> Any:
    return p.sigma, p.sigma


def score(x: Any, t: Any, p: Any) -> Any:
    to_a = (x[0] + 1.0) * (x[0] + 1.0) + x[1] * x[1]
    to_b = (x[0] - 1.0) * (x[0] - 1.0) + x[1] * x[1]
    return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)


class OneByOne(DoubleWell2D):
    """The same, one member at a time."""

    vectorized = False

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state.tolist()
        kick = (self.epsilon * dt) ** 0.5
        return np.array([x + (x - x * x * x) * dt + kick * noise[0], y - 2.0 * y * dt + kick * noise[1]])

    def score(self, state: Any, t: Any) -> Any:
        return score(state.tolist(), t, None)


class Sleepy(OneByOne):
    """As expensive as 5 ms a step."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        start = perf_counter()
        time.sleep(0.005)
        state = super().step(state, noise, t, dt)
        self.seconds += perf_counter() - start
        return state

    seconds = 0.0


COMPILED = SDE(drift, diffusion, score, initial=(-1.0, 0.0), sigma=0.1**0.5)
MODELS = {"compiled": COMPILED, "vectorised NumPy": DoubleWell2D(), "one by one": OneByOne()}


def ours(
    model: pytams.Model, n: int, n_discard: int, n_runs: int, threads: int = 1
) -> Callable[[int], tuple[float, int]]:
    tams = pytams.TAMS(
        model, end_time=10.0, step_size=10.0 / N_STEPS, target_score=0.95, n_trajectories=n, n_discard=n_discard
    )

    def run(seed: int) -> tuple[float, int]:
        start = perf_counter()
        result = tams.run(n_runs, seed=seed, engine=partial(InProcess, threads=threads))
        return perf_counter() - start, result.n_steps

    return run


def theirs(n: int, n_discard: int, n_runs: int) -> Callable[[int], tuple[float, int]]:
    def run(seed: int) -> tuple[float, int]:
        start = perf_counter()
        n_steps = sum(yardstick(n, n_discard, N_STEPS, seed * 1000 + i)[1] for i in range(n_runs))
        return perf_counter() - start, n_steps

    return run


def ratio(a: Callable[[int], tuple[float, int]], b: Callable[[int], tuple[float, int]], repeats: int) -> float:
    """Median seconds a step of a over those of b, in turn."""
    a(0), b(0)
    times = [[seconds / steps for seconds, steps in (a(i), b(i))] for i in range(1, repeats + 1)]
    return median(t[0] for t in times) / median(t[1] for t in times)


def overhead_of_expensive_model() -> float:
    model = Sleepy()
    tams = pytams.TAMS(model, end_time=0.5, step_size=0.01, target_score=0.5, n_trajectories=20)
    start = perf_counter()
    tams.run(2, seed=1)
    return (perf_counter() - start) / model.seconds - 1


def table(
    name: str, model: pytams.Model, cells: list[tuple[int, int]], numbers: tuple[int, ...], threads: int = 1
) -> None:
    """Print the ratios for some numbers of runs; of large studies, one measurement is enough."""
    print(f"\n{name:<24} {'K':>4}" + "".join(f"{f'N={n}, l={d}':>14}" for n, d in cells))
    for n_runs in numbers:
        row = ""
        for n, d in cells:
            size = n * n_runs
            repeats = 9 if size <= _SMALL else 3 if size <= _LARGE else 1
            compared = ours(model, n, d, n_runs, threads), theirs(n, d, n_runs)
            row += f"{'-':>14}" if size > _MOST else f"{ratio(*compared, repeats):>14.2f}"
        print(f"{'':<24} {n_runs:>4}{row}", flush=True)


def main() -> None:
    quick = "--quick" in sys.argv
    print("time per model step, over that of the hand-written compiled loop")
    cells = [(50, 2)] if quick else [(50, 1), (50, 2), (50, 5), (200, 1), (200, 20), (1000, 1), (1000, 100)]
    table("compiled", COMPILED, cells, (1, 8, 64) if quick else (1, 8, 64, 1000))
    table("compiled, two threads", COMPILED, cells, (8, 64), threads=2)
    few = cells[:2]
    table("vectorised NumPy", DoubleWell2D(), few, (1, 8, 64))
    table("one by one", OneByOne(), few, (1,))
    print(f"\none by one, 5 ms a step: {overhead_of_expensive_model():.2%} over the model's own time")


if __name__ == "__main__":
    main()
