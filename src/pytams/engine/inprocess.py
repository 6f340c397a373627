"""The engine for one machine: everything in this process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams import _state
from pytams.engine.batch import Batch
from pytams.engine.compiled import Compiled
from pytams.engine.single import Singles
from pytams.fast import SDE
from pytams.trajectory import Point, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.engine.base import Stepper
    from pytams.trajectory import Problem, SegmentKey, Start


LARGE_STATE = 2**12
"""Bytes from which on a state is let go as soon as the level has passed it; smaller ones go with their segment."""


class _Stretch(NamedTuple):
    """Where branches can start on a part of a segment."""

    steps: Sequence[int]
    scores: Sequence[float]
    states: Any

    def above(self, level: float) -> _Stretch:
        """Leave out what no level from this one on needs."""
        first = bisect_right(self.scores, level)
        return _Stretch(self.steps[first:], self.scores[first:], self.states[first:]) if first else self


def make_stepper(problem: Problem, threads: int = 1) -> Stepper:
    """Choose what advances the segments of a model."""
    model = problem.model
    if isinstance(model, SDE) and model.compiled:
        return Compiled(problem, model, threads)
    return Batch(problem) if model.vectorized else Singles(problem)


class Keeping:
    """An engine that keeps the states at records, and leaves advancing to a stepper.

    Parameters
    ----------
    stepper
        What advances the segments.
    block_length
        What it is told.
    """

    def __init__(self, stepper: Stepper, block_length: int | None = None) -> None:
        self._block_length = block_length
        self._stepper = stepper
        self._records: dict[SegmentKey, list[_Stretch]] = {}
        self._states_are_large = False

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._stepper.n_steps

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return self._stepper.n_busy

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""
        for key, parent, step, score, _ in starts:
            if parent is None:
                self._records[key] = []
                self._stepper.join(Point(key, 0, 0, float("-inf"), None))
            else:
                branch_point = self._at(parent, step)
                self._records[key] = [branch_point]
                self._stepper.join(Point(key, step, step, score, branch_point.states[0]))

    def _at(self, key: SegmentKey, step: int) -> _Stretch:
        """Find one record of a segment."""
        stretches = self._records[key]
        while stretches[0].steps[-1] < step:  # levels only rise: no branch will start before this one
            del stretches[0]
        steps, scores, states = stretches[0]
        here = slice(i := bisect_left(steps, step), i + 1)
        return _Stretch(steps[here], scores[here], states[here])

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""
        for key in keys:
            self._records.pop(key, None)

    def pass_level(self, run: int, level: float) -> None:
        """Let go of states that no branch can start from any more, if they are large."""
        if not self._states_are_large:
            return
        for key, stretches in self._records.items():
            if key.run == run:
                stretches[:] = [rest for stretch in stretches if (rest := stretch.above(level)).steps]

    def advance(self) -> list[Progress]:
        """Advance all segments by a block."""
        return [self._keep(progress) for progress in self._stepper.advance(self._block_length)]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Return what can be told now, and the points from which segments could be resumed after it."""
        reports, points = self._stepper.checkpoint()
        return [self._keep(progress) for progress in reports], points

    def resume(self, start: Start, past: Progress, point: Point | None) -> None:
        """Take in a segment whose past is known, and go on with it from a point, if it has not ended."""
        self._records[past.key] = [] if start.parent is None else [self._at(start.parent, start.step)]
        if past.steps:  # its states may be on disk: they are not looked at
            self._records[past.key].append(_Stretch(past.steps, past.scores, past.states))
        if point is not None:
            self._stepper.join(point)

    def _keep(self, progress: Progress) -> Progress:
        if len(progress.steps):
            self._records[progress.key].append(_Stretch(progress.steps, progress.scores, progress.states))
            if not self._states_are_large:
                self._states_are_large = _state.n_bytes(progress.states[0]) >= LARGE_STATE
        return progress

    def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._stepper.close()


class InProcess(Keeping):
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
        super().__init__(make_stepper(problem, threads), block_length)
