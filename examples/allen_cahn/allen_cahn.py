"""The stochastic Allen-Cahn equation on an interval: a field that flips from -1 to 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pytams


def drift(x: Any, t: Any, p: Any) -> Any:
    """Of the field: diffusion, with no flux through the ends, and the double well at each point."""
    change = x - x * x * x
    n = len(x)
    for i in range(n):
        left, right = x[max(i - 1, 0)], x[min(i + 1, n - 1)]
        change[i] += p.coupling * (left - 2.0 * x[i] + right)
    return change


def diffusion(x: Any, t: Any, p: Any) -> Any:
    """Be white in space, too."""
    return p.sigma + 0.0 * x


def score(x: Any, t: Any, p: Any) -> Any:
    """Give the mean of the field."""
    return np.sum(x) / len(x)


class AllenCahn(pytams.SDE):
    """du = (u_xx + u - u^3) dt + sqrt(2 / beta) dW(x, t), 0 <= x <= length, from u = -1; the score is its mean.

    Parameters
    ----------
    length
        Of the interval; a wall between -1 and 1 is about 3 wide.
    beta
        Inverse temperature.
    sites
        Finite differences: the dimension of the state.
    """

    title = "Allen-Cahn in one dimension"

    def __init__(self, length: float = 10.0, beta: float = 7.0, sites: int = 128) -> None:
        h = length / sites
        super().__init__(
            *(drift, diffusion, score),
            initial=[-1.0] * sites,
            coupling=1.0 / h**2,
            sigma=math.sqrt(2.0 / (beta * h)),
        )
