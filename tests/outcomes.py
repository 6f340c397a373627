"""All that finished runs tell, to the bit and to the type."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams import RunResult


def in_full(runs: Iterable[RunResult]) -> str:
    """Write out every field of every run: also what `==` takes for equal (1 and 1.0) or hides (NaN)."""
    written = []
    for run in runs:
        for field in fields(run):
            value = getattr(run, field.name)
            written.append((field.name, list(value) if field.name in {"iterations", "members"} else value))
    return repr(written)
