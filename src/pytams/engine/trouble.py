"""Which segments are in trouble on workers: whose fault it is that a task does not come back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.segments import Point, SegmentKey

MAX_TRIES = 3
"""Times that a segment that fails is sent out."""
_MAX_SUSPICIONS = 2
"""Times that a segment may be one of those whose worker was lost before it is sent out alone."""


class Trouble:
    """Counts failures that are a segment's own, and suspicions: it was out when workers were lost, among others.

    A segment is out of trouble when it comes back.
    """

    def __init__(self) -> None:
        self._failures: Counter[SegmentKey] = Counter()
        self._suspicions: Counter[SegmentKey] = Counter()

    def failed(self, points: Sequence[Point]) -> int:
        """Take note of a task that raised or hung, and say how often one of its segments has failed by now."""
        self._failures.update(point.key for point in points)
        return max(self._failures[point.key] for point in points)

    def lost(self, points: Sequence[Point]) -> int:
        """Take note of workers that were lost with segments; one that was out alone has failed: say how often."""
        if len(points) == 1:
            return self.failed(points)
        self._suspicions.update(point.key for point in points)
        return 0

    def is_over(self, points: Sequence[Point]) -> None:
        """Take note of segments that came back."""
        for point in points:
            self._failures.pop(point.key, None)
            self._suspicions.pop(point.key, None)

    def has(self, key: SegmentKey) -> bool:
        """Whether a segment has failed, or is suspected, since it came back last."""
        return key in self._failures or key in self._suspicions

    def is_suspect(self, key: SegmentKey) -> bool:
        """Whether a segment must be sent out alone, so that it shows whether it ends its worker."""
        return self._suspicions[key] >= _MAX_SUSPICIONS


def named(points: Sequence[Point]) -> str:
    """Name segments in a message."""
    names = [f"run {p.key.run}, slot {p.key.slot}, from step {p.step} on" for p in points[:3]]
    return "; ".join(names) + (f"; and {len(points) - 3} more" if len(points) > 3 else "")
