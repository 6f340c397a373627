"""Large states: `python benchmarks/states.py`, which takes some minutes and some 20 GB of disk.

The 2-D double well as a `pytams.Simulator` whose state is padded, and whose steps take a while as those of others
do. One study with one worker and one with several, each in a process of its own: time, memory of the driver, disk at
most and at the end, what no ledger has, and what `pytams check` says beforehand.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pytams
from pytams.core.segments import Problem
from pytams.engine import Processes
from pytams.engine.check import check_model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from simulators import WellByStep

SETTINGS: dict[str, Any] = {"end_time": 3.0, "step_size": 0.1, "target_score": 0.5, "n_trajectories": 16}


class Padded(WellByStep):
    """A double well with as much beside it as there is in an ocean."""

    def __init__(self, megabytes: float, seconds: float) -> None:
        super().__init__()
        self.megabytes, self.seconds = megabytes, seconds
        self.rest = np.arange(int(megabytes * 125_000), dtype=np.float64)

    def save(self) -> Any:
        return np.concatenate([[self.x, self.y], self.rest])

    def load(self, state: Any) -> None:
        self.x, self.y = state[:2].tolist()
        self.rest = state[2:]

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        time.sleep(self.seconds)


class Measured(NamedTuple):
    """What a study took."""

    runs: Any
    seconds: float
    driver_megabytes: float
    most_on_disk: int
    left_on_disk: int
    n_unreferenced: int


def measure(out: Path, model: Padded, n_workers: int, states: pytams.States) -> Measured:
    """Run a study, and watch it."""
    most, is_over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not is_over.wait(0.05):
            most = max(most, on_disk(out))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    result = pytams.TAMS(model, **SETTINGS).run(
        1, 1, out=out, states=states, engine=partial(Processes, n_workers=n_workers, seconds=1.0)
    )
    seconds = time.perf_counter() - begin
    is_over.set()
    watcher.join()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert peak is not None
    with sqlite3.connect(out / "ledgers" / "run00000.db") as connection:
        noted = {row[0] for row in connection.execute("SELECT sha256 FROM stored_states")}
    there = {path.name for path in out.glob("states/*/*/*")}
    return Measured(result.runs, seconds, int(peak[1]) / 1000, most, on_disk(out), len(there - noted))


def on_disk(out: Path) -> int:
    """Bytes of states."""
    total = 0
    for path in out.glob("states/*/*/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a step")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=None, help="where there is room")
    arguments = parser.parse_args()
    model = Padded(arguments.megabytes, arguments.seconds)
    problem = Problem.of(model, pytams.TAMS(model, **SETTINGS).settings, 1)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        cost = check_model(problem, problem.n_steps).cost
        assert cost is not None
        expected, error = (16 * problem.n_steps * number * cost.n_bytes / 1e9 for number in cost.n_stored)
        size = cost.n_bytes / 1e9
        print(f"check: a state {1e3 * size:.0f} MB, at most {expected + size:.2f} +- {error:.2f} GB of states")
        for name, n_workers, states in (
            ("one worker", 1, pytams.States(keep="none")),
            (f"{arguments.workers} workers", arguments.workers, pytams.States(keep="none")),
            (f"{arguments.workers} workers, every = 10", arguments.workers, pytams.States(keep="none", every=10)),
        ):
            out = Path(folder) / "out"
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                found = pool.submit(measure, out, model, n_workers, states).result()
            print(
                f"{name:<24} {found.seconds:6.1f} s   driver {found.driver_megabytes:4.0f} MB   disk at most "
                f"{found.most_on_disk / 1e9:5.2f} GB, at the end {found.left_on_disk / 1e9:.2f} GB, unreferenced "
                f"{found.n_unreferenced}   probability {found.runs[0].estimate!r}"
            )
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
