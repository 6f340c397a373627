"""What pytams adds to a step of a simulator: `python benchmarks/simulator.py`.

The 2-D double well as a `pytams.Simulator`, in process: time a step in a run, and time a step of the simulator alone,
in turn; medians.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

import pytams

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from simulators import WellByBranch, WellByStep

REPEATS, N_STEPS, STEP_SIZE = 7, 20_000, 0.01


def in_a_run(simulator: pytams.Simulator, seed: int) -> float:
    """Seconds a step, of a run that branches."""
    tams = pytams.TAMS(
        simulator, end_time=10.0, step_size=STEP_SIZE, target_score=0.7, n_trajectories=20, n_discard=4
    )
    start = perf_counter()
    result = tams.run(1, seed)
    return (perf_counter() - start) / result.n_steps


def alone(simulator: pytams.Simulator) -> float:
    """Seconds a step and a score, without anything around them."""
    simulator.start(np.random.default_rng(1))
    simulator.branch(1)
    seeds: list[int | None] = [None if simulator.seeding == "branch" else seed for seed in range(N_STEPS)]
    start = perf_counter()
    for i, seed in enumerate(seeds):
        simulator.step(seed, i * STEP_SIZE, STEP_SIZE)
        simulator.score()
    return (perf_counter() - start) / N_STEPS


def main() -> None:
    print("microseconds a step")
    for simulator in (WellByStep(), WellByBranch()):
        in_a_run(simulator, 0)
        pairs = [(in_a_run(simulator, seed), alone(simulator)) for seed in range(1, REPEATS + 1)]
        run, own = (1e6 * median(times) for times in zip(*pairs, strict=True))
        print(f"seeded by {simulator.seeding:<7} alone {own:5.2f}   in a run {run:5.2f}   added {run - own:5.2f}")


if __name__ == "__main__":
    main()
