"""Pictures and reports of a run directory, from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytams
from pytams.analysis.picture_files import write_picture
from pytams.analysis.plot import OF_RUNS, OF_STATES
from pytams.analysis.report import write_report
from pytams.cli.output import STANDARD_ERROR, keep_from_models
from pytams.cli.reproduce import to_reproduce
from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.storage.lessons import read_score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.models.learned.score import LearnedScore
    from pytams.storage.reader import SavedStudy

_OPTIONS = {"path": "--out"} | {
    name: f"--{name}" for name in ("kind", "run", "reference", "x", "y", "width", "feature")
}
"""What a setting of a picture is called here."""
_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4}
_AXES = 2


def draw(
    directory: Path,
    kind: str,
    out: Path | None,
    features: Sequence[str],
    width: str | None,
    url: str | None,
    **options: Any,
) -> Path:
    """Draw a picture, or write its numbers as CSV, and say where that is."""
    _check(directory, options["reference"])
    path = out or _ours(f"{directory.resolve().stem}-{kind}.png")
    here = Path.cwd() if kind in OF_STATES else Path()  # a model may change the working directory
    options = {name: value for name, value in options.items() if value is not None} | _axes(kind, features)
    with pytams.load(here / directory, database_url=url) as saved:
        if kind == "paths" and (potential := _potential(saved)) is not None:
            options["potential"] = potential
        try:
            write_picture(
                saved.so_far if kind in OF_RUNS else saved.result,
                kind,
                here / path,
                learned=_learned(saved) if kind == "score" else None,
                width=None if width is None else _millimetres(width),
                **options,
            )
        except SettingsError as error:
            if error.setting == "features":  # those that were given for the axes
                raise error.renamed({}, lambda _: "--feature") from error
            raise error.renamed(_OPTIONS, lambda name: _OPTIONS.get(name, name)) from error
    return path


def _axes(kind: str, features: Sequence[str]) -> dict[str, str]:
    """Take the features of a learned score for the axes of its picture."""
    if len(features) > _AXES or (features and kind != "score"):
        raise SettingsError("--feature", "one or two, of the picture of a learned score")
    return dict(zip("xy", features, strict=False))


def _millimetres(width: str) -> float:
    """Read a width with its unit; SettingsError if it has none."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*(mm|cm|in)\s*", width)
    try:
        if found is not None:
            return float(found[1]) * _MILLIMETRES[found[2]]
    except ValueError:
        pass
    raise SettingsError("width", f"{width!r} is no width: write 89mm, 8.9cm or 3.5in")


def _learned(saved: SavedStudy) -> LearnedScore:
    """Read the learned score of a study."""
    if not saved.directory.info.model.taught_by:
        raise SettingsError("kind", f"the score of {saved.directory.path} is your own: there is no picture of it")
    return read_score(saved.directory.path)


def write_html(directory: Path, out: Path | None, reference: float | None, url: str | None, *, paths: bool) -> Path:
    """Write a report, and say where it is."""
    _check(directory, reference)
    path = out or _ours(f"{directory.resolve().stem}.html")
    here = Path.cwd() if paths else Path()  # a model may change the working directory
    with pytams.load(here / directory, database_url=url) as saved:
        write_report(
            saved.result,
            here / path,
            provenance=saved.provenance,
            reproduce=to_reproduce(saved.directory.path, saved.directory.info),
            reference=reference,
            paths=paths,
            potential=_potential(saved) if paths else None,
            learned=_learned(saved) if saved.directory.info.model.taught_by else None,
        )
    return path


def _ours(name: str) -> Path:
    """Find where to write what has got no name from its user: not through a link that somebody has put there."""
    path = Path(name)
    if path.is_symlink():
        raise SettingsError("--out", f"{name} is a link to somewhere else: say where to write to")
    return path


def _check(directory: Path, reference: float | None) -> None:
    """Refuse what cannot be a probability, and a place where pictures are drawn as the directory says.

    Matplotlib does what a ``matplotlibrc`` in the working directory says, which may be to run LaTeX.
    """
    if reference is not None and not 0.0 <= reference <= 1.0:
        raise SettingsError("--reference", f"{reference} is no probability")
    here = Path.cwd()
    if here.is_relative_to(directory.resolve()) and (here / "matplotlibrc").exists():
        raise RunDirectoryError(
            f"{here / 'matplotlibrc'} would change how pictures are drawn: run the command from another directory"
        )


def _potential(saved: SavedStudy) -> Callable[..., Any] | None:
    """Find the model's potential, if it says one: this imports the model."""
    if saved.directory.info.model.reference is None:
        return None
    keep_from_models(STANDARD_ERROR)
    model = saved.make_model()
    potential: Callable[..., Any] | None = getattr(model, "potential", None)
    if potential is None:
        return None

    def checked(states: Any) -> Any:
        try:
            return potential(states)
        except (Exception, SystemExit) as error:
            text = f"{model.name}.potential raised {type(error).__name__}: {error}"
            raise pytams.ModelError(text, "potential") from error

    return checked
