"""What a worker of a Dask cluster holds of a task that it has done, and how a state is found in it.

Dask does a task again if what came of it is lost. Tasks go by time, so it may stop at other steps then. So a state is
named by its segment and its step, never by its place in an answer, and what an answer has not got is computed from
the state before it: noise is keyed, so that it is the same to the bit.
"""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams.core.segments import Point
from pytams.core.stored import Reference, size_of
from pytams.engine.recomputed import computed
from pytams.engine.records import LARGE_STATE
from pytams.engine.worker import Answer, advance, problem_of

if TYPE_CHECKING:
    from pytams.core.segments import SegmentKey
    from pytams.core.states import State


class StateName(NamedTuple):
    """Which state."""

    key: SegmentKey
    step: int


class Held(NamedTuple):
    """What stays on the worker."""

    starts: list[Point]
    """Where the segments of the task began."""
    answer: Answer


def going_on_from(point: Point, state: Any) -> Point:
    """Let a segment go on, or be computed, from a state."""
    if point.origin is None:
        return point._replace(state=state)
    return point._replace(origin=point.origin._replace(point=going_on_from(point.origin.point, state)))


def advance_from(
    name: str, packed: bytes, points: list[Point], wanted: list[StateName | None], helds: list[Held], seconds: float
) -> Held:
    """Advance some segments, some of them from states that came of earlier tasks."""
    left = iter(helds)
    starts = [
        point if state is None else going_on_from(point, state_in(name, packed, next(left), state))
        for point, state in zip(points, wanted, strict=True)
    ]
    answer = advance(name, packed, starts, seconds)
    known = {point.key: point for point in answer.begun}
    return Held([known.get(point.key, point) for point in starts], answer)


def advance_light(points: bytes, name: str, packed: bytes, seconds: float) -> bytes:
    """Advance some segments, and answer with their states; Dask need not look into what is packed."""
    return pickle.dumps(advance(name, packed, pickle.loads(points), seconds))


def without_states(held: Held) -> tuple[Answer, bool | None]:
    """Leave out large states that are no references; what is to be stored goes to the driver, who writes it.

    Say whether there were none; None if there were no states at all.
    """
    answer = held.answer
    states = [state for report in answer.reports for state in report.states]
    states += [point.state for point in answer.points]
    if all(map(_is_light, states)):
        return answer, True if states else None
    light = answer._replace(
        reports=[report if are_stored(report.states) else report._replace(states=()) for report in answer.reports],
        points=[p if isinstance(p.state, Reference) else p._replace(state=None) for p in answer.points],
    )
    return light, False


def _is_light(state: Any) -> bool:
    """Whether the driver may have a state: a small one, a reference, or nothing."""
    return state is None or isinstance(state, Reference) or size_of(state) < LARGE_STATE


def are_stored(states: Any) -> bool:
    """Whether the driver may have them: references, or nothing where a state is not stored."""
    return isinstance(states, list) and all(state is None or isinstance(state, Reference) for state in states)


def state_in(name: str, packed: bytes, held: Held, wanted: StateName) -> State:
    """Find a state, or compute it from the last one before it that is held."""
    key, step = wanted
    known = [point for point in [*held.starts, *held.answer.points] if point.key == key]
    for report in held.answer.reports:
        if report.key == key:
            at = [(step, state) for step, state in zip(report.steps, report.states, strict=True) if state is not None]
            known += [Point(key, known[0].start_step, found, -math.inf, state) for found, state in at]
    last = max((point for point in known if point.step <= step), key=lambda p: (p.step, p.state is not None))
    if last.step == step and last.state is not None:
        return last.state
    return computed(problem_of(name, packed), last, step)[0]
