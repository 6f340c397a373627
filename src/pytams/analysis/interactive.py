"""Pictures of a result to hover over and to zoom into, for a page. Needs ``pip install "pytams-splitting[serve]"``.

A picture is drawn again and again while a study goes on. So its sources have names: whoever shows it puts new data
into them, and what somebody has zoomed into stays as it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis import logs
from pytams.analysis.canvas import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    LogAxis,
    band,
    canvas,
    named,
    target,
    told,
    whole_numbers,
)
from pytams.analysis.curves import says_of_levels
from pytams.analysis.ensemble import evenly
from pytams.core.errors import PytamsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bokeh.models.renderers import GlyphRenderer
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from pytams.analysis.curves import Curve
    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult

_MOST_POINTS = 40_000
"""Of the lines of a picture, all together: a page is to follow, and nobody sees more."""
_MOST_TRAJECTORIES = 50


class Drawn(NamedTuple):
    """A picture of some runs."""

    figure: figure
    note: str = ""
    """What is not in it, or which run it is of."""


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
    _upright_target(made, result, axis.at(np.concatenate([np.zeros(1), *weights])))
    value = "$snap_y{0.00}" if axis.kind == "linear" else "$snap_y{0.00e+0}"
    told(made, drawn, [("run", "@run"), ("level", "$snap_x{0.0000}"), (axis.label, value)])
    return Drawn(made, _orange(result))


def exceedance(result: Result) -> Drawn:
    """Draw P(max of the score > z) against z, with its 95 % interval."""
    curve = _shown(result.exceedance(_grid(result)))
    axis = LogAxis.of("P(largest score > z)", curve.log_value, curve.log_low, curve.log_high)
    made = canvas(f"z: {result.labels.axis('score')}", axis.label, y_axis_type=axis.kind)
    band(made, (curve.z, axis.at(curve.log_low), axis.at(curve.log_high)), "95 % interval")
    drawn = _curve(made, curve.z, axis.at(curve.log_value), curve)
    _upright_target(made, result, axis.at(curve.log_value))
    told(made, drawn, [("z", "@z{0.0000}"), ("P", "@value"), _INTERVAL], mode="vline")
    return Drawn(made, _only_so_far(result))


def return_times(result: Result) -> Drawn:
    """Draw the level that is exceeded once in a return time, with its 95 % interval."""
    curve = _shown(result.return_times(_grid(result)))
    curve = _kept(curve, curve.log_low > -math.inf)
    axis = LogAxis.of(f"return time ({result.labels.time_unit})", curve.log_value, curve.log_low, curve.log_high)
    made = canvas(axis.label, result.labels.axis("score"), x_axis_type=axis.kind)
    band(made, (curve.z, axis.at(curve.log_low), axis.at(curve.log_high)), "95 % interval", along="y")
    x = axis.at(curve.log_value)
    drawn = _curve(made, x, curve.z, curve)
    known = x[np.isfinite(x)]
    target(made, [*(known[[0, -1]] if len(known) else ())], [result.settings.target_score] * min(2, 2 * len(known)))
    told(made, drawn, [("score", "@z{0.0000}"), ("return time", "@value"), _INTERVAL], mode="hline")
    return Drawn(made, _only_so_far(result))


def estimates(result: Result) -> Drawn:
    """Draw the estimate of each run, and their mean with its 95 % interval."""
    known = [run for run in result.runs if run.log_estimate > -math.inf]
    if not known:
        raise PytamsError("No run has reached the target yet.")
    each = np.array([run.log_estimate for run in known])
    mean, (low, high) = result.log_probability, result.log_interval
    axis = LogAxis.of("probability", each, np.array([mean, low, high]))
    made = canvas("run", axis.label, y_axis_type=axis.kind)
    whole_numbers(made)
    numbers = [run.run for run in result.runs]
    across = np.array([min(numbers) - 0.5, max(numbers) + 0.5])
    band(made, (across, axis.at(np.array([low] * 2)), axis.at(np.array([high] * 2))), "95 % interval")
    source = named("mean", x=across, y=axis.at(np.array([mean, mean])))
    made.line("x", "y", source=source, color=BLUE, line_width=2, legend_label="mean")
    text = [logs.text(run.log_estimate, ".3e") for run in known]
    dots = named("runs", x=[run.run for run in known], y=axis.at(each), text=text)
    drawn = made.scatter("x", "y", source=dots, color=GREY, size=7, legend_label="one run")
    told(made, drawn, [("run", "@x"), ("estimate", "@text")])
    n_more = len(numbers) - len(known)
    return Drawn(made, f"{n_more} of {len(numbers)} runs estimate 0: they are not on this axis." if n_more else "")


def scores(result: Result) -> Drawn:
    """Draw the scores of the ensemble of the first run against time."""
    run = result.runs[0]
    ensemble = result.ensemble(run=run.run, n_most=_MOST_TRAJECTORIES)
    made = canvas(result.labels.axis("time"), result.labels.axis("score"))
    kept = evenly(ensemble.sizes["time"], _MOST_POINTS // _MOST_TRAJECTORIES)
    time, generations = ensemble.time.values[kept], ensemble.generation.values.tolist()
    lines = [score[kept] for score in ensemble.score.values]
    latest = max([1, *generations])
    source = named(
        "runs",
        xs=[time[np.isfinite(line)] for line in lines],
        ys=[line[np.isfinite(line)] for line in lines],
        slot=ensemble.slot.values.tolist(),
        generation=generations,
        colour=[COLOURS[generation * (len(COLOURS) - 1) // latest] for generation in generations],
    )
    drawn = made.multi_line("xs", "ys", source=source, color="colour", alpha=0.8, legend_label="trajectory")
    target(made, [time[0], time[-1]] if len(time) else [], [result.settings.target_score] * min(2, 2 * len(time)))
    tips = [("slot", "@slot"), ("started by iteration", "@generation"), ("time", "$snap_x"), ("score", "$snap_y")]
    told(made, drawn, tips)
    n = len(lines)
    return Drawn(made, f"{n} of {run.n} trajectories of run {run.run}, yellower the later they were started.")


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
    "scores": Picture("Trajectories", "The scores of an ensemble, as far as they are on disk.", scores, of_all=True),
}
"""The pictures by name."""


def kinds(result: Result) -> list[str]:
    """Name those that can be drawn of a result: of levels on the way only if these are of the user's score."""
    return [kind for kind in PICTURES if says_of_levels(result) or kind not in {"exceedance", "return-times"}]


_INTERVAL = ("95 % interval", "@interval")


def _chosen(runs: Sequence[RunResult]) -> list[tuple[RunResult, list[int]]]:
    """Choose iterations of runs to draw: evenly, if they are many."""
    n_most = max(2, _MOST_POINTS // len(runs))
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


def _upright_target(made: figure, result: Result, values: NDArray[np.float64]) -> None:
    """Draw the target from the lowest to the highest of some coordinates."""
    known = values[np.isfinite(values)]
    ends = [float(known.min()), float(known.max())] if len(known) else []
    target(made, [result.settings.target_score] * len(ends), ends)


def _curve(made: figure, x: NDArray[np.float64], y: NDArray[np.float64], curve: Curve) -> GlyphRenderer[Any]:
    """Draw a curve with what there is to tell of each of its points."""
    ends = [
        (logs.text(low, ".2e"), logs.text(high, ".2e"))
        for low, high in zip(curve.log_low, curve.log_high, strict=True)
    ]
    source = named(
        "curve",
        x=x,
        y=y,
        z=curve.z,
        value=[logs.text(value, ".3e") for value in curve.log_value],
        interval=["unknown" if low == "nan" else f"{low} to {high}" for low, high in ends],
    )
    return made.line("x", "y", source=source, color=BLUE, line_width=2, legend_label="mean")


def _maxima(run: RunResult) -> tuple[list[float], list[float], list[float]]:
    """Give the lowest and the highest maximum of the ensemble before each iteration."""
    iterations = run.iterations
    kept = evenly(len(iterations), _MOST_POINTS)
    killed, highest, level = iterations.killed_maxima, iterations.highest, iterations.levels
    highest = [one if math.isfinite(one) else level[k] for k, one in enumerate(highest)]
    return [k + 1.0 for k in kept], [min(killed[k]) for k in kept], [highest[k] for k in kept]


def _grid(result: Result, n: int = 300) -> NDArray[np.float64]:
    """Levels from where the runs begin up to just below the target, or the level that all have come to.

    Raises
    ------
    PytamsError
        If a run has no level yet.
    """
    end = min(result.level, result.settings.target_score)
    if end == -math.inf:
        raise PytamsError("A run has not come to its first level yet.")
    begin = min((run.iterations[0].lowest for run in result.runs if len(run.iterations)), default=end - 1.0)
    return np.linspace(begin, np.nextafter(end, -math.inf), n)


def _shown(curve: Curve) -> Curve:
    return _kept(curve, np.isfinite(curve.log_value))


def _kept(curve: Curve, rows: NDArray[np.bool_]) -> Curve:
    """Keep some of the points of a curve."""
    return type(curve)(**{name: getattr(curve, name)[rows] for name in curve.__slots__})


def _orange(result: Result) -> str:
    return "Runs that go on are orange." if result.is_provisional else ""


def _need_levels(result: Result) -> None:
    """Raise PytamsError if no run has a level yet."""
    if not any(len(run.iterations) for run in result.runs):
        raise PytamsError("No run has come to its first level yet.")


def _only_so_far(result: Result) -> str:
    return f"Runs go on: up to {result.level:.4g}, which all have come to." if result.is_provisional else ""
