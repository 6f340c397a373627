"""Runs that coincide: their spread says 0, which is no error bar. It comes from their genealogies then."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import pytams
from exact import Walk
from pytams import plot
from pytams.analysis import estimators, summary
from pytams.cli.watch import WatchedStudy
from pytams.storage.status import RunStatus
from pytams.tams.progress import estimate_text

mpl.use("Agg")

NORMAL_QUANTILE = 1.959963984540054


def walk(target: int, n: int = 10) -> pytams.TAMS:
    return pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=target, n_trajectories=n)


@pytest.fixture
def four() -> pytams.Result:
    """Four runs, each of 0.8: two of ten were killed, and all reached the target."""
    return walk(2).run(4, seed=6)


def test_the_error_is_from_their_genealogies(four: pytams.Result) -> None:
    assert set(four.estimates) == {0.8}
    # One iteration with K = 2: c = 8 * 7 / (10 * 9 - 2 * 2 - 2 * 1 / 8), and all pairs but those in a family.
    of_runs = []
    for run in four.runs:
        [iteration] = run.iterations
        assert len(iteration.killed) == 2
        pairs = 100 - sum(size**2 for size in run.families.values())
        of_runs.append(0.8**2 - 8 * 7 / (90 - 4 - 2 / 8) / 90 * pairs)
    error = math.sqrt(sum(of_runs) / 4 / 4)
    assert 0.05 < error < 0.08  # 0.8 * 0.2 / 40 is 0.063^2
    assert four.standard_error == pytest.approx(error, rel=1e-12)
    assert four.relative_error == pytest.approx(error / 0.8, rel=1e-12)
    factor = math.exp(NORMAL_QUANTILE * error / 0.8)
    assert four.interval == pytest.approx((0.8 / factor, 0.8 * factor), rel=1e-12)


def test_what_is_said_of_it(four: pytams.Result) -> None:
    rows = dict(four.rows)
    assert rows["standard error"].startswith(f"{four.standard_error:.2g} (")
    assert rows["standard error"].endswith("from the runs' genealogies: the runs coincide")
    assert four.health.word == "weak"
    assert "the 4 runs coincide" in four.health.reason
    assert "larger ensemble, or more runs" in four.health.advice
    assert four.health.spread == 0.0
    json.dumps(four.to_dict(), allow_nan=False)


def test_equal_but_for_rounding() -> None:
    """Two orders of the same factors."""
    logs = [math.log1p(-0.1) + math.log1p(-0.7) + math.log(0.3), math.log(0.3) + math.log1p(-0.7) + math.log1p(-0.1)]
    assert estimators.coincide([logs[0], logs[1] + 3e-16])
    assert not estimators.coincide([0.0, 1e-8])
    assert not estimators.coincide([-1.0])
    assert not estimators.coincide([-math.inf, -math.inf])
    assert not estimators.coincide([-math.inf, -1.0])
    assert estimators.coincide([[0.0, -1.0, 0.0], [0.0, -2.0, -math.inf]]).tolist() == [True, False, False]


@pytest.mark.parametrize(("n_runs", "where"), [(2, "the runs coincide, and their genealogies do"), (1, "one run's")])
def test_where_nothing_tells_the_error(n_runs: int, where: str) -> None:
    """All trajectories reached the target."""
    result = walk(2).run(n_runs, seed=292)
    assert set(result.estimates) == {1.0}
    for number in (result.standard_error, result.relative_error, *result.interval, result.saving):
        assert math.isnan(number)
    rows = dict(result.rows)
    assert rows["standard error"] == rows["95 % interval"]
    assert rows["standard error"].startswith(f"unknown: {where}")
    assert "nothing has reached" not in str(result)
    assert "no standard error to compare with" in result.compare(0.9)
    assert result.to_dict()["standard_error"] is None
    assert result.to_dict()["interval"] == [None, None]
    assert summary.interval(result, ".2e") == ""


def test_one_run_never_says_0() -> None:
    """N = 49: the difference that is the variance comes out as 1e-16, which is rounding."""
    one = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=1, n_trajectories=49).run(1, seed=1)
    assert one.probability == 1.0
    assert math.isnan(one.standard_error)


def test_levels_where_runs_coincide() -> None:
    result = walk(3).run(2, seed=110)
    z = [-0.5, 0.5, 1.5, 2.5]
    curve = result.exceedance(z)
    each = np.array([run.exceedance(z) for run in result.runs])
    np.testing.assert_allclose(each, [[1.0, 1.0, 0.5, 0.3], [1.0, 1.0, 0.6, 0.3]])
    np.testing.assert_allclose(curve.value, [1.0, 1.0, 0.55, 0.3])
    for bound in (curve.error, curve.low, curve.high):
        assert np.isnan(bound).tolist() == [True, True, False, False]  # where all are above, nothing tells an error
    for i, coincide in [(2, False), (3, True)]:
        variances = [run.exceedance_variance([z[i]])[0] for run in result.runs]
        by_genealogy, by_spread = math.sqrt(sum(variances)) / 2, abs(each[0, i] - each[1, i]) / 2
        assert curve.error[i] == pytest.approx(by_genealogy if coincide else by_spread, rel=1e-9)
        quantile = NORMAL_QUANTILE if coincide else 12.706204736174698  # Student's of two runs
        half_width = quantile * curve.error[i] / curve.value[i]
        assert curve.low[i] == pytest.approx(curve.value[i] * math.exp(-half_width), rel=1e-9)
        assert curve.high[i] == pytest.approx(min(1.0, curve.value[i] * math.exp(half_width)), rel=1e-9)
    assert curve.error[3] == pytest.approx(result.standard_error)
    times = result.return_times(z)
    assert times.value[0] == 0.0
    assert (times.error > 0.0).tolist() == [False, False, True, True]
    for kind in ("exceedance", "return-times", "estimates"):
        plot.draw(kind, result).figure.draw_without_rendering()  # type: ignore[union-attr] # it has one
    plt.close("all")


def pairs_error(run: pytams.RunResult, values: np.ndarray, mean: float) -> float:
    """Of the sum of values over N, in units of the weight, from pairs of trajectories of different families."""
    n, factor = run.n, 1.0
    for iteration in run.iterations:
        killed = len(iteration.killed)
        left = n - killed
        factor *= left * (left - 1) / (n * (n - 1) - 2 * killed - killed * (killed - 1) / left) / (left / n) ** 2
    roots = np.array([final.root for final in run.reached])
    unrelated = roots[:, None] != roots[None, :]
    residuals = values - mean
    of_pairs = (np.outer(residuals, residuals) * unrelated).sum()
    return float((residuals.sum() / n) ** 2 - factor / (n * (n - 1)) * of_pairs)


def test_expectations_where_runs_coincide(four: pytams.Result) -> None:
    """Half of the trajectories of each run are in odd slots."""
    found = four.expectation(lambda e: e.slot % 2)
    assert found.value == 0.5
    variances = [pairs_error(run, np.arange(10.0) % 2, 0.5) for run in four.runs]
    error = math.sqrt(sum(variances)) / 4 * 0.8 / 0.8  # weights are 0.8, as is the probability
    assert found.error == pytest.approx(error, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((0.5 - NORMAL_QUANTILE * error, 0.5 + NORMAL_QUANTILE * error))

    both = four.expectation(lambda e: np.stack([e.slot % 2, 7.0 + 0.0 * e.slot, e.run.values], axis=1))
    assert both.value.tolist() == pytest.approx([0.5, 7.0, 1.5])
    assert both.error[0] == pytest.approx(error, rel=1e-9)
    assert math.isnan(both.error[1])  # all are 7: nothing tells an error
    assert both.error[2] == pytest.approx(math.sqrt(5 / 3 / 4))  # of 0, 1, 2 and 3
    half_width = 3.182446305284263 * both.error[2]  # Student's quantile of four runs
    assert (both.low[2], both.high[2]) == pytest.approx((1.5 - half_width, 1.5 + half_width))


def test_an_expectation_that_one_run_knows_has_its_error() -> None:
    """The others went extinct: 0 over 0 is no agreement."""
    runs = walk(6).run(30, seed=3).runs
    extinct = [run for run in runs if run.extinct]
    alone = max((run for run in runs if not run.extinct), key=lambda run: len(run.families))
    result = walk(6).run(1, seed=3)
    one = replace(result, runs=(alone,)).reaching_time
    with_others = replace(result, runs=(extinct[0], alone, extinct[1])).reaching_time
    assert with_others.value == pytest.approx(one.value)
    assert with_others.error == pytest.approx(one.error)
    assert one.error > 0.0


@pytest.mark.parametrize(
    ("log_mean", "relative_error", "text"),
    [
        (-math.inf, math.nan, ": nothing has reached the target yet"),
        (math.log(0.2), math.nan, " 2.000e-01"),
        (math.log(0.2), 0.1, " 2.000e-01 +- 2.0e-02"),
        (-1000 * math.log(10) + math.log(0.2), 0.1, " 2.000e-1001 +- 2.0e-1002"),
    ],
)
def test_a_watcher_says_no_more_than_is_known(log_mean: float, relative_error: float, text: str) -> None:
    assert estimate_text(log_mean, relative_error) == text


def test_watching_runs_that_coincide(tmp_path: Path) -> None:
    result = walk(2).run(2, seed=6, out=tmp_path / "walk.tams")
    mean, error = WatchedStudy(tmp_path / "walk.tams").log_estimate
    assert mean == pytest.approx(math.log(0.8))
    assert math.isnan(error)
    assert result.relative_error > 0.0


def test_a_note_of_earlier_versions() -> None:
    note = {
        "finished": True, "level": 1.0, "progress": 1.0, "estimate": 0.8, "n_branchings": 2, "n_running": 0,
        "n_busy": 0, "steps_per_second": 1.0,
    }  # fmt: skip
    status = RunStatus.from_json(json.dumps(note), "run00000.db")
    assert status.log_estimate == pytest.approx(math.log(0.8))
    assert RunStatus.from_json(json.dumps(note | {"estimate": 0.0}), "run00000.db").log_estimate is None
    assert RunStatus.from_json(status.to_json(), "run00000.db") == status
    for estimate in ("0.8", -1.0, [0.8]):
        with pytest.raises(pytams.RunDirectoryError, match="run00000.db: its driver's note is not what was written"):
            RunStatus.from_json(json.dumps(note | {"estimate": estimate}), "run00000.db")
    with pytest.raises(pytams.RunDirectoryError, match="its driver's note"):
        RunStatus.from_json("[1]", "run00000.db")
