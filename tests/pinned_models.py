"""Three kinds of model whose arithmetic is + - * / and sqrt alone: the same bits on every machine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pytams


class Vectorised(pytams.Model):
    """dX = [x - x^3, -2 y] dt + sqrt(0.1) dW from (-1, 0), scored by x."""

    vectorized = True
    noise_shape = (2,)

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([-1.0, 0.0])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state[:, 0], state[:, 1]
        drift = np.stack([x - x * x * x, -2.0 * y], axis=1)
        return state + drift * dt + math.sqrt(0.1 * dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state[:, 0]


class OneByOne(Vectorised):
    """The same, one member at a time."""

    vectorized = False

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state
        return state + np.array([x - x * x * x, -2.0 * y]) * dt + math.sqrt(0.1 * dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state[0]


def compiled(sde: Any) -> Any:
    """The same as an SDE."""
    return sde(
        lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
        lambda x, t, p: (p.sigma, p.sigma),
        lambda x, t, p: x[0],
        initial=(-1.0, 0.0),
        sigma=math.sqrt(0.1),
    )
