"""A journal that records nothing, and an engine that computes nothing: the simplest ones, to copy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytams.core.ports import Due, Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Activity
    from pytams.core.segments import Past, Point, Progress, SegmentKey, Start
    from pytams.core.splitting import Iteration, Splitting
    from pytams.core.verification import Beginning, Outline, Witness


class NoJournal:
    """Records nothing.

    Parameters
    ----------
    past
        Finds what was recorded elsewhere of a segment.
    """

    wall_time = 0.0
    patience = math.inf

    def __init__(self, past: Callable[[Start], Past | None] | None = None) -> None:
        self._past = past
        self._claimed: set[int] = set()

    def claim(self, runs: Sequence[int]) -> list[int]:
        """Choose all that have not been chosen before."""
        new = [run for run in runs if run not in self._claimed]
        self._claimed.update(new)
        return new

    def past(self, start: Start) -> Past | None:
        """Look it up elsewhere, if there is a place."""
        return None if self._past is None else self._past(start)

    def awaited(self, runs: Sequence[int]) -> dict[int, str]:  # noqa: ARG002 - nobody else drives
        """There are no others."""
        return {}

    def elsewhere(self) -> Elsewhere:
        """There are no others."""
        return Elsewhere({}, {})

    def witnesses(self, runs: Sequence[int]) -> list[Witness]:  # noqa: ARG002 - nothing is recorded
        """Remember none."""
        return []

    def begin(self, starts: Iterable[Start]) -> None:
        """Forget it."""

    def record(self, progress: Progress) -> None:
        """Forget it."""

    def decide(self, iteration: Iteration) -> None:
        """Forget it."""

    def due(self) -> Due:
        """There is nothing to write."""
        return Due.NOTHING

    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        """Write nothing."""

    def beat(self, splittings: Mapping[int, Splitting], activity: Activity) -> None:
        """Nobody listens."""

    def is_new(self, run: int) -> bool:  # noqa: ARG002 - nothing is recorded
        """Whole runs will do, unless something was recorded elsewhere."""
        return self._past is None

    def take(self, outcome: RunOutcome, activity: Activity) -> None:
        """Forget it."""

    def close(self) -> None:
        """Hold nothing."""


class NoEngine:
    """Computes nothing."""

    n_steps = n_busy = 0
    note = ""

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Compute nothing: there may be nothing to compute."""
        assert not lists
        return []

    def start(self, starts: Iterable[Start]) -> None:
        """Start nothing."""

    def resume(self, start: Start, past: Past) -> None:
        """Go on with nothing."""

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Hold nothing."""

    def pass_level(self, run: int, level: float) -> None:
        """Hold nothing."""

    def advance(self) -> list[Progress]:
        """Advance nothing."""
        return []

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Have nothing to report."""
        return [], []

    def close(self) -> None:
        """Hold nothing."""
