"""A learned score: the same event without bias, with less variance; the same bits compiled or not."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_1d, double_well_2d
from pytams.analysis.work import Work
from pytams.engine import Processes
from pytams.tams.learning import Lesson, leveller

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


@pytest.mark.slow
def test_it_scatters_less_and_is_unbiased() -> None:
    _, score = learned()
    result = tams(promising(double_well_2d())).with_score(score).run(32, seed=2)
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


@pytest.mark.slow
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

    small = {"target_score": 0.5, "end_time": 1.0, "n_trajectories": 30}
    pilot = tams(promising(sde(compiled=False)), **small).run(2, seed=1)
    taught = pytams.learn_score(pilot)
    better = [tams(promising(sde(compiled=flag)), **small).with_score(taught) for flag in (True, False)]
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


@pytest.mark.slow
def test_from_a_run_directory_and_to_one(tmp_path: Path) -> None:
    """A study goes on with the score that it began with, and with no other."""
    model: Any = promising(double_well_2d())
    small = {"n_trajectories": 25, "end_time": 1.0, "target_score": 0.5}
    result = tams(model, **small).run(2, seed=1, out=tmp_path / "pilot")
    with pytams.load(tmp_path / "pilot") as saved:
        scores = [pytams.learn_score(pilot, model=model) for pilot in (saved, saved.result, result)]
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

    small = {"n_trajectories": 25, "end_time": 0.5, "target_score": 0.4}
    plain = pytams.learn_score(tams(Promising(), **small).run(2, seed=1))
    looking = pytams.learn_score(tams(Looking(), **small).run(2, seed=1))
    assert looking.committor.weights.shape == plain.committor.weights.shape
    np.testing.assert_array_equal(looking.committor.coefficients, plain.committor.coefficients)
    named = pytams.learn_score(tams(Named(), **small).run(2, seed=1))
    assert named.committor.weights.shape[0] == 3
    assert named.names == ("n", "xy[0]", "xy[1]")
    assert tams(Named(), **small).with_score(named).run(1, seed=2).n_unfinished == 0


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        (lambda: pytams.learn_score(tams(Promising(), end_time=0.1, n_trajectories=6, max_branchings=0)
                                    .run(1, seed=1)), pytams.CannotLearnError, "too few"),
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


class Step(Promising):
    """A score with two values: nothing leads to the event."""

    def score(self, state: Any, t: Any) -> Any:
        return 1.0 * (state[:, 0] > 0.95)


class Holed(Promising):
    """With a part of its state that is not there yet."""

    def initial_state(self, rng: Any) -> Any:
        return {"x": super().initial_state(rng), "when": np.array(np.nan)}

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return {"x": super().step(state["x"], noise, t, dt), "when": state["when"]}

    def score(self, state: Any, t: Any) -> Any:
        return super().score(state["x"], t)


class Turned(Promising):
    """Of complex numbers."""

    def initial_state(self, rng: Any) -> Any:
        return np.array([1j])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        x = super().step(np.column_stack([-state.imag, state.real]), noise, t, dt)
        return x[:, 1:] - 1j * x[:, :1]

    def score(self, state: Any, t: Any) -> Any:
        return super().score(np.column_stack([-state.imag, state.real]), t)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Step(), pytams.CannotLearnError, "no score of the pilot is above its lowest"),
        (
            Holed(),
            pytams.SettingsError,
            r"features: a state of Holed has numbers that are not finite: define features",
        ),
        (Turned(), pytams.SettingsError, "features: a state of Turned is of complex numbers: define features"),
    ],
)
def test_what_nothing_can_be_learned_from(model: Any, error: Any, message: str) -> None:
    pilot = tams(model, n_trajectories=10, n_discard=2, end_time=1.0, target_score=0.6).run(1, seed=1)
    with pytest.raises(error, match=message):
        pytams.learn_score(pilot)


@pytest.mark.slow
def test_levels_end_at_the_estimate() -> None:
    """Also where no score is above the target: else all that is below would be one level beside the last step."""
    _, score = learned()
    better = tams(promising(double_well_2d())).with_score(score)
    lesson = Lesson.of(better.run(1, seed=7))
    seen = lesson.seen(None)
    assert max(piece.scores.max() for piece in seen.pieces) == 0.95
    level_of = leveller(lesson.result, seen)
    assert level_of(np.array([0.95]))[0] == pytest.approx(-lesson.result.log_probability, abs=0.5)
    assert level_of(np.array([-10.0]))[0] == pytest.approx(0.0, abs=0.1)


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


@pytest.mark.slow
def test_other_runs_of_the_pilots_seed_may_be_used() -> None:
    _, score = learned()
    small = tams(promising(double_well_2d()), n_trajectories=20, end_time=1.0)
    assert small.with_score(score).run(1, seed=1, first_run=4).n_unfinished == 0


@pytest.mark.slow
def test_without_a_promise_by_what_became_of_its_trajectories() -> None:
    """For a model that depends on t: a well whose noise rises, which no chain of states could tell."""

    class Rising(DoubleWell2D):
        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return super().step(state, noise * (0.9 + 0.2 * np.minimum(t, 1.0))[:, None], t, dt)

    hers = tams(Rising(), target_score=0.9)
    pilot = hers.run(4, seed=1)
    score = pytams.learn_score(pilot)
    assert score.committor.is_odds
    ours = hers.with_score(score).run(24, seed=2)
    assert abs(ours.probability - pilot.probability) < 4 * math.hypot(ours.standard_error, pilot.standard_error)
    works = [Work.of(one.runs) for one in (hers.run(24, seed=3), ours)]
    assert works[0].value > works[1].value


@pytest.mark.slow
def test_towards_the_highest_level_where_nothing_has_reached_the_target() -> None:
    """And on from there: the second pilot gets further."""
    short = {"end_time": 2.0, "n_trajectories": 50, "max_branchings": 100}
    score = pytams.learn_score(tams(promising(double_well_2d()), **short).run(1, seed=1))
    assert 0.0 < score.level < 0.95
    assert score.target_score == 0.95
    result = tams(promising(double_well_2d()), end_time=2.0).with_score(score).run(60, seed=30)
    assert abs(result.probability - 5.517e-6) < 4 * result.standard_error  # of fewer runs the tail is not seen
    again = pytams.learn_score(dataclasses.replace(result, runs=result.runs[:8]))
    assert again.level == 0.95


@pytest.mark.slow
def test_features_of_an_equation_and_as_an_argument() -> None:
    """They are evaluated in the compiled loop, and give the bits that they give in NumPy."""

    def sde(*, compiled: bool, features: Any = None) -> pytams.SDE:
        return promising(  # type: ignore[no-any-return] # the same model
            pytams.SDE(
                lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
                lambda x, t, p: (p.sigma, p.sigma),
                lambda x, t, p: x[0],
                initial=(-1.0, 0.0),
                features=features,
                sigma=0.4,
                compiled=compiled,
            )
        )

    def look(x: Any, t: Any, p: Any) -> Any:
        return x[0] * x[0], x[0], p.sigma * x[0]

    small = {"target_score": 0.5, "end_time": 1.0, "n_trajectories": 30}
    said = pytams.learn_score(tams(sde(compiled=False), **small).run(2, seed=1), look)
    model = pytams.learn_score(tams(sde(compiled=True, features=look), **small).run(2, seed=1))
    assert said.names == model.names == ("features[0]", "features[1]", "features[2]")
    np.testing.assert_array_equal(said.committor.coefficients, model.committor.coefficients)
    better = [
        tams(sde(compiled=True, features=look), **small).with_score(model),
        tams(sde(compiled=False), **small).with_score(said),
    ]
    runs = [one.run(2, seed=2).runs for one in better]
    assert runs[0] == runs[1]
    again = pytams.learn_score(better[1].run(1, seed=5))  # it looks at what the one before did
    assert again.names == said.names
    with pytest.raises(pytams.SettingsError, match="looks by a function"):
        tams(sde(compiled=False), **small).with_score(dataclasses.replace(said, features=None))


@pytest.mark.slow
def test_functions_that_only_the_compiled_loop_can_call() -> None:
    """They say `if`, and so take one state at a time: score and features, with a hit in the pilot and without."""

    def score(x: Any, t: Any, p: Any) -> Any:
        if x[1] > 5.0:
            return -1.0
        return x[0]

    def look(x: Any, t: Any, p: Any) -> Any:
        return (x[0], x[1]) if x[0] > -5.0 else (-5.0, 0.0)

    model = pytams.SDE(
        lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
        lambda x, t, p: (0.4, 0.4),
        score,
        initial=(-1.0, 0.0),
        features=look,
    )
    small = {"end_time": 1.0, "n_trajectories": 30}
    reached = pytams.learn_score(tams(promising(model), target_score=0.0, **small).run(1, seed=1))
    assert reached.level == 0.0
    missed = pytams.learn_score(tams(promising(model), target_score=5.0, max_branchings=60, **small).run(1, seed=1))
    assert missed.level < 5.0


@pytest.mark.slow
def test_which_features_matter() -> None:
    _, score = learned()
    assert list(score.importance) == ["x[0]", "x[1]"]
    assert score.importance["x[0]"] > 0.9
    assert sum(score.importance.values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_another_model_is_said_and_right(caplog: pytest.LogCaptureFixture) -> None:
    _, score = learned()
    assert "was learned from" not in caplog.text
    result = tams(promising(double_well_2d()), step_size=0.02).with_score(score).run(8, seed=2)
    assert "was learned from SDE" in caplog.text
    assert "with dt = 0.01, and is used for SDE" in caplog.text
    assert 0.3 * EXACT < result.probability < 3.0 * EXACT


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.5, 1e8, -1e8])
def test_the_event_is_hers_whatever_the_size_of_the_target(target: float) -> None:
    """Compiled and in NumPy: only where her score is the target has anything reached it."""

    def sde(*, compiled: bool) -> pytams.SDE:
        return promising(  # type: ignore[no-any-return] # the same model
            pytams.SDE(
                lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
                lambda x, t, p: (0.4, 0.4),
                lambda x, t, p: p.target + p.unit * (x[0] - 0.5),
                initial=(-1.0, 0.0),
                target=target,
                unit=max(1.0, abs(target)),
                compiled=compiled,
            )
        )

    small = {"target_score": target, "end_time": 1.0, "n_trajectories": 30}
    taught = pytams.learn_score(tams(sde(compiled=False), **small).run(1, seed=1))
    results = [tams(sde(compiled=flag), **small).with_score(taught).run(1, seed=2) for flag in (True, False)]
    assert results[0].runs == results[1].runs
    ensemble = results[0].ensemble(reached=True, states=True)
    ends = [path[np.isfinite(path[:, 0])][-1, 0] for path in ensemble.state.values]
    assert ends
    assert min(ends) >= 0.5 - 1e-7


@pytest.mark.slow
def test_a_score_that_is_no_number_is_an_error_as_before() -> None:
    class Holey(Promising):
        def score(self, state: Any, t: Any) -> Any:
            return np.where((state[:, 0] > 0.2) & (state[:, 1] > 0.0), np.nan, state[:, 0])

    small = {"end_time": 1.0, "target_score": 0.5, "n_trajectories": 30}
    score = pytams.learn_score(tams(Promising(), **small).run(1, seed=1))
    with pytest.raises(pytams.ModelError, match="Holey.score returned nan"):
        tams(Holey(), **small).with_score(score).run(4, seed=2)


@pytest.mark.slow
def test_levels_on_the_way_are_not_hers() -> None:
    _, score = learned()
    result = tams(promising(double_well_2d()), n_trajectories=20, end_time=1.0).with_score(score).run(1, seed=2)
    for curve in (result.exceedance, result.return_times):
        with pytest.raises(pytams.SettingsError, match="z: the score was learned, and only at the target"):
            curve([0.5])
    assert result.exceedance([np.nextafter(0.95, 1.0)]).value.shape == (1,)
    pytams.plot.overview(result)


def test_a_directory_is_not_extended_by_runs_that_taught(tmp_path: Path) -> None:
    small = {"end_time": 0.5, "target_score": 0.4, "n_trajectories": 20}
    hers = tams(Promising(), **small)
    better = hers.with_score(pytams.learn_score(hers.run(1, seed=5, first_run=2)))
    better.run(2, seed=5, out=tmp_path / "dir")
    with pytest.raises(pytams.SettingsError, match="these runs taught the score"):
        better.run(4, out=tmp_path / "dir")


def test_a_score_that_looks_by_a_function_needs_it() -> None:
    def look(state: Any, t: Any) -> Any:
        return state[:, ::-1]

    small = {"end_time": 0.5, "target_score": 0.4, "n_trajectories": 20}
    score = pytams.learn_score(tams(Promising(), **small).run(1, seed=1), look)
    with pytest.raises(pytams.SettingsError, match="features: the score looks by a function, and Promising does not"):
        tams(Promising(), **small).with_score(dataclasses.replace(score, features=None))


@pytest.mark.slow
def test_what_stops_counts_as_lost() -> None:
    """Trajectories that end by the model's own condition teach that nothing comes of them."""

    class Stopping(Promising):
        def stopped(self, state: Any, t: Any) -> Any:
            return (state[:, 0] < -1.1) & (t > 0.1)

    pilot = tams(Stopping(), end_time=3.0, target_score=0.8).run(4, seed=1)
    score = pytams.learn_score(pilot)
    assert abs(score.log_u_start - score.log_estimate) < math.log(5.0)


class Stiff(pytams.Model):
    """An Ornstein-Uhlenbeck process that forgets within a fortieth of the time."""

    vectorized, noise_shape, autonomous = True, (), True

    def initial_state(self, rng: Any) -> Any:
        return np.array(0.0)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state - 10.0 * state * dt + np.sqrt(dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state


@pytest.mark.slow
def test_a_stiff_well_is_learned_in_short_intervals() -> None:
    """In long ones nothing that was seen climbs it: u(start) was at the floor."""
    pilot = tams(Stiff(), target_score=1.25, end_time=4.0, n_trajectories=80).run(4, seed=1)
    score = pytams.learn_score(pilot)
    assert score.is_trusted
    assert len(score.committor.coefficients) <= 52  # a few dozen slices are kept
