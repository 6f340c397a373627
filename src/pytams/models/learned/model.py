"""Models with a learned score in the place of their own."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.models.described import described
from pytams.models.fingerprint import source_files
from pytams.models.plain.functions import Functions
from pytams.models.plain.model import Model
from pytams.models.sde.model import SDE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.models.learned.score import LearnedScore

_MOST_NUMBERS = 64
"""A state of so many numbers is its own features."""


def improved(model: Steppable, score: LearnedScore) -> Steppable:
    """Give a model a learned score; its event stays what it is.

    Raises
    ------
    SettingsError
        If that is not possible for a model of its kind.
    """
    if isinstance(model, SDE) and model.compiled and not hasattr(model, "features"):
        return _improved_sde(model, score)
    if not isinstance(model, Functions):
        raise SettingsError(
            "model", f"{model.name} is neither a pytams.Model nor a pytams.SDE: it cannot be improved"
        )
    return Improved(model, score)


def features_of(model: Any, state: Any, t: Any) -> NDArray[np.float64]:
    """Find what a learned score looks at: ``features(state, t)``, or the state itself if it is small.

    Parameters
    ----------
    state
        Of several members, with a leading axis.
    t
        Of shape (members,).

    Returns
    -------
    ndarray
        Of shape (members, features).
    """
    told = getattr(model, "features", None)
    if told is None:
        found = _flat(state)
    elif model.vectorized:
        found = np.asarray(told(state, t), dtype=np.float64)
    else:
        rows = [np.ravel(told(_member(state, i), float(t[i]))) for i in range(len(t))]
        found = np.array(rows, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] != len(t):
        raise SettingsError("features", f"{model.name}.features must give an array (members, k), not {found.shape}")
    if told is None and found.shape[1] > _MOST_NUMBERS:
        raise SettingsError(
            "features",
            f"a state of {model.name} has {found.shape[1]} numbers: define features(state, t), the few dozen of "
            "numbers that the score may depend on",
        )
    return found


def _flat(state: Any) -> NDArray[np.float64]:
    """Put arrays, of a dict by name, side by side."""
    parts = [state[name] for name in sorted(state)] if isinstance(state, dict) else [state]
    return np.hstack([np.reshape(np.asarray(part, dtype=np.float64), (len(part), -1)) for part in parts])


def _member(state: Any, i: int) -> Any:
    return {name: part[i] for name, part in state.items()} if isinstance(state, dict) else state[i]


def stacked(states: Any) -> Any:
    """Put states of single members together, with a leading axis."""
    if isinstance(states[0], dict):
        return {name: np.stack([state[name] for state in states]) for name in states[0]}
    return np.stack([np.asarray(state) for state in states])


def _improved_sde(model: SDE, score: LearnedScore) -> SDE:
    better: Any = copy.copy(model)
    equation = model.equation
    her_score = equation.functions["score"]
    assert her_score is not None
    learned = score.compiled(her_score, is_scalar=equation.noise_shape == ())
    better.equation = replace(equation, functions={**equation.functions, "score": learned})
    better._made_with = model._made_with | {"score": described(score)}  # noqa: SLF001 - of the same family
    better.taught_by = score.taught_by
    return better  # type: ignore[no-any-return] # a copy of the model


class Improved(Model):
    """A model whose score was learned. Where the event has happened is asked of the model itself."""

    def __init__(self, model: Functions, learned: LearnedScore) -> None:
        self.model, self.learned, self.taught_by = model, learned, learned.taught_by
        self.autonomous = getattr(model, "autonomous", False)
        self.vectorized, self.noise_shape = model.vectorized, model.noise_shape

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return self.model.name

    @property
    def made_of(self) -> dict[str, str]:
        """What the model is made of, and the score."""
        return self.model.made_of | {"score": described(self.learned)}

    @property
    def made_of_files(self) -> list[Path]:
        """The model's source files."""
        return source_files(self.model)

    def validate(self) -> None:
        """Make sure that the model can be used."""
        self.model.validate()

    @property
    def may_stop(self) -> bool:
        """Whether the model has a stop condition."""
        return self.model.may_stop

    def initial_state(self, rng: np.random.Generator) -> Any:
        """Make the state of one member at t = 0."""
        return self.model.initial_state(rng)

    def step(self, state: Any, noise: NDArray[Any], t: Any, dt: float) -> Any:
        """Advance the state."""
        return self.model.step(state, noise, t, dt)

    def score(self, state: Any, t: Any) -> Any:
        """Score by what was learned."""
        if self.vectorized:
            return self.learned(features_of(self.model, state, t), t)
        return float(self.learned(features_of(self.model, stacked([state]), np.array([t])), t)[0])

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether the trajectory ends here."""
        return self.model.stopped(state, t)

    def reached(self, state: Any, t: Any) -> Any:
        """Whether the event has happened."""
        if self.model.says_reached:
            return self.model.reached(state, t)
        return np.asarray(self.model.score(state, t)) >= self.learned.target_score

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        """Draw the noise of n steps."""
        return self.model.draw_noise(rng, n)
