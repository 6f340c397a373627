"""Pictures of probabilities: of the target, of every level, and what each run and each number of runs gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from pytams.analysis import tables
from pytams.analysis.colours import BLUE, GREEN, GREY, ORANGE
from pytams.analysis.curves import bins_of_times, levels_of, means_of_first
from pytams.analysis.pictures.axes import SHADE, new_axes, on_log_axis, target_line, with_legend
from pytams.core.errors import NothingToDrawError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pytams.analysis.result import Result

_MOST_LARGE, _MOST_DRAWN = 200, 2000
"""Dots of the full size; and those that are not made of pixels."""
_NARROW = 0.05
"""A relative error that many want."""


def exceedance(result: Result, ax: Axes | None = None) -> Axes:
    """Draw P(max of the score > z) against z, with its 95 % interval."""
    ax = new_axes(ax)
    curve = result.exceedance(levels_of(result))
    shown = np.isfinite(curve.log_value)
    value, low, high = on_log_axis(ax, "y", *(log[shown] for log in (curve.log_value, curve.log_low, curve.log_high)))
    if np.isfinite(low).any():
        ax.fill_between(curve.z[shown], low, high, **SHADE, label="95 % interval")
    ax.plot(curve.z[shown], value, color=BLUE, label=_mean(result))
    target_line(ax, "x", result)
    unit = result.labels.units.get("time", "")
    within = f"t ≤ {result.settings.end_time:g} {unit}".rstrip()
    ax.set(
        xlabel=result.labels.axis("score") + ": z",
        ylabel=f"P(largest score > z, {within})",
        title="Probability of every level" + _so_far(result),
    )
    return with_legend(ax)


def return_times(result: Result, ax: Axes | None = None) -> Axes:
    """Draw the level that is exceeded once in a return time, with its 95 % interval.

    A return time means something for a stationary process: see `estimators.return_time`.
    """
    ax = new_axes(ax)
    curve = result.return_times(levels_of(result))
    shown = np.isfinite(curve.log_value) & (curve.log_low != -math.inf)
    value, low, high = on_log_axis(ax, "x", *(log[shown] for log in (curve.log_value, curve.log_low, curve.log_high)))
    if np.isfinite(low).any():
        ax.fill_betweenx(curve.z[shown], low, high, **SHADE, label="95 % interval")
    ax.plot(value, curve.z[shown], color=BLUE, label=_mean(result))
    target_line(ax, "y", result)
    ax.set(
        xlabel=f"return time ({result.labels.time_unit})",
        ylabel=result.labels.axis("score"),
        title="Return time of every level" + _so_far(result),
    )
    return with_legend(ax)


def estimates(result: Result, reference: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the estimate of each run, their mean with its 95 % interval, and a known value if there is one.

    In the band, 95 % of the runs would lie if the score were ideal: their logs have the variance -log(p) / N. Runs
    that estimate 0 are not on the axis, and counted in the legend.
    """
    ax = new_axes(ax)
    each = np.array([run.log_estimate for run in result.runs])
    number = np.array([run.run for run in result.runs])
    shown, mean = np.isfinite(each), result.log_probability
    known = math.log(reference) if reference else -math.inf
    half = 1.96 * math.sqrt(-mean / result.settings.n_trajectories) if math.isfinite(mean) else math.nan
    lines = np.array([mean, *result.log_interval, mean - half, mean + half, known])
    dots, (middle, low, high, least, most, known) = on_log_axis(ax, "y", each[shown], lines)
    n_zero = len(each) - np.count_nonzero(shown)
    label = "one run" + (f" ({n_zero} of {len(each)} estimate 0)" if n_zero else "")
    size = 4.0 * min(1.0, math.sqrt(_MOST_LARGE / len(each)))
    ax.plot(number[shown], dots, "o", color=GREY, markersize=size, markeredgewidth=0, label=label,
            rasterized=len(each) > _MOST_DRAWN)  # fmt: skip
    if math.isfinite(mean):
        ax.axhspan(least, most, color=GREEN, alpha=0.12, linewidth=0, label="95 % of runs, ideal score")
        if math.isfinite(low):
            ax.axhspan(low, high, **SHADE, label="95 % interval")
        ax.axhline(middle, color=BLUE, label="mean")
    if reference:
        ax.axhline(known, color=ORANGE, linestyle="--", label="reference")
    ax.set(xlabel="run", ylabel="probability", title="Estimates of the runs" + _so_far(result))
    _whole_numbers(ax, number)
    return with_legend(ax)


def convergence(result: Result, reference: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the mean of the first runs, with its 95 % interval, against how many they are."""
    ax = new_axes(ax)
    n_runs = len(result.runs)
    counts, *found = means_of_first(result.runs)
    shown = np.isfinite(found[0])
    known = np.array([math.log(reference)] if reference else [])
    value, low, high, known = on_log_axis(ax, "y", *(log[shown] for log in found), known)
    if np.isfinite(low).any():
        ax.fill_between(counts[shown], low, high, **SHADE, label="95 % interval")
    ax.plot(counts[shown], value, color=BLUE, marker=".", label="mean of the first runs")
    for there in known:
        ax.axhline(there, color=ORANGE, linestyle="--", label="reference")
    title = "The estimate as runs are added" + _so_far(result)
    if n_runs > 1 and not result.is_provisional and result.relative_error > 0.0:
        title += f": {_NARROW:.0%} takes about {result.runs_for(_NARROW):,} runs"
    ax.set(xlabel="runs", ylabel="probability", title=title)
    _whole_numbers(ax, counts)
    return with_legend(ax)


def reaching_times(result: Result, ax: Axes | None = None) -> Axes:
    """Draw when reactive trajectories reach the target: a weighted histogram, and their mean with its error.

    Raises
    ------
    NothingToDrawError
        If nothing has reached the target.
    """
    found = tables.of_picture("reaching-times", result)
    times, log_weights = np.array(found["time"]), np.array(found["log_weight"])
    if not len(times):
        raise NothingToDrawError("no trajectory has reached the target: there are no times to draw")
    ax = new_axes(ax)
    weights = np.exp(log_weights - log_weights.max())
    label = f"{len(times)} reactive trajectories"
    edges = bins_of_times(times, result.settings.step_size).tolist()
    ax.hist(times, edges, weights=weights, density=True, color=BLUE, alpha=0.4, label=label)
    mean = result.reaching_time
    value, error = float(mean.value), float(mean.error)
    if math.isfinite(error):
        ax.axvspan(value - 1.96 * error, value + 1.96 * error, **SHADE, label="95 % interval of the mean")
    ax.axvline(value, color=BLUE, label=f"mean {value:.3g}")
    ax.set(xlabel=result.labels.axis("time"), ylabel="density", title="When the target is reached" + _so_far(result))
    return with_legend(ax)


def _whole_numbers(ax: Axes, numbers: NDArray[np.int64]) -> None:
    """Make an axis one of whole numbers; also if there is only one."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(numbers) == 1:
        ax.set_xlim(numbers[0] - 1, numbers[0] + 1)


def _mean(result: Result) -> str:
    return f"mean of {len(result.runs)} runs" if len(result.runs) > 1 else "one run"


def _so_far(result: Result) -> str:
    return ", so far" if result.is_provisional else ""
