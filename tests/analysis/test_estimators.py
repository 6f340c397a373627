"""Error bars against the truth: over many runs of models whose probabilities are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pytams
from exact import (
    DOUBLE_WELL_2D,
    ORNSTEIN_UHLENBECK,
    SPIN_UP,
    Walk,
    double_well_2d,
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_spun_up,
    walk_probability,
)
from pytams import SDE
from pytams.analysis import estimators


def walk(target: int = 6, n: int = 40, n_discard: int = 1, **more: Any) -> pytams.TAMS:
    more |= {"n_trajectories": n, "n_discard": n_discard}
    return pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=target, **more)


def well(end_time: float, n: int, n_discard: int) -> pytams.TAMS:
    return pytams.TAMS(
        double_well_2d(), end_time=end_time, step_size=0.01, target_score=0.95, n_trajectories=n, n_discard=n_discard
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_discard", [pytest.param(1, marks=pytest.mark.slow), 10])
def test_every_level_is_estimated_without_bias(n_discard: int) -> None:
    curve = walk(n_discard=n_discard).run(600, seed=2).exceedance([0.5, 1, 2.5, 3, 4, 5])
    for z, value, error in zip(curve.z, curve.value, curve.error, strict=True):
        exact = walk_probability(math.floor(z) + 1, 20)
        assert abs(value - exact) < 4 * error
    assert (np.diff(curve.value) < 0).all()
    assert ((curve.low < curve.value) & (curve.value < curve.high)).all()


@pytest.mark.slow
def test_errors_of_all_levels_from_one_run() -> None:
    """On average they are those over runs."""
    z = [1.5, 3.5, 5.5]
    runs = walk(n=60, n_discard=6).run(400, seed=5).runs
    estimated = np.mean([run.exceedance_variance(z) for run in runs], axis=0)
    empirical = np.var([run.exceedance(z) for run in runs], axis=0, ddof=1)
    assert ((estimated / empirical > 0.75) & (estimated / empirical < 1.35)).all()
    alone = walk(n=60, n_discard=6).run(1, seed=5)
    curve = alone.exceedance([5.999, 1.5])
    assert curve.error[0] == pytest.approx(alone.standard_error, rel=1e-12)
    assert (curve.low[0], curve.high[0]) == pytest.approx(alone.interval, rel=1e-12)
    assert curve.low[1] < curve.value[1] < curve.high[1]


def test_at_the_target_it_is_the_estimate() -> None:
    result = walk(n=10).run(50, seed=3)
    assert result.n_extinct > 0
    below = [run.exceedance([5.999])[0] for run in result.runs]
    assert below == [run.estimate for run in result.runs]


@pytest.mark.slow
def test_return_times() -> None:
    result = well(10, 40, 4).run(16, seed=1)
    curve = result.return_times([0.5, 0.9])
    p = result.exceedance([0.5, 0.9]).value
    np.testing.assert_allclose(curve.value, -10 / np.log(1 - p))
    assert ((curve.low < curve.value) & (curve.value < curve.high)).all()
    assert estimators.return_time(0.0, 10.0) == math.inf


def test_variance_of_plain_monte_carlo() -> None:
    """Without an iteration it is that of independent trajectories: p (1 - p) / (n - 1)."""
    n = 100
    values = [1.0] * 30 + [0.0] * 70
    variance = estimators.genealogical_variance(n, 0.0, values, range(n))
    assert variance == pytest.approx(0.3 * 0.7 / (n - 1), rel=1e-12)
    [_, factor] = estimators.log_pair_factors(3, [2])
    assert math.isnan(estimators.genealogical_variance(3, factor, [1.0, 0.0, 0.0], [0, 0, 0]))


@pytest.mark.slow
def test_one_run_has_an_error_bar() -> None:
    result = well(10, 100, 5).run(1, seed=1)
    assert 0 < result.standard_error < result.probability
    assert result.interval[0] < result.probability < result.interval[1]
    assert result.relative_error > result.ideal_relative_error / 2
    assert "from one run's genealogy" in str(result)
    assert result.health.word == "good"


def test_numbers_for_planning() -> None:
    result = well(4, 50, 2).run(16, seed=1)
    assert result.runs_for(result.relative_error / 2) == 64
    assert result.ideal_relative_error == pytest.approx(math.sqrt(-math.log(result.probability) / 50 / 16))
    n = (1 - result.probability) / (result.probability * result.relative_error**2)
    assert result.saving == pytest.approx(n * 400 / result.n_steps)
    assert result.saving > 1
    with pytest.raises(ValueError, match="no number of runs"):
        result.runs_for(0.0)
    with pytest.raises(ValueError, match="relative error of nan"):
        walk(15, max_branchings=0).run(2, seed=1).runs_for(0.1)


@pytest.mark.slow
def test_health_has_a_word_a_reason_and_an_advice() -> None:
    assert well(10, 100, 5).run(8, seed=1).health.word == "good"
    collapsed = pytams.TAMS(
        ornstein_uhlenbeck_spun_up(5.9), end_time=5 + SPIN_UP, step_size=0.01, target_score=6, n_trajectories=8
    ).run(4, seed=1)
    assert collapsed.health.word == "collapsed"
    assert collapsed.health.n_roots == 1
    assert collapsed.health.largest_family == 1.0
    assert "larger ensemble" in str(collapsed)
    alone = well(10, 50, 1).run(1, seed=1).health
    assert alone.word == "weak"
    assert "several times" in alone.advice
    assert well(10, 50, 1).run(8, seed=1).health.word == "good"
    weak = walk(n=10).run(50, seed=3).health
    assert weak.word in {"weak", "collapsed"}
    assert weak.n_extinct > 0
    nothing = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=15, n_trajectories=4, max_branchings=2).run(
        3, seed=1
    )
    assert nothing.health.word == "collapsed"
    assert math.isnan(nothing.interval[0])
    assert "nothing has reached the target" in str(nothing)


@pytest.mark.slow
@pytest.mark.parametrize("n_discard", [1, 20])
def test_variance_from_one_run_is_right_on_average(n_discard: int) -> None:
    """Within 20 %: the variance of 500 estimates is itself known to about 7 %."""
    tams = well(10, 200, n_discard)
    found = [(run.variance, run.estimate) for i in range(50) for run in tams.run(10, 11, first_run=10 * i).runs]
    estimated = np.mean([variance for variance, _ in found])
    empirical = np.var([estimate for _, estimate in found], ddof=1)
    assert 0.8 < estimated / empirical < 1.2


COVERAGE: dict[str, tuple[Callable[[], SDE], float, float, float, int, int]] = {
    "2-D double well, T = 10": (double_well_2d, 10, 0.95, DOUBLE_WELL_2D[10], 50, 5),
    "2-D double well, T = 4": (double_well_2d, 4, 0.95, DOUBLE_WELL_2D[4], 50, 5),
    "OU, 5 sigma": (
        partial(ornstein_uhlenbeck_spun_up, 4.9), 5 + SPIN_UP, 5, ORNSTEIN_UHLENBECK[5], 60, 15,
    ),
}  # fmt: skip


def coverage(case: str, n_studies: int = 300, n_runs: int = 16) -> tuple[float, float]:
    """Share of studies whose interval covers the exact value: ours, and the plain normal one."""
    model, end_time, target, exact, n, n_discard = COVERAGE[case]
    settings: dict[str, Any] = {"end_time": end_time, "step_size": 0.01, "target_score": target}
    tams = pytams.TAMS(model(), n_trajectories=n, n_discard=n_discard, **settings)
    ours = plain = 0
    for i in range(n_studies):
        result = tams.run(n_runs, seed=21, first_run=n_runs * i)
        low, high = result.interval
        ours += low <= exact <= high
        plain += abs(result.probability - exact) <= 1.96 * result.standard_error
    return ours / n_studies, plain / n_studies


@pytest.mark.slow
@pytest.mark.parametrize("case", COVERAGE)
def test_intervals_cover_the_truth(case: str) -> None:
    ours, plain = coverage(case)
    assert 0.92 <= ours <= 0.98
    assert ours >= plain


@pytest.mark.slow
def test_return_times_from_2_to_8_deviations() -> None:
    """Within the interval, up to two of fourteen."""
    n_outside = 0
    for n, n_discard in [(200, 10), (400, 40)]:
        for deviations, exact in (ORNSTEIN_UHLENBECK | {7: 2.011e-10, 8: 1.215e-13}).items():
            spin_up = SPIN_UP if deviations > 4 else 0
            model = ornstein_uhlenbeck_spun_up(deviations - 0.1) if spin_up else ornstein_uhlenbeck()
            tams = pytams.TAMS(
                model,
                end_time=5 + spin_up,
                step_size=0.01,
                target_score=deviations,
                n_trajectories=n,
                n_discard=n_discard,
            )
            result = tams.run(16, seed=deviations)
            short, long = (estimators.return_time(p, 5.0) for p in result.interval[::-1])
            n_outside += not short <= estimators.return_time(exact, 5.0) <= long
            assert abs(result.probability - exact) < 4 * result.standard_error
    assert n_outside <= 2
