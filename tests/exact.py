"""Exact probabilities: P(the Euler-Maruyama chain itself reaches the target within T), and the models they are of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

import pytams
from pytams import SDE

DOUBLE_WELL_2D = {2: 5.517e-6, 4: 5.520e-4, 6: 2.395e-3, 8: 4.903e-3, 10: 7.596e-3}
DOUBLE_WELL_2D_COUPLED = {2: 3.759e-6, 4: 4.455e-4, 8: 4.537e-3, 10: 7.201e-3}
"""The same chain, looked at every 10 steps of 0.01."""
DOUBLE_WELL_1D = {2: 2.716e-10, 4: 9.970e-7, 6: 9.852e-6, 8: 2.628e-5, 10: 4.525e-5}
ORNSTEIN_UHLENBECK = {2: 3.801e-1, 3: 4.939e-2, 4: 1.948e-3, 5: 2.582e-5, 6: 1.204e-7}


def walk_probability(target: int, n_steps: int, up: float = 0.3) -> float:
    """P(the reflected walk from 0 reaches the target within n_steps), by its transition matrix."""
    matrix = np.zeros((target + 1, target + 1))
    for x in range(target):
        matrix[x, x + 1] += up
        matrix[x, max(0, x - 1)] += 1 - up
    matrix[target, target] = 1
    return float(np.linalg.matrix_power(matrix, n_steps)[0, target])


class DoubleWell2D(pytams.Model):
    """dX = [x - x^3, -2 y] dt + sqrt(eps) dW from (-1, 0)."""

    vectorized = True
    noise_shape = (2,)

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([-1.0, 0.0])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state[:, 0], state[:, 1]
        drift = np.stack([x - x * x * x, -2.0 * y], axis=1)
        return state + drift * dt + np.sqrt(self.epsilon * dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        x, y = state[:, 0], state[:, 1]
        to_a, to_b = (x + 1.0) * (x + 1.0) + y * y, (x - 1.0) * (x - 1.0) + y * y
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)


class DoubleWell2DSingle(DoubleWell2D):
    """The same, written for one member."""

    vectorized = False

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x, y = state
        drift = np.array([x - x * x * x, -2.0 * y])
        return state + drift * dt + np.sqrt(self.epsilon * dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        x, y = state
        to_a, to_b = (x + 1.0) * (x + 1.0) + y * y, (x - 1.0) * (x - 1.0) + y * y
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)


class DoubleWell1D(pytams.Model):
    """dx = (x - x^3) dt + sqrt(2 eps) dW from -1."""

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return -1.0

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state + (state - state * state * state) * dt + math.sqrt(2 * 0.025 * dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return 1.0 - np.abs(state - 1.0) / 2.0


class OrnsteinUhlenbeck(pytams.Model):
    """dx = -x dt + dW from its stationary distribution; the score is in standard deviations."""

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return rng.normal(0.0, math.sqrt(0.5))

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state - state * dt + math.sqrt(dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state / math.sqrt(0.5)


def double_well_2d(**options: Any) -> SDE:
    """`DoubleWell2D` as an SDE."""

    def drift(x: Any, t: Any, p: Any) -> Any:
        return x[0] - x[0] * x[0] * x[0], -2.0 * x[1]

    def diffusion(x: Any, t: Any, p: Any) -> Any:
        return p.sigma, p.sigma

    def score(x: Any, t: Any, p: Any) -> Any:
        to_a = (x[0] + 1.0) * (x[0] + 1.0) + x[1] * x[1]
        to_b = (x[0] - 1.0) * (x[0] - 1.0) + x[1] * x[1]
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)

    return SDE(drift, diffusion, score, initial=(-1.0, 0.0), sigma=math.sqrt(0.1), **options)


def double_well_1d(**options: Any) -> SDE:
    """`DoubleWell1D` as an SDE."""
    return SDE(
        lambda x, t, p: x - x * x * x,
        lambda x, t, p: p.sigma,
        lambda x, t, p: 1.0 - abs(x - 1.0) / 2.0,
        initial=-1.0,
        sigma=math.sqrt(2 * 0.025),
        **options,
    )


def ornstein_uhlenbeck(**options: Any) -> SDE:
    """`OrnsteinUhlenbeck` as an SDE."""
    return SDE(
        lambda x, t, p: -x,
        lambda x, t, p: 1.0,
        lambda x, t, p: x / p.deviation,
        initial=lambda rng: rng.normal(0.0, math.sqrt(0.5)),
        deviation=math.sqrt(0.5),
        **options,
    )


SPIN_UP = 3.0
"""Time that `ornstein_uhlenbeck_spun_up` spends before the event can happen, to be added to the end time."""


def ornstein_uhlenbeck_spun_up(cut: float, step_size: float = 0.01) -> SDE:
    """`OrnsteinUhlenbeck` whose start the splitting can work on.

    The start N(0, 1/2) is where an exact Ornstein-Uhlenbeck transition, which keeps that law, has arrived after a
    spin-up; so the probability is the same. It matters at 6 standard deviations: 6 % of the probability comes from
    starts so high that one run in thousands draws one, since a branch cannot draw its start anew. The mean of
    fewer runs is then likely to be 6 % low, though unbiased. In the spin-up the score is what x is expected to be at
    its end, and cut off below the target.
    """
    shrink = (math.exp(-step_size) - 1.0) / step_size
    spread = math.sqrt(-math.expm1(-2.0 * step_size) / (2.0 * step_size))

    def is_spinning_up(t: Any) -> Any:
        return t < SPIN_UP - step_size / 2

    compiled_is_spinning_up = njit(is_spinning_up)

    def drift(x: Any, t: Any, p: Any) -> Any:
        return (-1.0 + compiled_is_spinning_up(t) * (shrink + 1.0)) * x

    def diffusion(x: Any, t: Any, p: Any) -> Any:
        return 1.0 + compiled_is_spinning_up(t) * (spread - 1.0)

    def score(x: Any, t: Any, p: Any) -> Any:
        deviations = x / math.sqrt(0.5)
        if compiled_is_spinning_up(t):
            return min(deviations * math.exp(t - SPIN_UP), cut)
        return deviations

    return SDE(drift, diffusion, score, initial=lambda rng: rng.normal(0.0, math.sqrt(0.5)))


class Walk(pytams.Model):
    """Reflected random walk on the integers: up with probability 0.3; every level is tied."""

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return 0

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return rng.random(n)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return np.maximum(0, state + np.where(noise < 0.3, 1, -1))

    def score(self, state: Any, t: Any) -> Any:
        return state


class WalkSingle(Walk):
    """The same, one by one."""

    vectorized = False


class Climb(pytams.Model):
    """From Exp(1), jumps up by Exp(1) with probability 1/2, or stops: P(max > z) = exp(-z / 2).

    Scores do not tie, and a branch takes two steps: a cheap way far down.
    """

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([rng.exponential(), 1.0])

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return np.where(rng.random(n) < 0.5, rng.exponential(size=n), 0.0)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return np.stack([state[:, 0] + noise, noise], axis=1)

    def score(self, state: Any, t: Any) -> Any:
        return state[:, 0]

    def stopped(self, state: Any, t: Any) -> Any:
        return state[:, 1] == 0.0
