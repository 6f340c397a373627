"""Advance many members at once: for vectorised models."""

from __future__ import annotations

from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.ports import BLOCK_LENGTH, BLOCK_SECONDS
from pytams.core.segments import Point, Progress, Trace
from pytams.core.states import put_rows, rows_of
from pytams.core.stored import size_of
from pytams.models.plain.arrays import Arrays
from pytams.models.plain.checked import CheckedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams.core.segments import Problem, SegmentKey
    from pytams.core.states import State
    from pytams.models.answers import Where
    from pytams.models.plain.functions import Functions

MAX_MEMBERS = 4096
"""Members in one batch at most; the rest wait. Bounds the memory that noise takes."""
MAX_BYTES = 2**28
"""Memory for the states of one batch at most: fewer members of a large model advance together."""


class _Member:
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

    Member i is row i of every array; the last row moves into the place of one that leaves.
    """

    n_busy = 1

    def __init__(self, problem: Problem, model: Functions, max_members: int = MAX_MEMBERS) -> None:
        self._problem = problem
        self._model = CheckedModel(problem, model)
        self._waiting: list[tuple[SegmentKey, Point]] = []
        self._members: list[_Member] = []
        self._max_members = max_members
        self._arrays = Arrays()
        self._steps_to_refill = 0
        self._steps_since_report = 0
        self.n_steps = 0

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._waiting, (point.key, point))

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance by at most `block_length` steps, until a member ends."""
        block_length = block_length or BLOCK_LENGTH
        if self._problem.traced and self._arrays.traced.shape[1] <= block_length:
            self._arrays.traced = np.empty((self._arrays.capacity, block_length + 1))
        blocks = self._admit()
        deadline = perf_counter() + BLOCK_SECONDS
        while self._members and not blocks:
            ended = self._step()
            self._steps_since_report += 1
            blocks = self._leave(ended)
            if self._steps_since_report >= block_length or perf_counter() > deadline:
                blocks += self._report_all()
                break
        return blocks

    def _report_all(self) -> list[Progress]:
        self._steps_since_report = 0
        return [self._report(i) for i, row in enumerate(self._members) if row.steps or self._problem.traced]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report all that has not been, and give the point that every segment is at now."""
        points = [
            Point(
                row.key,
                row.start_step,
                int(self._arrays.steps[i]),
                float(self._arrays.best[i]),
                None if self._arrays.is_empty else self._state(i),
            )
            for i, row in enumerate(self._members)
        ]
        return self._report_all(), points + [point for _, point in self._waiting]

    def _state(self, i: int) -> State:
        """Copy the state of member i."""
        return self._problem.put(self._members[i].key, rows_of(self._arrays.states, i))

    def where(self) -> str:
        """Say what the model was asked last."""
        return self._model.where()

    def close(self) -> None:
        """Nothing is held."""

    # --- joining and leaving ------------------------------------------------------------------------------------

    def _admit(self) -> list[Progress]:
        """Let waiting segments in, as far as there is room, and report those that end where they start."""
        if self._arrays.is_empty and self._waiting:
            key, point = self._waiting[0]
            size = size_of(self._model.initial_state(key) if point.state is None else point.state)
            self._max_members = max(1, min(self._max_members, MAX_BYTES // max(1, size)))
        first_new = len(self._members)
        n_new = min(len(self._waiting), self._max_members - first_new)
        if n_new <= 0:
            return []
        self._reserve(first_new + n_new)
        initial = []
        for i in range(first_new, first_new + n_new):
            _, point = heappop(self._waiting)
            self._members.append(_Member(point.key, point.start_step))
            self._arrays.steps[i] = point.step
            self._arrays.best[i] = point.best
            self._arrays.position[i] = (point.step - point.start_step) % self._model.chunk
            self._arrays.n_traced[i] = 0
            if point.state is None:
                initial.append(i)
            self._arrays.put_state(i, self._model.state_at(point))
            self._refill(i)
        self._count_to_refill()
        if not initial:
            return []
        ended = np.zeros(len(self._members), dtype=np.bool_)
        ended[initial] = self._score(np.array(initial))
        return self._leave(ended)

    def _leave(self, ended: NDArray[np.bool_]) -> list[Progress]:
        """Report the ended members and close the ranks."""
        blocks = []
        for i in ended.nonzero()[0][::-1].tolist():
            blocks.append(self._report(i, ended=True))
            row = self._members.pop()
            last = len(self._members)
            if i != last:
                self._members[i] = row
                self._arrays.move(last, i, traced=self._problem.traced)
        return blocks

    def _report(self, i: int, *, ended: bool = False) -> Progress:
        row, trace = self._members[i], None
        if self._problem.traced:
            trace = Trace(self._arrays.traced[i, : self._arrays.n_traced[i]].copy(), row.kept_steps, row.kept_states)
            self._arrays.n_traced[i] = 0
        progress = Progress(row.key, row.steps, row.scores, int(self._arrays.steps[i]), ended, row.states, trace)
        row.clear()
        return progress

    # --- one step -----------------------------------------------------------------------------------------------

    def _step(self) -> NDArray[np.bool_]:
        """Advance every member by one step, and say which have ended."""
        n = len(self._members)
        if self._steps_to_refill == 0:
            for i in np.flatnonzero(self._arrays.position[:n] == self._model.chunk).tolist():
                self._arrays.position[i] = 0
                self._refill(i)
            self._count_to_refill()
        every = slice(n)
        noise = self._arrays.noise_now(n)
        states = rows_of(self._arrays.states, every)
        after = self._model.step_batch(states, noise, self._arrays.steps[:n], self._where)
        put_rows(self._arrays.states, every, after)
        self._arrays.steps[:n] += 1
        self._arrays.position[:n] += 1
        self._steps_to_refill -= 1
        self.n_steps += n
        return self._score(every)

    def _score(self, index: Any) -> NDArray[np.bool_]:
        """Score the members at an index, keep their new records, and say which have ended."""
        states = rows_of(self._arrays.states, index)
        steps = self._arrays.steps[: len(self._members)][index]
        numbers = self._arrays.index[: len(self._members)][index]
        scores = self._model.score_batch(states, steps, lambda i: self._where(int(numbers[i])))
        risen = (scores > self._arrays.best[index]).nonzero()[0]
        if risen.size:
            self._keep_records(numbers[risen], scores[risen])
        if self._problem.traced:
            self._keep_trace(numbers, steps, scores)
        ended: NDArray[np.bool_] = (scores >= self._problem.target_score) | (steps >= self._problem.n_steps)
        if self._model.may_stop:
            ended |= self._model.stopped_batch(states, steps, lambda i: self._where(int(numbers[i])))
        return ended

    def _keep_records(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        self._arrays.best[numbers] = scores
        steps = self._arrays.steps[numbers]
        states = self._arrays.copies(numbers, self._state)
        for i, step, score, state in zip(numbers.tolist(), steps.tolist(), scores.tolist(), states, strict=True):
            row = self._members[i]
            row.steps.append(step)
            row.scores.append(score)
            row.states.append(state)
            if self._problem.traced:
                row.kept_steps.append(step)
                row.kept_states.append(state)

    def _keep_trace(self, numbers: NDArray[np.int64], steps: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Keep every score, and the states that are stored though they are no records."""
        self._arrays.traced[numbers, self._arrays.n_traced[numbers]] = scores
        self._arrays.n_traced[numbers] += 1
        if not self._problem.sparse_freq:
            return
        for i, step in zip(numbers.tolist(), steps.tolist(), strict=True):
            row = self._members[i]
            if self._problem.keeps(step) and step not in row.kept_steps[-1:]:
                row.kept_steps.append(step)
                row.kept_states.append(self._state(i))

    def _where(self, i: int) -> Where:
        return self._members[i].key, int(self._arrays.steps[i])

    def _refill(self, i: int) -> None:
        """Draw the chunk of noise that member i is about to use."""
        row = self._members[i]
        chunk = (int(self._arrays.steps[i]) - row.start_step) // self._model.chunk
        self._arrays.put_noise(i, self._model.noise(row.key, chunk, int(self._arrays.steps[i])))

    def _count_to_refill(self) -> None:
        n = len(self._members)
        self._steps_to_refill = self._model.chunk - int(self._arrays.position[:n].max()) if n else 0

    def _reserve(self, n: int) -> None:
        """Make room for n members."""
        if n > self._arrays.capacity:
            self._arrays.reserve(min(self._max_members, max(n, 2 * self._arrays.capacity)))
