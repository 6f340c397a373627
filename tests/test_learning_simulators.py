"""Scores of simulators: what they look at is stored with the scores, and nothing is computed again for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.cli.main import main
from pytams.engine import Processes
from simulators import WellByBranch, WellByStep

SMALL: dict[str, Any] = {
    "end_time": 1.5, "step_size": 0.05, "target_score": 0.8, "n_trajectories": 40, "n_discard": 4
}  # fmt: skip


class Told(WellByStep):
    """Says what a score may look at."""

    autonomous = True

    def features(self, t: float) -> Any:
        return self.x, self.y


class ToldByBranch(WellByBranch):
    """With a generator of its own: what is to come depends on more than what it says."""

    def features(self, t: float) -> Any:
        return self.x, self.y


class Counting(Told):
    """Notes each step that it makes."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        with Path(self.file).open("ab") as file:
            file.write(b".")


def test_features_are_stored_with_the_scores(tmp_path: Path) -> None:
    tams = pytams.TAMS(Told(), **SMALL)
    result = tams.run(1, seed=1, out=tmp_path / "dir")
    with pytams.load(tmp_path / "dir") as saved:
        for trajectory in saved.trajectories(0)[:5] + saved.discarded(0)[:5]:
            assert trajectory.features is not None
            assert trajectory.features.shape == (len(trajectory.scores), 3)
            np.testing.assert_array_equal(trajectory.features[:, 0], trajectory.scores)
            x, y = trajectory.features[:, 1], trajectory.features[:, 2]
            to_a, to_b = (x + 1.0) ** 2 + y * y, (x - 1.0) ** 2 + y * y
            score = 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)
            np.testing.assert_allclose(score, trajectory.scores, rtol=1e-12)
    assert pytams.TAMS(WellByStep(), **SMALL).run(1, seed=1).runs == result.runs  # it changes nothing


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Told, pytest.param(ToldByBranch, marks=pytest.mark.slow)])
def test_learned_from_memory_or_disk_the_same_bits_anywhere(kind: Any, tmp_path: Path) -> None:
    tams = pytams.TAMS(kind(), **SMALL)
    in_memory = pytams.learn_score(tams.run(3, seed=1))
    tams.run(3, seed=1, out=tmp_path / "pilot")
    with pytams.load(tmp_path / "pilot") as saved:
        score = pytams.learn_score(saved, model=kind())
    np.testing.assert_array_equal(in_memory.committor.coefficients, score.committor.coefficients)
    assert score.names == ("features[0]", "features[1]")
    assert score.committor.is_odds == (kind is ToldByBranch)
    better = tams.with_score(score)
    expected = better.run(2, seed=2)
    assert expected.taught_by == {(1, 0), (1, 1), (1, 2)}
    assert better.run(2, seed=2, engine=lambda of: Processes(of, 2, seconds=0.05)).runs == expected.runs
    with better.study(2, seed=2, out=tmp_path / "better") as study:
        for _ in study:
            break
    assert better.run(2, out=tmp_path / "better").runs == expected.runs
    with pytams.load(tmp_path / "better") as saved:
        again = pytams.learn_score(saved, model=better.model)
    assert again.taught_by == {(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)}
    assert tams.with_score(again).run(1, seed=3).n_unfinished == 0


@pytest.mark.slow
def test_nothing_is_computed_again_to_learn_from_a_directory(tmp_path: Path) -> None:
    tams = pytams.TAMS(Counting(str(tmp_path / "steps")), **SMALL)
    tams.run(2, seed=1, out=tmp_path / "pilot", verify=False)
    n_steps = (tmp_path / "steps").stat().st_size
    with pytams.load(tmp_path / "pilot") as saved:
        pytams.learn_score(saved, model=tams.model)
    assert (tmp_path / "steps").stat().st_size == n_steps


@pytest.mark.slow
def test_it_is_unbiased_and_scatters_less() -> None:
    """The event, and its probability, are what they are with the simulator's own score."""
    tams = pytams.TAMS(Told(), **{**SMALL, "end_time": 3.0})
    score = pytams.learn_score(tams.run(4, seed=1))
    hers, ours = tams.run(60, seed=2), tams.with_score(score).run(60, seed=3)
    difference = abs(hers.probability - ours.probability)
    assert difference < 3.5 * np.hypot(hers.standard_error, ours.standard_error)
    assert ours.relative_error < hers.relative_error


class Loose(WellByStep):
    """Gives ever other features."""

    def features(self, t: float) -> Any:
        return np.zeros(2 if t < 0.5 else 3)


class Lost(WellByStep):
    """Gives no number."""

    def features(self, t: float) -> Any:
        return self.x, np.nan


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        (lambda: pytams.learn_score(pytams.TAMS(WellByStep(), **SMALL).run(1, seed=1)), pytams.SettingsError,
         r"features: the pilot has none: define WellByStep.features\(t\)"),
        (lambda: pytams.learn_score(pytams.TAMS(Told(), **SMALL).run(1, seed=1), lambda state, t: state),
         pytams.SettingsError, r"features: Told says itself what a score may look at"),
        (lambda: pytams.learn_score(pytams.TAMS(Loose(), **SMALL).run(1, seed=1)), pytams.ModelError,
         r"Loose.features returned .* at run 0, .*it must return as many finite numbers each time, here 2"),
        (lambda: pytams.learn_score(pytams.TAMS(Lost(), **SMALL).run(1, seed=1)), pytams.ModelError,
         r"Lost.features returned .*nan.* at run 0"),
    ],
)  # fmt: skip
def test_what_cannot_be(how: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        how()


def test_the_promise_may_be_made_later() -> None:
    simulator = ToldByBranch()
    simulator.autonomous = True
    score = pytams.learn_score(pytams.TAMS(simulator, **SMALL).run(2, seed=1))
    assert not score.committor.is_odds


@pytest.mark.slow
def test_nothing_is_computed_again_to_learn_from_the_rounds_of_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one that is not reproducible can be learned from, too."""
    (tmp_path / "told.py").write_text(TOLD)
    (tmp_path / "in.toml").write_text(LEARN)
    for name in ("_NEARLY_IDEAL", "_GOOD_ENOUGH"):
        monkeypatch.setattr(f"pytams.tams.improving.{name}", 0.0)
    monkeypatch.setattr(sys, "argv", ["pytams", "run", str(tmp_path / "in.toml"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    with pytams.load(tmp_path / "out") as saved:
        n_steps = saved.result.n_steps
    for number in range(3):
        with pytams.load(tmp_path / "out" / "learning" / f"round{number}") as saved:
            n_steps += saved.result.n_steps
    assert len((tmp_path / "steps").read_bytes()) == n_steps


LEARN = """
[tams]
ntrajectories = 20
ndiscard = 2
nruns = 1
seed = 3
[trajectory]
end_time = 2.0
step_size = 0.05
targetscore = 0.5
[model]
class = "told.py:Told"
[states]
reproducible = false
[score]
learn = true
pilot_runs = 2
rounds = 2
"""
TOLD = """
from pathlib import Path
import numpy as np
import pytams

class Told(pytams.Simulator):
    autonomous = True

    def start(self, rng):
        self.x = -1.0

    def load(self, state):
        self.x = float(state[0])

    def save(self):
        return np.array([self.x])

    def step(self, seed, t, dt):
        with (Path(__file__).parent / "steps").open("ab") as file:
            file.write(b".")
        noise = np.random.Generator(np.random.SFC64(seed)).standard_normal()
        self.x += (self.x - self.x**3) * dt + 0.4 * dt**0.5 * noise

    def score(self):
        return float(np.clip(self.x, -1.2, 2.0))

    def features(self, t):
        return (self.x,)
"""
