"""Lorenz 96, deterministic and chaotic: a branch is its parent, perturbed by as good as nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

import pytams


@njit
def tendency(x: Any, forcing: float) -> Any:
    """Give dx_k/dt = (x_(k+1) - x_(k-2)) x_(k-1) - x_k + forcing, on a ring."""
    change = np.empty_like(x)
    n = len(x)
    for k in range(n):
        change[k] = (x[(k + 1) % n] - x[k - 2]) * x[k - 1] - x[k] + forcing
    return change


@njit
def advance(x: Any, forcing: float, dt: float) -> Any:
    """Make a step of the classical Runge-Kutta method."""
    a = tendency(x, forcing)
    b = tendency(x + 0.5 * dt * a, forcing)
    c = tendency(x + 0.5 * dt * b, forcing)
    d = tendency(x + dt * c, forcing)
    return x + dt / 6.0 * (a + 2.0 * b + 2.0 * c + d)


class Lorenz96(pytams.Simulator):
    """The weather on a circle of latitude, from a random state on the attractor.

    The score is its energy, averaged over the last while: d(score)/dt = (energy - score) / memory.

    Parameters
    ----------
    sites
        How many.
    forcing
        8 is chaotic.
    memory
        Over which the energy is averaged. It must be longer than what it takes branches to part.
    size
        Standard deviation of what is added to each site where a branch starts; it grows by a factor of 10 in a time
        of about 1.4.
    settling
        Time from a random state to the attractor.
    """

    when = "branch"
    title, units = "Lorenz 96", {"score": "energy"}

    def __init__(
        self, sites: int = 40, forcing: float = 8.0, memory: float = 4.0, size: float = 0.1, settling: float = 40.0
    ) -> None:
        self.sites, self.forcing, self.memory, self.size, self.settling = sites, forcing, memory, size, settling

    def start(self, rng: np.random.Generator) -> None:
        self.x, self.average = self.forcing + rng.standard_normal(self.sites), 0.0
        for _ in range(round(self.settling / 0.05)):
            self.step(None, 0.0, 0.05)

    def perturb(self, rng: np.random.Generator) -> None:
        self.x = self.x + self.size * rng.standard_normal(self.sites)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        self.x = advance(self.x, self.forcing, dt)
        self.average += dt / self.memory * (0.5 * float(np.mean(self.x * self.x)) - self.average)

    def score(self) -> float:
        return self.average

    def save(self) -> Any:
        return {"x": self.x, "average": np.array(self.average)}

    def load(self, state: Any) -> None:
        self.x, self.average = state["x"], float(state["average"])
