"""Pictures of how levels rise: against iterations, and against the probability that is left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection

from pytams.analysis import logs
from pytams.analysis.colours import BLUE, GREEN, GREY
from pytams.analysis.ensemble import evenly
from pytams.analysis.logs import LOG_10
from pytams.analysis.pictures.axes import SHADE, new_axes, target_line, with_legend
from pytams.analysis.plateaus import plateau
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult

_MOST_RUNS = 200
"""That are drawn faintly."""


def levels(result: Result, run: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the level of each splitting iteration of all runs, or of one, with where its ensemble lay.

    Parameters
    ----------
    run
        Which one; None: all, faintly, and those with the largest and the smallest estimate by name.
    """
    ax = new_axes(ax)
    if run is None and len(result.runs) > 1:
        _draw_all(ax, result, lambda one: (range(1, len(one.iterations) + 1), one.iterations.levels))
        title = f"Levels of {len(result.runs)} runs"
    else:
        found = one_run(result, run)
        number = range(1, len(found.iterations) + 1)
        lowest = [min(maxima) for maxima in found.iterations.killed_maxima]
        tops = zip(found.iterations.levels, found.iterations.highest, strict=True)
        highest = [level if math.isnan(top) else top for level, top in tops]
        ax.fill_between(number, lowest, highest, **SHADE, label="the ensemble's maxima")
        ax.plot(number, found.iterations.levels, color=BLUE, label="level")
        title = f"Levels of run {found.run}"
    target_line(ax, "y", result)
    ax.set(xlabel="splitting iteration", ylabel=result.labels.axis("score"), title=title)
    return with_legend(ax)


def weights(result: Result, run: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the power of ten of the probability that is left after each iteration, against its level.

    A cliff is where the score stalls: much of the probability is lost, and the level hardly rises.

    Parameters
    ----------
    run
        Which one; None: all, faintly, and those with the largest and the smallest estimate by name.
    """
    ax = new_axes(ax)
    runs = result.runs
    if run is None and len(runs) > 1:
        _draw_all(ax, result, _lost)
        title = f"Probability left, in {len(runs)} runs"
    else:
        runs = (one_run(result, run),)
        ax.plot(*_lost(runs[0]), color=BLUE, label="weight")
        title = f"Probability left, in run {runs[0].run}"
    stall = None if result.taught_by or result.is_provisional else plateau(runs, result.settings.target_score)
    if stall is not None:
        ax.axvspan(stall.low, stall.high, **SHADE | {"color": GREY}, label=f"{stall.share:.0%} is lost here")
    target_line(ax, "x", result)
    ax.set(xlabel=result.labels.axis("score"), ylabel="log10 of P(above the level)", title=title)
    return with_legend(ax)


def one_run(result: Result, number: int | None) -> RunResult:
    """Find a run by its number; the first one if that is None.

    Raises
    ------
    SettingsError
        If it is not there.
    """
    for run in result.runs:
        if number in {None, run.run}:
            return run
    there = f"{result.runs[0].run} to {result.runs[-1].run}" if result.runs else "none"
    raise SettingsError("run", f"{number} is not among the runs of this result: there are {there}")


def _lost(run: RunResult) -> tuple[Any, Any]:
    kept = np.isfinite(run.iterations.log_weights)
    return np.array(run.iterations.levels)[kept], np.array(run.iterations.log_weights)[kept] / LOG_10


def _extremes(runs: Sequence[RunResult]) -> list[tuple[RunResult, str, str]]:
    """Find the finished runs with the largest and the smallest estimate, if they differ."""
    finished = [run for run in runs if run.finished]
    if len({run.log_estimate for run in finished}) <= 1:
        return []
    best, worst = (choose(finished, key=lambda run: run.log_estimate) for choose in (max, min))
    return [(best, BLUE, "most"), (worst, GREEN, "least")]


def _draw_all(ax: Axes, result: Result, line: Callable[[RunResult], tuple[Any, Any]]) -> None:
    """Draw a line of every run, faintly, but for the extreme ones."""
    runs = result.runs
    shown = [runs[i] for i in evenly(len(runs), _MOST_RUNS)]
    lines = [np.column_stack(line(run)) for run in shown]
    ax.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6, alpha=0.5, label="one run"))
    for run, colour, which in _extremes(runs):
        estimate = logs.text(run.log_estimate, ".2g")
        ax.plot(*line(run), color=colour, label=f"run {run.run}, with the {which}: {estimate}")
    ax.autoscale_view()
