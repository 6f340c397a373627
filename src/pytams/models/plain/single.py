"""Advance members one by one: for expensive models, and for models written for one member."""

from __future__ import annotations

from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.ports import BLOCK_LENGTH, BLOCK_SECONDS
from pytams.core.segments import Point
from pytams.core.states import as_state
from pytams.models.block import Block
from pytams.models.plain.checked import CheckedModel

if TYPE_CHECKING:
    from pytams.core.segments import Problem, Progress, SegmentKey
    from pytams.core.states import State
    from pytams.models.plain.functions import Functions


class Singles:
    """Advances one member at a time, the lowest key first: the first run ends first, and holds little memory."""

    n_busy = 1

    def __init__(self, problem: Problem, model: Functions) -> None:
        self._problem = problem
        self._model = CheckedModel(problem, model)
        self._points: list[tuple[SegmentKey, Point]] = []
        self.n_steps = 0

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._points, (point.key, point))

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance one segment by at most `block_length` steps."""
        if not self._points:
            return []
        _, point = heappop(self._points)
        progress, after = advance_point(self._model, self._problem, point, block_length or BLOCK_LENGTH)
        self.n_steps += after.step - point.step
        if not progress.ended:
            self.join(after)
        return [progress]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Give the point that every segment is at; all has been reported."""
        return [], [self._problem.put_point(point) for _, point in self._points]

    def where(self) -> str:
        """Say what the model was asked last."""
        return self._model.where()

    def close(self) -> None:
        """Nothing is held."""


def advance_point(model: CheckedModel, problem: Problem, point: Point, block_length: int) -> tuple[Progress, Point]:
    """Advance one member until it ends, for at most `block_length` steps or `BLOCK_SECONDS`."""
    key, start_step, step, _, state, *_ = point
    block = Block(problem, point)

    def has_ended(state: State) -> bool:
        """Score the member where it is, and say whether the trajectory ends there."""
        where = key, step
        is_over = block.add(step, model.score(state, where), None, lambda: problem.put(key, state))
        return is_over or (model.may_stop and model.stopped(state, where))

    ended = False
    if state is None:
        state = model.initial_state(key)
        ended = has_ended(state)
    else:
        state = as_state(
            problem.get(key, state)
        )  # a model that works in place must not write into its ancestor's past
    last = step + block_length
    deadline = perf_counter() + BLOCK_SECONDS
    while not ended and step < last:
        chunk, position = divmod(step - start_step, model.chunk)
        state = model.step(state, model.noise(key, chunk, step)[position], (key, step))
        step += 1
        ended = has_ended(state)
        if perf_counter() > deadline:
            break
    return block.progress(step, ended=ended), Point(key, start_step, step, block.best, state, block.stored)
