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
from pytams.core.nothing import NoJournal
from pytams.core.segments import Past, Problem, Progress, SegmentKey, Start
from pytams.core.selection import Variant
from pytams.core.settings import Settings
from pytams.core.states import digest
from pytams.core.verification import Beginning
from pytams.engine.local import InProcess
from pytams.engine.records import LARGE_STATE
from pytams.models.plain.model import Model

if TYPE_CHECKING:
    from pytams.core.ports import Engine
    from pytams.core.splitting import Splitting


class Drifting(Model):
    """A random walk that is pulled back to 0, one member at a time, in so many equal components."""

    noise_shape = ()

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def initial_state(self, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a fixed start
        """Start at 0."""
        return np.zeros(self.size)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:  # noqa: ARG002 - what a model gets
        """Fall back by a tenth, and get a kick."""
        return 0.9 * state + 0.3 * noise

    def score(self, state: Any, t: Any) -> Any:  # noqa: ARG002 - what a model gets
        """Return where it is."""
        return float(state[0])


class Remembering(Drifting):
    """A model that is none: what it gives depends on how often it was asked."""

    n_asked = 0

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        """Drift, the faster the more often it was asked."""
        self.n_asked += 1
        return super().step(state, noise, t, dt) + 0.001 * self.n_asked


SETTINGS = Settings(end_time=60.0, step_size=1.0, target_score=1.8, n_trajectories=12, n_discard=2)


class EngineContract:
    """Tests that an engine passes."""

    def make_engine(self, problem: Problem) -> Engine:
        """Make an engine."""
        raise NotImplementedError

    @pytest.fixture
    def problem(self) -> Problem:
        """Say what is to be advanced."""
        return self.problem_of(Drifting())

    def problem_of(self, model: Model) -> Problem:
        """Say that this is to be advanced."""
        return Problem.of(model, SETTINGS, seed=5, traced=True)

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
        """A record's, or the branch point's that its ancestor itself started from."""
        engine, other = self.make_engine(problem), InProcess(problem)
        records = until_ended(engine, FIRST)
        assert reported(records) == reported(until_ended(other, FIRST))
        branch = branch_of(FIRST, records, -1)
        again = Start(SegmentKey(0, 1, 0), branch.key, branch.step, branch.score)
        for start in (branch, again):
            assert reported(until_ended(engine, start)) == reported(until_ended(other, start))
        engine.drop([branch.key, FIRST.key, SegmentKey(9, 9, 9)])
        last = Start(SegmentKey(0, 2, 0), again.key, again.step, again.score)
        assert reported(until_ended(engine, last)) == reported(until_ended(other, last)), "others are kept"
        engine.close()

    def test_a_recorded_segment_is_gone_on_with(self, problem: Problem) -> None:
        """On another engine, from a point that a checkpoint gave, to the same bits."""
        start = FIRST._replace(key=SegmentKey(1, 3, 0))
        engine = self.make_engine(problem)
        whole = reported(until_ended(engine, start))
        engine.close()
        engine = self.make_engine(problem)
        engine.start([start])
        reports = list(engine.advance())
        more, points = engine.checkpoint()
        reports += more
        engine.close()
        if points:
            [point] = points
            assert not reports or reports[-1].step == point.step
            another = self.make_engine(problem)
            another.resume(start, Past(joined(reports)._replace(key=start.key, step=point.step), point))
            reports += go_on(another)
            another.close()
        assert reported(reports) == whole

    def test_branches_start_from_recorded_segments(self, problem: Problem) -> None:
        """From the records and the branch point of one that has ended, and from one that is gone on with."""
        engine, other = self.make_engine(problem), InProcess(problem, block_length=7)
        of_first = until_ended(other, FIRST)
        child = branch_of(FIRST, of_first, 1)
        of_child = until_ended(other, child)
        engine.resume(FIRST, Past(joined(of_first), None))
        engine.resume(child, Past(joined(of_child), None))
        for start in (
            Start(SegmentKey(0, 1, 1), child.key, child.step, child.score),
            branch_of(child, of_child, 0, slot=2),
            branch_of(child, of_child, -1, slot=3),
            branch_of(FIRST, of_first, -1, slot=4),
        ):
            assert reported(until_ended(engine, start)) == reported(until_ended(other, start))
        second = FIRST._replace(key=SegmentKey(0, 5, 0))
        other.start([second])
        begun = other.advance()
        [point] = other.checkpoint()[1]
        engine.resume(second, Past(joined(begun), point))
        of_second, rest = begun + go_on(other), go_on(engine)
        assert reported(begun + rest) == reported(of_second)
        for start in (branch_of(second, begun, -1, slot=6), branch_of(second, rest, -1, slot=7)):
            assert reported(until_ended(engine, start)) == reported(until_ended(other, start))
        engine.close()

    @pytest.mark.parametrize("size", [1, LARGE_STATE])
    def test_levels_may_pass(self, size: int) -> None:
        """States that are not above the level may be let go: those of this run alone."""
        problem = self.problem_of(Drifting(size))
        engine, other = self.make_engine(problem), InProcess(problem)
        reports = until_ended(engine, FIRST)
        until_ended(other, FIRST)
        score = joined(reports).scores[-2]
        engine.pass_level(7, 1e9)
        engine.pass_level(0, math.nextafter(score, -math.inf))
        for start in (branch_of(FIRST, reports, -2, slot=1), branch_of(FIRST, reports, -1, slot=2)):
            assert reported(until_ended(engine, start)) == reported(until_ended(other, start))
            engine.pass_level(0, score)
        engine.close()

    @pytest.mark.parametrize("model", [Drifting(), Remembering()], ids=["a model", "one that remembers"])
    def test_beginnings_are_computed_on_the_side(self, model: Model) -> None:
        """Those of one list in turn, with one fresh copy of the model."""
        problem = self.problem_of(model)
        engine = self.make_engine(problem)
        short = Beginning(Start(SegmentKey(0, 3, 0), None, 0, math.nan), 4)
        long = Beginning(Start(SegmentKey(1, 2, 0), None, 0, math.nan), 10**6)
        branch = Beginning(Start(SegmentKey(0, 1, 1), SegmentKey(0, 3, 0), 2, 0.25), 10**6, np.full(1, 0.25))
        lists = [[short, long], [long, short], [branch, long], [long], []]
        assert engine.begin_again(lists) == InProcess(problem).begin_again(lists)
        assert engine.n_steps == 0
        if type(model) is Drifting:
            engine.start([FIRST])
            reports = list(engine.advance())
            assert engine.begin_again([[short]]) == InProcess(problem).begin_again([[short]])
            if not (reports and reports[-1].ended):
                reports += go_on(engine)
            assert reported(reports) == reported(until_ended(InProcess(problem), FIRST))
            assert engine.n_steps == reports[-1].step
        engine.close()

    def test_what_it_says_of_itself(self, problem: Problem) -> None:
        engine = self.make_engine(problem)
        assert isinstance(engine.note, str)
        assert engine.n_steps == 0
        assert engine.n_busy >= 0
        engine.close()


FIRST = Start(SegmentKey(0, 0, 0), None, 0, math.nan)


def until_ended(engine: Engine, start: Start) -> list[Progress]:
    """Advance one segment to its end, and return its reports."""
    engine.start([start])
    reports = go_on(engine)
    assert {report.key for report in reports} == {start.key}
    return reports


def go_on(engine: Engine) -> list[Progress]:
    """Advance the segment that runs to its end."""
    reports: list[Progress] = []
    n_rounds = 0
    while not (reports and reports[-1].ended):
        reports += engine.advance()
        n_rounds += 1
        assert n_rounds < 10_000, "it does not get on"
    return reports


def joined(reports: list[Progress]) -> Progress:
    """Make one report of all that was reported of a segment."""
    return Progress(
        FIRST.key if not reports else reports[0].key,
        [int(step) for report in reports for step in report.steps],
        [float(score) for report in reports for score in report.scores],
        0 if not reports else reports[-1].step,
        bool(reports) and reports[-1].ended,
        [state for report in reports for state in report.states],
    )


def branch_of(start: Start, reports: list[Progress], i: int, slot: int = 0) -> Start:
    """Name a branch from one of the records of a segment."""
    whole = joined(reports)
    return Start(SegmentKey(0, slot, 1), start.key, whole.steps[i], whole.scores[i])


def reported(reports: list[Progress]) -> list[Any]:
    """Give all that was reported of a segment: each score, and with it the state that is stored, if one is."""
    traces = [report.trace for report in reports]
    assert all(trace is not None for trace in traces)
    states = {int(step): digest(state) for t in traces if t for step, state in zip(t.steps, t.states, strict=True)}
    scores = [float(score) for trace in traces if trace for score in trace.scores]
    first = reports[-1].step - len(scores) + 1
    records = dict(zip(joined(reports).steps, joined(reports).scores, strict=True))
    return [(step, score, states.pop(step, None), records.get(step)) for step, score in enumerate(scores, first)]
