"""Numbers that the examples are compared with, made without pytams.

``python examples/references.py NAME``, perhaps with ``KEY=NUMBER ...``.
"""

from __future__ import annotations

import sys
from ast import literal_eval
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.interpolate import RectBivariateSpline
from scipy.sparse import csr_array
from scipy.special import ndtr
from scipy.stats import binom, norm


class Reference(NamedTuple):
    """A number, and its standard error: 0 if it is exact."""

    value: float
    error: float = 0.0


def share(reached: Any) -> Reference:
    """Give the share of those that have reached the target, with its error."""
    p = float(np.mean(reached))
    return Reference(p, float(np.sqrt(p * (1.0 - p) / len(reached))))


def overturning(noise: float = 0.05, copies: int = 100_000, fresh_water: float = 0.3, seed: int = 1) -> Reference:
    """Simulate the five boxes by their salt contents, of n and s both: P(nothing sinks within 100 years)."""
    rng = np.random.default_rng(seed)
    dt, year, v_n, v_s, s_0 = 0.1 * 365 * 86400.0, 365 * 86400.0, 3e15, 9e15, 35.0
    e_a, e_s, ekman = 1e6 * fresh_water, 0.17e6, 0.1 * 3e7 / (1027.5 * 1e-4)

    def advance(salt: Any, depth: Any, kick: Any) -> Any:
        v_t, v_ts = 1e14 * depth, 5e12 * depth
        salts = np.array([v_t, v_ts, v_n + 0.0 * depth, v_s + 0.0 * depth])
        t, ts, n, s = salt / salts
        d = (3e17 * s_0 - salt.sum(0)) / (3e17 - salts.sum(0))
        sinks = np.maximum(3e4 * depth**2 * (2e-4 * 5.0 + 8e-4 * (n - ts)), 0.0)
        eddies, rises = 1.7e4 * depth, 1e9 / depth
        south = ekman - eddies
        to_t, to_ts = south * np.where(south > 0, ts, t), south * np.where(south > 0, d, s)
        north = (sinks + 5e6) * (t - n) - (e_s + e_a) * s_0
        more = [
            to_t + rises * d - sinks * t + 1e7 * (ts - t) + 5e6 * (n - t) + 2 * e_s * s_0,
            ekman * s - eddies * ts - to_t + 1e7 * (t - ts),
            north,
            to_ts + eddies * ts - ekman * s - (e_s - e_a) * s_0,
        ]
        salt = salt + dt * np.array(more)
        salt[2] -= kick
        salt[3] += kick
        return salt, depth + dt * (rises + south - sinks) / 1.05e14, ts - n

    depth = np.array([900.0])
    salt = np.array([[35.5 * 9e16], [35.2 * 4.5e15], [34.7 * v_n], [35.0 * v_s]])
    for _ in range(50_000):  # to the state of today
        salt, depth, _ = advance(salt, depth, 0.0)
    salt, depth, best = np.repeat(salt, copies, 1), np.repeat(depth, copies), np.full(copies, -np.inf)
    for _ in range(1000):
        kick = noise * e_a * s_0 * np.sqrt(100 * year * dt) * rng.standard_normal(copies)
        salt, depth, difference = advance(salt, depth, kick)
        best = np.maximum(best, difference)
    best = np.maximum(best, advance(salt, depth, 0.0)[2])
    return share(best >= 1.25)


def tandem_queue(
    target: int = 25, n_steps: int = 1000, arrivals: float = 0.1, first: float = 0.5, second: float = 0.4
) -> Reference:
    """P(so many customers before there is none, within so many events), by the chain's transition matrix."""
    places = {(a, n - a): i for i, (n, a) in enumerate((n, a) for n in range(target + 1) for a in range(n + 1))}
    matrix = np.zeros((len(places), len(places)))
    total = arrivals + first + second
    for (a, b), i in places.items():
        if a + b in {0, target}:
            matrix[i, i] = 1.0
            continue
        matrix[i, places[a + 1, b]] += arrivals / total
        matrix[i, places[a - 1, b + 1] if a else i] += first / total
        matrix[i, places[a, b - 1] if b else i] += second / total
    reached = np.array([float(a + b == target) for a, b in places])
    for _ in range(n_steps):
        reached = matrix @ reached
    return Reference(float(reached[places[1, 0]]))


def second_queue(target: int = 14, arrivals: float = 3.0, first: float = 2.0, second: float = 6.0) -> Reference:
    """P(so many customers in the second queue before there is none, from one), with at most as many in the first."""
    shape = (target + 1, target + 1)
    matrix, total = np.eye((target + 1) ** 2), arrivals + first + second
    for a, b in np.ndindex(*shape):
        if 0 < b < target:
            there = [(min(a + 1, target), b), (a - 1, b + 1) if a else (a, b), (a, b - 1)]
            for place, rate in zip(there, (arrivals, first, second), strict=True):
                matrix[np.ravel_multi_index((a, b), shape), np.ravel_multi_index(place, shape)] -= rate / total
    reached = np.zeros(shape)
    reached[:, target] = 1.0
    return Reference(float(np.linalg.solve(matrix, reached.ravel()).reshape(shape)[0, 1]))


def fibre_bundle(
    end_time: float = 0.07, step_size: float = 0.001, fibres: int = 50, exponent: float = 5.0
) -> Reference:
    """P(all fibres have broken), by the transition matrix of the number of intact ones, which is all that matters."""
    matrix = np.zeros((fibres + 1, fibres + 1))
    for intact in range(fibres + 1):
        survives = np.exp(-step_size * (fibres / max(intact, 1)) ** exponent)
        matrix[intact, : intact + 1] = binom.pmf(range(intact + 1), intact, survives)
    return Reference(float(np.linalg.matrix_power(matrix, round(end_time / step_size))[fibres, 0]))


def bichannel(beta: float = 6.67, end_time: float = 100.0, dt: float = 0.02) -> tuple[Reference, Reference]:
    """P(the chain reaches the right well), and the share of the upper channel, by its transition operator on a grid.

    The sum over a grid of at most 0.65 standard deviations of a step is exact for what is smooth; the borders that
    matter, x = 0 and y = 0.5, are between grid points.
    """
    sigma = np.sqrt(2.0 * dt / beta)
    h = 0.5 / np.ceil(0.5 / (0.65 * sigma))
    x, y = (h * (np.arange(round(low / h), round(high / h)) + 0.5) for low, high in ((-2.8, 2.8), (-2.2, 3.0)))
    a, b = (axis.ravel() for axis in np.meshgrid(x, y, indexing="ij"))

    def potential(a: Any, b: Any) -> Any:
        low, high, wells = b - 1 / 3, b - 5 / 3, np.exp(-((a - 1.0) ** 2)) + np.exp(-((a + 1.0) ** 2))
        hills = 3.0 * np.exp(-(a**2)) * (np.exp(-(low**2)) - np.exp(-(high**2)))
        return hills - 5.0 * wells * np.exp(-(b**2)) + 0.2 * (a**4 + low**4)

    along = (potential(a - 1e-5, b) - potential(a + 1e-5, b)) / 2e-5
    across = (potential(a, b - 1e-5) - potential(a, b + 1e-5)) / 2e-5
    reach = np.arange(-int(5 * sigma / h) - 1, int(5 * sigma / h) + 2)

    def weights(mean: Any, axis: Any) -> Any:
        places = np.rint((mean - axis[0]) / h).astype(int)[:, None] + reach
        inside = (places >= 0) & (places < len(axis))
        distance = (axis[0] + h * places - mean[:, None]) / sigma
        return np.clip(places, 0, len(axis) - 1), inside * np.exp(-0.5 * distance**2) * h / sigma / np.sqrt(2 * np.pi)

    (i, p), (j, q) = weights(a + dt * along, x), weights(b + dt * across, y)
    columns, values = i[:, :, None] * len(y) + j[:, None, :], p[:, :, None] * q[:, None, :]
    rows = np.repeat(np.arange(len(a)), columns[0].size)
    operator = csr_array((values.ravel(), (rows, columns.ravel())), shape=(len(a), len(a)))
    behind, ahead = np.hypot(a + 1.0, b), np.hypot(a - 1.0, b)
    reached = behind / (behind + ahead) >= 0.9
    probability, by_upper = reached.astype(float), np.zeros(len(a))
    for _ in range(round(end_time / dt)):
        by_upper = operator @ np.where(a < 0.0, by_upper, probability * (b > 0.5))
        probability = np.where(reached, 1.0, operator @ probability)
    value, upper = (
        float(RectBivariateSpline(x[x < 0.0], y, f.reshape(len(x), -1)[x < 0.0])([-1.0], [0.0])[0, 0])
        for f in (probability, by_upper)
    )
    return Reference(value), Reference(upper / value)


def heat_wave(target: float = 6.5, days: int = 90, memory: float = 5.0, deviation: float = 4.0) -> Reference:
    """P(the mean of the season reaches the target): it is a Gaussian, and its variance a sum of covariances."""
    day = np.arange(days)
    variance = deviation**2 * np.exp(-np.abs(day[:, None] - day) / memory).mean()
    return Reference(float(ndtr(-target / np.sqrt(variance))))


def first_passage(noise: float = 0.015, dt: float = 0.01) -> tuple[Reference, Reference]:
    """Mean time from -1 to 0.9: of the chain, by its operator, and of the process, by quadrature."""
    sigma = np.sqrt(2.0 * noise * dt)
    h = 0.9 / np.ceil(0.9 / (0.5 * sigma))
    x = h * (np.arange(round(-2.0 / h), round(0.9 / h)) + 0.5)
    distance = (x - (x + dt * (x - x**3))[:, None]) / sigma
    operator = np.exp(-0.5 * distance**2) * h / sigma / np.sqrt(2.0 * np.pi)
    times = np.linalg.solve(np.eye(len(x)) - operator, np.full(len(x), dt))

    y = np.linspace(-2.5, 0.9, 200_001)
    potential = y**4 / 4 - y**2 / 2
    inner = cumulative_trapezoid(np.exp(-potential / noise), y, initial=0)
    outer = np.where(y >= -1.0, np.exp(potential / noise) * inner / noise, 0.0)
    return Reference(float(np.interp(-1.0, x, times))), Reference(float(trapezoid(outer, y)))


def lorenz96(target: float = 10.6, end_time: float = 20.0, copies: int = 20_000, seed: int = 1) -> Reference:
    """Simulate Lorenz 96 without splitting, 40 units of time before the start: P(averaged energy exceeds it)."""
    x, dt = 8.0 + np.random.default_rng(seed).standard_normal((40, copies)), 0.05
    average, best = np.zeros(copies), np.full(copies, -np.inf)

    def tendency(x: Any) -> Any:
        return (np.roll(x, -1, 0) - np.roll(x, 2, 0)) * np.roll(x, 1, 0) - x + 8.0

    for i in range(800 + round(end_time / dt)):
        a = tendency(x)
        b = tendency(x + 0.5 * dt * a)
        c = tendency(x + 0.5 * dt * b)
        x = x + dt / 6.0 * (a + 2.0 * b + 2.0 * c + tendency(x + dt * c))
        average = average + dt / 4.0 * (0.5 * np.mean(x * x, axis=0) - average)
        if i >= 799:
            best = np.maximum(best, average)
    return share(best >= target)


def allen_cahn(
    beta: float = 5.0,
    length: float = 6.0,
    sites: int = 24,
    end_time: float = 10.0,
    copies: int = 10_000,
    seed: int = 1,
) -> Reference:
    """Simulate the field without splitting: P(its mean reaches 0)."""
    h, rng = length / sites, np.random.default_rng(seed)
    dt = 0.4 * h**2
    u, best = np.full((sites, copies), -1.0), np.full(copies, -1.0)
    for _ in range(round(end_time / dt)):
        ends = np.concatenate([u[:1], u, u[-1:]])
        noise = np.sqrt(2.0 * dt / (beta * h)) * rng.standard_normal(u.shape)
        u = u + dt * ((ends[2:] - 2.0 * u + ends[:-2]) / h**2 + u - u**3) + noise
        best = np.maximum(best, u.mean(axis=0))
    return share(best >= 0.0)


def allen_cahn_pair(beta: float = 15.0, length: float = 2.0, end_time: float = 10.0, n: int = 80) -> Reference:
    """Solve two sites, by their mean and half their difference, backwards in time: P(the mean reaches 0)."""
    h, dt = length / 2, 0.025
    sigma = np.sqrt(dt / (beta * h))
    mean, half = np.linspace(-1.8, 0.0, n + 1), np.linspace(-1.0, 1.0, n + 1)

    def kernel(x: Any) -> tuple[Any, Any]:  # from points y to grid points, with Simpson's weights
        weights = np.where(np.arange(n + 1) % 2, 4.0, 2.0)
        weights[[0, -1]] = 1.0
        y = np.linspace(x[0] - 0.2, x[-1] + 0.2, n + 1)
        return y, norm.pdf(x, y[:, None], sigma) * weights * (x[1] - x[0]) / 3

    (y_mean, to_mean), (y_half, to_half) = kernel(mean), kernel(half)
    at = np.meshgrid(mean, half, indexing="ij")
    u, v = at[0] + at[1], at[0] - at[1]
    f_u, f_v = (v - u) / h**2 + u - u**3, (u - v) / h**2 + v - v**3
    to = at[0] + dt * (f_u + f_v) / 2, at[1] + dt * (f_u - f_v) / 2
    inside = np.clip(to[0], y_mean[0], y_mean[-1]), np.clip(to[1], y_half[0], y_half[-1])
    p = np.zeros_like(u)
    for _ in range(round(end_time / dt)):
        after = to_mean @ p @ to_half.T + ndtr(y_mean / sigma)[:, None]
        p = RectBivariateSpline(y_mean, y_half, after).ev(*inside)
    return Reference(float(RectBivariateSpline(mean, half, p).ev(np.array(-1.0), np.array(0.0))))


REFERENCES: dict[str, Callable[..., object]] = {
    one.__name__: one
    for one in (
        *(overturning, tandem_queue, second_queue, fibre_bundle, bichannel),
        *(heat_wave, first_passage, lorenz96, allen_cahn, allen_cahn_pair),
    )
}


if __name__ == "__main__":
    said = dict(word.split("=") for word in sys.argv[2:])
    print(REFERENCES[sys.argv[1]](**{key: literal_eval(number) for key, number in said.items()}))
