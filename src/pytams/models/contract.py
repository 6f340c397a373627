"""What every stepper must do, whatever kind of model it advances.

Subclass `StepperContract` in a test module and say which model; pytest does the rest::

    class TestMyStepper(StepperContract):
        @pytest.fixture
        def model(self):
            return MyModel()
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytams.core.ports import Locatable
from pytams.core.segments import Point, Problem, Progress, SegmentKey

if TYPE_CHECKING:
    from pytams.core.ports import Steppable, Stepper

N_SLOTS = 5


class StepperContract:
    """Tests that a stepper passes."""

    n_steps = 300
    """Steps of a trajectory."""
    step_size = 0.01
    target_score = 0.9
    """A score that some trajectories reach, or none; not all at the start."""
    may_stop = False
    """Whether trajectories of the model may end by its own condition."""

    @pytest.fixture
    def model(self) -> Steppable:
        """Return a model, the same at each call."""
        raise NotImplementedError

    def make_stepper(self, problem: Problem) -> Stepper:
        """Make a stepper: here the one that the model asks for."""
        return problem.model.make_stepper(problem)

    def problem(self, model: Steppable, **changes: Any) -> Problem:
        """Say what is to be advanced."""
        settings = {"n_steps": self.n_steps, "step_size": self.step_size, "target_score": self.target_score}
        return Problem(model=model, **(settings | {"seed": 3, "traced": True} | changes))

    def advance(
        self, problem: Problem, interrupt_after: int | None = None, block_length: int | None = 7
    ) -> dict[SegmentKey, list[Progress]]:
        """Advance some segments to their ends, on a new stepper after every few calls; all reports of each."""
        stepper = self.make_stepper(problem)
        for slot in range(N_SLOTS):
            stepper.join(Point(SegmentKey(0, slot, 0), 0, 0, -math.inf, None))
        reports: dict[SegmentKey, list[Progress]] = {SegmentKey(0, slot, 0): [] for slot in range(N_SLOTS)}
        n_calls = 0
        while not all(of_one and of_one[-1].ended for of_one in reports.values()):
            for report in stepper.advance(block_length):
                reports[report.key].append(report)
            n_calls += 1
            assert n_calls < 100 * self.n_steps, "it does not get on"
            if interrupt_after and n_calls % interrupt_after == 0:
                stepper = self.moved(stepper, problem, reports)
        assert stepper.advance(block_length) == [], "an ended segment leaves"
        stepper.close()
        return reports

    def moved(self, stepper: Stepper, problem: Problem, reports: dict[SegmentKey, list[Progress]]) -> Stepper:
        """Take everything to another stepper."""
        more, points = stepper.checkpoint()
        stepper.close()
        for report in more:
            reports[report.key].append(report)
        running = {key for key, of_one in reports.items() if not (of_one and of_one[-1].ended)}
        assert sorted(point.key for point in points) == sorted(running), "every running segment is at a point"
        another = self.make_stepper(problem)
        for point in points:
            of_one = reports[point.key]
            assert not of_one or of_one[-1].step == point.step, "all up to the point has been reported"
            another.join(point)
        return another

    def test_reports_come_in_order_and_end(self, model: Steppable) -> None:
        for key, reports in self.advance(self.problem(model, traced=False)).items():
            steps = [step for report in reports for step in report.steps]
            scores = [score for report in reports for score in report.scores]
            assert steps[0] == 0
            assert steps == sorted(set(steps))
            assert scores == sorted(set(scores)), "a record is above all before it"
            assert [report.ended for report in reports] == [False] * (len(reports) - 1) + [True]
            assert all(a.step <= b.step for a, b in pairwise(reports))
            assert reports[-1].step <= self.n_steps
            for report in reports:
                assert report.key == key
                assert len(report.steps) == len(report.scores) == len(report.states)
                assert report.trace is None

    @pytest.mark.parametrize("sparse_freq", [0, 1, 3])
    def test_traces_are_complete(self, model: Steppable, sparse_freq: int) -> None:
        for reports in self.advance(self.problem(model, sparse_freq=sparse_freq)).values():
            scores, steps, states, records = joined(reports)
            last = reports[-1].step
            assert len(scores) == last + 1
            assert len(states) == len(steps)
            best = np.maximum.accumulate([-math.inf, *scores])
            assert records == [i for i, score in enumerate(scores) if score > best[i]]
            every_nth = range(0, last + 1, sparse_freq) if sparse_freq else ()
            assert steps == sorted({*records, *every_nth})

    @pytest.mark.parametrize("interrupt_after", [None, 1, 4])
    @pytest.mark.parametrize("block_length", [1, 40, None])
    def test_blocks_and_checkpoints_change_no_bit(
        self, model: Steppable, interrupt_after: int | None, block_length: int | None
    ) -> None:
        problem = self.problem(model, sparse_freq=3)
        expected = {key: joined(reports) for key, reports in self.advance(problem).items()}
        found = self.advance(problem, interrupt_after, block_length)
        assert {key: joined(reports) for key, reports in found.items()} == expected

    def test_it_ends_at_the_target_or_the_end_time(self, model: Steppable) -> None:
        """And nowhere else, but for the model's own condition."""
        never = max(sys.float_info.max, self.target_score)
        reports = self.advance(self.problem(model, target_score=never))
        whole = {key: joined(of_one)[0] for key, of_one in reports.items()}
        assert self.may_stop or {len(scores) for scores in whole.values()} == {self.n_steps + 1}
        target = sorted(map(max, whole.values()))[N_SLOTS // 2]
        for changes in ({"target_score": target}, {"n_steps": self.n_steps // 2, "target_score": never}):
            problem = self.problem(model, **changes)
            for key, of_one in self.advance(problem).items():
                ends = (i for i, score in enumerate(whole[key]) if score >= problem.target_score)
                last = min(next(ends, problem.n_steps), problem.n_steps)
                assert joined(of_one)[0] == whole[key][: last + 1]

    def test_it_goes_on_from_every_state_that_is_stored(self, model: Steppable) -> None:
        """To the same scores: so these are the states of their steps."""
        start = Point(SegmentKey(0, 1, 0), 0, 0, -math.inf, None)
        self.check_states(model, start, self.advance(self.problem(model, sparse_freq=1))[start.key])

    def check_states(self, model: Steppable, start: Point, reports: list[Progress]) -> None:
        """Go on with a segment from some of its states."""
        scores, steps, *_ = joined(reports)
        states = [state for report in reports if report.trace for state in report.trace.states]
        assert steps == list(range(reports[-1].step - len(scores) + 1, reports[-1].step + 1)), "every state is stored"
        for i in range(0, len(steps) - 1, max(1, len(steps) // 7)):
            here = start._replace(step=steps[i], best=max(start.best, *scores[: i + 1]), state=states[i])
            assert joined(self.advance_from(model, here))[0] == scores[i + 1 :]

    def advance_from(
        self, model: Steppable, point: Point, block_length: int | None = 50, seed: int = 3
    ) -> list[Progress]:
        """Advance a segment from a point to its end."""
        stepper = self.make_stepper(self.problem(model, sparse_freq=1, seed=seed))
        assert stepper.n_steps == 0
        assert stepper.n_busy >= 0
        stepper.join(point)
        reports: list[Progress] = []
        n_calls = 0
        while not (reports and reports[-1].ended):
            reports += stepper.advance(block_length)
            n_calls += 1
            assert n_calls < 100 * self.n_steps, "it does not get on"
        assert stepper.n_steps == reports[-1].step - point.step
        stepper.close()
        return reports

    def test_a_branch_has_noise_of_its_own(self, model: Steppable) -> None:
        """It is the same again, also when it is gone on with, and parts from all others of the same point."""
        reports = self.advance(self.problem(model, sparse_freq=1))[SegmentKey(0, 0, 0)]
        scores, *_, records = joined(reports)
        step = records[min(1, len(records) - 1)]
        states = [state for report in reports if report.trace for state in report.trace.states]
        start = Point(SegmentKey(0, 0, 1), step, step, scores[step], states[step])
        branch = self.advance_from(model, start)
        assert joined(self.advance_from(model, start)) == joined(branch)
        self.check_states(model, start, branch)
        others = [SegmentKey(0, 0, 2), SegmentKey(0, 1, 1), SegmentKey(1, 0, 1)]
        found = [joined(self.advance_from(model, start._replace(key=key)))[0] for key in others]
        found += [joined(self.advance_from(model, start, seed=4))[0], joined(branch)[0], scores[step + 1 :]]
        assert len({tuple(of_one) for of_one in found}) == len(found)

    def test_steps_are_counted(self, model: Steppable) -> None:
        self.advance_from(model, Point(SegmentKey(0, 0, 0), 0, 0, -math.inf, None), None)

    def test_it_may_say_where_it_is(self, model: Steppable) -> None:
        stepper = self.make_stepper(self.problem(model))
        if isinstance(stepper, Locatable):
            assert stepper.where()
            stepper.join(Point(SegmentKey(0, 0, 0), 0, 0, -math.inf, None))
            stepper.advance(1)
            assert stepper.where()
        stepper.close()


def joined(reports: list[Progress]) -> tuple[list[float], list[int], list[Any], list[int]]:
    """Put together what was reported of a segment: scores; steps and states that are stored; records."""
    traces = [report.trace for report in reports if report.trace is not None]
    scores = [float(score) for trace in traces for score in trace.scores]
    steps = [int(step) for trace in traces for step in trace.steps]
    states = [_plain(state) for trace in traces for state in trace.states]
    records = [int(step) for report in reports for step in report.steps]
    return scores, steps, states, records


def _plain(state: Any) -> Any:
    return (
        {name: _plain(part) for name, part in state.items()}
        if isinstance(state, dict)
        else np.asarray(state).tolist()
    )
