"""Axes, colours and legends of pictures; and axes for numbers of any size, for Matplotlib ends well before floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pytams.analysis.logs import LOG_10, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BLUE, ORANGE, GREY = "#1F83C4", "#D55E00", "#7F7F7F"
"""Colour-blind readers tell them apart, and they show on white and on black."""
COLOURS = LinearSegmentedColormap.from_list("pytams", plt.get_cmap("viridis")(np.linspace(0.25, 0.9, 64)))
AXES_SIZE = (6.4, 4.0)

_LARGE = 600.0
"""Log of a number that an axis can have for certain."""


def on_log_axis(ax: Axes, which: Literal["x", "y"], *logs: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Make an axis logarithmic, and give the coordinates on it of numbers with these logs.

    If some are too small or too large for it, the axis is one of powers of ten, which looks alike.
    """
    if all((np.abs(log[np.isfinite(log)]) < _LARGE).all() for log in logs):
        ax.set(**{f"{which}scale": "log"})
        return [np.exp(log) for log in logs]
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(integer=True))
    axis.set_major_formatter(FuncFormatter(lambda power, _: f"$10^{{{power:g}}}$"))
    return [log / LOG_10 for log in logs]


def power_of_ten(log: float) -> int:
    """Give the power of ten in whose units to draw the number with this log: 0 unless it is very small."""
    return math.floor(log / LOG_10) if -math.inf < log < -_LARGE else 0


def in_units(value: float, log: float, power: int) -> float:
    """Give a number, and one with this log, in units of a power of ten."""
    return number(log - power * LOG_10) if power else value


def new_axes(ax: Axes | None) -> Axes:
    """Give the axes to draw into: these, or new ones."""
    if ax is None:
        _, ax = plt.subplots(figsize=AXES_SIZE, layout="constrained")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def with_legend(ax: Axes) -> Axes:
    """Put the legend between title and data, which it never covers."""
    title = ax.get_title()
    ax.set_title("")
    ax.set_title(title, loc="left", pad=24.0)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False, borderaxespad=0.2)
    return ax
