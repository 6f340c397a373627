"""An estimate of the committor u: the log of it, or its log-odds, as a sum of softsign features of the state.

A softsign h / (1 + |h|) takes + - * / and abs only, which every library computes to the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

N_SOFTSIGNS = 200


class Committor(NamedTuple):
    """u as a function of features of the state, for each slice of time to go."""

    center: Array
    scale: Array
    """Features are standardised by these."""
    weights: Array
    """(features, softsigns)."""
    biases: Array
    """(softsigns,)."""
    coefficients: Array
    """(slices + 1, softsigns + 1): the constant last. Slice j is for j intervals to go."""
    interval: float
    """D."""
    floor: float
    """log u is not trusted below this."""
    importance: Array
    """(features,): how much log u depends on each, by its mean squared slope; they sum to 1."""
    is_odds: bool
    """Whether the sum is the log-odds of u, and the time to go is the last of the features; else it is log u."""


def random_features(x: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw directions and places of softsigns, with widths from a third of the data's to three times.

    A feature that does not vary is not looked at: nothing is known of what it does.
    """
    directions = rng.standard_normal((x.shape[1], N_SOFTSIGNS))
    directions /= np.linalg.norm(directions, axis=0)
    directions[np.ptp(x, axis=0) == 0.0] = 0.0
    steepness = np.exp(rng.uniform(math.log(1.0 / 3.0), math.log(3.0), N_SOFTSIGNS))
    return directions * steepness, rng.uniform(-2.5, 2.5, N_SOFTSIGNS) * steepness


def softsigns(x: Array, weights: Array, biases: Array) -> Array:
    """Compute all softsigns, and a constant 1 last: (members, softsigns + 1)."""
    h = x @ weights + biases
    return np.hstack([h / (1.0 + np.abs(h)), np.ones((len(x), 1))])


def slopes(x: Array, weights: Array, biases: Array, coefficients: Array) -> Array:
    """Average the outer product of the gradients of a sum of softsigns, of several: (features, features)."""
    slope = 1.0 / (1.0 + np.abs(x @ weights + biases)) ** 2
    rows = np.atleast_2d(coefficients)[:, :-1]
    together: Array = (slope.T @ slope / len(x)) * (rows.T @ rows)  # a gradient is (slope * row) @ weights.T
    return weights @ together @ weights.T


def importance_of(outer: Array) -> Array:
    """Say how much each feature matters, given the mean outer product of gradients."""
    of_each = np.maximum(np.diag(outer), 0.0)
    return np.asarray(of_each / max(float(of_each.sum()), 1e-300))
