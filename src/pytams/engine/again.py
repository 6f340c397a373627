"""Computing beginnings again, with a fresh copy of the model: see `pytams.core.verification`."""

from __future__ import annotations

import copy
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
    key, n_steps = beginning
    stepper = problem.model.make_stepper(problem)
    stepper.join(Point(key, 0, 0, float("-inf"), None))
    scores: list[float] = []
    digests: dict[int, str] = {}
    ended = False
    while not ended and len(scores) <= n_steps:
        with watched(stepper):
            reports = stepper.advance(max(1, n_steps + 1 - len(scores)))
        for progress in reports:
            assert progress.trace is not None
            scores.extend(map(float, progress.trace.scores))
            for step, state in zip(progress.trace.steps, progress.trace.states, strict=True):
                digests[int(step)] = digest(state)
            ended = progress.ended
    stepper.close()
    return Outline(scores[: n_steps + 1], digests)
