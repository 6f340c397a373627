"""Models with a learned score in the place of their own."""

from __future__ import annotations

import copy
import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.models.described import described
from pytams.models.learned.features import features_of, stacked, told_features
from pytams.models.learned.identity import WithLearnedScore
from pytams.models.plain.functions import Functions
from pytams.models.plain.model import Model
from pytams.models.sde.model import SDE
from pytams.models.simulator.improved import ImprovedSimulator
from pytams.models.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.core.settings import Settings
    from pytams.models.learned.score import LearnedScore


_logger = logging.getLogger("pytams")


def improved(model: Steppable, score: LearnedScore, settings: Settings) -> Steppable:
    """Give a model a learned score, in the place of one that it may have; its event stays what it is.

    Raises
    ------
    SettingsError
        If that is not possible for a model of its kind, or it was learned for another target, or for less time.
    """
    hers = her_model(model)
    _check(score, hers, settings)
    score = score.for_end_time(settings.end_time)
    if isinstance(hers, SDE) and hers.compiled:
        return _improved_sde(hers, score)
    if isinstance(hers, Simulator):
        return ImprovedSimulator(hers, score)
    if not isinstance(hers, Functions):
        raise SettingsError("model", f"{hers.name} is neither a model, an SDE nor a simulator: it cannot be improved")
    return Improved(hers, score)


def _check(score: LearnedScore, hers: Any, settings: Settings) -> None:
    """Refuse what would be another event, and say where the score may not help."""
    if score.target_score != settings.target_score:
        text = f"it was learned for the target {score.target_score:g}, not {settings.target_score:g}"
        raise SettingsError("score", text)
    if score.end_time < settings.end_time * (1.0 - 1e-9):
        raise SettingsError("score", f"it was learned for times up to {score.end_time:g}, not {settings.end_time:g}")
    looks_at_more = score.names[:1] == ("features[0]",)
    if not isinstance(hers, Simulator) and looks_at_more != (told_features(hers, score.features) is not None):
        text = "by a function" if looks_at_more else "at the state itself"
        how = "LearnedScore.load(path, features) takes what learn_score was given"
        raise SettingsError("features", f"the score looks {text}, and {hers.name} does not: {how}")
    learned_from, used_for = (score.model, score.step_size), (told_apart(hers), settings.step_size)
    if learned_from != used_for:
        _logger.warning(
            "the score was learned from %s with dt = %g, and is used for %s with dt = %g: the estimate is right, and "
            "may have a larger error than it could",
            *learned_from,
            *used_for,
        )


def her_model(model: Steppable) -> Any:
    """Give the model with the user's own score."""
    return getattr(model, "hers", model)


def learned_score(model: Steppable) -> LearnedScore | None:
    """Give the score that a model was improved with; None if it was not."""
    found: LearnedScore | None = getattr(model, "learned", None)
    return found


def taught_by(model: Steppable) -> frozenset[tuple[int, int]]:
    """Say which runs taught a model's score, by seed and number: they must not estimate."""
    learned = learned_score(model)
    return frozenset() if learned is None else learned.taught_by


def told_apart(model: Steppable) -> str:
    """Tell a model from others: its name, and a hash of its code and what it was made with."""
    hers = her_model(model)
    told = {name: value for name, value in hers.made_of.items() if name != "compiled"}  # it is the same model
    told["its class"] = described(type(hers))
    text = "\n".join(f"{name}: {value}" for name, value in sorted(told.items()))
    return f"{hers.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _improved_sde(hers: SDE, score: LearnedScore) -> SDE:
    better: Any = copy.copy(hers)
    functions = dict(hers.equation.functions)
    her_score = functions["score"]
    assert her_score is not None
    look = told_features(hers, score.features) or (_itself if hers.noise_shape else _in_a_row)
    functions["score"] = score.compiled(her_score, look)
    better.equation = replace(hers.equation, functions=functions)
    better._made_with = hers._made_with | {"score": described(score)}  # noqa: SLF001 - of the same family
    better.hers, better.learned = hers, score
    return better  # type: ignore[no-any-return] # a copy of the model


def _itself(x: Any, t: Any, p: Any) -> Any:  # noqa: ARG001 - as all functions of an equation
    return x


def _in_a_row(x: Any, t: Any, p: Any) -> Any:  # noqa: ARG001 - likewise
    return (x,)


class Improved(WithLearnedScore, Model):
    """A model whose score was learned. Where the event has happened is asked of the model itself."""

    def __init__(self, hers: Functions, learned: LearnedScore) -> None:
        self.hers: Functions = hers
        self.learned = learned
        self.autonomous = hers.autonomous
        if hasattr(hers, "potential"):  # for pictures
            self.potential = hers.potential
        self.vectorized, self.noise_shape, self.start_shape = hers.vectorized, hers.noise_shape, hers.start_shape

    @property
    def may_stop(self) -> bool:
        """Whether the model has a stop condition."""
        return self.hers.may_stop

    def initial_state(self, rng: Any) -> Any:
        """Make the state of one member at t = 0."""
        return self.hers.initial_state(rng)

    def step(self, state: Any, noise: NDArray[Any], t: Any, dt: float) -> Any:
        """Advance the state."""
        return self.hers.step(state, noise, t, dt)

    def score(self, state: Any, t: Any) -> Any:
        """Score by what was learned, and by the model's own score from the level on."""
        if self.vectorized:
            return self._scores(state, t, self.hers.score)
        found = self._scores(stacked([state]), np.array([t]), lambda *_: np.array([self.hers.score(state, t)]))
        return float(found[0])

    def _scores(self, state: Any, t: Any, her_score: Callable[..., Any]) -> NDArray[np.float64]:
        learned = self.learned
        scores = learned(features_of(self.hers, state, t, learned.features), t)
        hers = np.asarray(her_score(state, t), dtype=np.float64)
        from_level = np.where(np.isnan(hers), hers, np.minimum(hers, learned.target_score))  # NaN is an error
        return np.where(hers < learned.level, scores, from_level)

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether the trajectory ends here."""
        return self.hers.stopped(state, t)

    def reached(self, state: Any, t: Any) -> Any:
        """Whether the event has happened."""
        if self.hers.says_reached:
            return self.hers.reached(state, t)
        return np.asarray(self.hers.score(state, t)) >= self.learned.target_score

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        """Draw the noise of n steps."""
        return self.hers.draw_noise(rng, n)
