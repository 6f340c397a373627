"""What is found out of a segment while it is advanced by a block: records, and what is traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytams.core.segments import Progress, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytams.core.segments import Point, Problem
    from pytams.core.states import State


class Block:
    """What is found out of one segment, from a point on.

    Parameters
    ----------
    problem
        Says what is wanted.
    point
        Where the segment is.
    """

    def __init__(self, problem: Problem, point: Point) -> None:
        self._problem, self._key = problem, point.key
        self.best, self.stored = point.best, point.stored
        """Largest score so far, and the step of the last record whose state is stored."""
        self._steps: list[int] = []
        self._scores: list[float] = []
        self._states: list[State | None] = []
        self._all_scores: list[float] = []
        self._features: list[NDArray[np.float64]] = []
        self._kept_steps: list[int] = []
        self._kept_states: list[State] = []

    def add(
        self,
        step: int,
        score: float,
        features: NDArray[np.float64] | None,
        get_state: Callable[[], State] | None,
    ) -> bool:
        """Take in the next step, and return whether nothing follows it.

        Parameters
        ----------
        step, score
            Where the segment is.
        features
            What a score may be learned from; None if there is nothing to store.
        get_state
            Called if the state there is wanted; None if it cannot be had any more.
        """
        is_record = score > self.best
        state = None
        is_stored = get_state is not None and is_record and self._problem.stores(step, self.stored)
        is_kept = get_state is not None and self._problem.traced and (is_stored or self._problem.keeps(step))
        if get_state is not None and (is_stored or is_kept):
            state = get_state()
        if is_record:
            self.best = score
            self._steps.append(step)
            self._scores.append(score)
            self._states.append(state if is_stored else None)
        if is_stored:
            self.stored = step
        if self._problem.traced:
            self._all_scores.append(score)
            if features is not None:
                self._features.append(features)
        if is_kept and state is not None:
            self._kept_steps.append(step)
            self._kept_states.append(state)
        return score >= self._problem.target_score or step >= self._problem.n_steps

    def progress(self, step: int, *, ended: bool) -> Progress:
        """Report it."""
        trace = None
        if self._problem.traced:
            features = np.array(self._features) if self._features else None
            trace = Trace(self._all_scores, self._kept_steps, self._kept_states, features)
        return Progress(self._key, self._steps, self._scores, step, ended, self._states, trace)
