"""An event that is no threshold of the score: the model says itself whether it has happened."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, Walk, WalkSingle, double_well_2d, walk_probability

BOTH = pytest.mark.parametrize("base", [Walk, WalkSingle], ids=["vectorised", "one by one"])
SETTINGS: dict[str, Any] = {"end_time": 20, "step_size": 1, "n_trajectories": 20, "n_discard": 3}


def run(model: pytams.Model, n_runs: int, seed: int, target_score: float = 6) -> pytams.Result:
    return pytams.TAMS(model, target_score=target_score, **SETTINGS).run(n_runs, seed)


def misled(base: type[pytams.Model]) -> type[pytams.Model]:
    """Walk to 6 by a score that is beyond its target of 4.5 long before, and low when it is there."""

    class Misled(base):  # type: ignore[misc, valid-type] # whichever
        def score(self, state: Any, t: Any) -> Any:
            return np.where(state == 6, 0.0, 1.1 * state)[()]

        def reached(self, state: Any, t: Any) -> Any:
            return state >= 6

    return Misled


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_estimate_is_that_of_the_event(base: type[pytams.Model], seed: int) -> None:
    exact = walk_probability(6, 20)
    result = run(misled(base)(), 400 if base.vectorized else 100, seed, target_score=4.5)
    assert abs(result.probability - exact) < 4 * result.standard_error
    assert result.standard_error < 0.3 * exact


@BOTH
def test_what_the_score_says_too_changes_nothing(base: type[pytams.Model]) -> None:
    same = type("Same", (base,), {"reached": lambda self, state, t: self.score(state, t) >= 6})
    assert run(same(), 4, 1).runs == run(base(), 4, 1).runs


@BOTH
def test_trajectories_have_scores_that_say_it(base: type[pytams.Model]) -> None:
    result = pytams.TAMS(misled(base)(), target_score=4.5, max_branchings=10, **SETTINGS).run(8, 1)
    members = [final for one in result.runs for final in one.members]
    assert {final.maximum == 4.5 for final in members} == {True, False}
    assert all(final.maximum == 4.5 or final.maximum <= math.nextafter(4.5, 0.0) for final in members)
    ensemble = result.ensemble(states=True)
    at_end = ensemble.state.max("time")
    assert ((at_end == 6) == ensemble.reached).all()


@BOTH
def test_what_is_no_truth_value_is_refused(base: type[pytams.Model]) -> None:
    model = type("Broken", (base,), {"reached": lambda self, state, t: "yes"})()
    with pytest.raises(pytams.ModelError, match=r"Broken.reached returned 'yes' .*it must return True or False"):
        run(model, 1, 1)


@pytest.mark.parametrize("base", [DoubleWell2D, DoubleWell2DSingle])
def test_a_start_where_it_has_happened_is_refused(base: type[pytams.Model]) -> None:
    model = type("There", (base,), {"reached": lambda self, state, t: np.shape(t) == () or np.isfinite(t)})()
    with pytest.raises(pytams.SettingsError, match=re.escape("target_score: 0.9 is already reached at t = 0")):
        pytams.TAMS(model, end_time=1, step_size=0.01, target_score=0.9, n_trajectories=5).run(1, 1)


def test_the_compiled_loop_does_not_ask() -> None:
    sde = double_well_2d()
    model = type("Own", (pytams.SDE,), {"reached": lambda self, state, t: False})
    equation = sde.equation.functions
    with pytest.raises(pytams.SettingsError, match="compiled.*reached"):
        pytams.TAMS(
            model(equation["drift"], equation["diffusion"], equation["score"], initial=(-1.0, 0.0), sigma=0.3),
            end_time=1,
            step_size=0.01,
            target_score=0.9,
            n_trajectories=5,
        )
