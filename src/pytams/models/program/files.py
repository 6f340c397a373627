"""The files that a program consists of, and those that it finds in its working folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytams.models.program.declaration import Declaration


def inside(path: str) -> str:
    """Say what a file is called in the working folder: as it is in the study's, or its name if it is elsewhere."""
    is_inside = not Path(path).is_absolute() and ".." not in Path(path).parts
    return str(Path(path)) if is_inside else Path(path).name


def links_of(declared: Declaration) -> dict[str, Path]:
    """Find what is linked into the working folder, by its name there."""
    return {inside(path): declared.at(path) for path in declared.inputs}


def templates_of(declared: Declaration) -> dict[str, Path]:
    """Find the templates, by the names under which they are filled in."""
    named = declared.templates
    pairs = named.items() if isinstance(named, dict) else ((path, inside(path)) for path in named)
    return {str(Path(name)): declared.at(path) for path, name in pairs}


def check_files(declared: Declaration) -> None:
    """Make sure that all files are there, and that no two have one name where the program works.

    Raises
    ------
    SettingsError
        Names the key.
    """
    paths: dict[str, list[str]] = {"inputs": declared.inputs, "templates": [*declared.templates]}
    paths["initial"] = [] if declared.initial is None else [declared.initial]
    for name, some in paths.items():
        for path in some:
            if not declared.at(path).exists():
                raise SettingsError(name, f"there is no {declared.at(path)}")
    if len(links_of(declared)) < len(declared.inputs):
        raise SettingsError("inputs", "two of them have one name in the working folder")
    filled = templates_of(declared)
    if len(filled) < len(declared.templates):
        raise SettingsError("templates", "two of them have one name in the working folder")
    for name in filled:
        at = {name, *map(str, Path(name).parents)} & links_of(declared).keys()
        if at or Path(name).is_absolute() or ".." in Path(name).parts:
            where = f"in or in the place of the input {min(at)}" if at else "outside the working folder"
            raise SettingsError("templates", f"{name} would be {where}: it would be written to")
    for template in filled.values():
        try:
            template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError("templates", f"{template} is no file of text") from error
    for setting, words in commands_of(declared):
        executable(declared, words[0], setting)


def commands_of(declared: Declaration) -> Iterator[tuple[str, list[str]]]:
    """Find every command, with the key that says it; what stands before the program's only if it is a file."""
    yield "command", declared.command
    for name in ("initial_command", "perturb"):
        words = getattr(declared, name)
        if isinstance(words, list):
            yield name, words
    for name, reading in declared.readings().items():
        if reading.command:
            yield f"{name}.command", reading.command
    if declared.prefix and "/" in declared.prefix[0]:
        yield "launch.command", declared.prefix


def executable(declared: Declaration, word: str, setting: str) -> Path:
    """Find a program: by its path, relative to the study's folder, or where programs are.

    Raises
    ------
    SettingsError
        If it is not there.
    """
    word = word.replace("{folder}", declared.folder)
    if "/" in word:
        found = declared.at(word)
        if not found.is_file():
            raise SettingsError(setting, f"there is no program {found}")
        return found
    path = shutil.which(word)
    if path is None:
        raise SettingsError(setting, f"{word} is no program that can be found (./{word}, if it is a file)")
    return Path(path)


def files_of(declared: Declaration) -> list[Path]:
    """Find all files and folders that the model consists of: a change of one is a change of the model.

    Those that commands name by ``{folder}/...`` are among them.
    """
    paths = [*links_of(declared).values(), *templates_of(declared).values()]
    for setting, words in commands_of(declared):
        named = [Path(word.replace("{folder}", declared.folder)) for word in words[1:] if "{folder}/" in word]
        paths += [executable(declared, words[0], setting), *(path for path in named if path.exists())]
    if declared.initial is not None:
        paths.append(declared.at(declared.initial))
    within = [inner for path in paths if path.is_dir() for inner in sorted(path.rglob("*"))]
    return list(dict.fromkeys([*paths, *within]))
