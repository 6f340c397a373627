"""Pictures to hover over of trajectories: their scores against time, and who descends from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis.canvas import (
    COLOURS,
    MOST_POINTS,
    Drawn,
    canvas,
    named,
    no_ticks,
    target,
    told,
)
from pytams.analysis.colours import ORANGE
from pytams.analysis.ensemble import discarded_ensemble, evenly
from pytams.analysis.lineages import lineages_of, middle_of_equals
from pytams.core.errors import PytamsError

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from pytams.analysis.result import Result

_MOST_TRAJECTORIES = 50
_MOST_OF_FAMILY = 200


def scores(result: Result) -> Drawn:
    """Draw the scores of the ensemble of the first run against time."""
    run = result.runs[0]
    ensemble = result.ensemble(run=run.run, n_most=_MOST_TRAJECTORIES)
    made = _against_time(result, ensemble, ensemble.generation, "started by iteration")
    n = ensemble.sizes["trajectory"]
    return Drawn(made, f"{n} of {run.n} trajectories of run {run.run}, yellower the later they were started.")


def discarded(result: Result) -> Drawn:
    """Draw the scores of trajectories that the first run has killed against time."""
    run = result.runs[0]
    if not run.n_branchings:
        raise PytamsError(f"Run {run.run} has killed no trajectory yet.")
    ensemble = discarded_ensemble(result, run.run, n_most=_MOST_TRAJECTORIES)
    made = _against_time(result, ensemble, ensemble.killed_in, "killed in iteration")
    n, of = ensemble.sizes["trajectory"], run.n_branchings
    return Drawn(made, f"{n} of {of} killed trajectories of run {run.run}, yellower the later they were killed.")


def genealogy(result: Result) -> Drawn:
    """Draw the family tree of the ensemble of the first run.

    From right to left, the lines of two trajectories meet where one of them branched from the other.
    """
    run = result.runs[0]
    lineages = lineages_of(run, evenly(run.n, _MOST_OF_FAMILY))
    n = lineages.shape[1]
    rows = evenly(len(lineages), max(2, MOST_POINTS // n))
    heights = np.array([middle_of_equals(lineages[row]) for row in rows])
    roots, family = np.unique(lineages[0], return_inverse=True)
    colours = [COLOURS[one * (len(COLOURS) - 1) // max(1, len(roots) - 1)] for one in family.tolist()]
    made = canvas("splitting iteration", "trajectories")
    no_ticks(made)
    source = named("runs", xs=[rows] * n, ys=list(heights.T), slot=lineages[-1], root=lineages[0], colour=colours)
    drawn = made.multi_line("xs", "ys", source=source, color="colour", legend_label="lineage")
    dots = named("roots", x=np.zeros(n), y=heights[0])
    made.scatter("x", "y", source=dots, color=ORANGE, size=5, legend_label="initial trajectory")
    told(made, drawn, [("slot", "@slot"), ("descends from", "@root")])
    note = f"Run {run.run}: {len(run.families)} of {run.n} initial trajectories have descendants."
    return Drawn(made, note)


def _against_time(result: Result, ensemble: Any, iterations: Any, what: str) -> figure:
    """Draw scores, in the colours of iterations."""
    made = canvas(result.labels.axis("time"), result.labels.axis("score"))
    kept = evenly(ensemble.sizes["time"], MOST_POINTS // _MOST_TRAJECTORIES)
    time, numbers = ensemble.time.values[kept], iterations.values.tolist()
    lines = [score[kept] for score in ensemble.score.values]
    latest = max([1, *numbers])
    source = named(
        "runs",
        xs=[time[np.isfinite(line)] for line in lines],
        ys=[line[np.isfinite(line)] for line in lines],
        slot=ensemble.slot.values.tolist(),
        iteration=numbers,
        colour=[COLOURS[number * (len(COLOURS) - 1) // latest] for number in numbers],
    )
    drawn = made.multi_line("xs", "ys", source=source, color="colour", alpha=0.8, legend_label="trajectory")
    target(made, [time[0], time[-1]] if len(time) else [], [result.settings.target_score] * min(2, 2 * len(time)))
    told(made, drawn, [("slot", "@slot"), (what, "@iteration"), ("time", "$snap_x"), ("score", "$snap_y")])
    return made
