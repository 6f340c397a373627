"""Random starts that splitting works on: the law of the start is what it was, and rare starts are found."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

import pytams
from pytams import Storage
from pytams.engine import InProcess, Processes
from pytams.models.plain.functions import SPIN_UP

SIGMA = math.sqrt(0.5)


class Stationary(pytams.Model):
    """dx = -x dt + dW, from its stationary law."""

    vectorized, noise_shape, start_shape, autonomous = True, (), (), True

    def initial_state(self, rng: Any) -> Any:
        return SIGMA * rng

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state - state * dt + np.sqrt(dt) * noise

    def score(self, state: Any, t: Any) -> Any:
        return state


class OneByOne(Stationary):
    """The same, a member at a time."""

    vectorized = False


class Frozen(Stationary):
    """Stays where it starts: the event is a start."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state + 0.0 * noise


class Named(pytams.Model):
    """With a start of two normals, and a state with names."""

    vectorized, noise_shape, start_shape = True, (), (2,)

    def initial_state(self, rng: Any) -> Any:
        return {"a": SIGMA * rng[..., 0], "b": rng[..., 1:]}

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return {"a": state["a"] - state["a"] * dt + np.sqrt(dt) * noise, "b": state["b"]}

    def score(self, state: Any, t: Any) -> Any:
        return state["a"]


def tams(model: Any, sigmas: float = 3.0, **more: Any) -> pytams.TAMS:
    settings = {"end_time": 5.0, "step_size": 0.01, "n_trajectories": 100, "n_discard": 5}
    return pytams.TAMS(model, target_score=sigmas * SIGMA, **{**settings, **more})


@pytest.mark.slow
@pytest.mark.parametrize("sigmas", [2.0, 4.0])
def test_a_start_has_the_law_that_it_is_to_have(sigmas: float) -> None:
    """With a model that stays where it is, the event is a start: P = P(z >= sigmas)."""
    result = tams(Frozen(), sigmas, end_time=0.02).run(24, seed=1)
    assert abs(result.probability - ndtr(-sigmas)) < 4 * result.standard_error
    assert result.relative_error < 0.25


@pytest.mark.slow
def test_times_begin_before_0_and_nothing_is_the_event_there() -> None:
    result = tams(Stationary(), 2.0, n_trajectories=40).run(4, seed=1)
    ensemble = result.ensemble(states=True)
    assert ensemble.time.values[[0, SPIN_UP]].tolist() == [-2.0, 0.0]
    assert (ensemble.end_time.values >= 0.0).all()
    before, after = ensemble.score.values[:, :SPIN_UP], ensemble.score.values[:, SPIN_UP:]
    assert (before < 2.0 * SIGMA).all()
    assert np.nanmax(after) >= 2.0 * SIGMA
    assert 0.0 <= result.reaching_time.value <= 5.0
    at_0 = ensemble["state.array"].values[:, SPIN_UP]
    np.testing.assert_array_equal(at_0, SIGMA * ensemble["state.normals"].values[:, SPIN_UP])
    assert result.settings.spin_up == SPIN_UP
    with pytest.raises(pytams.SettingsError, match="z: scores before t = 0 count: for levels below"):
        result.exceedance([0.5])


def test_a_state_may_have_a_part_called_x() -> None:
    class Called(Named):
        def initial_state(self, rng: Any) -> Any:
            return {"x": SIGMA * rng[..., 0]}

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return {"x": state["x"] - state["x"] * dt + np.sqrt(dt) * noise}

        def score(self, state: Any, t: Any) -> Any:
            return state["x"]

    assert tams(Called(), n_trajectories=20, end_time=0.1).run(1, seed=1).n_unfinished == 0


@pytest.mark.slow
def test_the_same_bits_one_by_one_in_processes_and_resumed(tmp_path: Path) -> None:
    small = {"n_trajectories": 20, "end_time": 0.5}
    runs = tams(Stationary(), **small).run(2, seed=1).runs
    assert tams(OneByOne(), **small).run(2, seed=1).runs == runs
    named = tams(Named(), **small).run(2, seed=1)
    assert named.n_unfinished == 0
    assert tams(Stationary(), **small).run(2, seed=1, engine=lambda of: Processes(of, 2, seconds=0.05)).runs == runs
    with tams(Stationary(), **small).study(2, seed=1, out=tmp_path / "dir") as study:
        for _ in study:
            break
    assert tams(Stationary(), **small).run(2, out=tmp_path / "dir").runs == runs
    with pytams.load(tmp_path / "dir") as saved:
        assert saved.result.runs == runs
        assert saved.trajectories(0)[0].times[0] == -2.0
        assert saved.result.settings.spin_up == SPIN_UP


def scalar(**how: Any) -> pytams.SDE:
    """Make the same of functions."""
    start: dict[str, Any] = {"initial": lambda z: SIGMA * z, "start_shape": ()}
    return pytams.SDE(lambda x, t, p: -x, lambda x, t, p: 1.0, lambda x, t, p: x, **start, **how)


def row(**how: Any) -> pytams.SDE:
    """With a row of one number, and of one normal."""
    start: dict[str, Any] = {"initial": lambda z: (SIGMA * z[0],), "start_shape": (1,)}
    return pytams.SDE(lambda x, t, p: (-x[0],), lambda x, t, p: (1.0,), lambda x, t, p: x[0], **start, **how)


def plane(**how: Any) -> pytams.SDE:
    """Two numbers of three normals, a stop condition, a scheme of two stages, and what depends on t."""

    def drift(x: Any, t: Any, p: Any) -> Any:
        return -p.pull * x[0], 0.1 * x[0] - x[1]

    def diffusion(x: Any, t: Any, p: Any) -> Any:
        return 1.0, 0.5

    def score(x: Any, t: Any, p: Any) -> Any:
        return x[0] + 0.2 * x[1] + 0.01 * t

    def low(x: Any, t: Any, p: Any) -> Any:
        return x[0] < -1.5

    start: dict[str, Any] = {"initial": lambda z: (SIGMA * z[0], 0.3 * z[1] + 0.1 * z[2]), "start_shape": (3,)}
    return pytams.SDE(drift, diffusion, score, stopped=low, scheme="heun", pull=1.0, **start, **how)


def test_an_equation_from_its_stationary_law() -> None:
    small = {"n_trajectories": 20, "end_time": 0.5}
    runs = tams(Stationary(), **small).run(1, seed=1).runs
    assert tams(scalar(compiled=False), **small).run(1, seed=1).runs == runs
    assert tams(row(compiled=False), **small).run(1, seed=1).runs == runs


@pytest.mark.slow
@pytest.mark.parametrize("model", [scalar, row, plane])
def test_compiled_the_same_bits(model: Any, tmp_path: Path) -> None:
    """In whole runs, in blocks that end before 0 and after, on threads, and on disk; states, too."""
    small: dict[str, Any] = {"n_trajectories": 20, "end_time": 3.0}
    expected = tams(model(compiled=False), 2.5, **small).run(2, seed=1)
    compiled = tams(model(), 2.5, **small)
    assert compiled.run(2, seed=1).runs == expected.runs
    assert compiled.run(2, seed=1, engine=partial(InProcess, block_length=37)).runs == expected.runs
    assert compiled.run(2, seed=1, engine=partial(InProcess, block_length=150, threads=2)).runs == expected.runs
    with compiled.study(2, seed=1, out=Storage(path=tmp_path / "dir", sparse_freq=50)) as study:
        for _ in study:
            break
    resumed = compiled.run(2, out=tmp_path / "dir")
    assert resumed.runs == expected.runs
    assert resumed.ensemble(states=True).equals(expected.ensemble(states=True))
    with pytams.load(tmp_path / "dir") as saved:
        assert saved.result.runs == expected.runs


@pytest.mark.slow
def test_a_score_is_learned_of_an_equation() -> None:
    found = []
    for compiled in (True, False):
        model = scalar(compiled=compiled)
        model.autonomous = True
        hers = tams(model, 4.0, end_time=1.0, n_trajectories=50)
        better = hers.with_score(pytams.learn_score(hers.run(2, seed=1)))
        assert better.settings.spin_up == SPIN_UP
        found.append(better.run(4, seed=2).runs)
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_score_is_learned_of_it() -> None:
    hers = tams(Stationary(), 4.0, end_time=1.0, n_trajectories=50)
    pilot = hers.run(2, seed=1)
    score = pytams.learn_score(pilot)
    assert score.names == ("x",)
    better = hers.with_score(score)
    assert better.settings.spin_up == SPIN_UP
    result = better.run(8, seed=2)
    assert 0.3 * pilot.probability < result.probability < 3.0 * pilot.probability


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (type("Wrong", (Stationary,), {"start_shape": 2}), "Wrong.start_shape must be a shape, a tuple such as"),
        (lambda: pytams.SDE(lambda x, t, p: -x, lambda x, t, p: 1.0, lambda x, t, p: x, initial=lambda z: z[0, 0],
                            start_shape=(2, 2)), "start_shape: a number or a row of normals, if compiled; or set"),
        (lambda: pytams.SDE(lambda x, t, p: -x, lambda x, t, p: 1.0, lambda x, t, p: x, initial=0.0, start_shape=(),
                            compiled=False), "start_shape: then initial must be a function of normals"),
    ],
)  # fmt: skip
def test_what_cannot_be(model: Any, said: str) -> None:
    with pytest.raises(pytams.SettingsError, match=said):
        tams(model())


def test_a_part_of_a_state_may_not_be_called_normals() -> None:
    class Taken(Stationary):
        def initial_state(self, rng: Any) -> Any:
            return {"normals": SIGMA * rng}

    with pytest.raises((pytams.SettingsError, pytams.ModelError), match="must have another name than 'normals'"):
        tams(Taken()).run(1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("sigmas", "exact"), [(5.0, 2.582e-5), (6.0, 1.204e-7)])
def test_against_exact_values_far_out(sigmas: float, exact: float) -> None:
    """Of 300 runs: within 3 standard errors, and the intervals of studies of ten cover it."""
    result = tams(scalar(), sigmas).run(300, seed=int(sigmas))
    assert abs(result.probability - exact) < 3.0 * result.standard_error
    parts = [dataclasses.replace(result, runs=result.runs[i : i + 10], source=None) for i in range(0, 300, 10)]
    covered = np.mean([part.interval[0] < exact < part.interval[1] for part in parts])
    assert covered >= 0.8  # of 30: 0.95 but for chance
