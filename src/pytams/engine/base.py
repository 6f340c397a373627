"""What every engine and every stepper answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.trajectory import Point, Progress, SegmentKey, Start

BLOCK_LENGTH = 64
"""Steps in a block where Python makes each of them."""
BLOCK_SECONDS = 0.5
"""A block ends after this time at the latest, so that an expensive model is seen to move."""


class Stepper(Protocol):
    """Advances the points it holds, block by block."""

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance by at most `block_length` steps (None: as many as suit); an ended segment leaves."""

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report all that has not been, and tell where every segment is now."""

    def close(self) -> None:
        """Let go of every resource."""


class Engine(Protocol):
    """Advances segments and keeps the states that later branches may start from."""

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""

    def pass_level(self, run: int, level: float) -> None:
        """Take note that all further branches of a run start above this level."""

    def advance(self) -> list[Progress]:
        """Wait until something can be told, and return it. Reports of one segment come in order."""

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Return what can be told now, and the points from which segments could be resumed after it."""

    def resume(self, start: Start, past: Progress, point: Point | None) -> None:
        """Take in a segment whose past is known, and go on with it from a point, if it has not ended."""

    def close(self) -> None:
        """Let go of every resource."""
