"""How many branches run at once in a single run: `python benchmarks/dataflow.py`.

The 2-D double well, T = 10, with as many workers as there are branches, all advancing in step. Counted from the end
of the initial ensemble on; beside it, the same branches under a barrier, where an iteration starts when the slowest
branch of the one before has ended.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import numpy as np

import pytams
from pytams.core.segments import Problem, Progress
from pytams.engine import InProcess

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "double_well_2d"))
from double_well_2d import DoubleWell2D

N_RUNS = 8
N_STEPS = 1000


class Lockstep(InProcess):
    """Blocks of one step: a decision is made at the very step that determines it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, block_length=1)
        self.ends: dict[tuple[int, int], int] = {}

    def advance(self) -> list[Progress]:
        reports = super().advance()
        self.ends |= {progress.key[1:]: progress.step for progress in reports if progress.ended}
        return reports


def branches_at_once(n: int, n_discard: int, run: int) -> tuple[float, float]:
    """Mean number of branches running, as they are decided and with a barrier."""
    engines: list[Lockstep] = []

    def make_engine(problem: Problem) -> Lockstep:
        engines.append(Lockstep(problem))
        return engines[0]

    tams = pytams.TAMS(
        DoubleWell2D(),
        end_time=10.0,
        step_size=10.0 / N_STEPS,
        target_score=0.95,
        n_trajectories=n,
        n_discard=n_discard,
    )
    study = tams.study(1, seed=1, first_run=run, engine=make_engine)
    moves = [steps for steps, _ in groupby(watched.n_steps for watched in study)]
    ends = engines[0].ends
    lengths = [
        [ends[start.key[1:]] - start.step for start in iteration.starts if not start.ended]
        for iteration in study.result().runs[0].iterations
    ]
    n_branch_steps = sum(map(sum, lengths))
    n_barrier_moves = sum(max(branches, default=0) for branches in lengths)
    return n_branch_steps / (len(moves) - N_STEPS), n_branch_steps / n_barrier_moves


def main() -> None:
    print(f"branches running at once, mean over {N_RUNS} runs")
    print(f"{'N':>5} {'l':>3} {'dataflow':>9} {'barrier':>8}")
    for n, n_discard in [(50, 1), (100, 1), (200, 1), (100, 10)]:
        flow, barrier = np.mean([branches_at_once(n, n_discard, run) for run in range(N_RUNS)], axis=0)
        print(f"{n:>5} {n_discard:>3} {flow:>9.1f} {barrier:>8.1f}")


if __name__ == "__main__":
    main()
