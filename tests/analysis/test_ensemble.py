"""The weighted ensemble: the same trajectories from memory and from disk, and expectations against exact ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, Walk, WalkSingle, double_well_2d, walk_probability
from pytams import Storage
from pytams.analysis import estimators


class Parts(Walk):
    """The walk with its state in two parts, one of them a matrix."""

    def initial_state(self, rng: np.random.Generator) -> Any:
        return {"x": 0, "far": np.zeros((2, 3))}

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return {"x": super().step(state["x"], noise, t, dt), "far": state["far"] + noise[:, None, None]}

    def score(self, state: Any, t: Any) -> Any:
        return state["x"]


def well(model: pytams.Model, n: int = 20, n_discard: int = 2) -> pytams.TAMS:
    return pytams.TAMS(model, end_time=4, step_size=0.02, target_score=0.9, n_trajectories=n, n_discard=n_discard)


def walk(model: pytams.Model | None = None, target: int = 6, n: int = 20, n_discard: int = 1) -> pytams.TAMS:
    return pytams.TAMS(
        model or Walk(), end_time=20, step_size=1, target_score=target, n_trajectories=n, n_discard=n_discard
    )


CASES: dict[str, Callable[[], pytams.TAMS]] = {
    "vectorised": lambda: well(DoubleWell2D()),
    "one by one": lambda: well(DoubleWell2DSingle()),
    "compiled": lambda: well(double_well_2d()),
    "tied": walk,
    "tied, one by one": lambda: walk(WalkSingle()),
    "dict": lambda: walk(Parts()),
}


@pytest.mark.parametrize("case", CASES)
def test_memory_and_disk_hold_the_same_trajectories(case: str, tmp_path: Path) -> None:
    tams = CASES[case]()
    result = tams.run(3, seed=5)
    computed_again = result.ensemble(states=True)
    tams.run(3, seed=5, out=Storage(path=tmp_path / "all.tams", sparse_freq=1))
    with pytams.load(tmp_path / "all.tams") as saved:
        xr.testing.assert_identical(computed_again, saved.result.ensemble(states=True))
        xr.testing.assert_identical(result.ensemble(), saved.result.ensemble())
        assert saved.result == replace(result, wall_time=saved.result.wall_time)
    assert float((computed_again.weight * computed_again.reached).sum()) == pytest.approx(
        result.probability, rel=1e-12
    )
    np.testing.assert_array_equal(computed_again.score.max("time"), computed_again.maximum)
    length = computed_again.score.notnull().sum("time")
    np.testing.assert_array_equal(computed_again.time[length - 1], computed_again.end_time)


def test_scores_are_those_of_the_states() -> None:
    model = DoubleWell2D()
    ensemble = well(model).run(2, seed=1).ensemble(states=True, run=1)
    assert set(ensemble.run.values) == {1}
    there = ensemble.score.notnull().values
    np.testing.assert_array_equal(model.score(ensemble.state.values[there], 0.0), ensemble.score.values[there])
    assert np.isnan(ensemble.state.values[~there]).all()


def test_a_few_of_many() -> None:
    result = well(DoubleWell2D()).run(3, seed=1)
    few, all_of_them = result.ensemble(n_most=7), result.ensemble()
    assert few.sizes["trajectory"] == 7
    xr.testing.assert_identical(few.isel(trajectory=[0, -1]), all_of_them.isel(trajectory=[0, -1]))
    assert result.ensemble(n_most=1000).sizes["trajectory"] == all_of_them.sizes["trajectory"]


def test_states_of_records_only_need_the_model_again(tmp_path: Path) -> None:
    result = well(DoubleWell2DSingle()).run(2, seed=5, out=tmp_path / "dw.tams")
    with pytams.load(tmp_path / "dw.tams") as saved:
        xr.testing.assert_identical(saved.result.ensemble(), result.ensemble())
        with pytest.raises(pytams.RunDirectoryError, match="made in Python"):
            saved.result.ensemble(states=True)


def conditional_on_reaching(target: int, n_steps: int) -> tuple[float, float]:
    """Of the walks that reach the target: their mean time of reaching, and mean number of steps spent at 0."""
    by_time = np.array([walk_probability(target, t) for t in range(n_steps + 1)])
    time = (np.diff(by_time) * np.arange(1, n_steps + 1)).sum() / by_time[-1]
    matrix = np.zeros((target + 1, target + 1))
    for x in range(target):
        matrix[x, x + 1] += 0.3
        matrix[x, max(0, x - 1)] += 0.7
    matrix[target, target] = 1
    powers = [np.linalg.matrix_power(matrix, t) for t in range(n_steps + 1)]
    at_0 = sum(powers[t][0, 0] * powers[n_steps - t][0, target] for t in range(n_steps + 1))
    return float(time), float(at_0 / by_time[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_discard"), [(10, 1), (40, 10)])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_expectations_over_reactive_trajectories(n: int, n_discard: int, seed: int) -> None:
    time, at_0 = conditional_on_reaching(6, 20)
    result = walk(n=n, n_discard=n_discard).run(8000 // n, seed)
    assert abs(result.reaching_time.value - time) < 4 * result.reaching_time.error
    found = result.expectation(lambda e: (e.score == 0).sum("time"))
    assert abs(found.value - at_0) < 4 * found.error
    assert found.low < found.value < found.high
    both = result.expectation(
        lambda e: xr.concat([(e.score == 0).sum("time"), e.end_time], dim="what", coords="minimal", compat="override")
    )
    np.testing.assert_allclose(both.value, [found.value, result.reaching_time.value])
    np.testing.assert_allclose(both.error, [found.error, result.reaching_time.error])


@pytest.mark.slow
def test_error_of_an_expectation_from_one_run() -> None:
    """On average right: the variance over runs and what each run says of its own."""
    tams = walk(target=4, n=100, n_discard=5)
    times = [one.reaching_time for i in range(300) for one in [tams.run(1, seed=7, first_run=i)]]
    mean_variance = np.mean([time.error**2 for time in times])
    assert 0.7 < mean_variance / np.var([time.value for time in times], ddof=1) < 1.4


def test_ratio_of_means() -> None:
    value, error = estimators.ratio(np.array([1.0, 2.0, 3.0]), [0.5, 1.0, 1.5])
    assert value == 2.0
    assert error == 0.0
    assert np.isnan(estimators.ratio(np.array([1.0]), [0.5])[1])


def test_nothing_reached_gives_nan() -> None:
    result = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=15, n_trajectories=4, max_branchings=2).run(
        2, seed=1
    )
    assert math.isnan(result.reaching_time.value)
    assert result.ensemble(reached=True).sizes["trajectory"] == 0
    assert math.isnan(result.expectation(lambda e: e.end_time).value)


class Fickle(Walk):
    """Breaks the rule that noise is an argument."""

    def __init__(self) -> None:
        self.calls = 0

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        self.calls += 1
        return super().step(state, noise, t, dt) + self.calls % 3


def test_bad_input() -> None:
    result = walk().run(2, seed=1)
    with pytest.raises(KeyError, match="run 7 is not finished"):
        result.ensemble(run=7)
    with pytest.raises(ValueError, match="a value for each of"):
        result.expectation(lambda e: 1.0)
    with pytest.raises(pytams.PytamsError, match="without a source"):
        replace(result, source=None).ensemble()
    with pytest.raises(pytams.ModelError, match="computed again"):
        walk(Fickle(), target=40).run(2, seed=1).ensemble()
