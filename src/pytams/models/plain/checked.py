"""A model whose every answer is checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytams.core.errors import ModelError
from pytams.core.states import State, describe_state, same_layout
from pytams.core.stored import as_arrays
from pytams.core.streams import Streams, chunk_length
from pytams.models.answers import RAISED, Answers, Asked, Where, counted
from pytams.models.plain.functions import Functions

if TYPE_CHECKING:
    from pytams.core.segments import Point, Problem, SegmentKey


class Scored(Protocol):
    """What is asked of one member where nothing is stepped. Its state is as `initial_state` made it."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def initial_state(self, rng: np.random.Generator) -> Any:
        """Make the state of one member at t = 0."""

    def score(self, state: Any, t: Any) -> Any:
        """Score a state."""

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether the trajectory ends here."""


class CheckedMember:
    """Calls a model for one member that is not stepped here, and checks what comes back.

    Every method takes, after the state, the place the member is at, as (key, step): for messages only.
    """

    def __init__(self, problem: Problem, model: Scored) -> None:
        self._scored = model
        self._name = model.name
        self._problem, self._dt = problem, problem.step_size
        self._streams = Streams(problem.seed)
        self._answers = Answers(model.name, problem.step_size, problem.spin_up)
        self._first_state: State | None = None
        self._asked: tuple[str, Asked, int] | None = None

    def where(self) -> str:
        """Say what the model was asked last, and where; another thread may wonder what takes so long."""
        if self._asked is None:
            return self._name
        method, where, n_members = self._asked
        with suppress(IndexError):  # a batch that has gone on meanwhile
            return f"{self._name}.{method}{self._answers.at(where, n_members)}"
        return f"{self._name}.{method}"

    def initial_state(self, key: SegmentKey) -> State:
        """Draw the initial state of a slot."""
        rng = self._streams.initial_state(key.run, key.slot)
        where = key, 0
        self._asked = "initial_state", where, 1
        try:
            found = self._scored.initial_state(rng)
        except RAISED as error:
            raise self._answers.raised("initial_state", error, where) from error
        state = self._answers.initial_state(found, where)
        self.check_layout(state, where)
        return state

    def state_at(self, point: Point) -> State:
        """Draw the initial state of a segment, or get the one that it is at."""
        if point.state is None:
            return self.initial_state(point.key)
        state = as_arrays(self._problem.get(point.key, point.state))
        self.check_layout(state, (point.key, point.step))
        return state

    def check_layout(self, state: State, where: Where) -> None:
        """Make sure that the state of a new member is laid out like the others'."""
        if self._first_state is None:
            self._first_state = state
        elif not same_layout(self._first_state, state):
            others = describe_state(self._first_state)
            wanted = f"others have {others}: all members must have the same shapes and dtypes"
            raise self._answers.wrong("initial_state", describe_state(state), wanted, where)

    def score(self, state: State, where: Where) -> float:
        """Score one member."""
        self._asked = "score", where, 1
        try:
            found = self._scored.score(state, where[1] * self._dt)
        except RAISED as error:
            raise self._answers.raised("score", error, where) from error
        return self._answers.score(found, where)

    def stopped(self, state: State, where: Where) -> bool:
        """Whether one member ends here."""
        return self._truth("stopped", state, where)

    def _truth(self, method: str, state: State, where: Where) -> bool:
        self._asked = method, where, 1
        try:
            found = getattr(self._scored, method)(state, where[1] * self._dt)
        except RAISED as error:
            raise self._answers.raised(method, error, where) from error
        return self._answers.truth(method, found, where)

    def not_finite(self, score: float, where: Where) -> ModelError:
        """Say where a score is no number."""
        return self._answers.not_finite(score, where)


class CheckedModel(CheckedMember):
    """Calls a model for one member or a batch, and checks what comes back.

    Methods for a batch take, after the state, what tells where member i is.
    """

    def __init__(self, problem: Problem, model: Functions) -> None:
        super().__init__(problem, model)
        self._model = model
        self.noise_shape = model.noise_shape
        self.chunk = chunk_length(self.noise_shape)
        self.may_stop = model.may_stop
        self._says_reached = model.says_reached
        self._target = problem.target_score
        self._last_noise: tuple[SegmentKey | None, int, NDArray[Any]] = (None, 0, np.empty(0))

    def noise(self, key: SegmentKey, chunk: int, step: int) -> NDArray[Any]:
        """Draw one chunk of a segment's noise, of shape ``(self.chunk, *noise_shape)``."""
        last_key, last_chunk, last = self._last_noise
        if (last_key, last_chunk) == (key, chunk):
            return last
        rng = self._streams.noise(*key, chunk)
        where = key, step
        self._asked = "draw_noise", where, 1
        try:
            found = self._model.draw_noise(rng, self.chunk)
        except RAISED as error:
            raise self._answers.raised("draw_noise", error, where) from error
        noise = self._answers.noise(found, (self.chunk, *self.noise_shape), self.noise_shape, where)
        if last_key is not None and noise.dtype != last.dtype:
            wanted = f"it was {last.dtype} before: noise must always have the same dtype"
            raise self._answers.wrong("draw_noise", str(noise.dtype), wanted, where)
        self._last_noise = (key, chunk, noise)
        return noise

    def step(self, state: State, noise: NDArray[Any], where: Where) -> State:
        """Advance one member by a step."""
        self._asked = "step", where, 1
        try:
            found = self._model.step(state, noise, where[1] * self._dt, self._dt)
        except RAISED as error:
            raise self._answers.raised("step", error, where) from error
        return self._answers.next_state(state, found, where)

    def score(self, state: State, where: Where) -> float:
        """Score one member: below the target if it has not reached what the model says is the event."""
        score = super().score(state, where)
        if not self._says_reached:
            return score
        return counted(score, self._target, is_reached=self._truth("reached", state, where))

    # --- a batch ------------------------------------------------------------------------------------------------

    def step_batch(
        self, batch: State, noise: NDArray[Any], steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> State:
        """Advance a batch from `steps`; ``where(i)`` tells where member i is."""
        self._asked = "step", where, len(steps)
        try:
            found = self._model.step(batch, noise, steps * self._dt, self._dt)
        except RAISED as error:
            raise self._answers.raised("step", error, where, len(steps)) from error
        return self._answers.next_state(batch, found, where, len(steps))

    def score_batch(
        self, batch: State, steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> NDArray[np.float64]:
        """Score a batch, likewise: an array of shape ``(members,)``."""
        self._asked = "score", where, len(steps)
        try:
            found = self._model.score(batch, steps * self._dt)
        except RAISED as error:
            raise self._answers.raised("score", error, where, len(steps)) from error
        scores = self._answers.scores(found, len(steps), where)
        if not self._says_reached:
            return scores
        reached = self._truths("reached", batch, steps, where)
        below = math.nextafter(self._target, -math.inf)
        return np.where(reached, np.maximum(scores, self._target), np.minimum(scores, below))

    def stopped_batch(
        self, batch: State, steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> NDArray[np.bool_]:
        """Which members of a batch end here: an array of shape ``(members,)``."""
        return self._truths("stopped", batch, steps, where)

    def _truths(
        self, method: str, batch: State, steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> NDArray[np.bool_]:
        self._asked = method, where, len(steps)
        try:
            found = getattr(self._model, method)(batch, steps * self._dt)
        except RAISED as error:
            raise self._answers.raised(method, error, where, len(steps)) from error
        return self._answers.truths(method, found, len(steps), where)
