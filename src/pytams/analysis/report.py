"""Pictures and reports of a result, as files. Needs ``pip install "pytams-splitting[plot]"``."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams.analysis import plot, summary
from pytams.core.distribution import installing
from pytams.core.errors import Name, PytamsError, SettingsError
from pytams.core.settings import choices
from pytams.core.text import printable

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise ImportError(f"reports need jinja2: {installing('plot')}") from error
from matplotlib.figure import Figure
from matplotlib.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytams.analysis.result import Result
    from pytams.analysis.score_plot import Learned

    Potential = Callable[..., Any]

_CAPTIONS = {
    "estimates": "Each dot is an independent run; their scatter is the error bar.",
    "exceedance": "How likely the score exceeds each level, from the same runs.",
    "return-times": "How long one waits for each level to be exceeded, if the process is stationary.",
    "levels": "The level below which trajectories were discarded rises to the target. Where it hardly rises for "
    "long, the score does not tell well how near the event is.",
    "scores": "The trajectories that were left at the end.",
    "genealogy": "The family tree of the trajectories that were left. If few initial ones have descendants, the "
    "ensemble was small for this event.",
    "paths": "Trajectories that reached the target.",
    "score": "The score that was learned, over the two features that matter most: where the committor is the same, "
    "with some of the paths that it was learned from.",
}
"""What is in a report, and what to see in it."""

_AXES = 2
_PALE = "#dddddd"
"""Text and axes on a dark page."""


def write_picture(
    result: Result,
    kind: str,
    path: Path,
    *,
    run: int | None = None,
    reference: float | None = None,
    potential: Potential | None = None,
    learned: Learned | None = None,
    features: Sequence[str] = (),
) -> None:
    """Draw one picture, or the ``overview``, into a file of the kind that its suffix says.

    Parameters
    ----------
    result, kind, path
        What to draw, and where to.
    run
        Which run, where a picture is of one.
    reference
        A known probability, to compare with.
    potential
        What to draw below ``paths``.
    learned
        The learned score, for the picture ``score``.
    features
        Names of one or two of its features that are to be the axes; those that matter most, if none are given.

    Raises
    ------
    SettingsError
        If there is no such picture, or no such kind of file.
    PytamsError
        If the file cannot be written.
    """
    kinds = ("overview", *plot.KINDS, "score")
    if kind not in kinds:
        raise SettingsError("kind", f"no picture is called {kind!r}; there are {choices(kind, kinds)}")
    given = {"run": run, "reference": reference, "potential": potential}
    options = {name: value for name, value in given.items() if value is not None}
    figure = _empty()
    if path.suffix.removeprefix(".") not in figure.canvas.get_supported_filetypes():
        raise SettingsError("path", f"{path} is no kind of picture: .png, .pdf and .svg are some")
    if len(features) > _AXES or (features and kind != "score"):
        raise SettingsError("features", "one or two, of the picture of a learned score")
    if kind == "score" and learned is not None:
        x, y = (*features, None, None)[:_AXES]
        plot.score(learned, x, y, ax=figure.subplots())
    elif kind != "overview":
        plot.draw(kind, result, figure.subplots(), **options)
    elif run is not None:
        raise SettingsError("run", "the overview shows the first one: choose a ", Name("kind"), " of picture")
    else:
        plot.overview(result, reference, figure)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise PytamsError(f"{path} cannot be written: {error.strerror}") from error


def write_report(
    result: Result,
    path: Path,
    *,
    provenance: Sequence[tuple[str, str]] = (),
    reference: float | None = None,
    paths: bool = False,
    potential: Potential | None = None,
    learned: Learned | None = None,
) -> None:
    """Write one HTML file that needs nothing else: summary, health, pictures, settings, provenance.

    Parameters
    ----------
    result
        What was found.
    path
        The file.
    provenance
        Where it comes from: names and values.
    reference
        A known probability, to compare with.
    paths
        Whether to draw reactive paths, too, for a state of two numbers: this may import the model.
    potential
        What to draw below them.
    learned
        The learned score, if there is one.

    Raises
    ------
    PytamsError
        If the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("pytams.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
    )
    options: dict[str, dict[str, Any]] = {
        "estimates": {"reference": reference},
        "paths": {"potential": potential},
    }
    n_runs = len(result.runs) + result.n_unfinished
    probability = summary.probability(result, ".3e")
    text = environment.get_template("report.html").render(
        title=f"{result.model}: {probability}",
        result=result,
        probability=probability,
        interval=summary.interval(result, ".2e"),
        comparison=None if reference is None else result.compare(reference),
        figures=[
            _picture(kind, partial(draw, **options.get(kind, {})))
            for kind, draw in _drawings(result, learned).items()
            if paths or kind != "paths"
        ],
        settings={**result.settings.to_dict(), "seed": result.seed, "runs": n_runs},
        provenance=[*provenance, ("report written", datetime.now(UTC).isoformat(timespec="seconds"))],
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PytamsError(f"{path} cannot be written: {error.strerror}") from error


def _printable(value: Any) -> Any:
    """Write out what would turn text around or hide it; names may come from anybody."""
    return printable(value) if isinstance(value, str) else value


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


def _picture(kind: str, draw: Callable[..., object]) -> _Picture:
    figure = _empty()
    draw(ax=figure.subplots())
    light = _data_url(figure)
    _make_pale(figure)
    return _Picture(_CAPTIONS[kind], light, _data_url(figure))


def _empty() -> Figure:
    """Make a figure that no window will show."""
    return Figure(figsize=plot.AXES_SIZE, layout="constrained")


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
