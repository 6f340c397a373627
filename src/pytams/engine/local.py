"""The engine for one machine, and what every engine does: keep the states that branches start from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pytams.core.ports import Locatable
from pytams.core.segments import Past, Point, Progress
from pytams.core.stored import are_references, size_of
from pytams.engine.again import outlines
from pytams.engine.options import Runner
from pytams.engine.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem, SegmentKey, Start
    from pytams.core.states import State, States
    from pytams.core.stored import StateStore
    from pytams.core.verification import Beginning, Outline


LARGE_STATE = 2**12
"""Bytes from which on a state is let go as soon as the level has passed it; smaller ones go with their segment."""


class Records(NamedTuple):
    """Some consecutive records of a segment, where branches can start."""

    steps: Sequence[int]
    scores: Sequence[float]
    states: States
    """The states there, one for each; they may be on disk, or on another machine."""

    def above(self, level: float) -> Records:
        """Leave out what no level from this one on needs."""
        first = bisect_right(self.scores, level)
        return Records(self.steps[first:], self.scores[first:], self.states[first:]) if first else self


class Keeping:
    """An engine that keeps the states at records, and leaves advancing to a stepper.

    Parameters
    ----------
    stepper
        What advances the segments.
    begin_again
        Computes beginnings again: `pytams.Engine.begin_again`.
    block_length
        Steps in a block of the stepper's; None: as many as suit it.
    store
        Where large states are.
    seconds_out
        Says for how long somebody elsewhere has been putting states there that are not known here: 0 if nobody is.
    """

    note = ""

    def __init__(
        self,
        stepper: Stepper,
        begin_again: Callable[[Sequence[Sequence[Beginning]]], list[list[Outline]]],
        block_length: int | None = None,
        store: StateStore | None = None,
        seconds_out: Callable[[], float] = float,
    ) -> None:
        self._block_length = block_length
        self._store, self._seconds_out = store, seconds_out
        self._stepper, self._begin_again = stepper, begin_again
        self.kept: dict[SegmentKey, list[Records]] = {}
        """Where branches can start on each segment."""
        self._states_are_large: bool | None = None  # not known before there is one; all have the same size

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._stepper.n_steps

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return self._stepper.n_busy

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Compute the beginnings of segments, on the side, those in one list with one fresh model."""
        return self._begin_again(lists)

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""
        for key, parent, step, score, _ in starts:
            if parent is None:
                self.kept[key] = []
                self._stepper.join(Point(key, 0, 0, float("-inf"), None))
            else:
                branch_point = self._at(parent, step)
                self.kept[key] = [branch_point]
                self._stepper.join(Point(key, step, step, score, self._hold(key, branch_point.states[0])))

    def _hold(self, key: SegmentKey, state: State) -> State:
        return state if self._store is None else self._store.hold(key.run, state)

    def _at(self, key: SegmentKey, step: int) -> Records:
        """Find one record of a segment."""
        records = self.kept[key]
        while records[0].steps[-1] < step:  # levels only rise: no branch will start before this one
            del records[0]
        steps, scores, states = records[0]
        here = slice(i := bisect_left(steps, step), i + 1)
        return Records(steps[here], scores[here], states[here])

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""
        for key in keys:
            self.kept.pop(key, None)

    def pass_level(self, run: int, level: float) -> None:
        """Let go of states that no branch can start from any more, if they are large."""
        if not self._states_are_large:
            return
        for key, records in self.kept.items():
            if key.run == run:
                records[:] = [rest for part in records if (rest := part.above(level)).steps]

    def advance(self) -> list[Progress]:
        """Advance all segments by a block."""
        if self._store is not None:  # first: the driver has just made sure that nobody else drives its runs
            self._store.sweep(self._seconds_out())
        return [self._keep(progress) for progress in self._stepper.advance(self._block_length)]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report what has not been, and give the points from which segments could be resumed after it."""
        reports, points = self._stepper.checkpoint()
        return [self._keep(progress) for progress in reports], points

    def resume(self, start: Start, past: Past) -> None:
        """Take in a segment that was recorded, and go on with it if it has not ended."""
        progress = past.progress
        self.kept[start.key] = [] if start.parent is None else [self._at(start.parent, start.step)]
        if progress.steps:  # its states may be on disk: they are not looked at
            self.kept[start.key].append(Records(progress.steps, progress.scores, progress.states))
        if past.point is not None:
            self._stepper.join(past.point)

    def _keep(self, progress: Progress) -> Progress:
        progress = self._held(progress)
        if len(progress.steps):
            self.kept[progress.key].append(Records(progress.steps, progress.scores, progress.states))
            if self._states_are_large is None:
                self._states_are_large = size_of(progress.states[0]) >= LARGE_STATE
        return progress

    def _held(self, progress: Progress) -> Progress:
        """Hold what its references stand for, as long as they are kept anywhere."""
        if self._store is None:
            return progress
        run, hold, trace = progress.key.run, self._store.hold, progress.trace
        if trace is not None and are_references(trace.states):
            trace = trace._replace(states=[hold(run, state) for state in trace.states])
        if are_references(progress.states):
            progress = progress._replace(states=[hold(run, state) for state in progress.states])
        return progress._replace(trace=trace)

    def close(self) -> None:
        """Forget everything."""
        self.kept.clear()
        self._stepper.close()


class InProcess(Keeping):
    """Advances all segments of all runs in the calling thread.

    Parameters
    ----------
    problem
        What to advance.
    block_length
        Steps after which progress is reported at the latest; by default what suits the model. Changes no bit of the
        result.
    threads
        Threads that a compiled model runs on. Changes no bit of the result.
    """

    def __init__(self, problem: Problem, block_length: int | None = None, threads: int = 1) -> None:
        options = Runner(block_length=block_length, threads=threads)
        stepper = problem.model.make_stepper(problem, options.threads)
        self._watchdog, self._was_left = Watchdog(), False
        self._where = partial(_where, problem, stepper)
        super().__init__(stepper, partial(_outlines, problem), options.block_length, problem.store)

    def advance(self) -> list[Progress]:
        """Advance all segments by a block; one that takes far longer than those before it is said aloud."""
        if self._was_left:
            raise RuntimeError("the study was left in the middle of a step: run it again, or resume its directory")
        self._was_left = True
        with self._watchdog.at(self._where):
            reports = super().advance()
        self._was_left = False
        return reports

    def close(self) -> None:
        """Forget everything."""
        self._watchdog.close()
        super().close()


def _where(problem: Problem, stepper: Stepper) -> str:
    return stepper.where() if isinstance(stepper, Locatable) else f"a block of {problem.model.name}"


def _outlines(problem: Problem, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
    watchdog = Watchdog()

    def watched(stepper: Stepper) -> Watchdog:
        return watchdog.at(partial(_where, problem, stepper))

    with closing(watchdog):
        return [outlines(problem, beginnings, watched) for beginnings in lists]
