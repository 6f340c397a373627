"""The mean over runs equals the exact value: |z| < 4 in units of the runs' own standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import pytams
from exact import (
    DOUBLE_WELL_1D,
    DOUBLE_WELL_2D,
    ORNSTEIN_UHLENBECK,
    SPIN_UP,
    DoubleWell2D,
    Walk,
    WalkSingle,
    double_well_1d,
    double_well_2d,
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_spun_up,
    walk_probability,
)
from pytams import SDE

SEEDS = (1, 2, 3)


def check(model: pytams.Model, exact: float, n_runs: int, **settings: Any) -> pytams.Result:
    """Run over all seeds and compare each mean, and their common one, with the exact value."""
    tams = pytams.TAMS(model, **settings)
    results = [tams.run(n_runs, seed) for seed in SEEDS]
    for result in results:
        assert result.n_unfinished == 0
        assert abs(result.probability - exact) < 4 * result.standard_error
    mean = sum(result.probability for result in results) / len(results)
    error = math.hypot(*(result.standard_error for result in results)) / len(results)
    assert abs(mean - exact) < 4 * error
    return results[0]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_discard"), [(4, 1), (10, 1), (10, 3), (40, 1), (40, 10)])
def test_integer_walk_where_every_level_is_tied(n: int, n_discard: int) -> None:
    exact = walk_probability(6, 20)
    assert exact == pytest.approx(0.018281062152884, rel=1e-12)
    result = check(
        Walk(),
        exact,
        n_runs=30_000 // n,
        end_time=20,
        step_size=1,
        target_score=6,
        n_trajectories=n,
        n_discard=n_discard,
    )
    if n == 10:
        assert result.n_extinct > 50  # extinction is a legitimate outcome, and counts as 0 in the mean


@pytest.mark.slow
def test_walk_to_other_targets() -> None:
    for target, n_steps in [(3, 10), (5, 40)]:
        check(
            WalkSingle() if target == 3 else Walk(),
            walk_probability(target, n_steps),
            n_runs=500,
            end_time=n_steps,
            step_size=1,
            target_score=target,
            n_trajectories=12,
        )


@pytest.mark.slow
def test_an_iteration_cap_leaves_the_estimate_unbiased() -> None:
    check(
        Walk(),
        walk_probability(4, 20),
        n_runs=1000,
        end_time=20,
        step_size=1,
        target_score=4,
        n_trajectories=20,
        max_branchings=15,
    )


def test_double_well_in_brief() -> None:
    check(
        DoubleWell2D(),
        DOUBLE_WELL_2D[10],
        n_runs=64,
        end_time=10,
        step_size=0.01,
        target_score=0.95,
        n_trajectories=40,
        n_discard=4,
    )


# N for a relative error of about a half a run, so that the standard error of 3 x 70 runs is a fair yardstick.
CASES: dict[str, tuple[Callable[[], SDE], float, float, float, int]] = {
    "2-D double well, T = 2": (double_well_2d, 2, DOUBLE_WELL_2D[2], 0.95, 120),
    "2-D double well, T = 4": (double_well_2d, 4, DOUBLE_WELL_2D[4], 0.95, 80),
    "2-D double well, T = 10": (double_well_2d, 10, DOUBLE_WELL_2D[10], 0.95, 40),
    "1-D double well, T = 4": (double_well_1d, 4, DOUBLE_WELL_1D[4], 0.95, 120),
    "1-D double well, T = 10": (double_well_1d, 10, DOUBLE_WELL_1D[10], 0.95, 60),
    "OU, 3 sigma": (ornstein_uhlenbeck, 5, ORNSTEIN_UHLENBECK[3], 3, 40),
    "OU, 4 sigma": (ornstein_uhlenbeck, 5, ORNSTEIN_UHLENBECK[4], 4, 80),
    "OU, 5 sigma": (partial(ornstein_uhlenbeck_spun_up, 4.9), 5 + SPIN_UP, ORNSTEIN_UHLENBECK[5], 5, 60),
    "OU, 6 sigma": (partial(ornstein_uhlenbeck_spun_up, 5.9), 5 + SPIN_UP, ORNSTEIN_UHLENBECK[6], 6, 60),
}


@pytest.mark.slow
@pytest.mark.parametrize("discard", ["1", "3", "N/4"])
@pytest.mark.parametrize("case", CASES)
def test_against_exact_values(case: str, discard: str) -> None:
    model, end_time, exact, target, n = CASES[case]
    check(
        model(),
        exact,
        n_runs=70,
        end_time=end_time,
        step_size=0.01,
        target_score=target,
        n_trajectories=n,
        n_discard=n // 4 if discard == "N/4" else int(discard),
    )
