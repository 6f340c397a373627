"""Pictures as files, in the size that a page or a journal wants; and the numbers that they show. Needs ``[plot]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from pytams.analysis import plot, tables
from pytams.core.errors import Name, PytamsError, SettingsError
from pytams.core.settings import choices

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.analysis.pictures.learned import Learned
    from pytams.analysis.result import Result

_MM_AN_INCH = 25.4
_WIDTHS = 20.0, 1000.0
"""In millimetres: others are slips."""
_FOR_JOURNALS: Any = {  # a dict, of names that Matplotlib lists
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.linewidth": 0.5,
    "lines.linewidth": 1.0,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "none",
}


def write_picture(
    result: Result,
    kind: str,
    path: Path,
    *,
    learned: Learned | None = None,
    width: float | None = None,
    **options: Any,
) -> None:
    """Draw one picture, or the ``overview``, into a file of the kind that its suffix says.

    A ``.csv`` file gets the numbers that it shows.

    Parameters
    ----------
    result, kind, path
        What to draw, and where to.
    learned
        The learned score, for the picture ``score``.
    width
        Of the picture, in millimetres: letters are then as small as in journals. None: for a screen.
    options
        Of this kind of picture: see `pytams.plot`.

    Raises
    ------
    SettingsError
        If there is no such picture, it has no such option, or there is no such kind of file.
    PytamsError
        If the file cannot be written.
    """
    kinds = ("overview", *plot.KINDS, "score")
    if kind not in kinds:
        raise SettingsError("kind", f"no picture is called {kind!r}; there are {choices(kind, kinds)}")
    if path.suffix == ".csv":
        write_text(path, tables.comma_separated(tables.of_picture(kind, result, options.get("run"))))
        return
    if width is not None and not _WIDTHS[0] <= width <= _WIDTHS[1]:
        raise SettingsError("width", f"{width:g} mm: it must be between {_WIDTHS[0]:g} and {_WIDTHS[1]:g} mm")
    with mpl.rc_context({} if width is None else _FOR_JOURNALS):
        figure = new_figure(width)
        if path.suffix.removeprefix(".") not in figure.canvas.get_supported_filetypes():
            raise SettingsError("path", f"{path} is no kind of picture: .png, .pdf, .svg or .csv, a table")
        _draw(figure, result, kind, learned, options)
        try:
            figure.savefig(path, dpi=150 if width is None else 600)
        except OSError as error:
            raise PytamsError(f"{path} cannot be written: {error.strerror}") from error


def _draw(figure: Figure, result: Result, kind: str, learned: Learned | None, options: dict[str, Any]) -> None:
    if kind == "score" and learned is not None:
        for name in options.keys() - {"x", "y", "t"}:
            raise SettingsError(name, "the picture 'score' has no such option")
        plot.score(learned, ax=figure.subplots(), **options)
    elif kind != "overview":
        plot.draw(kind, result, figure.subplots(), **options)
    else:
        for name in options.keys() - {"reference"}:
            raise SettingsError(name, "the overview has no such option: choose a ", Name("kind"), " of picture")
        plot.overview(result, options.get("reference"), figure)


def new_figure(width: float | None = None) -> Figure:
    """Make a figure that no window will show, of a width in millimetres."""
    factor = 1.0 if width is None else width / _MM_AN_INCH / plot.AXES_SIZE[0]
    return Figure(figsize=(factor * plot.AXES_SIZE[0], factor * plot.AXES_SIZE[1]), layout="constrained")


def write_text(path: Path, text: str) -> None:
    """Write a file; PytamsError if that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PytamsError(f"{path} cannot be written: {error.strerror}") from error
