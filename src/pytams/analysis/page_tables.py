"""Tables of a page: what the runs say of every level, a few of them to read and all as CSV."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pytams.analysis import tables
from pytams.analysis.curves import says_of_levels

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.analysis.result import Result

_FEW = 11
"""Levels to read."""
_COLUMNS: dict[str, tuple[str, Callable[[Result, int], tables.Columns]]] = {
    "exceedance": ("probability", tables.of_exceedance),
    "return-times": ("return_time", tables.of_return_times),
}
"""By the name of the picture that shows the same: the column of values, and what gives all columns."""
TABLES = tuple(_COLUMNS)
"""Their names."""


class PageTable(NamedTuple):
    """Numbers to read."""

    kind: str
    """The picture that shows the same."""
    title: str
    names: list[str]
    rows: list[list[str]]


def page_tables(result: Result) -> list[PageTable]:
    """List P(max > z) and return times at some levels; nothing if runs do not tell them, or not yet."""
    if not tells(result):
        return []
    titles = "Probability of every level", f"Return times ({result.labels.time_unit})"
    return [_table(kind, title, result) for kind, title in zip(_COLUMNS, titles, strict=True)]


def tells(result: Result) -> bool:
    """Whether there is something in such tables."""
    return says_of_levels(result) and math.isfinite(result.level)


def as_csv(kind: str, result: Result) -> str:
    """Write all levels of such a table."""
    return tables.comma_separated(_COLUMNS[kind][1](result, 300))


def _table(kind: str, title: str, result: Result) -> PageTable:
    name, columns = _COLUMNS[kind]
    few = columns(result, _FEW)
    shown = [few[key] for key in ("z", name, "low", "high")]
    rows = [[f"{value:.4g}" for value in row] for row in zip(*shown, strict=True)]
    return PageTable(kind, title, [result.labels.axis("score"), name.replace("_", " "), "95 % from", "to"], rows)
