"""Pictures of a result to hover over and to zoom into, for a page. Needs ``pip install "pytams-splitting[serve]"``.

A picture is drawn again and again while a study goes on. So its sources have names: whoever shows it puts new data
into them, and what somebody has zoomed into stays as it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis.canvas import (
    MOST_POINTS,
    Drawn,
    LogAxis,
    band,
    canvas,
    named,
    target,
    told,
    upright_target,
)
from pytams.analysis.colours import BLUE, ORANGE
from pytams.analysis.curves import says_of_levels
from pytams.analysis.ensemble import evenly
from pytams.analysis.interactive_numbers import (
    convergence,
    estimates,
    exceedance,
    reaching_times,
    return_times,
)
from pytams.analysis.interactive_trajectories import discarded, genealogy, scores
from pytams.core.errors import PytamsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bokeh.models.renderers import GlyphRenderer
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult


class Picture(NamedTuple):
    """A kind of picture."""

    title: str
    caption: str
    draw: Callable[[Result], Drawn]
    of_all: bool
    """Whether runs that go on are in it beside finished ones: what it shows of each does not depend on others."""


def levels(result: Result) -> Drawn:
    """Draw the level of each splitting iteration; of a single run also between which maxima the ensemble lay."""
    _need_levels(result)
    made = canvas("splitting iteration", result.labels.axis("score"))
    if len(result.runs) == 1:
        band(made, _maxima(result.runs[0]), "the ensemble's maxima")
    chosen = _chosen(result.runs)
    n = max(len(run.iterations) for run in result.runs)
    lines = [(np.array(kept) + 1.0, np.array(run.iterations.levels)[kept]) for run, kept in chosen]
    drawn = _lines(made, result.runs, lines, "level")
    target(made, [1.0, float(n)], [result.settings.target_score] * 2)
    told(made, drawn, [("run", "@run"), ("iteration", "$snap_x{0}"), ("level", "$snap_y{0.0000}")])
    return Drawn(made, _orange(result))


def weights(result: Result) -> Drawn:
    """Draw what each run makes of the probability to get above each of its levels."""
    _need_levels(result)
    chosen = _chosen(result.runs)
    weights = [np.array(run.iterations.log_weights)[kept] for run, kept in chosen]
    axis = LogAxis.of("P(largest score > level)", *weights)
    made = canvas(f"level: {result.labels.axis('score')}", axis.label, y_axis_type=axis.kind)
    levels = [np.array(run.iterations.levels)[kept] for run, kept in chosen]
    lines = [(level, axis.at(weight)) for level, weight in zip(levels, weights, strict=True)]
    drawn = _lines(made, result.runs, lines, "one run")
    upright_target(made, result, axis.at(np.concatenate([np.zeros(1), *weights])))
    value = "$snap_y{0.00}" if axis.kind == "linear" else "$snap_y{0.00e+0}"
    told(made, drawn, [("run", "@run"), ("level", "$snap_x{0.0000}"), (axis.label, value)])
    return Drawn(made, _orange(result))


PICTURES = {
    "levels": Picture(
        "Levels",
        "The level below which trajectories were discarded rises to the target. Where it hardly rises for long, the "
        "score does not tell well how near the event is.",
        levels,
        of_all=True,
    ),
    "weights": Picture(
        "Probability of the levels, run by run",
        "Where runs part, the estimate gets its error.",
        weights,
        of_all=True,
    ),
    "exceedance": Picture(
        "Probability of every level",
        "How likely the score exceeds each level, from the same runs.",
        exceedance,
        of_all=False,
    ),
    "return-times": Picture(
        "Return time of every level",
        "How long one waits for each level to be exceeded, if the process is stationary.",
        return_times,
        of_all=False,
    ),
    "estimates": Picture(
        "Estimates of the runs",
        "Each dot is an independent run; their scatter is the error bar.",
        estimates,
        of_all=False,
    ),
    "convergence": Picture(
        "The estimate as runs are added",
        "The mean of the first runs: how the estimate settles.",
        convergence,
        of_all=False,
    ),
    "reaching-times": Picture(
        "When the target is reached",
        "When trajectories that reach the target do so.",
        reaching_times,
        of_all=False,
    ),
    "scores": Picture("Trajectories", "The scores of an ensemble, as far as they are on disk.", scores, of_all=True),
    "discarded": Picture(
        "Discarded trajectories",
        "Some of the trajectories that were killed on the way.",
        discarded,
        of_all=True,
    ),
    "genealogy": Picture(
        "Genealogy",
        "The family tree of the trajectories that are left. If few initial ones have descendants, the ensemble is "
        "small for this event.",
        genealogy,
        of_all=True,
    ),
}
"""The pictures by name."""


def kinds(result: Result) -> list[str]:
    """Name those that can be drawn of a result: of levels on the way only if these are of the user's score."""
    hidden = set() if says_of_levels(result) else {"exceedance", "return-times"}
    if len(result.runs) == 1:
        hidden.add("convergence")
    return [kind for kind in PICTURES if kind not in hidden]


def _chosen(runs: Sequence[RunResult]) -> list[tuple[RunResult, list[int]]]:
    """Choose iterations of runs to draw: evenly, if they are many."""
    n_most = max(2, MOST_POINTS // len(runs))
    return [(run, evenly(len(run.iterations), n_most)) for run in runs]


def _lines(
    made: figure,
    runs: Sequence[RunResult],
    lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    legend: str,
) -> GlyphRenderer[Any]:
    """Draw a line a run, those of runs that go on in another colour."""
    source = named(
        "runs",
        xs=[x for x, _ in lines],
        ys=[y for _, y in lines],
        run=[run.run for run in runs],
        colour=[BLUE if run.finished else ORANGE for run in runs],
        alpha=[1.0 if len(runs) == 1 else 0.7] * len(runs),
    )
    return made.multi_line(
        "xs", "ys", source=source, color="colour", line_alpha="alpha", line_width=1.5, legend_label=legend
    )


def _maxima(run: RunResult) -> tuple[list[float], list[float], list[float]]:
    """Give the lowest and the highest maximum of the ensemble before each iteration."""
    iterations = run.iterations
    kept = evenly(len(iterations), MOST_POINTS)
    killed, highest, level = iterations.killed_maxima, iterations.highest, iterations.levels
    highest = [one if math.isfinite(one) else level[k] for k, one in enumerate(highest)]
    return [k + 1.0 for k in kept], [min(killed[k]) for k in kept], [highest[k] for k in kept]


def _orange(result: Result) -> str:
    return "Runs that go on are orange." if result.is_provisional else ""


def _need_levels(result: Result) -> None:
    """Raise PytamsError if no run has a level yet."""
    if not any(len(run.iterations) for run in result.runs):
        raise PytamsError("No run has come to its first level yet.")
