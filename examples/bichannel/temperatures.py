"""Cold and warm paths in a picture: `python examples/bichannel/temperatures.py [FILE]` takes about two minutes."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib as mpl

import pytams
from bichannel import Bichannel, share_of_upper

SETTINGS: dict[str, Any] = {"end_time": 100.0, "step_size": 0.02, "target_score": 0.9, "n_trajectories": 200}


def main(file: str = "bichannel.png") -> None:
    """Run both studies, and draw where their reactive paths spend their time: there is no mean path of two ways."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after it is said where to draw

    from pytams import plot  # noqa: PLC0415 - likewise

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharex=True, sharey=True, layout="constrained")
    for ax, (name, beta) in zip(panels, (("cold", 6.67), ("warm", 1.67)), strict=True):
        result = pytams.TAMS(Bichannel(beta), **SETTINGS, n_discard=10).run(32, seed=1)
        plot.density(result, ax=ax)
        for line in list(ax.lines):
            line.remove()
        ax.get_legend().remove()
        share = share_of_upper(result)
        ax.set_title(f"{name}: {share.value:.2f} +- {share.error:.2f} by the upper channel", loc="left")
        print(f"{name}: {result.probability:.3g} +- {result.standard_error:.2g}")
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
