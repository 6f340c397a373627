"""The 2-D double well: dX = [x - x^3, -2 y] dt + sqrt(epsilon) dW."""

from __future__ import annotations

from typing import Any

import numpy as np

import pytams


class DoubleWell2D(pytams.Model):
    """A particle in a potential with minima A = (-1, 0) and B = (1, 0), pushed over the saddle by noise.

    Parameters
    ----------
    epsilon
        Strength of the noise.
    """

    vectorized = True
    noise_shape = (2,)
    title, state_names = "Double well in two dimensions", ("x", "y")  # in pictures

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([-1.0, 0.0])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state[:, 0], state[:, 1]
        drift = np.stack([x - x * x * x, -2.0 * y], axis=1)
        return state + drift * dt + np.sqrt(self.epsilon * dt) * noise

    def potential(self, state: Any) -> Any:
        """Potential that the drift is minus the gradient of; only pictures ask for it."""
        x, y = state[:, 0], state[:, 1]
        return x**4 / 4 - x**2 / 2 + y**2

    def score(self, state: Any, t: Any) -> Any:
        x, y = state[:, 0], state[:, 1]
        to_a = (x + 1.0) ** 2 + y**2
        to_b = (x - 1.0) ** 2 + y**2
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)
