"""A segment goes on from a checkpoint to the same bits, on another engine of any kind."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d
from pytams import Model
from pytams.core.segments import Point, Problem, Progress, SegmentKey

N_SLOTS = 5


def problem(model: Model, **changes: Any) -> Problem:
    return replace(
        Problem(model=model, n_steps=700, step_size=0.01, target_score=0.9, seed=3, traced=True), **changes
    )


def traces(reports: list[Progress]) -> dict[SegmentKey, tuple[Any, ...]]:
    """Everything that was reported of each segment, put together."""
    found = {}
    for key in {report.key for report in reports}:
        mine = [report for report in reports if report.key == key and report.trace is not None]
        scores = np.concatenate([report.trace.scores for report in mine if report.trace])
        steps = np.concatenate([np.asarray(report.trace.steps, int) for report in mine if report.trace])
        states = np.array([state for report in mine if report.trace for state in report.trace.states])
        records = [step for report in mine for step in report.steps]
        found[key] = scores.tolist(), steps.tolist(), states.tolist(), records, mine[-1].step, mine[-1].ended
    return found


def run(problem: Problem, interrupt_after: int | None, block_length: int = 7) -> dict[SegmentKey, tuple[Any, ...]]:
    """Advance some segments to their ends, on a new stepper after every few calls."""
    stepper = problem.model.make_stepper(problem)
    for slot in range(N_SLOTS):
        stepper.join(Point(SegmentKey(0, slot, 0), 0, 0, -math.inf, None))
    reports: list[Progress] = []
    n_ended = calls = 0
    while n_ended < N_SLOTS:
        new = stepper.advance(block_length)
        n_ended += sum(report.ended for report in new)
        reports += new
        calls += 1
        if interrupt_after and calls % interrupt_after == 0:
            more, points = stepper.checkpoint()
            reports += more
            for point in points:
                reported = [report for report in reports if report.key == point.key]
                assert not reported or reported[-1].step == point.step
            stepper = problem.model.make_stepper(problem)
            for point in points:
                stepper.join(point)
    return traces(reports)


@pytest.mark.parametrize("model", [DoubleWell2D(), DoubleWell2DSingle(), double_well_2d()], ids=lambda m: m.name)
@pytest.mark.parametrize("sparse_freq", [0, 1, 3])
def test_checkpoints_change_no_bit(model: Model, sparse_freq: int) -> None:
    this = problem(model, sparse_freq=sparse_freq)
    expected = run(this, interrupt_after=None)
    assert len(expected) == N_SLOTS
    for every in (1, 4, 9):
        assert run(this, interrupt_after=every) == expected
    assert run(this, interrupt_after=None, block_length=100) == expected


def test_vectorised_or_one_by_one_traces() -> None:
    assert run(problem(DoubleWell2D()), 3) == run(problem(DoubleWell2DSingle()), None)


@pytest.mark.parametrize("model", [DoubleWell2D(), DoubleWell2DSingle(), double_well_2d()], ids=lambda m: m.name)
def test_what_is_kept(model: Model) -> None:
    for scores, steps, states, records, last, ended in run(problem(model, sparse_freq=4), None).values():
        assert len(scores) == last + 1
        assert len(states) == len(steps)
        assert steps == sorted({*records, *range(0, last + 1, 4)})
        best = np.maximum.accumulate([-math.inf, *scores])
        assert records == [i for i, score in enumerate(scores) if score > best[i]]
        assert ended
