"""A bundle of fibres under load: those that break leave theirs to the others, until all break."""

from __future__ import annotations

from typing import Any

import numpy as np

import pytams


class FibreBundle(pytams.Model):
    """Fibres break at the rate (load of each)^exponent, and share the load equally (Coleman 1958).

    The state says which have broken. A bundle of many, of which a share y is intact, lasts for y^exponent / exponent
    more; the score compares that with the time left.

    Parameters
    ----------
    fibres
        How many.
    exponent
        Of the load.
    deadline
        When the bundle may fail: the end time of the study.
    """

    vectorized = True
    title = "Bundle of fibres"

    def __init__(self, fibres: int = 50, exponent: float = 5.0, deadline: float = 0.07) -> None:
        self.fibres, self.exponent, self.deadline = fibres, exponent, deadline
        self.noise_shape = (fibres,)

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return rng.random((n, self.fibres))

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.zeros(self.fibres, dtype=bool)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        intact = np.maximum(self.fibres - state.sum(axis=1), 1)
        breaks = -np.expm1(-dt * (self.fibres / intact) ** self.exponent)
        return state | (noise < breaks[:, None])

    def score(self, state: Any, t: Any) -> Any:
        lasts = (1.0 - state.mean(axis=1)) ** self.exponent / self.exponent
        left = 1.01 * self.deadline - t  # of the deadline itself, too, some is left: a bundle may fail there
        return left / (left + lasts)
