"""Whether a model is the one that a study was made with: its arguments, its functions and its source files."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.core.errors import RunDirectoryError
from pytams.core.text import printable
from pytams.models.fingerprint import arguments_made_with, changes, source_changes, source_files
from pytams.models.sources import Sources, file_of, sources_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.ports import Steppable
    from pytams.storage.manifest import ModelSource

_logger = logging.getLogger("pytams")
_ADVICE = "put it back, start a new study, or go on at your own risk with Storage(force=True)"
_ADVICE_ON_SCRIPTS = (
    '. (What stands under `if __name__ == "__main__":` is not compared: there, or in a file of its own, a script can '
    "ask for more runs.)"
)


def sources_of(model: Steppable, reference: str | None) -> Sources:
    """Hash the source files of a model: that of its reference, if it has one, and what they import."""
    file = None if reference is None else file_of(reference, Path())
    return sources_in(source_files(model) if file is None else [file])


def check_sources(path: Path, made_with: ModelSource) -> None:
    """Make sure, without executing any, that the source files of a model that is imported by reference are the same.

    Those that cannot be found yet, as the model says where they are when it is imported, are left to `check_model`.

    Raises
    ------
    RunDirectoryError
        If they are not: the message names the files.
    """
    file = None if made_with.reference is None else file_of(made_with.reference, Path())
    if file is not None:
        _compare_sources(path, made_with, [file], imported=False)


def check_model(path: Path, made_with: ModelSource, model: Steppable, reference: str | None) -> None:
    """Make sure that a model is made of what the study's was.

    Raises
    ------
    RunDirectoryError
        If it is not: the message names the arguments or files that differ.
    """
    differing = changes(*_arguments(made_with, model))
    if differing:
        text = printable("; ".join(f"model.{change}" for change in differing))
        raise RunDirectoryError(f"{path} is of another model: {text}: {_ADVICE}")
    file = None if reference is None else file_of(reference, Path())
    _compare_sources(path, made_with, source_files(model) if file is None else [file])


def _arguments(made_with: ModelSource, model: Steppable) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Describe what a model was and is made of; before format 3, what is known of it."""
    if made_with.made_of is not None:
        return made_with.made_of, model.made_of
    then = arguments_made_with(type(model), (), made_with.arguments) if made_with.reference else {}
    names = then.keys() & model.made_of.keys()
    return {name: then[name] for name in names}, {name: model.made_of[name] for name in names}


def _as_they_were(path: Path, then: Mapping[str, str], code: Mapping[str, str], now: Sources) -> dict[str, str]:
    """Give the hash that files had of which Python makes the same as then."""
    same = {name for name in then.keys() & now.code.keys() if code.get(name) == now.code[name]}
    reworded = sorted(name for name in same if then[name] != now.sha256[name])
    if reworded:
        names = ", ".join(reworded)
        _logger.info("only comments, layout or docstrings of %s have changed since %s was made", names, path)
    return {name: then[name] for name in reworded}


def _compare_sources(path: Path, made_with: ModelSource, files: list[Path], *, imported: bool = True) -> None:
    if made_with.sources is not None:
        now = sources_in(files)
        then = {name: sha256 for name, sha256 in made_with.sources.items() if imported or name in now.sha256}
        differing = source_changes(then, now.sha256 | _as_they_were(path, then, made_with.code, now))
    elif files and made_with.sha256 is not None:  # before format 3
        sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
        differing = [] if sha256 == made_with.sha256 else [f"{files[0].name} has changed"]
    else:
        return
    if differing:
        raise RunDirectoryError(
            f"the source of {printable(made_with.name)} has changed since {path} was made "
            f"({printable(', '.join(differing))}): {_ADVICE}"
            f"{_ADVICE_ON_SCRIPTS if '.py ' in ' '.join(differing) else ''}"
        )
