"""The engine for one machine: everything in this process."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from pytams.engine.batch import Batch
from pytams.engine.compiled import Compiled
from pytams.engine.single import Singles
from pytams.fast import SDE
from pytams.trajectory import Point, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams._state import State
    from pytams.engine.base import Block, Stepper
    from pytams.trajectory import Problem, SegmentKey, Start


class _Records(NamedTuple):
    """Where branches can start on a segment."""

    steps: list[int]
    states: list[State]


def make_stepper(problem: Problem, threads: int = 1) -> Stepper:
    """Choose what advances the segments of a model."""
    model = problem.model
    if isinstance(model, SDE) and model.compiled:
        return Compiled(problem, model, threads)
    return Batch(problem) if model.vectorized else Singles(problem)


class InProcess:
    """Advances all segments of all runs in the calling thread.

    Parameters
    ----------
    problem
        What to advance.
    block_length
        Steps after which progress is told at the latest; by default what suits the model. Changes no bit of the
        result.
    threads
        Threads that a compiled model runs on. Changes no bit of the result.
    """

    def __init__(self, problem: Problem, block_length: int | None = None, threads: int = 1) -> None:
        self._block_length = block_length
        self._stepper = make_stepper(problem, threads)
        self._records: dict[SegmentKey, _Records] = {}

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._stepper.n_steps

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""
        for start in starts:
            if start.parent is None:
                self._records[start.key] = _Records([], [])
                self._stepper.join(Point(start.key, 0, 0, float("-inf"), None))
            else:
                state = self._state_at(start.parent, start.step)
                self._records[start.key] = _Records([start.step], [state])
                self._stepper.join(Point(start.key, start.step, start.step, start.score, state))

    def _state_at(self, key: SegmentKey, step: int) -> State:
        records = self._records[key]
        i = bisect_left(records.steps, step)
        # Levels only rise: no branch will start from a record below this one.
        del records.steps[:i], records.states[:i]
        return records.states[0]

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""
        for key in keys:
            self._records.pop(key, None)

    def advance(self) -> list[Progress]:
        """Advance all segments by a block."""
        return [self._keep(block) for block in self._stepper.advance(self._block_length)]

    def _keep(self, block: Block) -> Progress:
        records = self._records[block.key]
        records.steps.extend(block.steps)
        records.states.extend(block.states)
        return Progress(block.key, block.steps, block.scores, block.step, block.ended)

    def close(self) -> None:
        """Forget everything."""
        self._records.clear()
