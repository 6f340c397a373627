"""What is on disk of a segment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.errors import StoreError
from pytams.trajectory import Point, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.store import Piece
    from pytams.trajectory import Start


@dataclass(frozen=True)
class Past:
    """A segment as far as it is on disk, put together from its pieces.

    Raises
    ------
    StoreError
        If the pieces are not of this segment, or do not follow each other.
    """

    start: Start
    pieces: Sequence[Piece]
    ended: bool

    def __post_init__(self) -> None:
        expected = self.first_step
        for piece in self.pieces:
            if piece.key != self.start.key or piece.first_step != expected:
                raise StoreError(
                    f"the ledger of run {self.start.key.run} says that slot {self.start.key.slot} goes on at step "
                    f"{expected}, but its file has slot {piece.key.slot}, step {piece.first_step}: was it edited?"
                )
            expected += len(piece.scores)

    @property
    def first_step(self) -> int:
        """Step of its first score."""
        return self.start.first_step

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Its score at every step."""
        return np.concatenate([piece.scores for piece in self.pieces])

    @property
    def step(self) -> int:
        """Its last step."""
        return self.first_step + len(self.scores) - 1

    @cached_property
    def _best_before(self) -> NDArray[np.float64]:
        before = -math.inf if self.start.parent is None else self.start.score
        return np.maximum.accumulate(np.concatenate([[before], self.scores]))

    @property
    def best(self) -> float:
        """Its largest score."""
        return float(self._best_before[-1])

    @cached_property
    def progress(self) -> Progress:
        """All of it, as an engine would tell it."""
        records = np.flatnonzero(self.scores > self._best_before[:-1])
        steps = (records + self.first_step).tolist()
        scores = self.scores[records].tolist()
        return Progress(self.start.key, steps, scores, self.step, self.ended, _StatesAt(self.pieces, steps))

    @property
    def point(self) -> Point | None:
        """Where to go on with it; None if it has ended."""
        if self.ended:
            return None
        return Point(self.start.key, self.start.step, self.step, self.best, self.pieces[-1].states[-1])

    def stored(self) -> Iterator[tuple[int, State]]:
        """Every stored state with its step, in order."""
        for piece in self.pieces:
            for i, step in enumerate(piece.steps.tolist()):
                yield step, piece.states[i]


class _StatesAt:
    """States of a segment at some of its steps, read when they are asked for."""

    def __init__(self, pieces: Sequence[Piece], steps: list[int]) -> None:
        self._pieces, self._steps = pieces, steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _StatesAt(self._pieces, self._steps[index])
        step = self._steps[index]
        piece = next(piece for piece in self._pieces if step < piece.first_step + len(piece.scores))
        return piece.states[int(np.searchsorted(piece.steps, step))]
