"""What a learned score gains: relative variance of a run and work, beside the user's own score, over several pilots.

The 2-D double well at T = 3, whose probability is 1.213e-4, from its usual score; and with ten coordinates more that
do not matter, learned once, and once more from what was learned.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import pytams
from speed import diffusion, drift, score

EXACT = 1.213e-4
N = 100


def wide_drift(x: Any, t: Any, p: Any) -> Any:
    """Of the double well, and of ten Ornstein-Uhlenbeck processes."""
    y = -1.0 * x
    y[0], y[1] = x[0] - x[0] * x[0] * x[0], -2.0 * x[1]
    return y


def wide_diffusion(x: Any, t: Any, p: Any) -> Any:
    """Of all of them."""
    return p.sigma + 0.0 * x


def case(name: str) -> pytams.SDE:
    """Make the model of a case."""
    wide = name == "10 more"
    model = pytams.SDE(
        wide_drift if wide else drift,
        wide_diffusion if wide else diffusion,
        score,
        initial=[-1.0, *[0.0] * (11 if wide else 1)],
        sigma=math.sqrt(0.1),
    )
    model.autonomous = True
    return model


def main() -> None:
    """Learn from several pilots, run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100, help="of each study")
    arguments = parser.parse_args()
    print(f"{'case':<12}{'ideal':>8}{'hers':>8}{'learned':>9}{'mean/exact':>12}{'steps':>8}{'work':>8}")
    for name in ("its score", "10 more"):
        tams = pytams.TAMS(case(name), end_time=3.0, step_size=0.01, target_score=0.95, n_trajectories=N, n_discard=5)
        rows = []
        for seed in range(1, arguments.pilots + 1):
            learned = pytams.learn_score(tams.run(4, seed=seed))
            if name == "10 more":
                learned = pytams.learn_score(tams.with_score(learned).run(4, seed=50 + seed))
            studies = [
                tams.run(arguments.runs, seed=100 + seed),
                tams.with_score(learned).run(arguments.runs, seed=200 + seed),
            ]
            relative = [np.array(study.estimates) / EXACT for study in studies]
            variance = [float(np.var(one, ddof=1)) for one in relative]
            steps = [study.n_steps for study in studies]
            rows.append((*variance, float(relative[1].mean()), *steps))
        hers, ours, mean, her_steps, our_steps = np.mean(rows, axis=0)
        ratio = our_steps / her_steps
        print(
            f"{name:<12}{-math.log(EXACT) / N:>8.3f}{hers:>8.3f}{ours:>9.3f}{mean:>12.3f}{ratio:>8.2f}"
            f"{hers / ours / ratio:>8.2f}"
        )


if __name__ == "__main__":
    main()
