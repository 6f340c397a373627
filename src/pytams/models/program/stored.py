"""What a run directory says of a program, so that it can be made again, also if it has moved along with that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.models.program.program import Program

REFERENCE = "pytams:Program"
"""How a run directory refers to a model that is a program."""
_FROM_STUDY = "folder_from_study"
"""Where the program's files are, as seen from the run directory."""


def as_stored(arguments: Mapping[str, Any], folder: Path, directory: Path) -> dict[str, Any]:
    """Add to the arguments of a program where its files are, by themselves and as seen from a run directory."""
    folder = (folder / arguments.get("folder", ".")).resolve()
    near = os.path.relpath(folder, directory.resolve())
    return {**arguments, "folder": str(folder), _FROM_STUDY: near}


def from_stored(arguments: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Give the arguments of a program, with the folder where its files are now."""
    told = dict(arguments)
    near = directory / str(told.pop(_FROM_STUDY, "."))
    folder = Path(str(told.get("folder", ".")))
    has_moved = not folder.is_dir() and near.is_dir() and _has_files(near, told)
    return told | {"folder": str(near.resolve() if has_moved else folder)}


def _has_files(folder: Path, told: Mapping[str, Any]) -> bool:
    """Whether what the program needs is in a folder: not just any that happens to be there."""
    names = [*told.get("inputs", ()), *told.get("templates", ()), told.get("initial")]
    names += [word.replace("{folder}/", "") for word in told["command"] if "{folder}/" in word]
    program = str(told["command"][0])
    names += [program] if "/" in program and "{" not in program else []
    named = [str(name) for name in names if name]
    return bool(named) and all((folder / name).exists() for name in named)


def made_again(arguments: Mapping[str, Any], launch: Mapping[str, Any], directory: Path) -> Program:
    """Make the program of a study again."""
    from pytams.models.program.program import Program  # noqa: PLC0415 - who only reads a directory needs none

    return Program(**from_stored(arguments, directory), launch=dict(launch))
