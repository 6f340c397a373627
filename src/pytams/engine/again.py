"""Computing beginnings again, with a fresh copy of the model: see `pytams.core.verification`."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
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


_TURNS = 4
"""What a model keeps of one trajectory shows in another that goes on meanwhile."""


def outlines(
    problem: Problem,
    beginnings: Sequence[Beginning],
    watched: Callable[[Stepper], AbstractContextManager[object]] = nullcontext,
) -> list[Outline]:
    """Compute beginnings in turn, with one fresh copy of the model; `watched` is around each block."""
    store = None if problem.store is None else problem.store.on_trial()
    problem = replace(problem, model=_fresh(problem.model), traced=True, sparse_freq=0, store=store)
    n_turns = _TURNS if len(beginnings) > 1 else 1
    n_steps = 1 + max((beginning.n_steps for beginning in beginnings), default=0) // n_turns
    with ExitStack() as stack:
        walks = [stack.enter_context(closing(_Walk(problem, beginning))) for beginning in beginnings]
        while going := [walk for walk in walks if not walk.is_done]:
            for walk in going:
                walk.go_on(n_steps, watched)
        return [walk.outline() for walk in walks]


def _fresh(model: Steppable) -> Steppable:
    """Copy a model with all that it remembers; one that cannot be copied is used as it is."""
    try:
        return copy.deepcopy(model)
    except Exception:
        return model


class _Walk:
    """A beginning that is being computed."""

    def __init__(self, problem: Problem, beginning: Beginning) -> None:
        start = beginning.start
        best = -math.inf if start.parent is None else start.score
        self._beginning = beginning
        self._stepper = problem.model.make_stepper(problem)
        self._stepper.join(Point(start.key, start.step, start.step, best, beginning.state))
        self._scores: list[float] = []
        self._digests: dict[int, str] = {}
        self._step, self._ended = start.step, False

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end, or as far as is wanted."""
        return self._ended or (self._step >= self._beginning.last_step and bool(self._scores))

    def go_on(self, n_steps: int, watched: Callable[[Stepper], AbstractContextManager[object]]) -> None:
        """Compute some steps."""
        with watched(self._stepper):
            reports = self._stepper.advance(max(1, min(n_steps, self._beginning.last_step - self._step)))
        for progress in reports:
            assert progress.trace is not None
            self._scores.extend(map(float, progress.trace.scores))
            for step, state in zip(progress.trace.steps, progress.trace.states, strict=True):
                self._digests[int(step)] = digest(state)
            self._step, self._ended = progress.step, progress.ended

    def close(self) -> None:
        """Let go of the stepper."""
        self._stepper.close()

    def outline(self) -> Outline:
        """Say what came of it."""
        _, points = self._stepper.checkpoint()
        self._digests |= {point.step: digest(point.state) for point in points if point.state is not None}
        last = self._beginning.last_step
        n_scores = last - self._beginning.start.first_step + 1
        return Outline(self._scores[:n_scores], self._digests, self._ended and self._step <= last)
