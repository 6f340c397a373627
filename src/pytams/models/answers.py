"""What a model answers, checked: what is wrong is said once, with method, run, slot, step and time."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytams.core.errors import ModelError, Place
from pytams.core.segments import SegmentKey
from pytams.core.states import State, as_state, describe_state, same_layout

Where: TypeAlias = tuple[SegmentKey, int]
"""A segment and the step it is at."""
Asked: TypeAlias = Where | Callable[[int], Where]
"""Where the member is that a model was asked about; of a batch, what tells it of each."""

RAISED = (Exception, SystemExit)
"""What user code may raise: `sys.exit` is no way to leave a model."""


def counted(score: float, target: float, *, is_reached: bool) -> float:
    """Score of a model that says itself whether the event has happened: on the right side of the target."""
    return max(score, target) if is_reached else min(score, math.nextafter(target, -math.inf))


_REAL, _TRUTH, _NOISE = "iuf", "biu", "biufc"
"""Kinds of NumPy's that are real numbers, truth values, noise."""
_A_SCORE, _A_TRUTH = "a score must be a real number", "it must return True or False"


class Answers:
    """Checks what the methods of a model return.

    Parameters
    ----------
    name
        Of the model.
    step_size
        dt: messages have the time.
    spin_up
        Steps before t = 0.
    """

    def __init__(self, name: str, step_size: float, spin_up: int = 0) -> None:
        self._name, self._dt, self._spin_up = name, step_size, spin_up

    # --- states and noise ---------------------------------------------------------------------------------------

    def initial_state(self, found: Any, where: Where) -> State:
        """Make a state of what `initial_state` returned."""
        try:
            return as_state(found)
        except Exception as error:
            raise self.wrong("initial_state", _described(found), str(error), where) from error

    def next_state(self, old: State, found: Any, where: Asked, n_members: int = 1) -> State:
        """Make a state of what `step` returned: laid out like the one before."""
        new = found
        if not same_layout(old, new):
            with suppress(Exception):  # plain Python numbers and lists will do
                new = as_state(new)
        if not same_layout(old, new):
            raise self.wrong(
                "step",
                describe_state(new),
                f"it was given {describe_state(old)} and must keep the shapes and dtypes of the state "
                "(does initial_state return integers where it should return floats?)",
                where,
                n_members,
            )
        state: State = new
        return state

    def noise(self, found: Any, shape: tuple[int, ...], noise_shape: tuple[int, ...], where: Where) -> NDArray[Any]:
        """Make an array of what `draw_noise` returned."""
        noise = self._array("draw_noise", found, _NOISE, "noise is an array of numbers", where)
        if noise.shape != shape:
            what = f"shape {noise.shape} for n = {shape[0]}"
            raise self.wrong("draw_noise", what, f"noise_shape = {noise_shape} asks for {shape}", where)
        return noise

    # --- numbers ------------------------------------------------------------------------------------------------

    def score(self, found: Any, where: Where) -> float:
        """Make a number of what `score` returned for one member."""
        if isinstance(found, float):
            value = float(found)
        else:
            score = self._array("score", found, _REAL, _A_SCORE, where)
            if score.shape != ():
                raise self.wrong("score", f"shape {score.shape}", "it must return one number", where)
            value = float(score)
        if not math.isfinite(value):
            raise self.not_finite(value, where)
        return value

    def scores(self, found: Any, n_members: int, where: Callable[[int], Where]) -> NDArray[np.float64]:
        """Make an array of what `score` returned for a batch."""
        scores = self._array("score", found, _REAL, _A_SCORE, where, n_members)
        if scores.shape != (n_members,):
            wanted = f"it must return one number a member, shape ({n_members},)"
            raise self.wrong("score", f"shape {scores.shape}", wanted, where, n_members)
        finite = np.isfinite(scores)
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            raise self.not_finite(float(scores[bad]), where(bad))
        return scores.astype(np.float64, copy=False)

    def truth(self, method: str, found: Any, where: Where) -> bool:
        """Make a truth value of what `stopped` or `reached` returned for one member."""
        if isinstance(found, bool):
            return found
        truth = self._array(method, found, _TRUTH, _A_TRUTH, where)
        if truth.shape != ():
            raise self.wrong(method, f"shape {truth.shape}", "it must return one truth value", where)
        return bool(truth)

    def truths(
        self, method: str, found: Any, n_members: int, where: Callable[[int], Where]
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Make an array of what `stopped` or `reached` returned for a batch; one truth value will do for all."""
        truths = self._array(method, found, _TRUTH, _A_TRUTH, where, n_members)
        if truths.shape not in ((n_members,), ()):
            wanted = f"it must return one truth value a member, shape ({n_members},)"
            raise self.wrong(method, f"shape {truths.shape}", wanted, where, n_members)
        return np.broadcast_to(truths.astype(np.bool_, copy=False), (n_members,))

    def _array(
        self, method: str, found: Any, kinds: str, wanted: str, where: Asked, n_members: int = 1
    ) -> NDArray[Any]:
        try:
            array = np.asarray(found)
        except Exception as error:
            raise self.wrong(method, _described(found), f"{wanted} ({error})", where, n_members) from error
        if array.dtype.kind not in kinds:
            raise self.wrong(method, _described(found), wanted, where, n_members)
        if isinstance(found, np.ma.MaskedArray) and np.ma.is_masked(found):
            raise self.wrong(method, "masked values", wanted, where, n_members)
        return array

    # --- messages -----------------------------------------------------------------------------------------------

    def wrong(self, method: str, what: str, wanted: str, where: Asked, n_members: int = 1) -> ModelError:
        """Say what a method returned, and what it must."""
        at = self.at(where, n_members)
        return ModelError(f"{self._name}.{method} returned {what}{at}; {wanted}", method, self._place(where))

    def raised(self, method: str, error: BaseException, where: Asked, n_members: int = 1) -> ModelError:
        """Say that a method raised."""
        at = self.at(where, n_members)
        text = f"{self._name}.{method} raised {type(error).__name__}{at}: {error}"
        return ModelError(text, method, self._place(where))

    def not_finite(self, score: float, where: Where) -> ModelError:
        """Say where a score is no number."""
        wanted = "scores must be finite numbers (did the model blow up, or is step_size too large?)"
        return self.wrong("score", str(score), wanted, where)

    def at(self, where: Asked, n_members: int = 1) -> str:
        """Say where that is."""
        at = f" at {self._place(where)}"
        return at if n_members == 1 else f" for a batch of {n_members} members, the first{at}"

    def _place(self, where: Asked) -> Place:
        key, step = where(0) if callable(where) else where
        return Place(*key, step, (step - self._spin_up) * self._dt)


def _described(found: Any) -> str:
    """Name an answer for messages: arrays by shape and dtype, what is small as it is."""
    if isinstance(found, np.ndarray | np.generic | dict):
        return describe_state(found)
    return reprlib.repr(found)
