"""How long things take."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_T = TypeVar("_T")


class Stopwatch:
    """Adds up the seconds that pass in its blocks."""

    def __init__(self) -> None:
        self.seconds = self._start = 0.0

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds += perf_counter() - self._start

    def each(self, items: Iterable[_T]) -> Iterator[_T]:
        """Time how long each item takes to come."""
        left = iter(items)
        while True:
            with self:
                item = next(left, self)
            if item is self:
                return
            yield item  # type: ignore[misc] # it is no stopwatch
