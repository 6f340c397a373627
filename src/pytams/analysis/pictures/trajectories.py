"""Pictures of trajectories: their scores against time, and who descends from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.collections import LineCollection

from pytams.analysis.colours import ORANGE
from pytams.analysis.ensemble import evenly
from pytams.analysis.lineages import lineages_of, middle_of_equals
from pytams.analysis.logs import LOG_10
from pytams.analysis.pictures.axes import COLOURS, new_axes, target_line, with_legend
from pytams.analysis.pictures.levels import one_run
from pytams.core.errors import NothingToDrawError, SettingsError
from pytams.core.settings import choices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pytams.analysis.result import Result


_COLOURED_BY = ("generation", "weight")


def scores(
    result: Result,
    run: int | None = None,
    colour: Literal["generation", "weight"] = "generation",
    n_most: int = 60,
    ax: Axes | None = None,
) -> Axes:
    """Draw the scores of the final ensemble, or of that so far, against time.

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
    found = one_run(result, run)
    if run is None and colour == "generation":
        run = found.run
    ensemble = result.ensemble(run=run, n_most=n_most)
    colours = ensemble.generation if colour == "generation" else ensemble.log_weight / LOG_10
    label = "started by splitting iteration" if colour == "generation" else "weight (power of ten)"
    _draw_scores(ax, result, ensemble, colours.values, label)
    which = f"{ensemble.sizes['trajectory']} trajectories" + ("" if run is None else f" of run {run}")
    goes_on = result.is_provisional if run is None else not found.finished
    name = "Ensemble so far" if goes_on else "Final ensemble"
    ax.set(title=f"{name}: {which}")
    return with_legend(ax)


def discarded(result: Result, run: int | None = None, n_most: int = 60, ax: Axes | None = None) -> Axes:
    """Draw the scores of trajectories that were killed, against time.

    Parameters
    ----------
    run
        Which one; None: the first.
    n_most
        Draw so many trajectories at most.

    Raises
    ------
    NothingToDrawError
        If none was.
    """
    found = one_run(result, run)
    if not found.n_branchings:
        raise NothingToDrawError(f"run {found.run} has killed no trajectory: there is nothing to draw")
    ax = new_axes(ax)
    ensemble = result.discarded(found.run, n_most=n_most)
    _draw_scores(ax, result, ensemble, ensemble.killed_in.values, "killed in splitting iteration")
    ax.set(title=f"{ensemble.sizes['trajectory']} of {found.n_branchings} killed trajectories of run {found.run}")
    return with_legend(ax)


def _draw_scores(ax: Axes, result: Result, ensemble: Any, colours: NDArray[Any], label: str) -> None:
    lines = LineCollection(
        [np.column_stack([ensemble.time, score]) for score in ensemble.score.values],
        array=np.ma.masked_invalid(colours),
        cmap=COLOURS,
        linewidths=0.7,
        alpha=0.8,
    )
    ax.add_collection(lines)
    ax.autoscale_view()
    target_line(ax, "y", result)
    ax.get_figure(root=True).colorbar(lines, ax=ax, label=label)  # type: ignore[union-attr] # an Axes has a figure
    ax.set(xlabel=_time(result), ylabel=result.labels.axis("score"))


def _time(result: Result) -> str:
    return f"time ({result.labels.time_unit})"


def genealogy(result: Result, run: int | None = None, n_most: int = 200, ax: Axes | None = None) -> Axes:
    """Draw who descends from whom: the family tree of the final ensemble of a run, or of that so far.

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
    found = one_run(result, run)
    lineages = lineages_of(found, evenly(found.n, n_most))
    roots, family = np.unique(lineages[0], return_inverse=True)
    heights = np.array([middle_of_equals(row) for row in lineages])
    colours = np.asarray(COLOURS(np.linspace(0.0, 1.0, len(roots))))[family]
    ax.add_collection(LineCollection([list(enumerate(line)) for line in heights.T], colors=colours, linewidths=0.9))
    ax.plot(np.zeros(len(heights[0])), heights[0], "o", color=ORANGE, markersize=4, label="initial trajectory")
    ax.autoscale_view()
    ax.set(
        xlabel="splitting iteration",
        ylabel="final trajectories" if found.finished else "trajectories so far",
        yticks=[],
        title=f"Run {found.run}: {len(found.families)} of {found.n} initial trajectories have descendants",
    )
    ax.grid(visible=False)
    return with_legend(ax)
