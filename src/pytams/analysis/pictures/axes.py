"""Axes, colours and legends of pictures; and axes for numbers of any size, for Matplotlib ends well before floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pytams.analysis.colours import BLUE, ORANGE
from pytams.analysis.logs import LOG_10, fit_an_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pytams.analysis.result import Result

COLOURS = LinearSegmentedColormap.from_list("pytams", plt.get_cmap("viridis")(np.linspace(0.25, 0.9, 64)))
SHADE: dict[str, Any] = {"color": BLUE, "alpha": 0.2, "linewidth": 0}
AXES_SIZE = (6.4, 4.0)


def on_log_axis(ax: Axes, which: Literal["x", "y"], *logs: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Make an axis logarithmic, and give the coordinates on it of numbers with these logs.

    If some are too small or too large for it, the axis is one of powers of ten, which looks alike.
    """
    if fit_an_axis(*logs):
        ax.set(**{f"{which}scale": "log"})
        return [np.exp(log) for log in logs]
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(integer=True))
    axis.set_major_formatter(FuncFormatter(lambda power, _: f"$10^{{{power:g}}}$"))
    return [log / LOG_10 for log in logs]


def new_axes(ax: Axes | None) -> Axes:
    """Give the axes to draw into: these, or new ones."""
    if ax is None:
        _, ax = plt.subplots(figsize=AXES_SIZE, layout="constrained")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def target_line(ax: Axes, which: Literal["x", "y"], result: Result) -> None:
    """Draw where the target is."""
    draw = ax.axvline if which == "x" else ax.axhline
    draw(result.settings.target_score, color=ORANGE, linestyle="--", label="target")


def with_legend(ax: Axes) -> Axes:
    """Put the legend between title and data, which it never covers: in as many rows as there must be."""
    title = ax.get_title()
    ax.set_title("")
    labels = [label for label in ax.get_legend_handles_labels()[1] if label]
    size = plt.rcParams["font.size"]
    n_columns = max(1, min(4, len(labels), _columns(_width(ax) * 72.0 / size, labels)))
    n_rows = -(-len(labels) // n_columns)
    ax.set_title(title, loc="left", pad=size * (0.9 + 1.5 * n_rows), wrap=True)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=n_columns, frameon=False, borderaxespad=0.2)
    return ax


def _width(ax: Axes) -> float:
    """In inches, about."""
    figure: Figure = ax.get_figure(root=True)  # type: ignore[assignment] # an Axes has one
    n_columns = ax.get_gridspec().ncols if ax.get_subplotspec() is not None else 1  # type: ignore[union-attr] # then it has
    return float(figure.get_size_inches()[0]) / n_columns


def _columns(width: float, labels: list[str]) -> int:
    """Count the columns of a legend that fit into a width in letters' heights."""
    longest = max(map(len, labels), default=1)
    return int(0.9 * width / (0.55 * longest + 4.0))
