"""Learning the committor from what became of the pilot's segments: for any model, with or without memory.

Every segment is followed until it ends, also one that is killed; so whether it has reached the event is an unbiased
label of each of its points. Logistic regression on softsign features of the state and of the time to go needs no
more: the model may depend on t, and features may leave out a part of its state.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pytams.core.errors import CannotLearnError
from pytams.models.learned.committor import Committor, importance_of, random_features, slopes, softsigns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams.models.learned.transitions import Transitions

    Array = NDArray[np.float64]

_MOST = 20_000
_FEWEST = 100
_RIDGE = 3e-3
_STEPS = 30
"""Of Newton's method, at most."""
_CONVERGED = 1e-6


def learned_by_odds(
    transitions: Transitions, end_time: float, probability: float, rng: np.random.Generator
) -> Committor:
    """Learn the log-odds of u.

    Parameters
    ----------
    transitions
        Of the pilot, whole or not: at least a hundred, of which some reached the event at last, and some did not.
    end_time
        T.
    probability
        The pilot's estimate p: a tenth of it is where u is cut off.
    rng
        Chooses transitions and features.

    Raises
    ------
    CannotLearnError
        If there are too few.
    """
    chosen = transitions.chosen(_MOST, rng)
    outcomes = chosen.outcomes.astype(np.float64)
    if len(outcomes) < _FEWEST or not 0.0 < outcomes.mean() < 1.0:
        n, n_hits = len(transitions.outcomes), int(transitions.outcomes.sum())
        raise CannotLearnError(
            f"of {n} states of the pilot, {n_hits} went on to the event: too few, or too many, to learn from"
        )
    x = np.column_stack([chosen.starts, end_time - chosen.times])
    center, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    x = (x - center) / scale
    weights, biases = random_features(x, rng)
    coefficients = _regressed(softsigns(x, weights, biases), outcomes)
    importance = importance_of(slopes(x, weights, biases, coefficients)[:-1, :-1])
    both = np.array([coefficients, coefficients])  # one slice: time is a feature
    floor = math.log(probability / 10.0)
    return Committor(center, scale, weights, biases, both, end_time, floor, importance, is_odds=True)


def _regressed(phi: Array, outcomes: Array) -> Array:
    """Regress, by Newton's method on the mean log-likelihood with a ridge."""
    n, m = phi.shape
    ridge = np.full(m, _RIDGE)
    ridge[-1] = 0.0  # the constant
    found = np.zeros(m)
    for _ in range(_STEPS):
        u = 1.0 / (1.0 + np.exp(-np.clip(phi @ found, -30.0, 30.0)))
        gradient = phi.T @ (u - outcomes) / n + ridge * found
        curvature = (phi.T * (u * (1.0 - u) + 1e-12)) @ phi / n
        step = cho_solve(cho_factor(curvature + np.diag(ridge + 1e-12)), gradient)
        largest = float(np.abs(phi @ step).max())
        found = found - step * min(1.0, 5.0 / max(largest, 1e-300))  # log-odds do not jump
        if largest < _CONVERGED:
            break
    return found
