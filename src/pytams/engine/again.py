"""Computing beginnings again, with a fresh copy of the model: see `pytams.core.verification`."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from pytams.core.segments import Point
from pytams.core.states import digest
from pytams.core.verification import Outline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.core.ports import Steppable, Stepper
    from pytams.core.segments import Problem
    from pytams.core.verification import Beginning


def outlines(
    problem: Problem,
    beginnings: Sequence[Beginning],
    watched: Callable[[Stepper], AbstractContextManager[object]] = nullcontext,
) -> list[Outline]:
    """Compute beginnings one after the other, with one fresh copy of the model; `watched` is around each block."""
    problem = replace(problem, model=_fresh(problem.model), traced=True, sparse_freq=0)
    return [_outline(problem, beginning, watched) for beginning in beginnings]


def _fresh(model: Steppable) -> Steppable:
    """Copy a model with all that it remembers; one that cannot be copied is used as it is."""
    try:
        return copy.deepcopy(model)
    except Exception:
        return model


def _outline(
    problem: Problem, beginning: Beginning, watched: Callable[[Stepper], AbstractContextManager[object]]
) -> Outline:
    start, last = beginning.start, beginning.last_step
    best = -math.inf if start.parent is None else start.score
    stepper = problem.model.make_stepper(problem)
    stepper.join(Point(start.key, start.step, start.step, best, beginning.state))
    scores: list[float] = []
    digests: dict[int, str] = {}
    here, ended = start.step, False
    while not ended and (here < last or not scores):
        with watched(stepper):
            reports = stepper.advance(max(1, last - here))
        for progress in reports:
            assert progress.trace is not None
            scores.extend(map(float, progress.trace.scores))
            for step, state in zip(progress.trace.steps, progress.trace.states, strict=True):
                digests[int(step)] = digest(state)
            here, ended = progress.step, progress.ended
    _, points = stepper.checkpoint()
    digests |= {point.step: digest(point.state) for point in points if point.state is not None}
    stepper.close()
    return Outline(scores[: last - start.first_step + 1], digests)
