"""At scale: `python benchmarks/scale.py [--real] [--virtual] [--write]`; both, if neither is said.

Real: time and memory a branching, for ensembles of 100 to 100,000 and up to 10,000 runs of a compiled double well;
and a ledger with a million rows. Virtual: the state machine and the driver against workers that only take time, for
an event of probability 1e-4: how many workers are busy for half of the time, dataflow and barrier. `--write` draws
the picture of docs/cluster.md.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter

import pytams
from pytams.engine.virtual import Conditions, Lengths, simulate
from pytams.sqldb import SQLFile
from speed import COMPILED

LOG_P = -9.2
LENGTHS = Lengths(initial=1000, branch=350.0)
EASY = Conditions(n_workers=1, step_seconds=0.01)
PICTURE = Path(__file__).parents[1] / "docs" / "cluster.svg"


@cache
def efficiency(n: int, n_discard: int, n_runs: int, n_workers: int, *, barrier: bool = False) -> float:
    """Share of the time that workers are busy; steps take 10 ms, tasks half a second."""
    conditions = replace(EASY, n_workers=n_workers, barrier=barrier)
    return simulate(LOG_P, n, n_discard, n_runs, LENGTHS, conditions).efficiency(n_workers)


def workers_for(wanted: float, n: int, n_discard: int, n_runs: int, *, barrier: bool = False) -> int:
    """Find how many workers are busy for such a share of the time, to a tenth."""
    low, high = 1, 2
    while efficiency(n, n_discard, n_runs, high, barrier=barrier) > wanted:
        low, high = high, 2 * high
    while high - low > max(1, low // 10):
        middle = (low + high) // 2
        is_busy = efficiency(n, n_discard, n_runs, middle, barrier=barrier) > wanted
        low, high = (middle, high) if is_busy else (low, middle)
    return low


def virtual() -> None:
    """Print how many workers a study can use."""
    print("workers that are busy for 80 % and for 50 % of the time; with a barrier after iterations, for 50 %")
    print(f"{'N':>7}{'l':>6}{'K':>4}{'80 %':>8}{'50 %':>8}{'barrier':>9}")
    for n, n_discard, n_runs in (
        (100, 1, 1), (100, 10, 1), (100, 1, 8), (100, 10, 8),
        (1000, 1, 1), (1000, 10, 1), (1000, 100, 1), (1000, 10, 4),
    ):  # fmt: skip
        found = [workers_for(share, n, n_discard, n_runs) for share in (0.8, 0.5)]
        found.append(workers_for(0.5, n, n_discard, n_runs, barrier=True))
        print(f"{n:>7}{n_discard:>6}{n_runs:>4}{found[0]:>8}{found[1]:>8}{found[2]:>9}", flush=True)
    numbers = (1, 10, 100, 1000, 10_000, 100_000)
    print("\nshare of the time that so many workers are busy")
    print(f"{'N':>7}{'l':>7}{'K':>4}" + "".join(f"{number:>9,}" for number in numbers))
    for n, n_discard, n_runs in (
        (100, 10, 64), (1000, 1, 1), (1000, 100, 8), (10_000, 100, 1), (10_000, 1000, 1), (100_000, 10_000, 1),
    ):  # fmt: skip
        shares = [efficiency(n, n_discard, n_runs, number) if number <= n * n_runs else 0.0 for number in numbers]
        cells = "".join(f"{share:>9.2f}" if share else f"{'-':>9}" for share in shares)
        print(f"{n:>7}{n_discard:>7}{n_runs:>4}{cells}", flush=True)
    print("\nN = 1000, l = 10, K = 1: share of the time that workers are busy")
    print(f"{'workers':>8}{'constant':>10}{'lognormal':>11}{'5 % lost':>10}{'1.5 ms a task':>15}")
    for n_workers in (1, 10, 100, 1000):
        here = replace(EASY, n_workers=n_workers)
        worse = (replace(here, spread=1.0), replace(here, lost=0.05), replace(here, message_seconds=0.0015))
        row = [simulate(LOG_P, 1000, 10, 1, LENGTHS, how).efficiency(n_workers) for how in (here, *worse)]
        print(f"{n_workers:>8}" + "".join(f"{share:>{w}.2f}" for share, w in zip(row, (10, 11, 10, 15), strict=True)))


def draw() -> None:
    """Draw the share of busy workers over their number."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only here

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for n, n_discard, n_runs, barrier in (
        (100, 1, 1, True), (100, 1, 1, False), (100, 10, 1, False), (100, 1, 8, False), (1000, 10, 1, False)
    ):  # fmt: skip
        workers = [round(2.0 ** (k / 2)) for k in range(19)]
        shares = [efficiency(n, n_discard, n_runs, number, barrier=barrier) for number in workers]
        label = f"N = {n}, l = {n_discard}, K = {n_runs}" + (", barrier" if barrier else "")
        axes.plot(workers, shares, label=label, linestyle="--" if barrier else "-")
    axes.set(xscale="log", xlabel="workers", ylabel="share of the time that they are busy", ylim=(0.0, 1.05))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(PICTURE)


def real() -> None:
    """Print what a branching takes."""
    print(
        f"{'N':>8}{'l':>7}{'K':>7}{'branchings':>12}{'ns a step':>11}{'us a branching':>16}{'bytes a branching':>19}"
    )
    for n, n_discard, n_runs in (
        (100, 1, 8), (1000, 1, 1), (10_000, 1, 1), (100_000, 1, 1),
        (100, 10, 8), (1000, 100, 1), (10_000, 1000, 1), (100_000, 10_000, 1),
        (50, 5, 100), (50, 5, 10_000),
    ):  # fmt: skip
        tams = pytams.TAMS(
            COMPILED, end_time=1.0, step_size=0.01, target_score=0.3, n_trajectories=n, n_discard=n_discard
        )
        tams.run(1, seed=0)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        begin = perf_counter()
        result = tams.run(n_runs, seed=1, verify=False)
        seconds = perf_counter() - begin
        size = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        n_branchings = sum(run.n_branchings for run in result.runs)
        print(
            f"{n:>8}{n_discard:>7}{n_runs:>7}{n_branchings:>12,}{1e9 * seconds / result.n_steps:>11.0f}"
            f"{1e6 * seconds / n_branchings:>16.2f}{size / n_branchings:>19.0f}",
            flush=True,
        )
    ledger()


def ledger() -> None:
    """Print what calls take in a ledger with many rows."""
    with tempfile.TemporaryDirectory(dir=".") as folder, SQLFile(f"{folder}/ledger.db") as ledger:
        print(f"\n{'rows':>9}{'add':>8}{'lock':>8}{'fetch':>8}  us a call")
        for n in (1000, 1_000_000):
            while (left := n - ledger.get_trajectory_count()) > 0:
                ledger.add_trajectories([("file", "{}")] * min(left, 50_000))
            times = []
            for call in (
                lambda _: ledger.add_trajectory("file", "{}"),
                ledger.lock_trajectory,
                ledger.fetch_trajectory,
            ):
                begin = perf_counter()
                for i in range(300):
                    call(n - 1 - i)
                times.append(1e6 * (perf_counter() - begin) / 300)
            print(f"{n:>9,}" + "".join(f"{time:>8.0f}" for time in times), flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("real", "virtual", "write"):
        parser.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args()
    both = not (asked.real or asked.virtual)
    if asked.real or both:
        real()
    if asked.virtual or both:
        virtual()
    if asked.write:
        draw()


if __name__ == "__main__":
    main()
