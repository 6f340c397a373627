"""States of tasks that Dask does again: at other steps, since tasks go by time, and the same to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d
from pytams.core.segments import Point, Problem, SegmentKey
from pytams.core.states import equal_states
from pytams.engine.held import Held, StateName, state_in
from pytams.engine.worker import Answer, advance, pack
from simulators import LorenzAtBranches, WellByBranch, WellByStep

N_STEPS = 300
KEYS = [SegmentKey(0, slot, 0) for slot in range(3)]
STARTS = [Point(key, 0, 0, -math.inf, None) for key in KEYS]


def problem_of(model: Any) -> Problem:
    target_score = 20.0 if isinstance(model, LorenzAtBranches) else 2.0
    return Problem(model=model, n_steps=N_STEPS, step_size=0.01, target_score=target_score, seed=3)


def held(problem: Problem, starts: list[Point], n_blocks: int, block_length: int) -> Held:
    """What a task holds that got so far."""
    stepper = problem.model.make_stepper(problem)
    for start in starts:
        stepper.join(start)
    reports = [report for _ in range(n_blocks) for report in stepper.advance(block_length)]
    more, points = stepper.checkpoint()
    stepper.close()
    return Held(starts, Answer(reports + more, points, 0, 0.0))


@pytest.mark.parametrize(
    "model",
    [DoubleWell2DSingle(), DoubleWell2D(), double_well_2d(), WellByStep(), WellByBranch(), LorenzAtBranches()],
    ids=lambda model: model.name,
)
def test_a_state_is_the_same_wherever_the_task_stopped(model: pytams.Model) -> None:
    problem = problem_of(model)
    name, packed = f"held {type(model).__name__}", pack(problem)
    whole = advance(name, packed, STARTS, 1e9)
    all_states = {key: {} for key in KEYS}  # type: dict[SegmentKey, dict[int, Any]]
    for report in advance(f"all of {name}", pack(replace(problem, traced=True, sparse_freq=1)), STARTS, 1e9).reports:
        assert report.trace is not None
        all_states[report.key] |= zip(report.trace.steps, report.trace.states, strict=True)
    middle = held(problem, STARTS, 4, 40)
    later = [point._replace(state=all_states[point.key][point.step]) for point in middle.answer.points if point.step]
    assert later
    answers = [held(problem, STARTS, n_blocks, 50) for n_blocks in (0, 1, 2)]
    answers += [Held(STARTS, whole), middle, held(problem, later, 1, 10)]
    for one in answers:
        for start in one.starts:
            for step in range(start.step, N_STEPS, 23):
                found = state_in(name, packed, one, StateName(start.key, step))
                assert equal_states(found, all_states[start.key][step])


def test_a_segment_that_ends_before_is_another_models() -> None:
    problem = problem_of(DoubleWell2DSingle())
    held = Held(STARTS[:1], Answer([], STARTS[:1], 0, 0.0))
    with pytest.raises(pytams.ModelError, match="run 0, slot 0, computed again, ends before step 301"):
        state_in("ends", pack(problem), held, StateName(KEYS[0], N_STEPS + 1))


def test_what_follows_from_a_task_that_was_done_again() -> None:
    """The driver knows where it stopped at first."""
    distributed = pytest.importorskip("pytams.engine.dask")
    problem = problem_of(DoubleWell2DSingle())
    name, packed = "follows", pack(problem)
    first = held(problem, STARTS[:1], 2, 37)
    [point] = first.answer.points
    again = Held(STARTS[:1], advance(name, packed, STARTS[:1], 1e9))
    assert again.answer.points == []
    record = first.answer.reports[0].steps[3]
    branch = Point(SegmentKey(0, 0, 1), record, record, 0.0, None)
    for start in (point._replace(state=None), branch):
        wanted = [StateName(KEYS[0], start.step)]
        expected, found = (
            distributed.advance_from(name, packed, [start], wanted, [one], 1e9).answer.reports
            for one in (first, again)
        )
        assert [report.scores for report in found] == [report.scores for report in expected]
