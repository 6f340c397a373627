"""Probabilities far below the smallest float: every number that a user can read, beside exact arithmetic."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection

import pytams
from exact import Climb, Walk
from pytams import RunResult, plot
from pytams.analysis import logs
from pytams.analysis.report import write_report
from pytams.cli.watch import WatchedStudy
from pytams.core.compact import Iterations
from pytams.sqldb import SQLFile

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def climb(power: int) -> pytams.TAMS:
    """Estimate 10**power."""
    target = -2 * power * logs.LOG_10
    return pytams.TAMS(Climb(), end_time=6000, step_size=1, target_score=target, n_trajectories=8, n_discard=2)


@pytest.fixture(scope="module")
def below_floats() -> pytams.Result:
    return climb(-330).run(2, seed=1)


def weights(run: RunResult) -> list[Fraction]:
    """Of the ensemble, before the first iteration and after each."""
    found = [Fraction(1)]
    for iteration in run.iterations:
        found.append(found[-1] * (run.n - len(iteration.killed)) / run.n)
    return found


def log(exact: Fraction) -> float:
    return math.log(exact.numerator) - math.log(exact.denominator)


def exact_relative_variance(run: RunResult) -> Fraction:
    """From the genealogy, by the definition: pairs of trajectories that reached the target, of different families."""
    n, factor = run.n, Fraction(1)
    for iteration in run.iterations:
        killed = len(iteration.killed)
        left = n - killed
        factor *= Fraction(left * (left - 1)) / (n * (n - 1) - 2 * killed - Fraction(killed * (killed - 1), left))
    pairs = sum(a.root != b.root for a in run.reached for b in run.reached)
    estimate = weights(run)[-1] * run.n_reached / n
    return 1 - factor / (n * (n - 1)) * pairs / estimate**2


@pytest.mark.slow
@pytest.mark.parametrize("power", [-3, -161, -165, -320])
def test_estimates_and_errors_are_those_of_exact_arithmetic(power: int) -> None:
    result = climb(power).run(3, seed=2)
    estimates = [weights(run)[-1] * run.n_reached / run.n for run in result.runs]
    mean = sum(estimates, Fraction(0)) / 3
    variance = sum((estimate - mean) ** 2 for estimate in estimates) / (3 - 1) / 3
    assert result.log_probability == pytest.approx(log(mean), rel=1e-13)
    assert result.probability == pytest.approx(float(mean), rel=1e-11)
    assert result.relative_error == pytest.approx(math.sqrt(variance / mean**2), rel=1e-10)
    assert [run.log_estimate for run in result.runs] == pytest.approx([*map(log, estimates)], rel=1e-13)
    half_width = 4.302652729749464 * result.relative_error  # Student's quantile of 3 estimates
    assert result.log_interval == pytest.approx((log(mean) - half_width, log(mean) + half_width), rel=1e-12)
    for run in result.runs:
        if max(len(iteration.killed) for iteration in run.iterations) > run.n - 2:
            assert math.isnan(run.relative_variance)
        else:
            assert run.relative_variance == pytest.approx(float(exact_relative_variance(run)), rel=1e-9)


def shifted(result: pytams.Result, by: float) -> pytams.Result:
    """The same study, had its ensembles had other weights from the beginning."""

    def of(run: RunResult) -> RunResult:
        iterations = Iterations.of(run.run, [replace(i, log_weight=i.log_weight + by) for i in run.iterations])
        log_estimate = run.log_estimate + by
        weight = run.log_weight + by
        return replace(
            run, iterations=iterations, log_weight=weight, log_estimate=log_estimate, estimate=math.exp(log_estimate)
        )

    return replace(result, runs=tuple(map(of, result.runs)))


@pytest.mark.parametrize(
    ("power", "form"), [(0, r"\d,\d{3}\.\d|\d+\.\d"), (-40, r"\d\.\de\+\d\d"), (-300, r"\d\.\de\+\d+")]
)
def test_the_cost_of_plain_monte_carlo_can_be_read(power: int, form: str) -> None:
    """Never 300 digits."""
    walk = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=40, n_discard=5)
    cost = dict(shifted(walk.run(2, seed=1), power * logs.LOG_10).rows)["cost"]
    assert re.search(rf"; plain Monte Carlo: ({form}) times the steps$", cost), cost


@pytest.mark.parametrize("n_runs", [1, 6])
@pytest.mark.parametrize("power", [-162, -320, -1000])
def test_errors_do_not_depend_on_the_size(n_runs: int, power: int) -> None:
    walk = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=40, n_discard=5)
    plain = walk.run(n_runs, seed=1)
    deep = shifted(plain, by := power * logs.LOG_10)
    assert deep.relative_error == pytest.approx(plain.relative_error, rel=1e-9)
    assert deep.log_probability == pytest.approx(plain.log_probability + by, rel=1e-12)
    assert deep.log_interval == pytest.approx([end + by for end in plain.log_interval], rel=1e-12)
    assert deep.health.word == plain.health.word
    assert deep.health.spread == pytest.approx(plain.health.spread, rel=1e-9, nan_ok=True)

    z = [1.5, 2.5, 3.5]  # after the first iteration
    ours, theirs = deep.exceedance(z), plain.exceedance(z)
    np.testing.assert_allclose(ours.log_value, theirs.log_value + by, rtol=1e-12)
    np.testing.assert_allclose(ours.log_low, theirs.log_low + by, rtol=1e-12)
    np.testing.assert_allclose(ours.relative_error, theirs.relative_error, rtol=1e-9)
    np.testing.assert_allclose(ours.value, np.exp(ours.log_value))
    times = deep.return_times(z)  # T / P for P this small
    np.testing.assert_allclose(times.log_value, math.log(20) - ours.log_value, rtol=1e-12)
    np.testing.assert_allclose(times.log_high, math.log(20) - ours.log_low, rtol=1e-12)
    np.testing.assert_allclose(times.relative_error, ours.relative_error, rtol=1e-9)

    assert deep.reaching_time == pytest.approx(plain.reaching_time, rel=1e-9)
    assert deep.expectation(lambda e: e.end_time) == pytest.approx(plain.reaching_time, rel=1e-9)


@pytest.mark.slow
def test_saving_of_what_plain_monte_carlo_never_finds(below_floats: pytams.Result) -> None:
    result = below_floats
    trajectories = -result.log_probability - 2 * math.log(result.relative_error)  # 1 / (p e^2)
    assert result.log_saving == pytest.approx(trajectories + math.log(6000 / result.n_steps), rel=1e-12)
    assert result.saving == math.inf
    assert result.ideal_relative_error == pytest.approx(math.sqrt(-result.log_probability / 8 / 2))


def test_text_and_json_go_on_below_the_smallest_float(below_floats: pytams.Result) -> None:
    result = below_floats
    assert result.probability == 0.0
    rows = dict(result.rows)
    p = Decimal(rows["probability"])
    assert float(p.log10()) * logs.LOG_10 == pytest.approx(result.log_probability, rel=1e-6)
    error = Decimal(rows["standard error"].split(" ")[0])
    assert float(error / p) == pytest.approx(result.relative_error, rel=0.06)
    low, high = map(Decimal, rows["95 % interval"].split(" to "))
    assert low < p < high
    assert Decimal(rows["cost"].split("plain Monte Carlo: ")[1].split(" ")[0]) > Decimal("1e300")
    assert "nothing" not in str(result)
    assert "nan" not in str(result).lower()

    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["probability"] == 0.0
    assert found["log_probability"] == result.log_probability
    assert found["log_estimates"] == [run.log_estimate for run in result.runs]
    assert found["log_interval"] == list(result.log_interval)
    assert found["relative_error"] == result.relative_error
    assert found["log_saving"] == result.log_saving
    assert found["standard_error"] is found["saving"] is None
    assert found["interval"] == [None, None]
    plain = climb(-3).run(3, seed=2).to_dict()
    assert plain["standard_error"] == plain["relative_error"] * plain["probability"]
    assert plain["interval"] == pytest.approx([math.exp(end) for end in plain["log_interval"]])


def test_compared_with_what_is_known() -> None:
    deep = shifted(climb(-3).run(4, seed=2), -715.0)
    for factor in (0.5, 3.0):
        known = deep.probability * factor
        assert 0.0 < known < 1e-308
        expected = (1.0 - factor) / deep.relative_error
        assert deep.compare(known).endswith(f"the estimate is {expected:+.1f} standard errors off")


def test_the_ensemble_knows_its_weights(below_floats: pytams.Result) -> None:
    ensemble = below_floats.ensemble(reached=True)
    total = np.logaddexp.reduce(ensemble.log_weight.values)
    assert total == pytest.approx(below_floats.log_probability, rel=1e-12)
    plain = climb(-3).run(2, seed=2).ensemble()
    np.testing.assert_allclose(plain.weight, np.exp(plain.log_weight), rtol=1e-12)


def coordinates(ax: Any) -> Any:
    """Of the only curve."""
    [line] = [line for line in ax.lines if len(line.get_xdata()) > 2]
    return line.get_xdata(), line.get_ydata()


@pytest.mark.slow
def test_pictures(below_floats: pytams.Result) -> None:
    result = below_floats
    ax = plot.exceedance(result)
    z, powers = coordinates(ax)
    curve = result.exceedance(z)
    assert (curve.value == 0.0).any()
    np.testing.assert_allclose(powers, curve.log_value / logs.LOG_10)
    assert powers[-1] == pytest.approx(result.log_probability / logs.LOG_10)
    assert [path.get_extents().ymin for path in ax.collections[0].get_paths()] == pytest.approx(
        [np.nanmin(curve.log_low) / logs.LOG_10]
    )
    ax.figure.draw_without_rendering()  # type: ignore[union-attr] # it has one
    assert "$10^{-300}$" in [label.get_text() for label in ax.get_yticklabels()]

    ax = plot.return_times(result)
    powers, levels = coordinates(ax)
    np.testing.assert_allclose(powers, result.return_times(levels).log_value / logs.LOG_10)
    assert powers[-1] > 320
    ax.figure.draw_without_rendering()  # type: ignore[union-attr] # it has one

    ax = plot.estimates(result, reference=1e-320)
    shown = np.asarray(ax.lines[0].get_ydata(), dtype=float)
    assert shown == pytest.approx([run.log_estimate / logs.LOG_10 for run in result.runs])
    ax.figure.draw_without_rendering()  # type: ignore[union-attr] # it has one
    assert all(re.fullmatch(r"\$10\^\{-\d+\}\$", label.get_text()) for label in ax.get_yticklabels())

    ax = plot.scores(result, colour="weight", n_most=5)
    weights = {run.log_weight - math.log(8 * 2) for run in result.runs}
    [lines] = [c for c in ax.collections if isinstance(c, LineCollection)]
    found = np.asarray(lines.get_array())
    assert {round(value, 6) for value in found} == {round(weight / logs.LOG_10, 6) for weight in weights}


@pytest.mark.slow
def test_report(below_floats: pytams.Result, tmp_path: Path) -> None:
    write_report(below_floats, tmp_path / "report.html", reference=5e-324)
    text = (tmp_path / "report.html").read_text()
    power = str(math.floor(below_floats.log_probability / logs.LOG_10)).translate(
        str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    )
    assert re.search(rf"P = \(\d\.?\d* ± \d\.?\d*\) . 10{power}<", text)
    assert re.search(r"95 % interval \d\.\d\de-3\d\d to \d\.\d\de-3\d\d<", text)
    assert "nothing has reached" not in text
    assert "nan" not in text.split("<h2>Pictures")[0].lower()


def weight_texts(path: Path) -> list[str]:
    with sqlite3.connect(path / "ledgers" / "run00000.db") as database:
        return [row[0] for row in database.execute("SELECT weight FROM splitting_iterations ORDER BY id")]


@pytest.mark.slow
def test_a_run_directory(tmp_path: Path) -> None:
    """Ledger, metadata and the driver's note have the weights, whatever their size."""
    path = tmp_path / "climb.tams"
    result = climb(-330).run(1, seed=1, out=pytams.Storage(path=path, archive_discarded=False))
    [run] = result.runs
    exact = weights(run)[1:]
    for text, iteration, weight in zip(weight_texts(path), run.iterations, exact, strict=True):
        if weight >= sys.float_info.min:
            assert text == json.dumps(math.exp(iteration.log_weight))  # the established format
        assert abs(Fraction(Decimal(text)) / weight - 1) < 1e-9
        assert json.loads(text) == pytest.approx(float(weight), rel=1e-9)
    with SQLFile(str(path / "ledgers" / "run00000.db"), ro_mode=True) as ledger:
        assert ledger.get_weights()[-1] == 0.0
        metadata = [json.loads(ledger.fetch_trajectory_metadata(slot)) for slot in range(8)]
    assert {m["log_weight"] for m in metadata} == {run.log_weight}
    assert {m["weight"] for m in metadata} == {0.0}
    mean, error = WatchedStudy(path).log_estimate
    assert mean == pytest.approx(result.log_probability, rel=1e-14)
    assert math.isnan(error)


@pytest.mark.slow
def test_a_run_directory_is_resumed_and_watched(tmp_path: Path) -> None:
    path, tams = tmp_path / "climb.tams", climb(-330)
    first = tams.run(1, seed=1, out=path)
    last = len(weight_texts(path)) - 1
    change_weight(path, last, "0.0")  # as earlier versions wrote it
    result = tams.run(2, seed=1, out=path)
    assert result.runs[0] == first.runs[0]
    command = [sys.executable, "-m", "pytams", "watch", str(path)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert str(result).splitlines()[1] in shown  # the probability
    change_weight(path, last, "1e-999")
    with pytest.raises(pytams.RunDirectoryError, match="weight of splitting iteration .* is 1e-999, but"):
        tams.run(2, seed=1, out=path)


def change_weight(path: Path, iteration: int, text: str) -> None:
    with sqlite3.connect(path / "ledgers" / "run00000.db") as database:
        database.execute("UPDATE splitting_iterations SET weight = ? WHERE id = ?", (text, iteration + 1))


@pytest.mark.parametrize(
    ("power", "factor", "form", "text"),
    [
        (0, 0.25, ".1e", "2.5e-01"),
        (-1000, 0.25, ".1e", "2.5e-1001"),
        (-1000, 0.25, ".2g", "2.5e-1001"),
        (-1000, 9.996, ".2e", "1.00e-999"),
        (-320, 1.2345, ".3e", "1.234e-320"),
        (400, 1.26, ",.1f", "1.3e+400"),
        (3, 1.26, ",.1f", "1,260.0"),
    ],
)
def test_writing_numbers_from_their_logs(power: int, factor: float, form: str, text: str) -> None:
    assert logs.text(power * logs.LOG_10 + math.log(factor), form) == text


def test_numbers_that_are_no_floats() -> None:
    assert logs.text(-math.inf, ".1e") == "0.0e+00"
    assert logs.text(math.nan, ".1e") == "nan"
    assert logs.number(-1000.0) == 0.0
    assert logs.number(1000.0) == math.inf
    assert math.isnan(logs.number(math.nan))
    assert logs.is_plain(-math.inf)
    assert logs.is_plain(0.0)
    assert logs.is_plain(-708.0)
    assert not logs.is_plain(-709.0)
    assert not logs.is_plain(math.nan)
    assert not logs.is_plain(710.0)
