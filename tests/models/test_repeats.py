"""A seed without effect is an error, of every kind of model and before anything follows from it; others never are."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, Walk, double_well_2d
from pytams.engine import Processes
from simulators import Lorenz, LorenzAtBranches, Still, StillFromAnywhere, Undone, Unseeded, Walker, WellByStep

WELL: dict[str, Any] = {"end_time": 4.0, "step_size": 0.02, "target_score": 0.7, "n_trajectories": 8}
LORENZ = WELL | {"target_score": 17.5}
ALL_ONE = r"all 8 initial trajectories are the same to the bit \(one is run 0, slot \d, step 0 \(t = 0\)\)"
REPEATED = (
    r"(\d+) of \1 branches repeated their parents to the bit \(one is run 0, slot \d, step \d+ \(t = [\d.]+\)\)"
)
NO_EFFECT = r": the seed has no effect. A deterministic simulator needs `perturb`.*verify = false goes on"


class Calm(DoubleWell2D):
    """Without noise, pushed uphill; from one start, or from anywhere near it."""

    def __init__(self, spread: float = 0.0) -> None:
        super().__init__(0.0)
        self.spread = spread

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([-1.0, 0.0]) + self.spread * rng.standard_normal(2)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return super().step(state, noise, t, dt) + np.array([0.25, 0.0]) * dt


class CalmOne(pytams.Model):
    """One member, which rises ever more slowly."""

    noise_shape = ()

    def __init__(self, spread: float = 0.0) -> None:
        self.spread = spread

    def initial_state(self, rng: np.random.Generator) -> Any:
        return -1.0 + self.spread * rng.standard_normal()

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state * (1.0 - 0.2 * dt)

    def score(self, state: Any, t: Any) -> Any:
        return state


def calm_sde(spread: float, *, compiled: bool) -> pytams.SDE:
    """An SDE of amplitude 0."""
    return pytams.SDE(
        lambda x, t, p: -0.2 * x,
        lambda x, t, p: p.amplitude,
        lambda x, t, p: x,
        initial=lambda rng: -1.0 + spread * rng.standard_normal(),
        compiled=compiled,
        amplitude=0.0,
    )


MODELS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "simulator": (Still, LORENZ, ALL_ONE),
    "simulator from anywhere": (StillFromAnywhere, LORENZ, REPEATED),
    "generator that nobody seeds": (Unseeded, WELL, ALL_ONE),
    "seed undone by load": (Undone, WELL, REPEATED),
    "vectorised": (Calm, WELL, ALL_ONE),
    "vectorised, from anywhere": (partial(Calm, 0.05), WELL, REPEATED),
    "one member": (CalmOne, WELL, ALL_ONE),
    "one member, from anywhere": (partial(CalmOne, 0.05), WELL, REPEATED),
    "SDE": (partial(calm_sde, 0.0, compiled=True), WELL, ALL_ONE),
    "SDE from anywhere": (partial(calm_sde, 0.05, compiled=True), WELL, REPEATED),
    "SDE on NumPy": (partial(calm_sde, 0.05, compiled=False), WELL, REPEATED),
}


# --- it is an error -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_without_effect_is_an_error(name: str) -> None:
    make, settings, message = MODELS[name]
    with pytest.raises(pytams.ModelError, match=message + NO_EFFECT):
        pytams.TAMS(make(), **settings).run(1, seed=4)


@pytest.mark.parametrize("name", MODELS)
def test_whoever_goes_on_all_the_same_is_told_by_health(name: str) -> None:
    make, settings, message = MODELS[name]
    health = pytams.TAMS(make(), **settings).run(1, seed=4, verify=False).health
    assert health.word == "collapsed"
    assert health.advice.startswith("a deterministic model needs `perturb`")
    if message == ALL_ONE:
        assert health.reason == "all initial trajectories are the same: the seed has no effect"
    else:
        assert re.fullmatch(
            r"(\d+) of \1 branches repeat their parents to the bit: the seed has no effect", health.reason
        )
        assert health.n_repeats == health.n_branches >= 5
        assert health.parting_time == math.inf


@pytest.mark.parametrize("make", [Still, StillFromAnywhere, Undone])
def test_in_other_processes_too(make: Any) -> None:
    settings = WELL if make is Undone else LORENZ
    with pytest.raises(pytams.ModelError, match="to the bit .* the seed has no effect"):
        pytams.TAMS(make(), **settings).run(1, seed=4, engine=partial(Processes, n_workers=2, seconds=0.01))


@pytest.mark.parametrize("n", [2, 3])
def test_of_small_ensembles_it_takes_several(n: int) -> None:
    tams = pytams.TAMS(StillFromAnywhere(), **(LORENZ | {"n_trajectories": n}))
    assert tams.run(1, seed=4).n_steps > 0
    with pytest.raises(pytams.ModelError, match="branches repeated their parents"):
        tams.run(20, seed=4)


def test_it_is_found_early() -> None:
    """When the first branches have ended, whatever is still to be done: here 20 runs."""
    study = pytams.TAMS(StillFromAnywhere(), **LORENZ).study(20, seed=4)
    with study, pytest.raises(pytams.ModelError):
        list(study)
    assert study.n_steps < 2 * WELL["n_trajectories"] * 200
    assert study.n_finished == 0


# --- a run directory ------------------------------------------------------------------------------------------------


def health_shown(path: Path) -> Any:
    command = [sys.executable, "-m", "pytams", "show", str(path), "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    return json.loads(shown.stdout)["result"]["health"]


@pytest.mark.slow
def test_what_was_recorded_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    tams = pytams.TAMS(StillFromAnywhere(), **LORENZ)
    with pytest.raises(pytams.ModelError, match="the seed has no effect"):
        tams.run(2, seed=4, out=path)
    with pytams.load(path) as saved:
        n_recorded = sum(trajectory.scores.size for trajectory in saved.trajectories(0) if trajectory.segments)
        n_repeats = sum(splitting.companions.partings.branches.n_same for splitting in saved.splittings.values())
    assert n_recorded > 8 * 100
    assert n_repeats >= 5
    with tams.study(2, out=path) as study, pytest.raises(pytams.ModelError, match="the seed has no effect"):
        list(study)
    assert study.n_steps == 0, "what is on disk says it"
    done = tams.run(2, out=path, verify=False)
    assert done.runs == tams.run(2, seed=4, verify=False).runs
    assert tams.run(2, out=path).runs == done.runs, "a study that is finished is read as it is"
    assert health_shown(path) == done.to_dict()["health"]


class StillOrNot(StillFromAnywhere):
    """Perturbed after all, if its author says so."""

    size_of_kick = 0.0

    def perturb(self, rng: np.random.Generator) -> None:
        self.x = self.x + self.size_of_kick * rng.standard_normal(3)


def test_a_model_that_is_mended_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    with pytest.raises(pytams.ModelError, match="the seed has no effect"):
        pytams.TAMS(StillOrNot(), **LORENZ).run(1, seed=4, out=path)
    monkeypatch.setattr(StillOrNot, "size_of_kick", 0.1)
    mended = pytams.TAMS(StillOrNot(), **LORENZ)
    with pytest.raises(pytams.ModelError, match="computed again, gives another"):
        mended.run(1, out=path)
    assert mended.run(1, seed=4, out=tmp_path / "new").runs == mended.run(1, seed=4).runs


# --- it is none -----------------------------------------------------------------------------------------------------


class Queue(pytams.Model):
    """How many wait: at most one comes or goes a step, mostly none."""

    noise_shape = ()

    def __init__(self, busy: float = 0.1) -> None:
        self.busy = busy

    def initial_state(self, rng: np.random.Generator) -> Any:
        return 0

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return rng.random(n)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state + 1 if noise < 0.4 * self.busy else max(0, state - 1) if noise < self.busy else state

    def score(self, state: Any, t: Any) -> Any:
        return state


class Wearing(pytams.Model):
    """It wears off slowly, and cracks very rarely: most trajectories are the same to the bit."""

    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return 0.0

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return np.where(rng.random(n) < 1e-3, rng.exponential(size=n), 0.0)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state + 0.001 * (1.0 - state) + noise

    def score(self, state: Any, t: Any) -> Any:
        return state


STUDIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "queue": (Queue, {"end_time": 100, "step_size": 1, "target_score": 6, "n_trajectories": 20}),
    "short queue": (Queue, {"end_time": 10, "step_size": 1, "target_score": 4, "n_trajectories": 20}),
    "busy queue": (partial(Queue, 1.0), {"end_time": 20, "step_size": 1, "target_score": 10, "n_trajectories": 20}),
    "wear": (Wearing, {"end_time": 100, "step_size": 1, "target_score": 3.0, "n_trajectories": 50}),
    "walk": (Walk, {"end_time": 20, "step_size": 1, "target_score": 6, "n_trajectories": 10}),
    "short walk": (Walker, {"end_time": 2, "step_size": 1, "target_score": 4.5, "n_trajectories": 5}),
    "well": (WellByStep, WELL),
    "vectorised well": (DoubleWell2D, WELL | {"n_trajectories": 2}),
    "compiled well": (double_well_2d, WELL),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_noise_that_is_small_rare_or_whole_numbers_is_no_error(name: str) -> None:
    make, settings = STUDIES[name]
    tams = pytams.TAMS(make(), **settings)
    for seed in range(20 if name != "well" else 5):
        assert tams.run(1 + seed % 3, seed).n_steps > 0


def test_a_few_repetitions_are_counted() -> None:
    health = pytams.TAMS(Walk(), **STUDIES["walk"][1]).run(10, seed=1).health
    assert 0 < health.n_repeats < health.n_branches / 4
    assert f"; {health.n_repeats} of {health.n_branches} branches repeat their parents to the bit" in str(health)
    well = pytams.TAMS(double_well_2d(), **WELL).run(3, seed=1).health
    assert well.n_repeats == 0 < well.n_branches
    assert "repeat" not in str(well)
    assert ("repetitions", f"0 of {well.n_branches} branches repeat their parents to the bit") in well.rows


# --- perturbed too little -------------------------------------------------------------------------------------------

LONG: dict[str, Any] = {"end_time": 60.0, "step_size": 0.02, "target_score": 19.5, "n_trajectories": 10}


@pytest.mark.slow
@pytest.mark.parametrize("make", [Lorenz, LorenzAtBranches])
def test_a_perturbation_that_is_too_small_is_said(make: Any) -> None:
    tams = pytams.TAMS(make(1e-14), **LONG, max_branchings=20)
    health = tams.run(1, seed=4).health
    assert "at least half of the branches never part from their parents" in health.reason
    assert "perturb more" in health.advice
    assert ("branches part", "never (median)") in health.rows


@pytest.mark.slow
def test_how_long_branches_follow_their_parents_is_said() -> None:
    health = pytams.TAMS(LorenzAtBranches(1e-3), **LONG, max_branchings=60).run(1, seed=4).health
    assert 6.0 < health.parting_time < 60.0
    share = health.parting_time / 60.0
    text = (
        f"branches part from their parents only after {health.parting_time:.3g} (median), {share:.0%} of the end time"
    )
    assert text in str(health)


@pytest.mark.slow
@pytest.mark.parametrize("make", [Lorenz, LorenzAtBranches])
def test_one_that_is_large_enough_is_not(make: Any) -> None:
    health = pytams.TAMS(make(0.1), **LONG, max_branchings=60).run(1, seed=4).health
    assert health.parting_time < 1.0
    assert "part from" not in str(health)


# --- perturbed at branches only -------------------------------------------------------------------------------------

CAVEAT = "perturbed only where a segment starts: no Markov chain, the estimate is an approximation"


@pytest.mark.slow
def test_an_approximation_is_said_in_memory_and_on_disk(tmp_path: Path) -> None:
    tams = pytams.TAMS(LorenzAtBranches(), **LORENZ)
    result = tams.run(2, seed=4)
    assert ("caveat", CAVEAT) in result.rows
    assert CAVEAT in result.health.reason
    assert result.health.word != "good"
    assert result.to_dict()["caveat"] == CAVEAT
    tams.run(2, seed=4, out=tmp_path / "out")
    with pytams.load(tmp_path / "out") as saved:
        assert [row for row in saved.result.rows if row[0] != "cost"] == [
            row for row in result.rows if row[0] != "cost"
        ]
        assert str(saved.result.health) == str(result.health)
        assert saved.result.health.rows == result.health.rows
    shown = subprocess.run(
        [sys.executable, "-m", "pytams", "show", str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    assert f"caveat          {CAVEAT}" in shown.stdout


@pytest.mark.parametrize("make", [Lorenz, StillFromAnywhere, DoubleWell2D])
def test_others_say_nothing(make: Any) -> None:
    result = pytams.TAMS(make(), **LORENZ | {"max_branchings": 0}).run(1, seed=4)
    assert result.caveat == ""
    assert "caveat" not in dict(result.rows)


def test_a_study_from_before_it_was_recorded_says_it_from_its_resumption_on(tmp_path: Path) -> None:
    tams = pytams.TAMS(LorenzAtBranches(), **LORENZ)
    tams.run(1, seed=4, out=tmp_path / "out")
    study = tmp_path / "out" / "study.json"
    content = json.loads(study.read_text())
    assert content["model"].pop("caveat") == CAVEAT
    study.write_text(json.dumps(content))
    with pytams.load(tmp_path / "out") as saved:
        assert saved.result.caveat == ""
    tams.run(1, out=tmp_path / "out")
    with pytams.load(tmp_path / "out") as saved:
        assert saved.result.caveat == CAVEAT


def test_a_model_may_have_a_caveat_of_its_own() -> None:
    class Rough(DoubleWell2D):
        caveat = "of a coarse grid"

    result = pytams.TAMS(Rough(), **WELL).run(1, seed=4)
    assert ("caveat", "of a coarse grid") in result.rows
