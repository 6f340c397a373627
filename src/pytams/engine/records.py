"""The records of running trajectories, where branches can start, and the states there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams.core.errors import StoreError
from pytams.core.segments import Origin, Point
from pytams.core.stored import are_references, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.core.segments import Problem, Progress, SegmentKey, Start
    from pytams.core.states import State, States


LARGE_STATE = 2**12
"""Bytes from which on a state is let go as soon as the level has passed it; smaller ones go with their segment."""


class Records(NamedTuple):
    """Some consecutive records of a segment, where branches can start."""

    steps: Sequence[int]
    scores: Sequence[float]
    states: States | Sequence[State | Origin | None]
    """The states there, one for each; they may be on disk, or on another machine. None where it is not stored."""

    def above(self, level: float) -> Records:
        """Leave out records that no branch from this level on starts from."""
        first = bisect_right(self.scores, level)
        return self._part(first, len(self.steps)) if first else self

    def at(self, step: int) -> Records:
        """Take one record."""
        i = bisect_left(self.steps, step)
        return self._part(i, i + 1)

    def last_stored(self, step: int) -> Records | None:
        """Take the last record before a step whose state is stored; None if there is none."""
        i = bisect_left(self.steps, step) - 1
        while i >= 0 and self.states[i] is None:
            i -= 1
        return self._part(i, i + 1) if i >= 0 else None

    def _part(self, first: int, last: int) -> Records:
        part = slice(first, last)
        return Records(self.steps[part], self.scores[part], self.states[part])


class Kept:
    """What is kept of segments that branches can start from.

    Parameters
    ----------
    problem
        What is solved.
    """

    def __init__(self, problem: Problem) -> None:
        self._store = problem.store
        self._stores_all = problem.every == 1 and getattr(problem.model, "stores_records", True)
        self.records: dict[SegmentKey, list[Records]] = {}
        """By segment, in order of steps."""
        self._start_steps: dict[SegmentKey, int] = {}
        self._states_are_large: bool | None = None  # not known before there is one; all have the same size

    def begin(self, start: Start) -> None:
        """Take in a segment: its first record is the one that it branches from."""
        self._start_steps[start.key] = start.step
        self.records[start.key] = [] if start.parent is None else [self._branch_point(start.parent, start.step)]

    def start_of(self, start: Start) -> Point:
        """Say where a segment that was taken in starts.

        Raises
        ------
        StoreError
            If no state is there any more that it could start from.
        """
        key, parent, step, score, _ = start
        if parent is None:
            return Point(key, 0, 0, float("-inf"), None)
        [state] = self.records[key][0].states
        if state is None:
            raise StoreError(f"{key} cannot begin: no state of {parent} up to step {step} is there any more")
        if isinstance(state, Origin):
            return Point(key, step, step, score, None, origin=state)
        return Point(key, step, step, score, self._held(key, state))

    def _branch_point(self, key: SegmentKey, step: int) -> Records:
        """Find the record of a segment that a branch starts from; its state may have to be computed again."""
        records = self.records[key]
        if self._stores_all:
            while records[0].steps[-1] < step:  # levels only rise: no branch will start before this one
                del records[0]
        record = next(part for part in records if part.steps[-1] >= step).at(step)
        if self._stores_all:  # it may be on disk: it is not looked at
            return record
        return record._replace(states=[self._state_at(key, record)])

    def _state_at(self, key: SegmentKey, record: Records) -> Any:
        """Find the state at a record, or what to compute it from; None if that is not there."""
        [step], [score], [state] = record
        if state is not None:
            return self._held(key, state)
        last = _last_stored(self.records[key], step)
        if last is None:
            return None
        [at], [best], [stored] = last
        point = Point(key, self._start_steps[key], at, best, self._held(key, stored))
        if isinstance(stored, Origin):  # where a branch began
            point = point._replace(state=None, origin=stored)
        return Origin(point, step, score)

    def _held(self, key: SegmentKey, state: Any) -> Any:
        """Hold what a reference stands for, as long as it is kept anywhere."""
        return state if self._store is None or isinstance(state, Origin) else self._store.hold(key.run, state)

    def add(self, progress: Progress) -> Progress:
        """Take in records; give them back with what is held of them."""
        key = progress.key
        if self._store is not None:
            if are_references(progress.states):
                states = [None if state is None else self._held(key, state) for state in progress.states]
                progress = progress._replace(states=states)
            if progress.trace is not None and are_references(progress.trace.states):
                held = [self._held(key, state) for state in progress.trace.states]
                progress = progress._replace(trace=progress.trace._replace(states=held))
        if len(progress.steps):
            self.records[key].append(Records(progress.steps, progress.scores, progress.states))
            if self._states_are_large is None:
                first = progress.states[0]
                self._states_are_large = first is None or size_of(first) >= LARGE_STATE
        return progress

    def add_past(self, progress: Progress) -> None:
        """Take in records that were recorded before; their states may be on disk: they are not looked at."""
        if progress.steps:
            self.records[progress.key].append(Records(progress.steps, progress.scores, progress.states))

    def pass_level(self, run: int, level: float) -> None:
        """Let go of states that no branch can start from any more, if they are large."""
        if not self._states_are_large:
            return
        for key, records in self.records.items():
            if key.run == run:
                above = [rest for part in records if (rest := part.above(level)).steps]
                if not self._stores_all and above and above[0].states[0] is None:
                    last = _last_stored(records, above[0].steps[0])
                    above = above if last is None else [last, *above]
                records[:] = above

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""
        for key in keys:
            self.records.pop(key, None)
            self._start_steps.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self.records.clear()


def _last_stored(records: Sequence[Records], step: int) -> Records | None:
    """Find the last record before a step whose state is stored."""
    found = (part.last_stored(step) for part in reversed(records))
    return next((record for record in found if record is not None), None)
