"""States that are on workers of a Dask cluster: how the driver names them."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from pytams.core.states import LazySequence
from pytams.core.stored import Reference
from pytams.engine.held import StateName, are_stored
from pytams.engine.records import LARGE_STATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Future

    from pytams.core.segments import Point, SegmentKey
    from pytams.engine.worker import Answer


class RemoteState:
    """A state of which a worker holds what it takes to find it."""

    nbytes = LARGE_STATE
    """For `pass_level`: let it go as soon as no branch can start from it."""

    def __init__(self, held: Future, name: StateName) -> None:
        self.held, self.name = held, name


def remote_in(point: Point) -> RemoteState | None:
    """Tell a state on a worker, which a segment goes on or is computed from, from one that is here."""
    state: Any = point.state if point.origin is None else remote_in(point.origin.point)
    return state if isinstance(state, RemoteState) else None


def with_remote_states(answer: Answer, held: Future) -> Answer:
    """Say which states they are that were left out of an answer."""

    def state(key: SegmentKey, steps: Sequence[int], i: int) -> Any:
        return RemoteState(held, StateName(key, int(steps[i])))

    return answer._replace(
        reports=[
            report
            if are_stored(report.states)
            else report._replace(
                states=LazySequence(partial(state, report.key, report.steps), range(len(report.steps)))
            )
            for report in answer.reports
        ],
        points=[
            point
            if point.best == -math.inf or isinstance(point.state, Reference)
            else point._replace(state=state(point.key, [point.step], 0))
            for point in answer.points
        ],
    )
