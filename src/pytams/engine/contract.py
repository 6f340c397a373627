"""What every engine must do, wherever it computes.

Subclass `EngineContract` in a test module and say how to make one; pytest does the rest::

    class TestMyEngine(EngineContract):
        def make_engine(self, problem):
            return MyEngine(problem)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytams.core.driver import Driver
from pytams.core.ports import NoJournal
from pytams.core.segments import Past, Problem, Progress, SegmentKey, Start
from pytams.core.selection import Variant
from pytams.core.settings import Settings
from pytams.engine.local import InProcess
from pytams.models.plain.model import Model

if TYPE_CHECKING:
    from pytams.core.ports import Engine
    from pytams.core.splitting import Splitting


class Drifting(Model):
    """A random walk that is pulled back to 0, one member at a time."""

    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a fixed start
        """Start at 0."""
        return np.zeros(1)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:  # noqa: ARG002 - what a model gets
        """Fall back by a tenth, and get a kick."""
        return 0.9 * state + 0.3 * noise

    def score(self, state: Any, t: Any) -> Any:  # noqa: ARG002 - what a model gets
        """Return where it is."""
        return float(state[0])


SETTINGS = Settings(end_time=60.0, step_size=1.0, target_score=1.8, n_trajectories=12, n_discard=2)


class EngineContract:
    """Tests that an engine passes."""

    def make_engine(self, problem: Problem) -> Engine:
        """Make an engine."""
        raise NotImplementedError

    @pytest.fixture
    def problem(self) -> Problem:
        """Say what is to be advanced."""
        return Problem.of(Drifting(), SETTINGS, seed=5, traced=True)

    def drive(self, engine: Engine, runs: int = 2) -> dict[int, Splitting]:
        """Drive runs to their ends."""
        driver = Driver(SETTINGS, 5, Variant(), engine, NoJournal())
        driver.begin(range(runs))
        n_rounds = 0
        while not driver.is_done:
            driver.advance()
            n_rounds += 1
            assert n_rounds < 100_000, "it does not get on"
        assert engine.n_steps == sum(splitting.n_steps for splitting in driver.splittings.values())
        driver.close()
        return driver.splittings

    def test_runs_are_those_of_the_engine_in_process(self, problem: Problem) -> None:
        expected = self.drive(InProcess(problem))
        found = self.drive(self.make_engine(problem))
        for run, splitting in found.items():
            assert splitting.iterations == expected[run].iterations
            assert splitting.estimate == expected[run].estimate
        assert sum(len(splitting.iterations) for splitting in found.values()) > 10

    def test_a_branch_starts_at_the_state_of_its_record(self, problem: Problem) -> None:
        engine = self.make_engine(problem)
        parent = Start(SegmentKey(0, 0, 0), None, 0, math.nan)
        reports = until_ended(engine, parent)
        steps = [step for report in reports for step in report.steps]
        scores = [score for report in reports for score in report.scores]
        branch = Start(SegmentKey(0, 0, 1), parent.key, steps[-1], scores[-1])
        found = until_ended(engine, branch)
        other = InProcess(problem)
        until_ended(other, parent)
        expected = until_ended(other, branch)
        assert all_scores(found) == all_scores(expected)
        engine.drop([branch.key, parent.key, SegmentKey(9, 9, 9)])
        engine.close()

    def test_a_recorded_segment_is_gone_on_with(self, problem: Problem) -> None:
        """On another engine, from a point that a checkpoint gave, to the same bits."""
        start = Start(SegmentKey(1, 3, 0), None, 0, math.nan)
        whole = all_scores(until_ended(self.make_engine(problem), start))
        engine = self.make_engine(problem)
        engine.start([start])
        reports = list(engine.advance())
        more, points = engine.checkpoint()
        reports += more
        engine.close()
        if points:
            [point] = points
            assert not reports or reports[-1].step == point.step
            steps = [step for report in reports for step in report.steps]
            scores = [score for report in reports for score in report.scores]
            states = [state for report in reports for state in report.states]
            past = Progress(start.key, steps, scores, point.step, False, states)
            another = self.make_engine(problem)
            another.resume(start, Past(past, point))
            while not (reports and reports[-1].ended):
                reports += another.advance()
            another.close()
        assert all_scores(reports) == whole

    def test_levels_may_pass(self, problem: Problem) -> None:
        """Only states above the level are asked for afterwards."""
        engine = self.make_engine(problem)
        parent = Start(SegmentKey(0, 0, 0), None, 0, math.nan)
        reports = until_ended(engine, parent)
        steps = [step for report in reports for step in report.steps]
        scores = [score for report in reports for score in report.scores]
        engine.pass_level(0, scores[-2])
        engine.pass_level(7, 1e9)  # another run's
        until_ended(engine, Start(SegmentKey(0, 1, 1), parent.key, steps[-1], scores[-1]))
        engine.close()

    def test_what_it_says_of_itself(self, problem: Problem) -> None:
        engine = self.make_engine(problem)
        assert isinstance(engine.note, str)
        assert engine.n_steps == 0
        assert engine.n_busy >= 0
        engine.close()


def until_ended(engine: Engine, start: Start) -> list[Progress]:
    """Advance one segment to its end, and return its reports."""
    engine.start([start])
    reports: list[Progress] = []
    while not (reports and reports[-1].ended):
        reports += engine.advance()
    assert {report.key for report in reports} == {start.key}
    return reports


def all_scores(reports: list[Progress]) -> list[float]:
    """Give the score at every step."""
    return [float(score) for report in reports if report.trace for score in report.trace.scores]
