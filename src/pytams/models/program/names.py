"""Names in braces, and what is put in their place: in commands and templates, and in the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError
from pytams.core.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NAMES = {
    "seed": "0 <= seed < 2**64, of the step, or of the segment where seeding is by branch",
    "seed31": "the same in 31 bits, 1 <= seed31 < 2**31, for what takes no more",
    "branch": "1 where a segment begins, so that the generator is to be seeded; else 0",
    "restart": "path of the state to start from",
    "next": "path that the state is to be written to",
    "step": "number of the step that it starts from",
    "t": "time there",
    "dt": "the step size",
    "steps": "how many steps to make",
    "inner": "how many of the program's own steps one step is: step_size / inner_step",
    "ranks": "see [launch]",
    "threads": "see [launch]",
    "folder": "where the input file is",
}
"""Every name, and what it stands for."""
_NAME = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}")


def check_names(setting: str, texts: Iterable[str], known: Collection[str] = tuple(NAMES)) -> None:
    """Make sure that every name in braces is known; braces that are meant are written twice."""
    for text in texts:
        for name in filter(None, _NAME.findall(text)):
            if name not in known:
                hint = nearest(name, sorted(known))
                raise SettingsError(setting, f"{{{name}}} stands for nothing ({{{{...}}}} are braces); {hint}")


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Put values in place of names."""
    return _NAME.sub(lambda found: str(values[found[1]]) if found[1] else found[0][0], text)


def filled_template(text: str, values: Mapping[str, Any]) -> str:
    """Put values in place of names; all other braces are the file's own."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), text)


def as_environment(values: Mapping[str, Any]) -> dict[str, str]:
    """Give the same values for wrapper scripts: ``PYTAMS_SEED``, ..."""
    return {f"PYTAMS_{name.upper()}": str(value) for name, value in values.items()}
