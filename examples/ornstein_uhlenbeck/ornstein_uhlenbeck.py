"""Extremes of a stationary Ornstein-Uhlenbeck path: dx = -x dt + dW."""

from __future__ import annotations

from typing import Any

import numpy as np

import pytams


class OrnsteinUhlenbeck(pytams.Model):
    """A path that starts in its stationary distribution N(0, 1/2); its score is its value."""

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return rng.normal(0.0, np.sqrt(0.5))

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state - state * dt + np.sqrt(dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state
