"""Pictures to hover over of probabilities, of times, and of what each run and each number of runs gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis import logs, tables
from pytams.analysis.canvas import (
    Drawn,
    LogAxis,
    band,
    canvas,
    named,
    target,
    told,
    upright_target,
    whole_numbers,
)
from pytams.analysis.colours import BLUE, GREY
from pytams.analysis.curves import bins_of_times, levels_of, means_of_first
from pytams.core.errors import PytamsError

if TYPE_CHECKING:
    from bokeh.models.renderers import GlyphRenderer
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from pytams.analysis.curves import Curve
    from pytams.analysis.result import Result

_INTERVAL = ("95 % interval", "@interval")


def exceedance(result: Result) -> Drawn:
    """Draw P(max of the score > z) against z, with its 95 % interval."""
    curve = _shown(result.exceedance(_levels(result)))
    axis = LogAxis.of("P(largest score > z)", curve.log_value, curve.log_low, curve.log_high)
    made = canvas(f"z: {result.labels.axis('score')}", axis.label, y_axis_type=axis.kind)
    band(made, (curve.z, axis.at(curve.log_low), axis.at(curve.log_high)), "95 % interval")
    drawn = _curve(made, curve.z, axis.at(curve.log_value), curve)
    upright_target(made, result, axis.at(curve.log_value))
    told(made, drawn, [("z", "@z{0.0000}"), ("P", "@value"), _INTERVAL], mode="vline")
    return Drawn(made, _only_so_far(result))


def return_times(result: Result) -> Drawn:
    """Draw the level that is exceeded once in a return time, with its 95 % interval."""
    curve = _shown(result.return_times(_levels(result)))
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


def convergence(result: Result) -> Drawn:
    """Draw the mean of the first runs, with its 95 % interval, against how many they are."""
    counts, *found = means_of_first(result.runs)
    log = np.stack(found, axis=1)
    counts, log = counts[np.isfinite(log[:, 0])], log[np.isfinite(log[:, 0])]
    if not len(log):
        raise PytamsError("No run has reached the target yet.")
    axis = LogAxis.of("probability", *log.T)
    made = canvas("runs", axis.label, y_axis_type=axis.kind)
    whole_numbers(made)
    value, low, high = (axis.at(column) for column in log.T)
    band(made, (counts, low, high), "95 % interval")
    text = [[logs.text(one, ".3e") for one in column] for column in log.T]
    ends = [_interval(*pair) for pair in zip(*text[1:], strict=True)]
    source = named("means", x=counts, y=value, value=text[0], interval=ends)
    made.line("x", "y", source=source, color=BLUE, line_width=2, legend_label="mean of the first runs")
    drawn = made.scatter("x", "y", source=source, color=BLUE, size=5, legend_label="mean of the first runs")
    told(made, drawn, [("runs", "@x"), ("mean", "@value"), _INTERVAL])
    return Drawn(made)


def reaching_times(result: Result) -> Drawn:
    """Draw when reactive trajectories reach the target: a weighted histogram, and their mean with its error."""
    found = tables.of_picture("reaching-times", result)
    times, log_weights = np.array(found["time"]), np.array(found["log_weight"])
    if not len(times):
        raise PytamsError("No trajectory has reached the target yet.")
    bins = bins_of_times(times, result.settings.step_size)
    weights = np.exp(log_weights - log_weights.max())
    density, edges = np.histogram(times, bins, weights=weights, density=True)
    made = canvas(result.labels.axis("time"), "density")
    source = named("bins", left=edges[:-1], right=edges[1:], top=density)
    legend = "reactive trajectories"
    drawn = made.quad(
        "left", "right", "top", bottom=0, source=source, color=BLUE, fill_alpha=0.4, legend_label=legend
    )
    mean, top = result.reaching_time, np.full(2, density.max())
    ends = np.array([mean.low, mean.high], dtype=np.float64)
    band(made, (ends, np.zeros(2), np.where(np.isfinite(ends), top, np.nan)), "95 % interval of the mean")
    line = named("mean", x=np.full(2, float(mean.value)), y=[0.0, top[0]])
    made.line("x", "y", source=line, color=BLUE, line_width=2, legend_label="mean")
    told(made, drawn, [("from", "@left"), ("to", "@right"), ("density", "@top")])
    return Drawn(made, f"{len(times)} trajectories have reached it; their mean time is {float(mean.value):.3g}.")


def _levels(result: Result) -> NDArray[np.float64]:
    """Choose levels for a curve; PytamsError if a run has none yet."""
    if not math.isfinite(result.level):
        raise PytamsError("A run has not come to its first level yet.")
    return levels_of(result)


def _interval(low: str, high: str) -> str:
    return "unknown" if low == "nan" else f"{low} to {high}"


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
        interval=[_interval(*pair) for pair in ends],
    )
    return made.line("x", "y", source=source, color=BLUE, line_width=2, legend_label="mean")


def _shown(curve: Curve) -> Curve:
    return _kept(curve, np.isfinite(curve.log_value))


def _kept(curve: Curve, rows: NDArray[np.bool_]) -> Curve:
    """Keep some of the points of a curve."""
    return type(curve)(**{name: getattr(curve, name)[rows] for name in curve.__slots__})


def _only_so_far(result: Result) -> str:
    return f"Runs go on: up to {result.level:.4g}, which all have come to." if result.is_provisional else ""
