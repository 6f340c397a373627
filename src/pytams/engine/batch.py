"""Advance many members at once: for vectorised models."""

from __future__ import annotations

from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams import _state
from pytams.engine.base import BLOCK_LENGTH, BLOCK_SECONDS
from pytams.engine.checked import CheckedModel
from pytams.errors import ModelError
from pytams.trajectory import Point, Progress, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.engine.checked import Where
    from pytams.trajectory import Problem, SegmentKey

MAX_MEMBERS = 4096
"""Members in one batch at most; the rest wait. Bounds the memory that noise takes."""
MAX_BYTES = 2**28
"""Memory for the states of one batch at most: fewer members of a large model advance together."""


class _Row:
    """One member of the batch, and its records that have not been reported yet."""

    __slots__ = ("kept_states", "kept_steps", "key", "scores", "start_step", "states", "steps")

    def __init__(self, key: SegmentKey, start_step: int) -> None:
        self.key = key
        self.start_step = start_step
        self.clear()

    def clear(self) -> None:
        self.steps: list[int] = []
        self.scores: list[float] = []
        self.states: list[State] = []
        self.kept_steps: list[int] = []
        self.kept_states: list[State] = []


class Batch:
    """Advances all its members in step; ended ones leave and waiting ones join between any two steps.

    Member i is row i of every array below; the last row moves into the place of one that leaves.
    """

    n_busy = 1

    def __init__(self, problem: Problem, max_members: int = MAX_MEMBERS) -> None:
        self._problem = problem
        self._model = CheckedModel(problem)
        self._waiting: list[tuple[SegmentKey, Point]] = []
        self._rows: list[_Row] = []
        self._max_members = max_members
        self._capacity = 0
        self._index = np.arange(0)
        self._steps: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._best: NDArray[np.float64] = np.empty(0)
        self._position: NDArray[np.int64] = np.empty(0, dtype=np.int64)  # in the chunk of noise
        self._noise: NDArray[Any] | None = None  # (capacity, chunk, *noise_shape), made when a chunk is seen
        self._states: State | None = None  # (capacity, ...), made when a state is seen
        self._traced: NDArray[np.float64] = np.empty((0, 0))  # (capacity, steps since the last report)
        self._n_traced: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._steps_to_refill = 0
        self._steps_since_report = 0
        self.n_steps = 0

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._waiting, (point.key, point))

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance by at most `block_length` steps, until a member ends."""
        block_length = block_length or BLOCK_LENGTH
        if self._problem.traced and self._traced.shape[1] <= block_length:
            self._traced = np.empty((self._capacity, block_length + 1))
        blocks = self._admit()
        deadline = perf_counter() + BLOCK_SECONDS
        while self._rows and not blocks:
            ended = self._step()
            self._steps_since_report += 1
            blocks = self._leave(ended)
            if self._steps_since_report >= block_length or perf_counter() > deadline:
                blocks += self._report_all()
                break
        return blocks

    def _report_all(self) -> list[Progress]:
        self._steps_since_report = 0
        return [self._report(i) for i, row in enumerate(self._rows) if row.steps or self._problem.traced]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report all that has not been, and tell where every segment is now."""
        points = [
            Point(
                row.key,
                row.start_step,
                int(self._steps[i]),
                float(self._best[i]),
                None if self._states is None else _state.as_state(_state.rows(self._states, i)),
            )
            for i, row in enumerate(self._rows)
        ]
        return self._report_all(), points + [point for _, point in self._waiting]

    def close(self) -> None:
        """Nothing is held."""

    # --- joining and leaving ------------------------------------------------------------------------------------

    def _admit(self) -> list[Progress]:
        """Let waiting segments in, as far as there is room, and report those that end where they start."""
        if self._states is None and self._waiting:
            key, point = self._waiting[0]
            size = _state.n_bytes(self._model.initial_state(key) if point.state is None else point.state)
            self._max_members = max(1, min(self._max_members, MAX_BYTES // max(1, size)))
        first_new = len(self._rows)
        n_new = min(len(self._waiting), self._max_members - first_new)
        if n_new <= 0:
            return []
        self._reserve(first_new + n_new)
        initial = []
        for i in range(first_new, first_new + n_new):
            _, point = heappop(self._waiting)
            self._rows.append(_Row(point.key, point.start_step))
            self._steps[i] = point.step
            self._best[i] = point.best
            self._position[i] = (point.step - point.start_step) % self._model.chunk
            self._n_traced[i] = 0
            state = point.state
            if state is None:
                initial.append(i)
                state = self._model.initial_state(point.key)
            self._put_state(i, state, point.key)
            self._refill(i)
        self._count_to_refill()
        if not initial:
            return []
        ended = np.zeros(len(self._rows), dtype=np.bool_)
        ended[initial] = self._score(np.array(initial))
        return self._leave(ended)

    def _leave(self, ended: NDArray[np.bool_]) -> list[Progress]:
        """Report the ended members and close the ranks."""
        blocks = []
        for i in np.flatnonzero(ended)[::-1].tolist():
            blocks.append(self._report(i, ended=True))
            row = self._rows.pop()
            last = len(self._rows)
            if i != last:
                self._rows[i] = row
                self._move(last, i)
        return blocks

    def _report(self, i: int, *, ended: bool = False) -> Progress:
        row, trace = self._rows[i], None
        if self._problem.traced:
            trace = Trace(self._traced[i, : self._n_traced[i]].copy(), row.kept_steps, row.kept_states)
            self._n_traced[i] = 0
        progress = Progress(row.key, row.steps, row.scores, int(self._steps[i]), ended, row.states, trace)
        row.clear()
        return progress

    # --- one step -----------------------------------------------------------------------------------------------

    def _step(self) -> NDArray[np.bool_]:
        """Advance every member by one step, and tell which have ended."""
        n = len(self._rows)
        if self._steps_to_refill == 0:
            for i in np.flatnonzero(self._position[:n] == self._model.chunk).tolist():
                self._position[i] = 0
                self._refill(i)
            self._count_to_refill()
        assert self._noise is not None
        assert self._states is not None
        every = slice(n)
        noise = self._noise[self._index[:n], self._position[:n]]
        states = _state.rows(self._states, every)
        _state.put(self._states, every, self._model.step_batch(states, noise, self._steps[:n], self._where))
        self._steps[:n] += 1
        self._position[:n] += 1
        self._steps_to_refill -= 1
        self.n_steps += n
        return self._score(every)

    def _score(self, index: Any) -> NDArray[np.bool_]:
        """Score the members at an index, keep their new records, and tell which have ended."""
        assert self._states is not None
        states = _state.rows(self._states, index)
        steps = self._steps[: len(self._rows)][index]
        numbers = self._index[: len(self._rows)][index]
        scores = self._model.score_batch(states, steps, lambda i: self._where(int(numbers[i])))
        risen = np.flatnonzero(scores > self._best[numbers])
        if risen.size:
            self._keep_records(numbers[risen], scores[risen])
        if self._problem.traced:
            self._keep_trace(numbers, steps, scores)
        ended: NDArray[np.bool_] = (scores >= self._problem.target_score) | (steps >= self._problem.n_steps)
        if self._model.may_stop:
            ended |= self._model.stopped_batch(states, steps, lambda i: self._where(int(numbers[i])))
        return ended

    def _keep_records(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        assert self._states is not None
        self._best[numbers] = scores
        steps = self._steps[numbers]
        for i, step, score in zip(numbers.tolist(), steps.tolist(), scores.tolist(), strict=True):
            row = self._rows[i]
            row.steps.append(step)
            row.scores.append(score)
            row.states.append(_state.as_state(_state.rows(self._states, i)))
            if self._problem.traced:
                row.kept_steps.append(step)
                row.kept_states.append(row.states[-1])

    def _keep_trace(self, numbers: NDArray[np.int64], steps: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Keep every score, and the states that are stored though they are no records."""
        self._traced[numbers, self._n_traced[numbers]] = scores
        self._n_traced[numbers] += 1
        if not self._problem.sparse_freq:
            return
        assert self._states is not None
        for i, step in zip(numbers.tolist(), steps.tolist(), strict=True):
            row = self._rows[i]
            if self._problem.keeps(step) and step not in row.kept_steps[-1:]:
                row.kept_steps.append(step)
                row.kept_states.append(_state.as_state(_state.rows(self._states, i)))

    def _where(self, i: int) -> Where:
        return self._rows[i].key, int(self._steps[i])

    # --- the arrays ---------------------------------------------------------------------------------------------

    def _put_state(self, i: int, state: State, key: SegmentKey) -> None:
        if self._states is None:
            self._states = _state.empty_batch(state, self._capacity)
        room = _state.rows(self._states, i)
        if not _state.same_layout(room, state):
            raise ModelError(
                f"initial_state returned {_state.describe(state)} for run {key.run}, slot {key.slot}, "
                f"but {_state.describe(room)} for others: all members must have the same shapes and dtypes"
            )
        _state.put(self._states, i, state)

    def _refill(self, i: int) -> None:
        """Draw the chunk of noise that member i is about to use."""
        row = self._rows[i]
        chunk = self._model.noise(row.key, (int(self._steps[i]) - row.start_step) // self._model.chunk)
        if self._noise is None:
            self._noise = np.empty((self._capacity, *chunk.shape), chunk.dtype)
        self._noise[i] = chunk

    def _count_to_refill(self) -> None:
        n = len(self._rows)
        self._steps_to_refill = self._model.chunk - int(self._position[:n].max()) if n else 0

    def _move(self, source: int, target: int) -> None:
        assert self._noise is not None
        assert self._states is not None
        for array in (self._steps, self._best, self._position, self._noise, self._n_traced):
            array[target] = array[source]
        if self._problem.traced:
            self._traced[target] = self._traced[source]
        _state.put(self._states, target, _state.rows(self._states, source))

    def _reserve(self, n: int) -> None:
        """Make room for n members."""
        if n <= self._capacity:
            return
        self._capacity = min(self._max_members, max(n, 2 * self._capacity))
        self._index = np.arange(self._capacity)
        self._steps = _grown(self._steps, self._capacity)
        self._best = _grown(self._best, self._capacity)
        self._position = _grown(self._position, self._capacity)
        self._n_traced = _grown(self._n_traced, self._capacity)
        self._traced = _grown(self._traced, self._capacity)
        if self._noise is not None:
            self._noise = _grown(self._noise, self._capacity)
        if isinstance(self._states, dict):
            self._states = {name: _grown(part, self._capacity) for name, part in self._states.items()}
        elif self._states is not None:
            self._states = _grown(self._states, self._capacity)


def _grown(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    """Copy an array into one with more rows."""
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
