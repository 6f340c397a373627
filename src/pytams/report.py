"""Pictures and reports of a run directory, as files. Needs ``pip install pytams[plot]``."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams import plot
from pytams.errors import PytamsError, SettingsError

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise ImportError("reports need jinja2: pip install pytams[plot]") from error
from matplotlib.figure import Figure
from matplotlib.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytams.saved import SavedStudy

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
}
"""What is in a report, and what to see in it."""

_PALE = "#dddddd"
"""Text and axes on a dark page."""


def write_picture(
    saved: SavedStudy, kind: str, path: Path, *, run: int | None = None, reference: float | None = None
) -> None:
    """Draw one picture, or the ``overview``, into a file of the kind that its suffix says.

    Raises
    ------
    SettingsError
        If there is no such picture, or no such kind of file.
    PytamsError
        If the file cannot be written.
    """
    options = {name: value for name, value in {"run": run, "reference": reference}.items() if value is not None}
    figure = _empty()
    if path.suffix.removeprefix(".") not in figure.canvas.get_supported_filetypes():
        raise SettingsError("--out", f"{path} is no kind of picture: .png, .pdf and .svg are some")
    if kind != "overview":
        _draw(figure, saved, kind, options)
    elif run is not None:
        raise SettingsError("run", "the overview shows the first one: choose a --kind of picture")
    else:
        plot.overview(saved.result, reference, figure)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise PytamsError(f"{path} cannot be written: {error.strerror}") from error


def write_report(saved: SavedStudy, path: Path, *, reference: float | None = None, paths: bool = False) -> None:
    """Write one HTML file that needs nothing else: summary, health, pictures, settings, provenance.

    Parameters
    ----------
    saved
        A study with a finished run.
    path
        The file.
    reference
        A known probability, to compare with.
    paths
        Whether to draw reactive paths, too, for a state of two numbers: this imports the model.

    Raises
    ------
    RunDirectoryError
        If no run is finished.
    PytamsError
        If the file cannot be written.
    """
    result, info = saved.result, saved.directory.info
    environment = Environment(
        loader=PackageLoader("pytams", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("report.html").render(
        title=f"{result.model}: {result.probability:.3e}",
        result=result,
        saved=saved,
        comparison=None if reference is None else result.compare(reference),
        figures=[_figure(saved, kind, reference) for kind in _CAPTIONS if paths or kind != "paths"],
        settings=info.settings.to_dict(),
        info=info,
        arguments=json.dumps(info.model.arguments),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PytamsError(f"{path} cannot be written: {error.strerror}") from error


class _Picture(NamedTuple):
    """A picture of a report."""

    caption: str
    light: str
    """As a data: URL."""
    dark: str


def _figure(saved: SavedStudy, kind: str, reference: float | None) -> _Picture:
    figure = _empty()
    _draw(figure, saved, kind, {"reference": reference} if kind == "estimates" else {})
    light = _data_url(figure)
    _make_pale(figure)
    return _Picture(_CAPTIONS[kind], light, _data_url(figure))


def _empty() -> Figure:
    """Make a figure that no window will show."""
    return Figure(figsize=plot.AXES_SIZE, layout="constrained")


def _draw(figure: Figure, saved: SavedStudy, kind: str, options: dict[str, Any]) -> None:
    if kind == "paths":
        options = options | {"potential": _potential(saved)}
    plot.draw(kind, saved.result, figure.subplots(), **options)


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


def _potential(saved: SavedStudy) -> Callable[..., Any] | None:
    """Find the model's potential, if it says one."""
    if saved.directory.info.model.reference is None:
        return None
    potential: Callable[..., Any] | None = getattr(saved.make_model(), "potential", None)
    return potential
