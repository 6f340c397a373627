"""A potential with two channels from one well to the other; the temperature says which one is taken."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pytams


def potential(x: Any, y: Any) -> Any:
    """Two deep wells near (-1, 0) and (1, 0), and a shallow one between them, near (0, 1.5)."""
    hills = 3.0 * np.exp(-x * x - (y - 1 / 3) ** 2) - 3.0 * np.exp(-x * x - (y - 5 / 3) ** 2)
    wells = 5.0 * np.exp(-((x - 1.0) ** 2) - y * y) + 5.0 * np.exp(-((x + 1.0) ** 2) - y * y)
    return hills - wells + 0.2 * x**4 + 0.2 * (y - 1 / 3) ** 4


def drift(x: Any, t: Any, p: Any) -> Any:
    """Minus the gradient of the potential."""
    a, b = x[0], x[1]
    low, high = b - 1.0 / 3.0, b - 5.0 / 3.0
    e1, e2 = 3.0 * np.exp(-a * a - low * low), 3.0 * np.exp(-a * a - high * high)
    e3, e4 = 5.0 * np.exp(-(a - 1.0) * (a - 1.0) - b * b), 5.0 * np.exp(-(a + 1.0) * (a + 1.0) - b * b)
    along = -2.0 * a * (e1 - e2) + 2.0 * (a - 1.0) * e3 + 2.0 * (a + 1.0) * e4 + 0.8 * a * a * a
    across = -2.0 * low * e1 + 2.0 * high * e2 + 2.0 * b * (e3 + e4) + 0.8 * low * low * low
    return -along, -across


def diffusion(x: Any, t: Any, p: Any) -> Any:
    """Be of the same temperature everywhere."""
    return p.sigma, p.sigma


def score(x: Any, t: Any, p: Any) -> Any:
    """Give how much of the way from (-1, 0) to (1, 0) is behind: half of it anywhere between."""
    behind = np.sqrt((x[0] + 1.0) * (x[0] + 1.0) + x[1] * x[1])
    ahead = np.sqrt((x[0] - 1.0) * (x[0] - 1.0) + x[1] * x[1])
    return behind / (behind + ahead)


class Bichannel(pytams.SDE):
    """dX = -grad V dt + sqrt(2 / beta) dW from the left well.

    Parameters
    ----------
    beta
        Inverse temperature.
    """

    title, state_names = "Two channels", ("x", "y")

    def __init__(self, beta: float = 6.67) -> None:
        super().__init__(drift, diffusion, score, initial=(-1.0, 0.0), sigma=math.sqrt(2.0 / beta))

    def potential(self, state: Any) -> Any:
        return potential(state[:, 0], state[:, 1])


def share_of_upper(result: pytams.Result) -> Any:
    """Give the share of the upper channel among paths that reach the target, by where they cross x = 0 first."""

    def is_upper(ensemble: Any) -> Any:
        x, y = ensemble.state.isel(state_0=0), ensemble.state.isel(state_0=1)
        crossing = (x > 0.0).argmax("time")
        return (y.isel(time=crossing) > 0.5) & (x > 0.0).any("time")

    return result.expectation(is_upper, states=True)
