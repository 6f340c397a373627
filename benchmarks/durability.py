"""What a run directory costs: `python benchmarks/durability.py`.

Run time with ``out=`` over run time in memory, in turn in one process, medians: a cheap compiled model with K = 64
runs, and one of 5 ms a step (sleeping). And bytes on disk of a trajectory, with states at records only and with all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytams
from pytams import SDE, Storage
from speed import Sleepy, diffusion, drift, score

ROUNDS = 5


def cheap() -> pytams.TAMS:
    model = SDE(drift, diffusion, score, initial=(-1.0, 0.0), sigma=0.1**0.5)
    return pytams.TAMS(model, end_time=10.0, step_size=0.01, target_score=0.95, n_trajectories=50, n_discard=2)


def expensive() -> pytams.TAMS:
    return pytams.TAMS(Sleepy(), end_time=1.0, step_size=0.01, target_score=0.3, n_trajectories=20)


def ratio(tams: pytams.TAMS, n_runs: int, rounds: int) -> float:
    def seconds(run: Callable[[], Any]) -> float:
        start = perf_counter()
        run()
        return perf_counter() - start

    in_memory, on_disk = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        cheap().run(1, seed=0, out=Path(folder) / "run")  # imports, compiling
    for seed in range(rounds):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder) / "run"
            in_memory.append(seconds(lambda seed=seed: tams.run(n_runs, seed)))  # type: ignore[misc]
            on_disk.append(seconds(lambda seed=seed, path=path: tams.run(n_runs, seed, out=path)))  # type: ignore[misc]
    return median(on_disk) / median(in_memory)


def bytes_per_trajectory(sparse_freq: int) -> float:
    folder = Path(tempfile.mkdtemp(dir="."))
    try:
        path = folder / "run"
        result = cheap().run(16, seed=1, out=Storage(path=path, sparse_freq=sparse_freq))
        n = sum(run.n_branchings for run in result.runs) + 16 * 50
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / n
    finally:
        shutil.rmtree(folder)


def main() -> None:
    print(f"compiled 2-D double well, K = 64:  {ratio(cheap(), 64, ROUNDS):.2f} times the time in memory")
    print(f"5 ms a step, one run:              {ratio(expensive(), 1, 1):.3f} times the time in memory")
    for name, sparse_freq in (("at records", 0), ("all", 1)):
        print(f"states {name}: {bytes_per_trajectory(sparse_freq):,.0f} bytes a trajectory")


if __name__ == "__main__":
    main()
