"""How long it takes to leave a well: adaptive multilevel splitting with a stop condition, and a flux.

The mean first passage time (Cérou, Guyader, Lelièvre & Pommier 2011) is one over: how many excursions from the well
there are a unit of time, times the probability that one of them ends in the other well.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Any

import numpy as np

import pytams

HOME, OUTSIDE, TARGET = -0.9, -0.75, 0.9
"""The well is x < HOME; an excursion begins at x > OUTSIDE, and ends at home or at the target."""


@cache
def excursions(noise: float, step_size: float, members: int = 1000, end_time: float = 200.0) -> tuple[Any, float]:
    """Simulate plainly: give where excursions from the well begin, and how many there are a unit of time."""
    rng = np.random.default_rng(1)
    x, is_home, begun = np.full(members, -1.0), np.full(members, True), []
    begins = 0
    for i in range(2 * round(end_time / step_size)):  # the first half is for forgetting the start
        x = x + (x - x * x * x) * step_size + math.sqrt(2.0 * noise * step_size) * rng.standard_normal(members)
        leaves = is_home & (x > OUTSIDE)
        is_home = (is_home & ~leaves) | (x < HOME)
        if i >= round(end_time / step_size):
            begins += int(leaves.sum())
            begun.append(x[leaves])
    return np.concatenate(begun), begins / (members * end_time)


class Excursion(pytams.SDE):
    """dx = (x - x^3) dt + sqrt(2 noise) dW, from where an excursion begins, stopped at home; its score is x.

    Parameters
    ----------
    noise
        Strength of the noise.
    step_size
        Of the study: excursions begin a little beyond their border.
    """

    title, state_names = "Excursions from a well", ("x",)

    def __init__(self, noise: float = 0.015, step_size: float = 0.01) -> None:
        starts, self.excursions_a_time = excursions(noise, step_size)
        self.n_excursions = len(starts)
        super().__init__(
            lambda x, t, p: x - x * x * x,
            lambda x, t, p: p.sigma,
            lambda x, t, p: x,
            stopped=lambda x, t, p: x < HOME,
            initial=lambda rng: rng.choice(starts),
            sigma=math.sqrt(2.0 * noise),
        )


def mean_first_passage_time(model: Excursion, result: pytams.Result) -> tuple[float, float]:
    """Give it, with its standard error, of the probability and of the number of excursions."""
    value = 1.0 / (model.excursions_a_time * result.probability)
    return value, value * math.hypot(result.relative_error, 1.0 / math.sqrt(model.n_excursions))


if __name__ == "__main__":
    with pytams.load(sys.argv[1]) as study:
        print("mean first passage time: {:.4g} +- {:.2g}".format(*mean_first_passage_time(Excursion(), study.result)))
