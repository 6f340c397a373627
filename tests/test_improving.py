"""Learning in rounds: what a check shows is kept, and what does not help is not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D
from pytams.analysis.work import Work, cautious
from pytams.storage.reader import SavedStudy
from pytams.tams.gain import Gain
from pytams.tams.improving import Rounds, improve
from pytams.tams.learning import Lesson, learned_from

SMALL: dict[str, Any] = {
    "end_time": 2.0,
    "step_size": 0.01,
    "target_score": 0.5,
    "n_trajectories": 40,
    "n_discard": 4,
}


class Promising(DoubleWell2D):
    """The double well, which promises that it does not depend on t."""

    autonomous = True


def work(variance: float | None, steps: float = 100.0, log_p: float | None = -9.0) -> Work:
    return Work(n_runs=4, n_trajectories=100, log_probability=log_p, relative_variance=variance, steps=steps)


@pytest.mark.slow
def test_it_learns_checks_and_says_what_it_gained() -> None:
    tams = pytams.TAMS(Promising(), **SMALL)
    found = improve(tams, seed=5, rounds=1)
    assert found.score is not None
    assert found.gain.best == 1
    result = found.tams.run(4, seed=5)
    assert len(result.taught_by) == 4
    assert "learned from 4 other runs, 0 to 3 of seed" in str(result)
    assert result.to_dict()["taught_by"] == [[Rounds(5).seed(0), run] for run in range(4)]
    text = str(found.gain.measured_by(result))
    assert "pilot         4" in text
    assert f"round 1 *     {found.gain.works[1].n_runs}" in text
    assert "times less work, predicted" in text
    assert f"{4 + found.gain.works[1].n_runs} runs have taught or checked: none of them is in the estimate" in text
    assert "it looks at x[0]" in text
    again = improve(tams, seed=5, rounds=1)  # to the bit
    assert again.tams.run(1, seed=5).runs == result.runs[:1]
    from_pilot = improve(tams, tams.run(4, seed=Rounds(5).seed(0)), seed=5, rounds=1)
    assert from_pilot.tams.run(1, seed=5).runs == result.runs[:1]


@pytest.mark.slow
def test_a_check_ends_when_the_score_is_nearly_ideal() -> None:
    found = improve(pytams.TAMS(Promising(), **SMALL), seed=6, rounds=1)
    assert [work.n_runs for work in found.gain.works] == [4, 4]
    assert found.gain.best == 1


class _Useless(Rounds):
    """In which no score is any good."""

    def run(self, number: int, tams: pytams.TAMS, n_runs: int) -> Any:
        """Give runs of the user's own score; those of a learned one have taken ten times the steps."""
        result = super().run(0, pytams.TAMS(Promising(), **SMALL), n_runs)
        if number == 0:
            return result
        runs = tuple(_slower(run) for run in result.runs)
        return replace(result, runs=runs)


def _slower(run: Any) -> Any:
    return replace(run, n_steps=10 * run.n_steps)


@pytest.mark.slow
def test_a_score_without_gain_is_not_used() -> None:
    tams = pytams.TAMS(Promising(), **SMALL)
    found = improve(tams, rounds=1, where=_Useless(1))
    assert found.score is None
    assert found.tams is tams
    assert "the pilot's own: 16 runs have shown no clear gain by a learned one" in str(found)
    assert "gain        none" in str(found)


class _Lucky(Rounds):
    """In which the first runs of the pilot have taken a tenth of the steps."""

    def run(self, number: int, tams: pytams.TAMS, n_runs: int) -> Any:
        """Give runs."""
        result = super().run(number, tams, n_runs)
        if number or n_runs > 4:
            return result
        return replace(result, runs=tuple(replace(run, n_steps=run.n_steps // 10) for run in result.runs))


@pytest.mark.slow
def test_a_pilot_that_looks_better_than_it_is_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what its first runs have taught stays as it was."""
    monkeypatch.setattr("pytams.tams.improving._NEARLY_IDEAL", 0.0)
    found = improve(pytams.TAMS(Promising(), **SMALL), rounds=1, where=_Lucky(6))
    assert found.gain.works[0].n_runs == 8
    assert found.gain.best == 1
    assert found.score is not None
    assert len(found.score.taught_by) == 4


class Noisy(Promising):
    """With noise of one's own."""

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return super().step(state, noise * math.sqrt(self.epsilon / 0.1), t, dt)


def pilot_of(epsilon: float, path: Path) -> SavedStudy:
    pytams.TAMS(Noisy(epsilon), **SMALL).run(1, seed=1, out=path)
    return pytams.load(path)


@pytest.mark.slow
def test_what_a_pilot_may_not_be(tmp_path: Path) -> None:
    tams = pytams.TAMS(Promising(), **SMALL)
    pilot = tams.run(1, seed=1)
    with pytest.raises(pytams.SettingsError, match="seed: runs of seed 1 teach the score"):
        improve(tams, pilot, seed=1)
    with pytest.raises(pytams.SettingsError, match="pilot: it is of another problem: end_time = 2.0"):
        improve(pytams.TAMS(Promising(), **{**SMALL, "end_time": 1.0}), pilot, seed=2)
    better = tams.with_score(learned_from([Lesson.of(tams.run(4, seed=3))]))
    with pytest.raises(pytams.SettingsError, match="pilot: it was made with another score"):
        improve(better, pilot, seed=2)
    with pytest.raises(pytams.SettingsError, match="model: it gives other scores than the pilot had in run 0, slot"):
        pytams.learn_score(pilot_of(0.1, tmp_path / "out"), model=Noisy(0.1000001))


@pytest.mark.parametrize(("factor", "counts"), [(1.0, False), (1.9, False), (2.1, True)])
def test_few_runs_are_judged_with_caution(factor: float, counts: bool) -> None:
    """Their work is not less than is possible, nor than their spread says if that is far above their genealogies."""
    result = pytams.TAMS(DoubleWell2D(), **SMALL).run(2, seed=1)
    variance = Work.of(result.runs).relative_variance
    assert variance is not None
    for _ in range(40):  # as far apart as makes the spread so many times what the genealogies say
        half = math.sqrt(factor * variance / 2)
        logs = math.log1p(half), math.log1p(-half)
        runs = [replace(run, log_estimate=log) for run, log in zip(result.runs, logs, strict=True)]
        variance = Work.of(runs).relative_variance
        assert variance is not None
    work = Work.of(runs)
    spread = factor * variance
    assert cautious(runs) == pytest.approx(max(spread if counts else variance, work.ideal) * work.steps, rel=1e-6)
    assert cautious(runs) >= work.ideal * work.steps


def test_a_score_that_is_nearly_ideal_stays() -> None:
    tams = pytams.TAMS(Promising(), **SMALL)
    pilot = Work(n_runs=4, n_trajectories=100, log_probability=-9.0, relative_variance=0.13, steps=1000.0)
    found = improve(tams, pilot, seed=1)
    assert (found.tams, found.score, len(found.gain.works)) == (tams, None, 1)
    assert "the score is nearly ideal" in str(found)


def test_where_too_little_was_seen_the_users_score_stays() -> None:
    tams = pytams.TAMS(Promising(), **{**SMALL, "end_time": 0.1, "n_trajectories": 6, "max_branchings": 0})
    found = improve(tams, pilot_runs=1, seed=1)
    assert found.score is None
    assert "too few" in str(found)


@pytest.mark.parametrize(
    ("works", "best"),
    [
        ([work(0.5), work(0.2), work(0.1)], 2),
        ([work(0.5), work(0.1), work(0.2)], 1),
        ([work(0.5), work(0.2, steps=300.0)], 0),
        ([work(None, log_p=None), work(0.2)], 1),
        ([work(None, log_p=None), work(None, log_p=None)], 0),
        ([work(0.5), work(0.4)], 0),
        ([work(0.5), work(None)], 0),
    ],
)
def test_the_best_is_what_takes_the_least_work(works: list[Work], best: int) -> None:
    gain = Gain(works=tuple(works), cautious=tuple(work.value for work in works), scores=(None,) * len(works))
    assert gain.best == best
    assert str(gain)
    assert gain.to_dict()["best"] == best


def test_work_of_few_runs_is_from_their_genealogies_and_of_many_from_their_spread() -> None:
    result = pytams.TAMS(DoubleWell2D(), **SMALL).run(16, seed=1)
    many, few = Work.of(result.runs), Work.of(result.runs[:4])
    estimates = np.array(result.estimates)
    assert many.relative_variance == pytest.approx(estimates.var(ddof=1) / estimates.mean() ** 2)
    weights = estimates[:4] / estimates[:4].mean()
    expected = np.mean([run.relative_variance * w**2 for run, w in zip(result.runs, weights, strict=False)])
    assert few.relative_variance == pytest.approx(expected)
    assert many.log_probability == pytest.approx(result.log_probability)
    assert many.relative_variance is not None
    assert many.value == pytest.approx(many.relative_variance * result.n_steps / 16)
    assert many.ideal == pytest.approx(-result.log_probability / 40)
    nothing = Work.of(pytams.TAMS(DoubleWell2D(), **{**SMALL, "max_branchings": 0}).run(1, seed=1).runs)
    assert nothing.value == math.inf
    assert math.isnan(nothing.ideal)
