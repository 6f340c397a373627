"""A report of a result: one HTML file. Needs ``pip install "pytams-splitting[plot]"``."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from pytams.analysis import plot, summary
from pytams.analysis.page_tables import as_csv, page_tables
from pytams.analysis.picture_files import new_figure, write_text
from pytams.core.distribution import installing

try:
    from pytams.analysis.page import in_lines, templates
except ImportError as error:
    raise ImportError(f"reports need jinja2: {installing('plot')}") from error
from matplotlib.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from pytams.analysis.pictures.learned import Learned
    from pytams.analysis.result import Result

_CAPTIONS = {
    "estimates": "Each dot is an independent run; their scatter is the error bar.",
    "convergence": "The mean of the first runs: how the estimate settles as runs are added.",
    "exceedance": "How likely the score exceeds each level, from the same runs.",
    "return-times": "How long one waits for each level to be exceeded, if the process is stationary.",
    "levels": "The level below which trajectories were discarded rises to the target. Where it hardly rises for "
    "long, the score does not tell well how near the event is.",
    "weights": "What is left of the probability at each level. A cliff is where the score stalls: much is lost, and "
    "the level hardly rises.",
    "scores": "The trajectories that were left at the end.",
    "discarded": "Some of the trajectories that were killed on the way.",
    "genealogy": "The family tree of the trajectories that were left. If few initial ones have descendants, the "
    "ensemble was small for this event.",
    "reaching-times": "When trajectories that reach the target do so.",
    "paths": "Trajectories that reached the target.",
    "density": "Where trajectories that reach the target spend their time; their mean path, with its spread.",
    "score": "The score that was learned, over the two features that matter most: where the committor is the same, "
    "with some of the paths that it was learned from.",
}
"""What is in a report, and what to see in it."""

_SO_FAR = {
    "scores": "The trajectories of the ensemble as it is.",
    "genealogy": "The family tree of the ensemble as it is.",
    "estimates": "What each run would give if it stopped here: too low, for trajectories go on.",
    "convergence": "The mean of what runs would give if they stopped here.",
}
"""The same of what goes on."""
_PALE = "#dddddd"
"""Text and axes on a dark page."""


def write_report(
    result: Result,
    path: Path,
    *,
    provenance: Sequence[tuple[str, str]] = (),
    reproduce: str = "",
    reference: float | None = None,
    paths: bool = False,
    potential: Callable[..., Any] | None = None,
    learned: Learned | None = None,
) -> None:
    """Write one HTML file that needs nothing else: summary, health, pictures, tables, settings, provenance.

    Parameters
    ----------
    result
        What was found.
    path
        The file.
    provenance
        Where it comes from: names and values.
    reproduce
        What reproduces it: an input file.
    reference
        A known probability, to compare with.
    paths
        Whether to draw reactive paths, too, for a state of arrays: this may import the model.
    potential
        What to draw below them.
    learned
        The learned score, if there is one.

    Raises
    ------
    PytamsError
        If the file cannot be written.
    """
    options: dict[str, dict[str, Any]] = {
        "estimates": {"reference": reference},
        "convergence": {"reference": reference},
        "paths": {"potential": potential},
    }
    captions = _CAPTIONS | (_SO_FAR if result.is_provisional else {})
    n_runs = len(result.runs) if result.is_provisional else len(result.runs) + result.n_unfinished
    name, probability = result.labels.title or result.model, summary.headline(result)
    text = (
        templates()
        .get_template("report.html")
        .render(
            title=f"{name}: {probability}",
            name=name,
            result=result,
            probability=probability,
            interval=summary.interval(result, ".2e"),
            comparison=None if reference is None else result.compare(reference),
            figures=[
                _picture(captions[kind], partial(draw, **options.get(kind, {})))
                for kind, draw in _drawings(result, learned).items()
                if paths or kind not in plot.OF_STATES
            ],
            tables=page_tables(result),
            csv=lambda kind: "data:text/csv;charset=utf-8," + quote(as_csv(kind, result)),
            settings={**result.settings.to_dict(), "seed": result.seed, "runs": n_runs},
            reproduce=in_lines(reproduce),
            provenance=[*provenance, ("report written", datetime.now(UTC).isoformat(timespec="seconds"))],
        )
    )
    write_text(path, text)


class _Picture(NamedTuple):
    """A picture of a report."""

    caption: str
    light: str
    """As a data: URL."""
    dark: str


def _drawings(result: Result, learned: Learned | None) -> dict[str, Callable[..., object]]:
    """Give what draws each picture of a report."""
    found: dict[str, Callable[..., object]] = {
        kind: partial(plot.KINDS[kind], result)
        for kind in _CAPTIONS
        if kind in plot.KINDS and plot.is_for(kind, result)
    }
    return found if learned is None else found | {"score": partial(plot.score, learned)}


def _picture(caption: str, draw: Callable[..., object]) -> _Picture:
    figure = new_figure()
    draw(ax=figure.subplots())
    light = _data_url(figure)
    _make_pale(figure)
    return _Picture(caption, light, _data_url(figure))


def _make_pale(figure: Figure) -> None:
    """Make what is drawn in black show on a dark page."""
    for text in figure.findobj(Text):
        text.set_color(_PALE)
    for ax in figure.axes:
        ax.tick_params(which="both", colors=_PALE)
        for spine in ax.spines.values():
            spine.set_edgecolor(_PALE)


def _data_url(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, transparent=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
