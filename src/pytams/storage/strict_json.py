"""JSON from anybody: what is ambiguous, is no JSON, or is nested without end is refused, by a `ValueError`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

_DEEPEST = 32


def strict_json(text: str) -> Any:
    """Read JSON.

    Raises
    ------
    ValueError
        If it is none, has NaN or infinities, says a key twice, or is nested too deeply.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it says {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _check_depth(value: Any) -> None:
    """Make sure that whoever goes through it does not run out of stack."""
    layer = [value]
    for _ in range(_DEEPEST):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return
    raise ValueError("it is nested too deeply")
