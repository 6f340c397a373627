"""Error bars and intervals against the scatter of many studies and the truth: neither too small nor too large."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_ensemble import conditional_on_reaching

import pytams
from exact import Walk, walk_probability

Z = [1.5, 3.5, 4.5]
EXACT = np.array([walk_probability(math.floor(z) + 1, 20) for z in Z])


class Number(NamedTuple):
    """A number that a user reads, and what it should be."""

    of: Callable[[pytams.Result], Any]
    exact: Any


class Probability:
    """With the names that curves and expectations have."""

    def __init__(self, result: pytams.Result) -> None:
        self.value, self.error = result.probability, result.standard_error
        self.low, self.high = result.interval


NUMBERS = {
    "probability": Number(Probability, walk_probability(6, 20)),
    "exceedance": Number(lambda result: result.exceedance(Z), EXACT),
    "return times": Number(lambda result: result.return_times(Z), -20 / np.log1p(-EXACT)),
    "reaching time": Number(lambda result: result.reaching_time, conditional_on_reaching(6, 20)[0]),
}


def studies(n: int, n_discard: int, n_studies: int, n_runs: int) -> list[pytams.Result]:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=n, n_discard=n_discard)
    all_of_them = tams.run(n_studies * n_runs, seed=31)
    return [replace(all_of_them, runs=all_of_them.runs[i : i + n_runs]) for i in range(0, n_studies * n_runs, n_runs)]


@pytest.fixture(scope="module")
def of_six() -> list[pytams.Result]:
    return studies(40, 10, 200, 6)


@pytest.fixture(scope="module")
def of_one() -> list[pytams.Result]:
    return studies(100, 25, 300, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("kind", ["of_six", "of_one"])
def test_errors_and_intervals(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    """A variance of 200 studies is known to 10 % or more, and a coverage of 95 % to 1.5 %."""
    found = [NUMBERS[name].of(result) for result in request.getfixturevalue(kind)]
    value, error, low, high = (
        np.array([getattr(one, of) for one in found]) for of in ("value", "error", "low", "high")
    )
    ratio = np.mean(error**2, axis=0) / np.var(value, axis=0, ddof=1)
    assert ((ratio > 0.7) & (ratio < 1.4)).all(), ratio
    covered = ((low <= NUMBERS[name].exact) & (NUMBERS[name].exact <= high)).mean(axis=0)
    assert ((covered > (0.9 if kind == "of_six" else 0.85)) & (covered < 0.99)).all(), covered
