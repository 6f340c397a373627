"""Who is sent out next, and how many together: a queue of segments for `pytams.engine.tasks`."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.core.segments import Point, SegmentKey
    from pytams.engine.trouble import Trouble

FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 30.0
"""Seconds before something is sent out again: they double with every failure."""

_BATCH_SECONDS = 0.05
"""About as long as a batch of cheap segments takes: more than it takes to send it."""
_FORGETTING = 0.1


class Batches:
    """How many segments are in a task.

    Parameters
    ----------
    asked
        So many; None: what suits. That is one, and several of cheap ones if several for each worker are waiting: or
        to send them would take longer than to compute them.
    """

    def __init__(self, asked: int | None) -> None:
        self._asked, self._seconds = asked, math.inf

    def took(self, seconds: float, n: int) -> None:
        """Learn how long a task of n segments has taken."""
        pace = max(seconds, 1e-6) / n
        self._seconds = pace if math.isinf(self._seconds) else self._seconds + _FORGETTING * (pace - self._seconds)

    def size(self, n_waiting: int, n_workers: int) -> int:
        """Say how many to send together."""
        return self._asked or max(1, min(n_waiting // n_workers, int(_BATCH_SECONDS / self._seconds)))


class Line:
    """Segments that wait to be sent out: those furthest behind first, some of them not before a time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, SegmentKey, Point]] = []
        self._later: list[tuple[float, SegmentKey, Point]] = []  # by the time at which they may go out again

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later)

    def join(self, point: Point) -> None:
        """Take in a segment."""
        heappush(self._waiting, (point.best, point.key, point))

    def join_later(self, points: Iterable[Point], n_failures: int) -> None:
        """Take in segments after a pause that doubles with every failure."""
        due = perf_counter() + min(_LONGEST_PAUSE, FIRST_PAUSE * 2.0**n_failures)
        for point in points:
            heappush(self._later, (due, point.key, point))

    def first(self) -> SegmentKey | None:
        """Find who is next; None if nobody may go out now."""
        now = perf_counter()
        while self._later and self._later[0][0] <= now:
            self.join(heappop(self._later)[2])
        return self._waiting[0][1] if self._waiting else None

    def take(self, n: int, trouble: Trouble) -> list[Point]:
        """Take the segments of a task; one that is in trouble goes by itself."""
        points = [heappop(self._waiting)[2]]
        while self._waiting and len(points) < n:
            if trouble.has(points[0].key) or trouble.has(self._waiting[0][1]):
                break
            points.append(heappop(self._waiting)[2])
        return points

    def points(self) -> list[Point]:
        """Say who waits."""
        return [point for _, _, point in self._waiting + self._later]
