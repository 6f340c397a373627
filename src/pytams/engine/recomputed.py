"""States that were not stored, computed again from one before: noise is keyed, so they are the same to the bit."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from pytams.core.errors import ModelError, Place

if TYPE_CHECKING:
    from pytams.core.segments import Point, Problem, SegmentKey
    from pytams.core.states import State


def begun(problem: Problem, point: Point, made: list[Point] | None = None) -> Point:
    """Compute the state that a segment begins from, if it was not stored; note in `made` what was computed.

    Raises
    ------
    ModelError
        If the score there is another one than was recorded.
    """
    if point.origin is None:
        return point
    last, step, expected = point.origin
    last = begun(problem, last, made)
    only_there = replace(problem, traced=False, every=problem.n_steps + 1)
    state, score = computed(only_there, last._replace(stored=last.step), step)
    if score != expected:
        where = Place(*last.key, step, (step - problem.spin_up) * problem.step_size)
        raise ModelError(
            f"{where}, computed again from step {last.step}, has another score ({score!r}, not {expected!r}): is the "
            "model a function of what it is given alone? If it cannot be, every record is to be stored: [states] "
            "reproducible = false (States(reproducible=False))",
            place=where,
        )
    found = point._replace(state=state, origin=None)
    if made is not None:
        made.append(found)
    return found


def computed(problem: Problem, point: Point, step: int) -> tuple[State, float | None]:
    """Advance a segment to a step: the state there, and the score if it is a record. Step 0 is one of a start."""
    scores: dict[int, float] = {}
    with closing(problem.model.make_stepper(problem)) as stepper:
        stepper.join(point)
        while True:
            reports = stepper.advance(max(1, step - point.step))
            more, points = stepper.checkpoint()
            for report in reports + more:
                scores.update(zip(report.steps, report.scores, strict=True))
                state = report.states[list(report.steps).index(step)] if step in report.steps else None
                if state is not None:
                    return state, scores[step]
            if not points:
                raise _ends_before(point.key, step)
            [point] = points
            if point.step == step and point.state is not None:
                return point.state, scores.get(step)


def _ends_before(key: SegmentKey, step: int) -> ModelError:
    return ModelError(
        f"run {key.run}, slot {key.slot}, computed again, ends before step {step}, which it had got beyond: is the "
        "model a function of what it is given alone?"
    )
