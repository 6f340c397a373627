"""Each formula beside numbers worked out by hand, or by all outcomes there are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

import pytams
from exact import Walk
from pytams import RunResult
from pytams.analysis import curves, estimators, expectations
from pytams.core.compact import Finals, Iterations
from pytams.core.segments import Final, SegmentKey, Start
from pytams.core.settings import Settings
from pytams.core.splitting import Iteration, log_estimate

STUDENT_3, STUDENT_4 = 4.302652729749464, 3.182446305284263
"""Two-sided 95 % quantiles of 3 and 4 estimates, from a table; of the normal distribution:"""
NORMAL = 1.959963984540054


def run_of(
    n: int, maxima: Sequence[float], *killed: tuple[float, list[int], list[int]], run: int = 0, target: float = 3.0
) -> RunResult:
    """Make a run of what happened: the maxima at the end, and of each iteration level, killed slots and ancestors.

    A killed slot had its maximum at the level.
    """
    iterations: list[Iteration] = []
    branch, root, log_weight = [0] * n, list(range(n)), 0.0
    for level, slots, ancestors in killed:
        log_weight += math.log1p(-len(slots) / n) if len(slots) < n else -math.inf
        keys = [tuple(SegmentKey(run, slot, branch[slot]) for slot in of) for of in (slots, ancestors)]
        iterations.append(
            Iteration(
                index=len(iterations),
                level=level,
                killed=keys[0],
                killed_maxima=(level,) * len(slots),
                ancestors=keys[1],
                starts=tuple(
                    Start(SegmentKey(run, key.slot, key.branch + 1), ancestor, 0, level)
                    for key, ancestor in zip(*keys, strict=False)  # extinction has no ancestors
                ),
                n_branchings=0,
                log_weight=log_weight,
                lowest=level,
            )
        )
        of_ancestors = [root[slot] for slot in ancestors]
        for slot, of_ancestor in zip(slots, of_ancestors, strict=False):
            branch[slot] += 1
            root[slot] = of_ancestor
    members = [Final(SegmentKey(run, i, branch[i]), maxima[i], 10 * i, root[i], 0) for i in range(n)]
    n_reached = sum(maximum >= target for maximum in maxima) if log_weight > -math.inf else 0
    return RunResult(
        run=run,
        estimate=math.exp(log_weight) * n_reached / n,
        log_estimate=log_estimate(log_weight, n_reached, n),
        log_weight=log_weight,
        n_reached=n_reached,
        n_branchings=0,
        n_steps=0,
        iterations=Iterations.of(run, iterations),
        members=Finals.of(run, members),
        target_score=target,
    )


# --- over runs --------------------------------------------------------------------------------------------------


def test_mean_and_error_over_runs() -> None:
    """Of 1, 2, 3 and 6: mean 3, squares of deviations 4 + 1 + 0 + 9, so the variance of the mean is 14 / 3 / 4."""
    for size in (1.0, 1e-3, 1e-160, 1e-300):
        log_mean, error = estimators.log_mean_and_error(np.log(np.array([1.0, 2.0, 3.0, 6.0]) * size))
        assert log_mean == pytest.approx(math.log(3 * size), rel=1e-14)
        assert error == pytest.approx(math.sqrt(14 / 12) / 3, rel=1e-12)
    assert np.isnan(estimators.log_mean_and_error([-1.0])[1])
    log_mean, error = estimators.log_mean_and_error([math.log(2.0), -math.inf])  # 2 and 0: mean 1, error 1
    assert (float(log_mean), float(error)) == pytest.approx((0.0, 1.0), abs=1e-15)
    columns = np.log([[1.0, 1.0], [3.0, 3.0]]) + np.array([0.0, -5000.0])  # mean 2, error 1
    log_mean, error = estimators.log_mean_and_error(columns)
    assert log_mean == pytest.approx([math.log(2.0), math.log(2.0) - 5000.0], rel=1e-12)
    assert error == pytest.approx([0.5, 0.5], rel=1e-12)
    log_mean, error = estimators.log_mean_and_error([-math.inf, -math.inf])
    assert log_mean == -math.inf
    assert np.isnan(error)


def test_interval_over_runs() -> None:
    logs = np.log([[0.01, 0.5], [0.02, 0.5], [0.03, 0.5], [0.06, 0.5]])
    asked = []

    def variances(mask: np.ndarray) -> np.ndarray:
        asked.append(mask.tolist())
        return np.array([[0.04], [0.0], [0.08], [0.04]])

    mean = estimators.mean_over_runs(logs, variances)
    assert asked == [[False, True]]
    error = math.sqrt(14 / 12) / 3, math.sqrt(0.04 / 4)  # of the other: the mean variance of a run, over 4
    assert mean.relative_error == pytest.approx(error, rel=1e-12)
    assert mean.by_genealogy.tolist() == [False, True]
    half_width = STUDENT_4 * error[0], NORMAL * error[1]
    assert mean.log_value == pytest.approx([math.log(0.03), math.log(0.5)])
    assert mean.log_low == pytest.approx([math.log(0.03) - half_width[0], math.log(0.5) - half_width[1]], rel=1e-12)
    assert mean.log_high == pytest.approx([math.log(0.03) + half_width[0], math.log(0.5) + half_width[1]], rel=1e-12)
    assert estimators.mean_over_runs(np.log([0.5, 0.9, 0.99]), lambda _: []).log_high == 0.0  # p <= 1


@pytest.mark.parametrize(
    ("n", "quantile"), [(2, 12.706204736174698), (3, STUDENT_3), (4, STUDENT_4), (31, 2.0422724)]
)
def test_half_width(n: int, quantile: float) -> None:
    assert estimators.half_width(0.1, n, by_genealogy=False) == pytest.approx(0.1 * quantile, rel=1e-7)
    assert estimators.half_width(0.1, n, by_genealogy=True) == pytest.approx(0.1 * NORMAL, rel=1e-12)
    assert estimators.half_width(0.1, 1, by_genealogy=True) == pytest.approx(0.1 * NORMAL, rel=1e-12)
    assert estimators.half_width(1.0, n, by_genealogy=True, confidence=0.5) == pytest.approx(0.6744897501960817)


def test_ratio_of_means() -> None:
    """9 / 4, and residuals -1.25, -0.25 and 1.5: squares 3.875, over 3 * 2, against a mean of 4 / 3 below."""
    value, error = estimators.ratio(np.array([1.0, 2.0, 6.0]), [1.0, 1.0, 2.0])
    assert value == 2.25
    assert error == pytest.approx(math.sqrt(3.875 / 6) / (4 / 3), rel=1e-12)
    value, error = estimators.ratio(np.array([[1.0, 4.0], [3.0, 4.0]]), [1.0, 1.0])
    assert value.tolist() == [2.0, 4.0]
    assert error.tolist() == [1.0, 0.0]  # the standard error of 1 and 3 is 1


def test_error_from_genealogies() -> None:
    assert estimators.genealogical_error([0.04]) == pytest.approx(0.2)
    assert estimators.genealogical_error([0.04, 0.12]) == pytest.approx(math.sqrt(0.08 / 2))
    assert estimators.genealogical_error([-0.02, 0.06]) == pytest.approx(math.sqrt(0.02 / 2))
    for nothing in ([1e-16], [0.0, 0.0], [-0.1], [0.04, math.nan]):
        assert np.isnan(estimators.genealogical_error(nothing))


# --- one run ----------------------------------------------------------------------------------------------------


def test_pair_factors() -> None:
    """By the definition c / W^2, c = prod m (m - 1) / (N (N - 1) - 2 K - K (K - 1) / m)."""
    first = 3 * 2 / (4 * 3 - 2 * 1 - 0) / (3 / 4) ** 2
    second = 2 * 1 / (4 * 3 - 2 * 2 - 2 * 1 / 2) / (2 / 4) ** 2
    factors = estimators.log_pair_factors(4, [1, 2, 1])
    assert np.exp(factors) == pytest.approx([1.0, first, first * second, first * second * first], rel=1e-12)
    assert np.isnan(estimators.log_pair_factors(4, [1, 3, 1])).tolist() == [False, False, True, True]
    assert np.isnan(estimators.log_pair_factors(4, [4])).tolist() == [False, True]
    assert estimators.log_pair_factors(4, []) == [0.0]


def test_variance_by_hand() -> None:
    """Families of 3 and 2, with values 1, 0, 2 and 1, 1: sums 3 and 2, so that pairs of different ones sum to 12."""
    found = estimators.genealogical_variance(5, math.log(1.1), [1.0, 0.0, 2.0, 1.0, 1.0], [4, 4, 4, 0, 0])
    assert found == pytest.approx((5 / 5) ** 2 - 1.1 * 12 / 20, rel=1e-12)
    assert estimators.genealogical_variance(4, 800.0, [1.0, 3.0, 0.0], [1, 1, 2]) == 1.0  # one family: no pair
    assert estimators.genealogical_variance(4, 0.0, [], []) == 0.0
    with pytest.raises(ValueError, match="zip"):
        estimators.genealogical_variance(4, 0.0, [1.0], [])


UP = 0.6, 0.5
"""From 0 to 1, and from 1 to 2."""


class Outcome(NamedTuple):
    probability: float
    killed: list[int]
    values: tuple[int, ...]
    roots: tuple[int, ...]


def outcomes(n: int, n_discard: int) -> Iterator[Outcome]:
    """All that a run can come to of a chain that climbs from 0 to 1 to 2, or stops."""
    laws = [[1 - UP[0], UP[0] * (1 - UP[1]), UP[0] * UP[1]], [0.0, 1 - UP[1], UP[1]], [0.0, 0.0, 1.0]]

    def go_on(found: Outcome) -> Iterator[Outcome]:
        level = sorted(found.values)[n_discard - 1]
        killed = [i for i in range(n) if found.values[i] <= level]
        survivors = [i for i in range(n) if i not in killed]
        if level == 2 or not survivors:
            yield found if survivors or level == 2 else found._replace(killed=[*found.killed, n])
            return
        for ancestors in itertools.product(survivors, repeat=len(killed)):
            for reached in itertools.product(range(3), repeat=len(killed)):
                chance = math.prod(laws[level + 1][x] for x in reached) / len(survivors) ** len(killed)
                if chance:
                    values, roots = list(found.values), list(found.roots)
                    for slot, ancestor, value in zip(killed, ancestors, reached, strict=True):
                        values[slot], roots[slot] = value, found.roots[ancestor]
                    now = found.probability * chance, [*found.killed, len(killed)], tuple(values), tuple(roots)
                    yield from go_on(Outcome(*now))

    for values in itertools.product(range(3), repeat=n):
        yield from go_on(Outcome(math.prod(laws[0][x] for x in values), [], values, tuple(range(n))))


@pytest.mark.parametrize(("n", "n_discard"), [(3, 1), (4, 1), (4, 2)])
def test_variance_of_one_run_is_right_on_average(n: int, n_discard: int) -> None:
    """Over all outcomes that there are: the mean estimated variance is the variance of the estimate."""
    mean = mean_square = mean_variance = total = 0.0
    for outcome in outcomes(n, n_discard):
        weight = math.prod(1 - killed / n for killed in outcome.killed)
        values = [float(value == 2) for value in outcome.values]
        estimate = weight * sum(values) / n
        factor = estimators.log_pair_factors(n, outcome.killed)[-1]
        variance = weight**2 * estimators.genealogical_variance(n, factor, values, outcome.roots)
        if math.isnan(variance):  # no pair has survived
            variance = estimate**2
        total += outcome.probability
        mean += outcome.probability * estimate
        mean_square += outcome.probability * estimate**2
        mean_variance += outcome.probability * variance
    assert total == pytest.approx(1.0)
    assert mean == pytest.approx(UP[0] * UP[1], rel=1e-12)
    assert mean_variance == pytest.approx(mean_square - mean**2, rel=1e-12)


# --- levels -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run() -> RunResult:
    """Five slots. At level 1 slots 0 and 1 are killed and restart from 2 and 3; at level 2 slot 2 restarts from 0.

    Families at the end: of 2 the slots 0 and 2, of 3 the slots 1 and 3, and 4.
    """
    return run_of(5, [3.0, 2.5, 3.0, 2.2, 4.0], (1.0, [0, 1], [2, 3]), (2.0, [2], [0]))


C_1 = 3 * 2 / (20 - 4 - 2 / 3)
C_2 = C_1 * 4 * 3 / (20 - 2)
"""c of the definition, after each of its iterations."""


def test_exceedance_by_hand(run: RunResult) -> None:
    assert [len(run.families), run.n_reached] == [3, 3]
    z = [0.5, 1.0, 1.5, 2.0, 2.1, 2.2, 2.9]
    # Below level 1 all five count; from 1 on 3 / 5 times those above; from 2 on 3 / 5 * 4 / 5 times those above.
    exact = [1.0, 0.6, 0.6, 0.48, 0.48, 0.48 * 4 / 5, 0.48 * 3 / 5]
    assert run.exceedance(z) == pytest.approx(exact, rel=1e-12)
    assert run.log_exceedance(z) == pytest.approx(np.log(exact), rel=1e-12)
    assert run.log_exceedance([4.0]) == -math.inf
    assert run.exceedance([0.99, 1.0]) == pytest.approx([1.0, 0.6])


def test_the_next_iteration_tells_who_is_above() -> None:
    """Before the level 2 of the only iteration: it killed maxima of 0.5, 1 and 2, and the fourth is above."""
    found = estimators.in_force(
        4, [2.0], [math.log(0.25)], [[0.5, 1.0, 2.0]], [3.0] * 4, [0.0, 0.5, 0.9, 1.0, 1.9, 2.0]
    )
    pairs = list(zip(*(part.tolist() for part in found), strict=True))
    assert pairs == [(0.0, 4), (0.0, 3), (0.0, 3), (0.0, 2), (0.0, 2), (math.log(0.25), 4)]


def test_error_of_exceedance_of_one_run_by_hand(run: RunResult) -> None:
    """Pairs of different families among those above z."""
    # After the first iteration the families are {0, 2}, {1, 3} and {4}: 25 - 4 - 4 - 1 = 16 pairs, all above 1.5.
    first = 0.6**2 - C_1 / 20 * 16
    # After the second the same ones; above 2.9 are 0 and 2 (one family) and 4: 9 - 4 - 1 = 4 pairs.
    last = (0.48 * 3 / 5) ** 2 - C_2 / 20 * 4
    # Above 2.2 are 0, 1, 2 and 4: 16 - 4 - 1 - 1 = 10 pairs.
    middle = (0.48 * 4 / 5) ** 2 - C_2 / 20 * 10
    z = [2.9, 1.5, 2.2]
    assert run.exceedance_variance(z) == pytest.approx([last, first, middle], rel=1e-9)
    assert run.variance == pytest.approx(last, rel=1e-9)
    assert run.relative_variance == pytest.approx(last / run.estimate**2, rel=1e-9)
    assert np.isnan(run.relative_exceedance_variance([4.5])).all()

    curve = curves.exceedance([run], z)
    p, error = np.array([0.288, 0.6, 0.384]), np.sqrt([last, first, middle])
    np.testing.assert_allclose(curve.value, p, rtol=1e-12)
    np.testing.assert_allclose(curve.error, error, rtol=1e-9)
    np.testing.assert_allclose(curve.low, p * np.exp(-NORMAL * error / p), rtol=1e-9)
    np.testing.assert_allclose(curve.high, np.minimum(1.0, p * np.exp(NORMAL * error / p)), rtol=1e-9)


def three_runs() -> list[RunResult]:
    return [
        run_of(4, [3.0, 3.0, 3.5, 2.0], (1.0, [0], [1]), run=0),
        run_of(4, [3.0, 2.0, 1.5, 4.0], run=1),
        run_of(4, [3.0, 3.0, 3.2, 3.1], (1.0, [0, 1], [2, 3]), (2.0, [0, 1], [3, 3]), run=2),
    ]


def test_error_of_exceedance_over_runs_by_hand() -> None:
    """Estimates at 2.5: 3 / 4 * 3 / 4, 2 / 4 and 1 / 4."""
    each = np.array([9 / 16, 1 / 2, 1 / 4])
    curve = curves.exceedance(three_runs(), [2.5, 0.5])
    error = math.sqrt(((each - each.mean()) ** 2).sum() / 2 / 3)
    assert curve.z.tolist() == [2.5, 0.5]
    assert curve.value[0] == pytest.approx(each.mean(), rel=1e-12)
    assert curve.error[0] == pytest.approx(error, rel=1e-12)
    half_width = STUDENT_3 * error / each.mean()
    assert curve.low[0] == pytest.approx(each.mean() * math.exp(-half_width), rel=1e-12)
    assert curve.high[0] == pytest.approx(min(1.0, each.mean() * math.exp(half_width)), rel=1e-12)


def test_return_times_by_hand() -> None:
    """r = -T / log(1 - P), with the slope as a difference quotient."""
    runs = three_runs() * 4
    p, times = curves.exceedance(runs, [2.5, 2.2]), curves.return_times(runs, [2.5, 2.2], 7.0)
    assert (p.high < 1.0).all()

    def r(p: np.ndarray) -> np.ndarray:
        return -7.0 / np.log(1.0 - p)

    np.testing.assert_allclose(times.value, r(p.value), rtol=1e-12)
    np.testing.assert_allclose(times.low, r(p.high), rtol=1e-12)
    np.testing.assert_allclose(times.high, r(p.low), rtol=1e-12)
    step = 1e-6
    slope = (r(p.value - step) - r(p.value + step)) / (2 * step)
    np.testing.assert_allclose(times.error, p.error * slope, rtol=1e-6)
    np.testing.assert_array_equal(times.z, [2.5, 2.2])
    never = curves.return_times(runs, [9.0], 7.0)
    assert never.value[0] == math.inf
    assert np.isnan([never.error[0], never.low[0], never.high[0]]).all()


def test_return_time_of_a_probability() -> None:
    assert estimators.return_time([0.0, 1 - math.exp(-1), 1.0], 5.0).tolist() == pytest.approx([math.inf, 5.0, 0.0])
    assert estimators.return_time(1e-12, 5.0) == pytest.approx(5e12, rel=1e-9)
    for log_p in (-1e-3, -1.0, -30.0, -39.9, -40.1, -50.0, -600.0):
        expected = math.log(estimators.return_time(math.exp(log_p), 5.0))
        assert estimators.log_return_time(log_p, 5.0) == pytest.approx(expected, rel=1e-13)
    assert estimators.log_return_time(-5000.0, 5.0) == pytest.approx(5000.0 + math.log(5.0))
    assert estimators.log_return_time(-math.inf, 5.0) == math.inf
    assert estimators.log_return_time(0.0, 5.0) == -math.inf


# --- expectations -----------------------------------------------------------------------------------------------


def test_expectation_of_one_run_by_hand(run: RunResult) -> None:
    """Slots 0, 2 and 4 reached the target, with values 1, 2 and 6: mean 3, residuals -2, -1 and 3."""
    found = expectations.mean_over_reached([run], np.array([1.0, 2.0, 6.0]))
    # 0 and 2 are one family, with -3 together: pairs of different ones sum to -18.
    error = math.sqrt(C_2 / 20 * 18) / run.estimate
    assert found.value == pytest.approx(3.0)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((3.0 - NORMAL * error, 3.0 + NORMAL * error), rel=1e-12)


def test_expectation_over_runs_by_hand() -> None:
    """Weights of a trajectory 3 / 16, 1 / 4 and 1 / 16; values 1, 2, 3 and 4, 6 and 5, 5, 7, 7."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 5.0, 5.0, 7.0, 7.0])
    above, below = np.array([6 * 3 / 16, 10 / 4, 24 / 16]), np.array([9 / 16, 2 / 4, 4 / 16])
    mean = above.sum() / below.sum()
    error = math.sqrt(((above - mean * below) ** 2).sum() / 6) / below.mean()
    found = expectations.mean_over_reached(three_runs(), values)
    assert found.value == pytest.approx(mean, rel=1e-12)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((mean - STUDENT_3 * error, mean + STUDENT_3 * error), rel=1e-12)
    both = expectations.mean_over_reached(three_runs(), np.stack([values, 2 * values], axis=1))
    np.testing.assert_allclose(both.value, [mean, 2 * mean])
    np.testing.assert_allclose(both.error, [error, 2 * error])
    cubes = expectations.mean_over_reached(three_runs(), np.tile(values[:, None, None], (1, 2, 3)))
    np.testing.assert_allclose(cubes.error, np.full((2, 3), error))


def test_expectation_of_runs_of_different_weight_that_coincide() -> None:
    """Weights 3 / 4 and 1, and the mean is 2 in both: their variances add up, with the weights squared."""
    first = run_of(4, [3.0, 3.0, 3.0, 3.0], (1.0, [0], [1]), run=0)  # 0 and 1 are a family
    second = run_of(4, [3.0, 3.0, 1.0, 1.0], run=1)
    found = expectations.mean_over_reached([first, second], np.array([1.0, 2.0, 2.0, 3.0, 1.0, 3.0]))
    factor = 3 * 2 / (12 - 2) / (3 / 4) ** 2
    variances = factor / 12 * (1 + 0 + 0 + 1), 1 / 12 * (1 + 1)  # residuals of the families: -1, 0, 1 and -1, 1
    error = math.sqrt((3 / 4) ** 2 * variances[0] + variances[1]) / (3 / 4 + 2 / 4)
    assert found.value == pytest.approx(2.0)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert found.high == pytest.approx(2.0 + NORMAL * error, rel=1e-12)


def test_a_run_that_reached_nothing_counts_as_0() -> None:
    """Also if its weight is larger than that of the others by more than floats have room for."""
    nothing = replace(run_of(4, [1.0] * 4), log_weight=0.0)
    deep = [replace(one, log_weight=one.log_weight - 2000.0) for one in three_runs()]
    values = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 5.0, 5.0, 7.0, 7.0])
    found = expectations.mean_over_reached([*deep, nothing], values)
    above, below = np.array([6 * 3 / 16, 10 / 4, 24 / 16, 0.0]), np.array([9 / 16, 2 / 4, 4 / 16, 0.0])
    mean = above.sum() / below.sum()
    error = math.sqrt(((above - mean * below) ** 2).sum() / 12) / below.mean()
    assert (found.value, found.error) == pytest.approx((mean, error), rel=1e-9)


def test_what_counts_as_no_error_depends_on_the_size_of_the_values() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 5.0, 5.0, 7.0, 7.0])
    sizes = np.array([1e-20, 1.0, 1e20])
    found = expectations.mean_over_reached(three_runs(), np.multiply.outer(values, sizes))
    alone = expectations.mean_over_reached(three_runs(), values)
    np.testing.assert_allclose(found.error, alone.error * sizes, rtol=1e-9)


HALF = Settings(end_time=20.0, step_size=0.5, target_score=1.0, n_trajectories=4)


def test_reaching_time_by_hand() -> None:
    """Slot i ended at step 10 i, of 0.5 each."""
    values = 5.0 * np.array([0, 1, 2, 0, 3, 0, 1, 2, 3])
    assert expectations.reaching_time(three_runs(), HALF) == expectations.mean_over_reached(three_runs(), values)
    nothing = run_of(4, [2.0, 2.0, 1.0, 0.0])
    assert all(math.isnan(number) for number in expectations.reaching_time([nothing], HALF))


# --- planning ---------------------------------------------------------------------------------------------------


def test_numbers_for_planning() -> None:
    assert estimators.ideal_relative_error(-8.0, 50) == pytest.approx(0.4)
    assert estimators.ideal_relative_error(0.0, 50) == 0.0
    assert math.isnan(estimators.ideal_relative_error(-math.inf, 50))
    # p = 1 / 4 to 10 %: (3 / 4) / (1 / 4) / 0.01 = 300 trajectories of 20 steps, over 1500 that were taken.
    assert math.exp(estimators.log_saving(math.log(0.25), 0.1, 1500, 20)) == pytest.approx(4.0)
    assert math.isnan(estimators.log_saving(0.0, math.nan, 1500, 20))
    assert estimators.runs_for(0.1, 0.05, 3) == 12
    assert estimators.runs_for(0.1, 0.0999, 3) == 4
    for known, wanted in ((math.nan, 0.1), (math.inf, 0.1), (0.1, 0.0), (0.1, -1.0)):
        with pytest.raises(ValueError, match="no number of runs takes a relative error of"):
            estimators.runs_for(known, wanted, 3)


def test_a_result_puts_them_together() -> None:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=40, n_discard=5)
    result = tams.run(3, seed=1)
    estimates = np.array(result.estimates)
    error = estimates.std(ddof=1) / math.sqrt(3)
    assert result.probability == estimates.mean()
    assert result.standard_error == pytest.approx(error, rel=1e-12)
    assert result.relative_error == pytest.approx(error / estimates.mean(), rel=1e-12)
    half_width = STUDENT_3 * error / estimates.mean()
    assert result.interval == pytest.approx(
        (estimates.mean() * math.exp(-half_width), estimates.mean() * math.exp(half_width)), rel=1e-12
    )
    assert result.ideal_relative_error == pytest.approx(math.sqrt(-math.log(estimates.mean()) / 120))
    assert result.compare(result.probability - 2 * error).endswith("is +2.0 standard errors off")
    assert result.compare(result.probability + 3 * error).endswith("is -3.0 standard errors off")
    one = tams.run(1, seed=1)
    [run] = one.runs
    assert one.standard_error == pytest.approx(math.sqrt(run.variance), rel=1e-12)
    half_width = NORMAL * one.standard_error / one.probability
    assert one.interval == pytest.approx(
        (one.probability * math.exp(-half_width), one.probability * math.exp(half_width)), rel=1e-12
    )
