"""Butane's torsion in a picture: `python examples/molecules/picture.py [FILE]` takes about two minutes.

The study of butane.toml, beside a direct simulation that sees as far as so many trajectories can.
"""

from __future__ import annotations

import sys
from typing import Any

import matplotlib as mpl
import numpy as np

import pytams
from molecules import Butane, direct

TIMES: dict[str, Any] = {"end_time": 10.0, "step_size": 0.02}
COPIES = 4000


def main(file: str = "butane.png") -> None:
    """Run the study, simulate directly, and draw."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after it is said where to draw

    from pytams import plot  # noqa: PLC0415 - likewise

    model = Butane(150.0)
    result = pytams.TAMS(model, **TIMES, target_score=115.0, n_trajectories=32, n_discard=4).run(16, seed=1)
    print(result)
    best = direct(model, **TIMES, copies=COPIES, seed=1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    reactive = result.ensemble(reached=True, n_most=40)
    left.plot(reactive.time, 180.0 - reactive.score.T, color="#0072b2", linewidth=0.6, alpha=0.5)
    left.axhline(65.0, color="#d55e00", linestyle="--", label="gauche: the target")
    left.set(xlabel="time (ps)", ylabel="torsion from cis (degrees)", title="Butane at 150 K turns: reactive paths")
    left.legend(frameon=False)
    plot.exceedance(result, right)
    z = np.linspace(20.0, 110.0, 19)
    p = np.mean(best[:, None] > z, axis=0)
    error = np.sqrt(p * (1.0 - p) / COPIES)
    seen = p > 0.0
    right.errorbar(z[seen], p[seen], error[seen], fmt="k.", capsize=2, label=f"direct, {COPIES:,} trajectories")
    right.legend(frameon=False)
    figure.savefig(file, dpi=100)
    print(f"wrote {file}; {np.mean(best >= 115.0):.2e} of {COPIES:,} direct trajectories reached the target")


if __name__ == "__main__":
    main(*sys.argv[1:])
