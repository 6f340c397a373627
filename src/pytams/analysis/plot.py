"""Pictures of a result: each function draws into an Axes and returns it.

They need ``pip install "pytams-splitting[plot]"``.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytams.analysis.ensemble import evenly
from pytams.analysis.logs import LOG_10
from pytams.core.distribution import installing
from pytams.core.errors import SettingsError
from pytams.core.settings import choices

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise ImportError(f"pictures need matplotlib: {installing('plot')}") from error
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from pytams.analysis.axes import (
    AXES_SIZE,
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    in_units,
    new_axes,
    on_log_axis,
    power_of_ten,
    with_legend,
)
from pytams.analysis.score_plot import score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult

__all__ = [
    "AXES_SIZE", "BLUE", "GREY", "KINDS", "ORANGE", "draw", "estimates", "exceedance", "genealogy", "levels",
    "overview", "paths", "return_times", "score", "scores", "with_legend",
]  # fmt: skip

_SHADE: dict[str, Any] = {"color": BLUE, "alpha": 0.2, "linewidth": 0}


def levels(result: Result, run: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the level of each splitting iteration, and between which maxima the ensemble lay.

    Parameters
    ----------
    run
        Which one; None: the first.
    """
    ax = new_axes(ax)
    found = _run(result, run)
    number = range(1, len(found.iterations) + 1)
    lowest = [iteration.lowest for iteration in found.iterations]
    highest = [iteration.level if iteration.highest is None else iteration.highest for iteration in found.iterations]
    ax.fill_between(number, lowest, highest, **_SHADE, label="the ensemble's maxima")
    ax.plot(number, [iteration.level for iteration in found.iterations], color=BLUE, label="level")
    ax.axhline(result.settings.target_score, color=ORANGE, linestyle="--", label="target")
    ax.set(xlabel="splitting iteration", ylabel="score", title=f"Levels of run {found.run}")
    return with_legend(ax)


def exceedance(result: Result, ax: Axes | None = None) -> Axes:
    """Draw P(max of the score > z) against z, with its 95 % interval."""
    ax = new_axes(ax)
    curve = result.exceedance(_grid(result))
    shown = np.isfinite(curve.log_value)
    value, low, high = on_log_axis(ax, "y", *(log[shown] for log in (curve.log_value, curve.log_low, curve.log_high)))
    if np.isfinite(low).any():
        ax.fill_between(curve.z[shown], low, high, **_SHADE, label="95 % interval")
    ax.plot(curve.z[shown], value, color=BLUE, label=_mean(result))
    ax.axvline(result.settings.target_score, color=ORANGE, linestyle="--", label="target")
    within = f"t ≤ {result.settings.end_time:g}"
    ax.set(xlabel="score z", ylabel=f"P(largest score > z, {within})", title="Probability of every level")
    return with_legend(ax)


def return_times(result: Result, ax: Axes | None = None) -> Axes:
    """Draw the level that is exceeded once in a return time, with its 95 % interval.

    A return time means something for a stationary process: see `estimators.return_time`.
    """
    ax = new_axes(ax)
    curve = result.return_times(_grid(result))
    shown = np.isfinite(curve.log_value) & (curve.log_low != -math.inf)
    value, low, high = on_log_axis(ax, "x", *(log[shown] for log in (curve.log_value, curve.log_low, curve.log_high)))
    if np.isfinite(low).any():
        ax.fill_betweenx(curve.z[shown], low, high, **_SHADE, label="95 % interval")
    ax.plot(value, curve.z[shown], color=BLUE, label=_mean(result))
    ax.axhline(result.settings.target_score, color=ORANGE, linestyle="--", label="target")
    ax.set(xlabel="return time (the model's unit)", ylabel="score", title="Return time of every level")
    return with_legend(ax)


def estimates(result: Result, reference: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the estimate of each run, their mean with its 95 % interval, and a known value if there is one."""
    ax = new_axes(ax)
    power = power_of_ten(result.log_probability)
    each = [in_units(run.estimate, run.log_estimate, power) for run in result.runs]
    ax.plot([run.run for run in result.runs], each, "o", color=GREY, markersize=4, label="one run")
    low, high = (in_units(*end, power) for end in zip(result.interval, result.log_interval, strict=True))
    if math.isfinite(low):
        ax.axhspan(low, high, **_SHADE, label="95 % interval")
    ax.axhline(in_units(result.probability, result.log_probability, power), color=BLUE, label="mean")
    if reference is not None:
        shown = in_units(reference, math.log(reference) if reference > 0.0 else -math.inf, power)
        if math.isfinite(shown):
            ax.axhline(shown, color=ORANGE, linestyle="--", label="reference")
    label = "probability" + (f" (in units of $10^{{{power}}}$)" if power else "")
    ax.set(xlabel="run", ylabel=label, title="Estimates of the runs", ylim=(0.0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return with_legend(ax)


_COLOURED_BY = ("generation", "weight")


def scores(
    result: Result,
    run: int | None = None,
    colour: Literal["generation", "weight"] = "generation",
    n_most: int = 60,
    ax: Axes | None = None,
) -> Axes:
    """Draw the scores of the final ensemble against time.

    Parameters
    ----------
    run
        Which one; None: the first if coloured by generation, all if by weight.
    colour
        By the splitting iteration that started the trajectory, or by what it stands for (the same within a run).
    n_most
        Draw so many trajectories at most.
    """
    if colour not in _COLOURED_BY:
        raise SettingsError("colour", f"{colour!r} is not one of {choices(str(colour), _COLOURED_BY)}")
    ax = new_axes(ax)
    if run is None and colour == "generation":
        run = _run(result, None).run
    ensemble = result.ensemble(run=run, n_most=n_most)
    colours = ensemble.generation if colour == "generation" else ensemble.log_weight / LOG_10
    lines = LineCollection(
        [np.column_stack([ensemble.time, score]) for score in ensemble.score.values],
        array=np.ma.masked_invalid(colours.values),
        cmap=COLOURS,
        linewidths=0.7,
        alpha=0.8,
    )
    ax.add_collection(lines)
    ax.autoscale_view()
    ax.axhline(result.settings.target_score, color=ORANGE, linestyle="--", label="target")
    label = "started by splitting iteration" if colour == "generation" else "weight (power of ten)"
    ax.get_figure(root=True).colorbar(lines, ax=ax, label=label)  # type: ignore[union-attr] # an Axes has a figure
    which = f"{ensemble.sizes['trajectory']} trajectories" + ("" if run is None else f" of run {run}")
    ax.set(xlabel="time (the model's unit)", ylabel="score", title=f"Final ensemble: {which}")
    return with_legend(ax)


def genealogy(result: Result, run: int | None = None, n_most: int = 200, ax: Axes | None = None) -> Axes:
    """Draw who descends from whom: the family tree of the final ensemble of a run.

    From right to left, the lines of two trajectories meet where one of them branched from the other, and end at the
    initial trajectories that they descend from. Those that have no descendants are not shown.

    Parameters
    ----------
    run
        Which one; None: the first.
    n_most
        Draw so many trajectories at most.
    """
    ax = new_axes(ax)
    found = _run(result, run)
    lineages = _lineages(found, evenly(found.n, n_most))
    lineages = lineages[:, np.lexsort(lineages[::-1])]  # relatives side by side: no line crosses another
    roots, family = np.unique(lineages[0], return_inverse=True)
    heights = np.array([_middle_of_equals(row) for row in lineages])
    colours = np.asarray(COLOURS(np.linspace(0.0, 1.0, len(roots))))[family]
    ax.add_collection(LineCollection([list(enumerate(line)) for line in heights.T], colors=colours, linewidths=0.9))
    ax.plot(np.zeros(len(heights[0])), heights[0], "o", color=ORANGE, markersize=4, label="initial trajectory")
    ax.autoscale_view()
    ax.set(
        xlabel="splitting iteration",
        ylabel="final trajectories",
        yticks=[],
        title=f"Run {found.run}: {len(found.families)} of {found.n} initial trajectories have descendants",
    )
    ax.grid(visible=False)
    return with_legend(ax)


def paths(
    result: Result,
    potential: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    n_most: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw reactive paths in the plane: for a state of two numbers.

    Parameters
    ----------
    potential
        Of points, shape ``(points, 2)`` -> ``(points,)``: drawn below the paths.
    n_most
        Draw so many paths at most.

    Raises
    ------
    ValueError
        If the state is not two numbers, or nothing has reached the target.
    """
    ensemble = result.ensemble(reached=True, states=True, n_most=n_most)
    if not ensemble.sizes["trajectory"]:
        raise ValueError("no trajectory has reached the target: there are no paths to draw")
    if "state" not in ensemble or ensemble.state.shape[2:] != (2,):
        raise ValueError("paths can be drawn for a state of two numbers, an array of shape (2,)")
    ax = new_axes(ax)
    shown = ensemble.state.values
    if potential is not None:
        _draw_potential(ax, potential, shown)
    ax.add_collection(LineCollection(list(shown), colors=BLUE, linewidths=0.5, alpha=0.6, label="reactive path"))
    ends = np.array([path[np.isfinite(path[:, 0])][-1] for path in shown])
    ax.plot(*shown[:, 0].T, "o", color=ORANGE, markersize=5, label="start")
    ax.plot(*ends.T, "x", color=ORANGE, markersize=5, label="target reached")
    ax.autoscale_view()
    ax.set(xlabel="state 0", ylabel="state 1", title=f"{len(shown)} reactive paths")
    ax.grid(visible=False)
    return with_legend(ax)


KINDS: dict[str, Callable[..., Axes]] = {
    "levels": levels,
    "exceedance": exceedance,
    "return-times": return_times,
    "estimates": estimates,
    "scores": scores,
    "genealogy": genealogy,
    "paths": paths,
}
"""The pictures by name, as `pytams plot --kind` has them."""


def overview(result: Result, reference: float | None = None, figure: Figure | None = None) -> Figure:
    """Draw all pictures that need no states, on one page."""
    figure = figure or plt.figure(layout="constrained")
    figure.set_size_inches(2 * AXES_SIZE[0], 3 * AXES_SIZE[1])
    axes: NDArray[Any] = figure.subplots(3, 2)
    kinds = [kind for kind in ("exceedance", "return-times", "levels", "scores", "genealogy") if is_for(kind, result)]
    for kind, ax in zip(kinds, axes.flat, strict=False):
        KINDS[kind](result, ax=ax)
    estimates(result, reference, ax=axes.flat[len(kinds)])
    for ax in axes.flat[len(kinds) + 1 :]:
        ax.set_axis_off()
    return figure


def is_for(kind: str, result: Result) -> bool:
    """Whether a picture can be drawn of a result: of levels on the way only if these are of the user's score."""
    return kind not in {"exceedance", "return-times"} or not (result.taught_by or result.settings.spin_up)


def draw(kind: str, result: Result, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw a picture by its name.

    Raises
    ------
    SettingsError
        If there is no such picture, or it has no such option.
    """
    if kind not in KINDS:
        raise SettingsError("kind", f"no picture is called {kind!r}; there are {choices(kind, KINDS)}")
    known = inspect.signature(KINDS[kind]).parameters
    for name in options:
        if name not in known:
            raise SettingsError(name, f"the picture {kind!r} has no such option")
    return KINDS[kind](result, ax=ax, **options)


def _mean(result: Result) -> str:
    return f"mean of {len(result.runs)} runs" if len(result.runs) > 1 else "one run"


def _run(result: Result, number: int | None) -> RunResult:
    for run in result.runs:
        if number in {None, run.run}:
            return run
    raise SettingsError("run", f"{number} is not among the finished runs")


def _grid(result: Result, n: int = 300) -> NDArray[np.float64]:
    """Levels from where the runs begin up to just below the target."""
    target = result.settings.target_score
    begin = min((run.iterations[0].lowest for run in result.runs if run.iterations), default=target - 1.0)
    return np.linspace(begin, np.nextafter(target, -math.inf), n)


def _lineages(run: RunResult, slots: Sequence[int]) -> NDArray[np.int64]:
    """Before each iteration and at the end: the slot that these final trajectories were in, a row each."""
    lineages = np.empty((len(run.iterations) + 1, len(slots)), dtype=np.int64)
    lineages[-1] = slots
    for k in range(len(run.iterations) - 1, -1, -1):
        iteration = run.iterations[k]
        came_from = np.arange(run.n)
        for killed, ancestor in zip(iteration.killed, iteration.ancestors, strict=False):  # extinction has none
            came_from[killed.slot] = ancestor.slot
        lineages[k] = came_from[lineages[k + 1]]
    return lineages


def _middle_of_equals(row: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each entry: the mean position of those that equal it."""
    _, inverse = np.unique(row, return_inverse=True)
    positions = np.bincount(inverse, np.arange(len(row))) / np.bincount(inverse)
    middle: NDArray[np.float64] = positions[inverse]
    return middle


def _draw_potential(
    ax: Axes, potential: Callable[[NDArray[np.float64]], NDArray[np.float64]], shown: NDArray[np.float64]
) -> None:
    """Draw the potential where the paths are, up to the highest value that they meet."""
    points = shown[np.isfinite(shown[..., 0])]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * (high - low)
    x, y = (np.linspace(a, b, 200) for a, b in zip(low - margin, high + margin, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = np.asarray(potential(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    steps = MaxNLocator(12).tick_values(values.min(), float(np.max(potential(points))))
    filled = ax.contourf(x, y, values, steps, cmap="Greys", alpha=0.5, extend="max")
    ax.contour(x, y, values, steps, colors=GREY, linewidths=0.4, linestyles="solid")
    ax.get_figure(root=True).colorbar(filled, ax=ax, label="potential")  # type: ignore[union-attr] # it has one
