"""Burgers' equation in a picture, of the study of input.toml: `make -C examples/burgers picture`, in a minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import pytams

HERE = Path(__file__).parent
STUDY = HERE / "burgers.tams"
N = 64


def main(file: str = "burgers.png") -> None:
    """Run the study, or go on with it, and draw."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after it is said where to draw

    from pytams import plot  # noqa: PLC0415 - likewise

    command = ["resume", str(STUDY)] if STUDY.exists() else ["run", str(HERE / "input.toml"), "--out", str(STUDY)]
    subprocess.run([sys.executable, "-m", "pytams", *command], check=True)
    with pytams.load(STUDY) as study:
        result = study.result
        trajectories = [one for run in range(len(result.runs)) for one in study.trajectories(run)]
        reactive = [one for one in trajectories if one.scores.max() >= result.settings.target_score]
        first = reactive[0]
        u = np.array([np.fromfile(Path(state) / "restart", count=N) for state in first.states])
        times = first.state_times
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    for one in reactive[:30]:
        left.plot(one.times, one.scores, color="#0072b2", linewidth=0.6, alpha=0.5)
    left.axhline(result.settings.target_score, color="#d55e00", linestyle="--", label="the target")
    left.set(xlabel="time", ylabel="energy", title="Reactive trajectories")
    left.legend(frameon=False)
    x = 2 * np.pi * np.arange(1, N + 1) / N
    most = np.abs(u).max()
    mesh = middle.pcolormesh(x, times, u, cmap="RdBu_r", vmin=-most, vmax=most, shading="nearest")
    figure.colorbar(mesh, ax=middle, label="u")
    middle.set(xlabel="x", ylabel="time", title="One of them")
    plot.exceedance(result, right)
    figure.savefig(file, dpi=90)
    print(f"wrote {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])
