"""What is on disk of a segment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytams.core.errors import DamagedFileError
from pytams.core.segments import Past, Point, Progress, joined_features
from pytams.core.states import LazySequence
from pytams.storage.files import REPAIR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytams.core.segments import Start
    from pytams.core.states import State
    from pytams.storage.columns import Piece


@dataclass(frozen=True)
class History:
    """A segment as far as it is on disk, put together from its pieces.

    Raises
    ------
    StoreError
        If the pieces are not of this segment, or do not follow each other.
    """

    start: Start
    pieces: Sequence[Piece]

    def __post_init__(self) -> None:
        expected = self.first_step
        for piece in self.pieces:
            if piece.key != self.start.key or piece.first_step != expected:
                raise DamagedFileError(
                    f"the ledger of run {self.start.key.run} says that slot {self.start.key.slot} goes on at step "
                    f"{expected}, but its file has slot {piece.key.slot}, step {piece.first_step}: was it edited? "
                    f"{REPAIR}"
                )
            if piece.ended and piece is not self.pieces[-1]:
                raise DamagedFileError(
                    f"run {self.start.key.run}, slot {self.start.key.slot} has ended in one file, and goes on in "
                    f"another: was its ledger edited? {REPAIR}"
                )
            expected += len(piece.scores)

    @property
    def ended(self) -> bool:
        """Whether it goes no further: its last piece says so."""
        return self.pieces[-1].ended

    @property
    def first_step(self) -> int:
        """Step of its first score."""
        return self.start.first_step

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Its score at every step."""
        return np.concatenate([piece.scores for piece in self.pieces])

    @property
    def features(self) -> NDArray[np.float64] | None:
        """What a score may be learned from, at every step; None if the model gave none."""
        return joined_features([piece.features for piece in self.pieces])

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

    @property
    def progress(self) -> Progress:
        """All of it, as an engine would report it."""
        records = np.flatnonzero(self.scores > self._best_before[:-1])
        steps: list[int] = (records + self.first_step).tolist()
        scores: list[float] = self.scores[records].tolist()
        return Progress(self.start.key, steps, scores, self.step, self.ended, LazySequence(self.stored_at, steps))

    @property
    def past_without_point(self) -> Past:
        """What there is, for who does not go on with it: this reads no state."""
        return Past(self.progress, None)

    @property
    def past(self) -> Past:
        """What there is to go on with: this reads the last state of a segment that has not ended."""
        if self.ended:
            return Past(self.progress, None)
        last = self.pieces[-1]
        if not len(last.steps) or last.steps[-1] != self.step:
            raise DamagedFileError(
                f"run {self.start.key.run}, slot {self.start.key.slot} was going on at step {self.step}, but its "
                f"file has no state there: {REPAIR}"
            )
        state = last.states[-1]
        progress = self.progress
        here = {step for piece in self.pieces for step in piece.steps.tolist()}
        stored = max(here.intersection(progress.steps), default=-1)
        return Past(progress, Point(self.start.key, self.start.step, self.step, self.best, state, stored))

    def state_at(self, step: int) -> State:
        """Read the state at a step; StoreError if it is not there."""
        state = self.stored_at(step)
        if state is None:
            key = self.start.key
            raise DamagedFileError(
                f"run {key.run}, slot {key.slot} has no state of step {step} in its file: {REPAIR}"
            )
        return state

    def stored_at(self, step: int) -> State | None:
        """Read the state at a step; None if it is not stored."""
        for piece in self.pieces:
            i = int(np.searchsorted(piece.steps, step))
            if i < len(piece.steps) and piece.steps[i] == step:
                return piece.states[i]
        return None

    def stored(self) -> Iterator[tuple[int, State]]:
        """Every stored state with its step, in order."""
        for piece in self.pieces:
            for i, step in enumerate(piece.steps.tolist()):
                yield step, piece.states[i]
