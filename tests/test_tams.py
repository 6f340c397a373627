"""The shell: settings, the study as an iterator, the result."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, OrnsteinUhlenbeck, Walk

GOOD: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 4, "n_trajectories": 10}


def walk(**settings: Any) -> pytams.TAMS:
    return pytams.TAMS(Walk(), **(GOOD | settings))


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("n_trajectories", 1, "at least 2"),
        ("n_trajectories", 10.5, "whole number"),
        ("n_trajectories", 2**32, "too large"),
        ("n_discard", 0, "at least 1"),
        ("n_discard", 10, "below n_trajectories"),
        ("max_branchings", -1, "at least 0"),
        ("end_time", 20.5, "multiple of step_size.*nearest one is 20"),
        ("end_time", 0.0, "positive"),
        ("end_time", math.inf, "finite"),
        ("step_size", -1, "positive"),
        ("step_size", "1", "finite number"),
        ("target_score", math.nan, "finite"),
    ],
)
def test_impossible_settings_are_named(setting: str, value: Any, word: str) -> None:
    with pytest.raises(pytams.SettingsError, match=f"^{setting}: .*{word}") as error:
        walk(**{setting: value})
    assert error.value.setting == setting


def test_settings_may_be_numpy_numbers() -> None:
    tams = walk(n_trajectories=np.int64(10), target_score=np.float32(4), end_time=np.int32(20))
    assert tams.run(2, seed=np.int64(1)).seed == 1  # type: ignore[arg-type] # taken all the same


def test_end_time_may_be_a_multiple_up_to_rounding() -> None:
    assert walk(end_time=0.3, step_size=0.1).settings.n_steps == 3


@pytest.mark.parametrize(("name", "value"), [("n_runs", 0), ("seed", -1), ("seed", 2**63), ("first_run", -1)])
def test_impossible_run_arguments_are_named(name: str, value: Any) -> None:
    with pytest.raises(pytams.SettingsError, match=f"^{name}: "):
        walk().run(**{name: value})


def test_model_must_be_a_model() -> None:
    for wrong in (Walk, object(), 3):
        with pytest.raises(pytams.SettingsError, match=r"^model: expected a pytams\.Model"):
            pytams.TAMS(wrong, **GOOD)  # type: ignore[arg-type] # that is the point


@pytest.mark.slow
@pytest.mark.parametrize("shape", [2, [2], (2.0,), (-1,), None])
def test_noise_shape_must_be_a_shape(shape: Any) -> None:
    model = type("NoShape", (Walk,), {"noise_shape": shape})()
    with pytest.raises(pytams.SettingsError, match=r"NoShape\.noise_shape must be"):
        pytams.TAMS(model, **GOOD)


def test_a_fixed_start_at_the_target_is_refused() -> None:
    with pytest.raises(pytams.SettingsError, match=r"^target_score: -1 is already reached at t = 0"):
        walk(target_score=-1).run(2, seed=1)


def test_a_random_start_may_be_at_the_target() -> None:
    tams = pytams.TAMS(OrnsteinUhlenbeck(), end_time=0.01, step_size=0.01, target_score=-9.0, n_trajectories=4)
    result = tams.run(2, seed=1)
    assert result.probability == 1.0
    assert result.n_steps == 0


def test_a_drawn_seed_is_told_and_gives_the_same_again() -> None:
    first = walk().run(5)
    again = walk().run(5, seed=first.seed)
    assert first.estimates == again.estimates
    assert first.seed != walk().run(1).seed


def test_a_study_can_be_watched_stopped_and_gone_on_with() -> None:
    study = walk().study(40, seed=2)
    with pytest.raises(RuntimeError, match="no run is finished"):
        study.result()
    steps, levels = [], []
    for watched in study:
        steps.append(watched.n_steps)
        levels.append(watched.lowest_level)
        assert watched.n_running >= 0
        if watched.n_finished >= 3:
            break
    partial = study.result()
    assert 3 <= len(partial.runs) == 40 - partial.n_unfinished < 40
    assert "unfinished" in str(partial)
    for _ in study:
        pass
    assert steps == sorted(steps)
    assert levels[0] == -math.inf
    assert study.lowest_level == 4
    assert study.result().estimates == walk().run(40, seed=2).estimates


def test_iteration_cap() -> None:
    result = walk(max_branchings=5).run(30, seed=1)
    for run in result.runs:
        assert all(iteration.n_branchings < 5 for iteration in run.iterations)
    assert walk(max_branchings=0).run(3, seed=1).n_iterations == 0


def test_result_numbers() -> None:
    result = walk().run(50, seed=3)
    estimates = np.array(result.estimates)
    assert result.probability == pytest.approx(estimates.mean())
    assert result.standard_error == pytest.approx(estimates.std(ddof=1) / math.sqrt(50))
    low, high = result.interval
    factor = math.exp(2.0096 * result.relative_error)  # Student's quantile for 50 runs, on the logarithm
    assert (low, high) == pytest.approx((result.probability / factor, result.probability * factor), rel=1e-4)
    assert result.n_extinct == sum(estimate == 0 for estimate in estimates)
    assert result.n_steps == sum(run.n_steps for run in result.runs) > 50 * 10 * 5
    for run in result.runs:
        assert run.n_branchings == sum(len(iteration.killed) for iteration in run.iterations)


def test_result_reads_well() -> None:
    result = pytams.TAMS(DoubleWell2D(), end_time=2.0, step_size=0.01, target_score=0.6, n_trajectories=10).run(
        4, seed=1
    )
    text = str(result)
    for word in (
        "DoubleWell2D",
        "probability",
        "standard error",
        "95 % interval",
        "N = 10, l = 1",
        "seed",
        "4 finished",
    ):
        assert word in text
    assert result._repr_html_().count("<tr>") == len(text.splitlines())
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["n_runs"] == 4


def test_zero_estimate_prints() -> None:
    result = walk(target_score=19, n_trajectories=2).run(2, seed=1)
    assert result.probability == 0.0
    assert math.isnan(result.relative_error)
    assert "0.0000e+00" in str(result)
