"""What pictures to hover over are drawn on: figures of Bokeh, their axes and legends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pytams.analysis.colours import BLUE, ORANGE
from pytams.analysis.logs import LOG_10, fit_an_axis
from pytams.core.distribution import installing

try:
    from bokeh.models import BasicTicker, ColumnDataSource, FixedTicker, HoverTool, PlainText
    from bokeh.palettes import Viridis256
    from bokeh.plotting import figure
except ImportError as error:
    raise ImportError(f"the page needs bokeh: {installing('serve')}") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.models.renderers import GlyphRenderer
    from numpy.typing import NDArray

    from pytams.analysis.result import Result

COLOURS = Viridis256[90:230]
MOST_POINTS = 40_000
"""Of the lines of a picture, all together: a page is to follow, and nobody sees more."""
_HEIGHT = 340


class Drawn(NamedTuple):
    """A picture of some runs."""

    figure: figure
    note: str = ""
    """What is not in it, or which run it is of."""


class LogAxis(NamedTuple):
    """An axis of numbers of which the logs are known; of their powers of ten, if some are too small or too large."""

    kind: Literal["log", "linear"]
    label: str

    @classmethod
    def of(cls, label: str, *values: NDArray[np.float64]) -> LogAxis:
        """Make one that has room for numbers with these logs."""
        return cls("log", label) if fit_an_axis(*values) else cls("linear", f"log10 of {label}")

    def at(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the coordinates of numbers with these logs; NaN of what is on no such axis."""
        finite = np.where(np.isfinite(values), values, np.nan)
        return np.exp(finite) if self.kind == "log" else finite / LOG_10


def canvas(x: str, y: str, **options: Any) -> figure:
    """Make an empty one, for a light page or a dark one. What is on its axes may come from anybody, and is no TeX."""
    made = figure(
        height=_HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_drag="box_zoom",
        x_axis_label=PlainText(text=x),
        y_axis_label=PlainText(text=y),
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        outline_line_color=None,
        tags=[options.get("x_axis_type", "linear"), options.get("y_axis_type", "linear")],
        **options,
    )
    made.toolbar.logo = None
    made.grid.grid_line_alpha = 0.5
    return made


def whole_numbers(made: figure) -> None:
    """Let the horizontal axis count."""
    made.xaxis.ticker = BasicTicker(min_interval=1)


def no_ticks(made: figure) -> None:
    """Let the vertical axis have no numbers: they say nothing."""
    made.yaxis.ticker = FixedTicker(ticks=[])
    made.ygrid.visible = False


def named(name: str, **columns: Any) -> ColumnDataSource:
    """Make a source that can be found by its name."""
    return ColumnDataSource(columns, name=name)


def band(made: figure, band: tuple[Any, Any, Any], legend: str, along: Literal["x", "y"] = "x") -> None:
    """Shade what lies between two curves, where both are known."""
    at, low, high = (np.asarray(part, dtype=np.float64) for part in band)
    known = np.isfinite(low) & np.isfinite(high)
    source = named("band", at=at[known], low=low[known], high=high[known])
    style: Any = {"source": source, "fill_color": BLUE, "fill_alpha": 0.2, "legend_label": legend}
    if along == "x":
        made.varea("at", "low", "high", **style)
    else:
        made.harea("low", "high", "at", **style)


def target(made: figure, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw the target, from one point to another."""
    source = named("target", x=x, y=y)
    made.line("x", "y", source=source, color=ORANGE, line_width=1.5, line_dash="dashed", legend_label="target")


def upright_target(made: figure, result: Result, values: NDArray[np.float64]) -> None:
    """Draw the target from the lowest to the highest of some coordinates."""
    known = values[np.isfinite(values)]
    ends = [float(known.min()), float(known.max())] if len(known) else []
    target(made, [result.settings.target_score] * len(ends), ends)


def told(
    made: figure,
    renderer: GlyphRenderer[Any],
    tooltips: Sequence[tuple[str, str]],
    mode: Literal["mouse", "vline", "hline"] = "mouse",
) -> None:
    """Say what is what: in a legend above, and of a point where the pointer is."""
    made.add_tools(HoverTool(renderers=[renderer], tooltips=list(tooltips), mode=mode, line_policy="nearest"))
    [legend] = made.legend
    made.add_layout(legend, "above")
    legend.orientation, legend.border_line_color, legend.background_fill_alpha = "horizontal", None, 0.0
    legend.margin, legend.click_policy = 4, "hide"
