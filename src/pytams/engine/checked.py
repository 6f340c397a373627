"""A model whose every answer is checked: what is wrong is said once, with slot, step and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytams import _state
from pytams._random import Streams, chunk_length
from pytams._state import State
from pytams.errors import ModelError
from pytams.model import Model

if TYPE_CHECKING:
    from pytams.trajectory import Problem, SegmentKey

Where = tuple["SegmentKey", int]
"""A segment and the step it is at."""


class CheckedModel:
    """Calls the model of a problem for one member or a batch, and checks what comes back.

    Every method takes, after the state, the places its members are at, as (keys, steps): for messages only.
    """

    def __init__(self, problem: Problem) -> None:
        self._model = problem.model
        self._name = problem.model.name
        self._dt = problem.step_size
        self._streams = Streams(problem.seed)
        self.noise_shape = problem.model.noise_shape
        self.chunk = chunk_length(self.noise_shape)
        self.may_stop = type(problem.model).stopped is not Model.stopped
        self._last_noise: tuple[SegmentKey | None, int, NDArray[Any]] = (None, 0, np.empty(0))

    def initial_state(self, key: SegmentKey) -> State:
        """Draw the initial state of a slot."""
        rng = self._streams.initial_state(key.run, key.slot)
        try:
            return _state.as_state(self._model.initial_state(rng))
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
                f"noise_shape = {self.noise_shape} asks for {(self.chunk, *self.noise_shape)}"
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
            raise ModelError(
                f"{self._name}.score returned shape {np.shape(score)} at {self._at((key, step))}; "
                "it must return one number"
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
                f"it must return one number a member, shape {steps.shape}"
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
                f"it must return one truth value a member, shape {steps.shape}"
            )
        return np.broadcast_to(stopped, steps.shape)

    # --- messages -----------------------------------------------------------------------------------------------

    def _checked_step(self, old: State, new: Any, where: Callable[[int], Where]) -> State:
        if not _state.same_layout(old, new):
            with suppress(TypeError, ValueError):  # plain Python numbers and lists will do
                new = _state.as_state(new)
        if not _state.same_layout(old, new):
            raise ModelError(
                f"{self._name}.step returned {_state.describe(new)} at {self._at(where(0))}, "
                f"but was given {_state.describe(old)}: it must keep the shapes and dtypes of the state "
                "(does initial_state return integers where it should return floats?)"
            )
        state: State = new
        return state

    def not_finite(self, score: float, where: Where) -> ModelError:
        """Say where a score is no number."""
        return ModelError(
            f"{self._name}.score returned {score} at {self._at(where)}; scores must be finite numbers "
            "(did the model blow up, or is step_size too large?)"
        )

    def _raised(self, method: str, error: Exception, where: Where | None = None, n_members: int = 1) -> ModelError:
        place = "" if where is None else f" at {self._at(where)}"
        if n_members > 1:
            place = f" for a batch of {n_members} members, the first{place}"
        return ModelError(f"{self._name}.{method} raised {type(error).__name__}{place}: {error}")

    def _at(self, where: Where) -> str:
        key, step = where
        return f"run {key.run}, slot {key.slot}, step {step} (t = {step * self._dt:g})"


def places(keys: Sequence[SegmentKey], steps: NDArray[np.int64]) -> Callable[[int], Where]:
    """Tell where member i of a batch is."""
    return lambda i: (keys[i], int(steps[i]))
