"""A model whose every answer is checked: what is wrong is said once, with slot, step and time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytams.core.errors import ModelError, Place
from pytams.core.states import State, as_state, describe_state, same_layout
from pytams.core.streams import Streams, chunk_length
from pytams.models.plain.functions import Functions

if TYPE_CHECKING:
    from pytams.core.segments import Problem, SegmentKey

Where = tuple["SegmentKey", int]
"""A segment and the step it is at."""


class CheckedModel:
    """Calls a model for one member or a batch, and checks what comes back.

    Every method takes, after the state, the places its members are at, as (keys, steps): for messages only.
    """

    def __init__(self, problem: Problem, model: Functions) -> None:
        self._model = model
        self._name = model.name
        self._dt = problem.step_size
        self._streams = Streams(problem.seed)
        self.noise_shape = model.noise_shape
        self.chunk = chunk_length(self.noise_shape)
        self.may_stop = model.may_stop
        self._last_noise: tuple[SegmentKey | None, int, NDArray[Any]] = (None, 0, np.empty(0))

    def initial_state(self, key: SegmentKey) -> State:
        """Draw the initial state of a slot."""
        rng = self._streams.initial_state(key.run, key.slot)
        try:
            return as_state(self._model.initial_state(rng))
        except Exception as error:
            raise self._raised("initial_state", error, (key, 0)) from error

    def noise(self, key: SegmentKey, chunk: int) -> NDArray[Any]:
        """Draw one chunk of a segment's noise, of shape ``(self.chunk, *noise_shape)``."""
        if self._last_noise[:2] == (key, chunk):
            return self._last_noise[2]
        rng = self._streams.noise(*key, chunk)
        try:
            noise = np.asarray(self._model.draw_noise(rng, self.chunk))
        except Exception as error:
            raise self._raised("draw_noise", error) from error
        if noise.shape != (self.chunk, *self.noise_shape):
            raise ModelError(
                f"{self._name}.draw_noise returned shape {noise.shape} for n = {self.chunk}; "
                f"noise_shape = {self.noise_shape} asks for {(self.chunk, *self.noise_shape)}",
                "draw_noise",
            )
        self._last_noise = (key, chunk, noise)
        return noise

    # --- one member ---------------------------------------------------------------------------------------------

    def step(self, state: State, noise: NDArray[Any], key: SegmentKey, step: int) -> State:
        """Advance one member from `step` to the next."""
        try:
            new = self._model.step(state, noise, step * self._dt, self._dt)
        except Exception as error:
            raise self._raised("step", error, (key, step)) from error
        return self._checked_step(state, new, lambda _: (key, step))

    def score(self, state: State, key: SegmentKey, step: int) -> float:
        """Score one member."""
        try:
            score = self._model.score(state, step * self._dt)
        except Exception as error:
            raise self._raised("score", error, (key, step)) from error
        if np.ndim(score) != 0:
            place = self._place((key, step))
            raise ModelError(
                f"{self._name}.score returned shape {np.shape(score)} at {place}; it must return one number",
                "score",
                place,
            )
        value = float(score)
        if not np.isfinite(value):
            raise self.not_finite(value, (key, step))
        return value

    def stopped(self, state: State, key: SegmentKey, step: int) -> bool:
        """Whether one member ends here."""
        try:
            return bool(self._model.stopped(state, step * self._dt))
        except Exception as error:
            raise self._raised("stopped", error, (key, step)) from error

    # --- a batch ------------------------------------------------------------------------------------------------

    def step_batch(
        self, batch: State, noise: NDArray[Any], steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> State:
        """Advance a batch from `steps`; ``where(i)`` tells where member i is."""
        try:
            new = self._model.step(batch, noise, steps * self._dt, self._dt)
        except Exception as error:
            raise self._raised("step", error, where(0), len(steps)) from error
        return self._checked_step(batch, new, where)

    def score_batch(
        self, batch: State, steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> NDArray[np.float64]:
        """Score a batch: an array of shape ``(members,)``."""
        try:
            scores = np.asarray(self._model.score(batch, steps * self._dt), dtype=np.float64)
        except Exception as error:
            raise self._raised("score", error, where(0), len(steps)) from error
        if scores.shape != steps.shape:
            raise ModelError(
                f"{self._name}.score returned shape {scores.shape} for {len(steps)} members; "
                f"it must return one number a member, shape {steps.shape}",
                "score",
            )
        if not np.isfinite(scores).all():
            bad = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise self.not_finite(float(scores[bad]), where(bad))
        return scores

    def stopped_batch(
        self, batch: State, steps: NDArray[np.int64], where: Callable[[int], Where]
    ) -> NDArray[np.bool_]:
        """Which members of a batch end here: an array of shape ``(members,)``."""
        try:
            stopped = np.asarray(self._model.stopped(batch, steps * self._dt), dtype=np.bool_)
        except Exception as error:
            raise self._raised("stopped", error, where(0), len(steps)) from error
        if stopped.shape not in (steps.shape, ()):
            raise ModelError(
                f"{self._name}.stopped returned shape {stopped.shape} for {len(steps)} members; "
                f"it must return one truth value a member, shape {steps.shape}",
                "stopped",
            )
        return np.broadcast_to(stopped, steps.shape)

    # --- messages -----------------------------------------------------------------------------------------------

    def _checked_step(self, old: State, new: Any, where: Callable[[int], Where]) -> State:
        if not same_layout(old, new):
            with suppress(TypeError, ValueError):  # plain Python numbers and lists will do
                new = as_state(new)
        if not same_layout(old, new):
            place = self._place(where(0))
            raise ModelError(
                f"{self._name}.step returned {describe_state(new)} at {place}, "
                f"but was given {describe_state(old)}: it must keep the shapes and dtypes of the state "
                "(does initial_state return integers where it should return floats?)",
                "step",
                place,
            )
        state: State = new
        return state

    def not_finite(self, score: float, where: Where) -> ModelError:
        """Say where a score is no number."""
        place = self._place(where)
        return ModelError(
            f"{self._name}.score returned {score} at {place}; scores must be finite numbers "
            "(did the model blow up, or is step_size too large?)",
            "score",
            place,
        )

    def _raised(self, method: str, error: Exception, where: Where | None = None, n_members: int = 1) -> ModelError:
        place = None if where is None else self._place(where)
        at = "" if place is None else f" at {place}"
        if n_members > 1:
            at = f" for a batch of {n_members} members, the first{at}"
        return ModelError(f"{self._name}.{method} raised {type(error).__name__}{at}: {error}", method, place)

    def _place(self, where: Where) -> Place:
        key, step = where
        return Place(*key, step, step * self._dt)
