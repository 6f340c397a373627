"""A learned score: the same event without bias, with less variance; the same bits compiled or not."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_1d, double_well_2d
from pytams.engine import Processes
from pytams.models.learned.fit import Committor, Transitions, fit

EXACT = 1.213e-4
"""P(the 2-D double well reaches 0.95 within T = 3): see exact.md."""


class Promising(DoubleWell2D):
    """The double well, which promises that it does not depend on t."""

    autonomous = True


def tams(model: Any, **more: Any) -> pytams.TAMS:
    settings = {"end_time": 3.0, "step_size": 0.01, "target_score": 0.95, "n_trajectories": 100, "n_discard": 5}
    return pytams.TAMS(model, **{**settings, **more})


def promising(model: Any) -> Any:
    model.autonomous = True
    return model


@cache
def learned(seed: int = 1) -> tuple[pytams.Result, pytams.LearnedScore]:
    pilot = tams(promising(double_well_2d())).run(4, seed=seed)
    return pilot, pytams.learn_score(pilot)


def relative_variance(result: pytams.Result) -> float:
    return float(np.var(np.array(result.estimates) / EXACT, ddof=1))


def test_it_scatters_less_and_is_unbiased() -> None:
    _, score = learned()
    result = tams(promising(double_well_2d())).with_score(score).run(48, seed=2)
    assert abs(result.probability - EXACT) < 4 * result.standard_error
    assert relative_variance(result) < 3 * -math.log(EXACT) / 100  # hers: 8 times the ideal
    assert result.settings == tams(DoubleWell2D()).settings  # the event stays hers


@pytest.mark.slow
def test_close_to_the_ideal_variance_over_five_pilots() -> None:
    hers = tams(double_well_2d()).run(300, seed=3)
    variances, works = [], []
    for seed in (1, 11, 21, 31, 41):
        pilot, score = learned(seed)
        result = tams(promising(double_well_2d())).with_score(score).run(100, seed=2)
        assert abs(result.probability - EXACT) < 3.5 * result.standard_error
        assert pilot.n_steps < 0.05 * result.n_steps
        variances.append(relative_variance(result))
        works.append(relative_variance(result) * result.n_steps / 100)
    assert np.mean(variances) < 1.5 * -math.log(EXACT) / 100
    assert relative_variance(hers) * hers.n_steps / 300 / np.mean(works) > 1.7


def test_the_same_bits_compiled_or_not_and_with_any_engine() -> None:
    """With a score without exp, which libraries round differently."""

    def score(x: Any, t: Any, p: Any) -> Any:
        return x[0]

    def sde(*, compiled: bool) -> pytams.SDE:
        return pytams.SDE(
            lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
            lambda x, t, p: (p.sigma, p.sigma),
            score,
            initial=(-1.0, 0.0),
            sigma=0.4,
            compiled=compiled,
        )

    pilot = tams(promising(sde(compiled=False)), target_score=0.8, n_trajectories=40).run(2, seed=1)
    taught = pytams.learn_score(pilot)
    better = [tams(promising(sde(compiled=flag)), target_score=0.8).with_score(taught) for flag in (True, False)]
    expected = better[1].run(2, seed=2)
    assert better[0].run(2, seed=2).runs == expected.runs
    assert better[1].run(2, seed=2, engine=lambda of: Processes(of, 2, seconds=0.05)).runs == expected.runs
    assert better[0].run(2, seed=2, engine=lambda of: Processes(of, 2, seconds=0.05)).runs == expected.runs


@pytest.mark.slow
def test_one_member_or_many_scalar_or_not() -> None:
    class OneByOne(DoubleWell2DSingle):
        autonomous = True

    small = {"n_trajectories": 30, "end_time": 1.0, "target_score": 0.5}
    pilot = tams(Promising(), **small).run(2, seed=1)
    score = pytams.learn_score(pilot)
    many, one = (tams(kind(), **small).with_score(score).run(1, seed=2) for kind in (Promising, OneByOne))
    assert many.runs == one.runs
    scalar = {"target_score": 0.7, "end_time": 4.0}
    compiled, plain = (tams(promising(double_well_1d(compiled=flag)), **scalar) for flag in (True, False))
    taught = pytams.learn_score(compiled.run(2, seed=1))
    assert compiled.with_score(taught).run(1, seed=2).runs == plain.with_score(taught).run(1, seed=2).runs


def test_from_a_run_directory_and_to_one(tmp_path: Path) -> None:
    """A study goes on with the score that it began with, and with no other."""
    model: Any = promising(double_well_2d())
    small = {"n_trajectories": 40, "end_time": 2.0, "target_score": 0.6}
    result = tams(model, **small).run(2, seed=1, out=tmp_path / "pilot")
    with pytams.load(tmp_path / "pilot") as saved:
        scores = [pytams.learn_score(pilot, model) for pilot in (saved, saved.result, result)]
    in_memory = pytams.learn_score(tams(model, **small).run(2, seed=1))
    for score in scores:
        for ours, theirs in zip(score.committor, in_memory.committor, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    scores[0].save(tmp_path / "score.npz")
    again = pytams.LearnedScore.load(tmp_path / "score.npz")
    better = tams(model, **small).with_score(again)
    expected = better.run(2, seed=2).runs
    with better.study(2, seed=2, out=tmp_path / "better") as study:
        for _ in study:
            break
    assert better.run(2, out=tmp_path / "better").runs == expected
    with pytest.raises(pytams.RunDirectoryError, match="model.score is .*, but the study was made with"):
        tams(model, **small).run(2, out=tmp_path / "better")
    other = pytams.learn_score(tams(model, **small).run(2, seed=5))
    with pytest.raises(pytams.RunDirectoryError, match="model.score is "):
        tams(model, **small).with_score(other).run(2, out=tmp_path / "better")


@pytest.mark.slow
def test_shorter_times_and_other_ensembles_may_use_it() -> None:
    _, score = learned()
    result = tams(promising(double_well_2d()), end_time=2.0, n_trajectories=50, n_discard=1).with_score(score).run(
        48, seed=2
    )  # fmt: skip
    assert abs(result.probability - 5.517e-6) < 4 * result.standard_error


def test_states_that_are_dicts_and_features() -> None:
    class Named(Promising):
        def initial_state(self, rng: Any) -> Any:
            return {"xy": super().initial_state(rng), "n": np.zeros((), dtype=np.int64)}

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return {"xy": super().step(state["xy"], noise, t, dt), "n": state["n"] + 1}

        def score(self, state: Any, t: Any) -> Any:
            return super().score(state["xy"], t)

    class Looking(Named):
        def features(self, state: Any, t: Any) -> Any:
            return state["xy"]

    small = {"n_trajectories": 40, "end_time": 1.0, "target_score": 0.5}
    plain = pytams.learn_score(tams(Promising(), **small).run(2, seed=1))
    looking = pytams.learn_score(tams(Looking(), **small).run(2, seed=1))
    assert looking.committor.weights.shape == plain.committor.weights.shape
    np.testing.assert_array_equal(looking.committor.coefficients, plain.committor.coefficients)
    named = pytams.learn_score(tams(Named(), **small).run(2, seed=1))
    assert named.committor.weights.shape[0] == 3
    assert tams(Named(), **small).with_score(named).run(2, seed=2).n_unfinished == 0


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        (lambda: pytams.learn_score(tams(DoubleWell2D(), target_score=0.3).run(1, seed=1)), pytams.SettingsError,
         "autonomous: .*DoubleWell2D.autonomous = True if"),
        (lambda: pytams.learn_score(tams(Promising(), end_time=0.1).run(1, seed=1)), pytams.CannotLearnError,
         "no trajectory of the pilot has reached the target: the highest score is 0"),
        (lambda: tams(Promising()).with_score(learned()[1]).run(2, seed=1), pytams.SettingsError,
         "seed: these runs taught the score"),
        (lambda: tams(Promising(), target_score=0.9).with_score(learned()[1]), pytams.SettingsError,
         "score: it was learned for the target 0.95, not 0.9"),
        (lambda: tams(Promising(), end_time=4.0).with_score(learned()[1]), pytams.SettingsError,
         "score: it was learned for times up to 3, not 4"),
        (lambda: pytams.learn_score(tams(promising(Large()), target_score=0.3).run(1, seed=1)), pytams.SettingsError,
         "features: a state of Large has 200 numbers: define features"),
        (lambda: pytams.LearnedScore.load(Path(__file__)), pytams.StoreError, "is no learned score"),
    ],
)  # fmt: skip
def test_what_cannot_be(how: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        how()


class Large(DoubleWell2D):
    """With more numbers than a score should look at."""

    def initial_state(self, rng: Any) -> Any:
        return np.array([-1.0, *np.zeros(199)])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return np.hstack([super().step(state[:, :2], noise, t, dt), state[:, 2:]])

    def score(self, state: Any, t: Any) -> Any:
        return super().score(state[:, :2], t)


@pytest.mark.slow
def test_a_better_study_teaches_again() -> None:
    """And the runs that taught before must not estimate either."""
    pilot, score = learned()
    better = tams(promising(double_well_2d())).with_score(score)
    again = pytams.learn_score(better.run(2, seed=7))
    assert again.taught_by == {(1, 0), (1, 1), (1, 2), (1, 3), (7, 0), (7, 1)}
    twice = tams(promising(double_well_2d())).with_score(again)
    for seed in (1, 7):
        with pytest.raises(pytams.SettingsError, match="seed: these runs taught the score"):
            twice.run(2, seed=seed)
    result = twice.run(32, seed=8)
    assert abs(result.probability - EXACT) < 4 * result.standard_error
    assert relative_variance(result) < 3 * -math.log(EXACT) / 100
    assert pilot.n_unfinished == 0


def test_other_runs_of_the_pilots_seed_may_be_used() -> None:
    _, score = learned()
    small = tams(promising(double_well_2d()), n_trajectories=20, end_time=1.0)
    assert small.with_score(score).run(1, seed=1, first_run=4).n_unfinished == 0


def test_a_chain_is_learned() -> None:
    """Of y = 0.8 x + 0.6 noise, with the event y >= 2: beside its transfer operator on a grid."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 2.0, 20_000)
    y = 0.8 * x + 0.6 * rng.standard_normal(len(x))
    transitions = Transitions(x[:, None], np.zeros(len(x)), x, y[:, None], y >= 2.0)
    found: Committor = fit(transitions, 1.0, 12, 0.02)
    score = pytams.LearnedScore(committor=found, end_time=12.0, target_score=2.0, taught_by=frozenset())
    grid = np.linspace(-6.0, 2.0, 1601)
    density = np.exp(-0.5 * ((grid - 0.8 * grid[:, None]) / 0.6) ** 2) / (0.6 * math.sqrt(2.0 * math.pi))
    density[:, [0, -1]] /= 2.0
    kernel = density * (grid[1] - grid[0])
    u = np.zeros(len(grid))
    for n in range(1, 13):
        u = kernel @ u + (1.0 - kernel.sum(axis=1))
        if n in {3, 12}:
            at = (grid > -1.5) & (grid < 1.8) & (u > 0.01)  # below 0.002 it is cut off
            assert np.abs(score.log_u(grid[at, None], 12.0 - n) - np.log(u[at])).mean() < 0.15


def test_a_chain_on_integers_is_learned() -> None:
    """Of the reflected walk: many transitions begin at the same place, and none of them counts for all."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, 20_000).astype(np.float64)
    y = np.maximum(0.0, x + np.where(rng.random(len(x)) < 0.3, 1.0, -1.0))
    transitions = Transitions(x[:, None], np.zeros(len(x)), x, y[:, None], y == 6)
    score = pytams.LearnedScore(
        committor=fit(transitions, 1.0, 20, 0.018), end_time=20.0, target_score=6.0, taught_by=frozenset()
    )
    matrix = np.zeros((7, 7))
    for i in range(6):
        matrix[i, i + 1] += 0.3
        matrix[i, max(0, i - 1)] += 0.7
    matrix[6, 6] = 1.0
    for n in (8, 20):
        exact = np.linalg.matrix_power(matrix, n)[:6, 6]
        seen = exact > 0.01
        error = score.log_u(np.arange(6.0)[seen, None], 20.0 - n) - np.log(exact[seen])
        assert np.abs(error).max() < 0.25
