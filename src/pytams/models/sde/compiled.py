"""Advance the segments of a compiled SDE: whole segments in machine code, on several threads if asked."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.distribution import installing
from pytams.core.errors import ModelError, SettingsError
from pytams.core.segments import Point, Progress, SegmentKey, Trace
from pytams.core.streams import chunk_length, member_word
from pytams.models.plain.checked import CheckedMember
from pytams.models.sde.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from pytams.core.compact import RunOutcome
    from pytams.core.segments import Problem
    from pytams.core.settings import Settings
    from pytams.core.states import State
    from pytams.models.plain.checked import Scored
    from pytams.models.sde.equation import Equation
    from pytams.models.sde.runs import Begun

MAX_MEMBERS = 4096
"""Segments in one call at most; the rest wait."""
_MAX_RECORDS = 128
"""Records of one segment in one call at most (fewer of a large state); its block ends there."""
_STEPS_A_CALL = 2**22
"""About as many steps as take a third of a second."""

_logger = logging.getLogger("pytams")


class Compiled:
    """Advances waiting segments together, each for a block: by default to its end, if that is soon."""

    n_busy = 1

    def __init__(
        self, problem: Problem, equation: Equation, threads: int = 1, beginning: Scored | None = None
    ) -> None:
        try:
            from pytams.models.sde.kernel import NOT_FINITE  # noqa: PLC0415 - Numba takes a second to import
            from pytams.models.sde.specialised import specialised  # noqa: PLC0415 - likewise
        except ImportError as error:
            raise SettingsError(
                "compiled", f"needs Numba: {installing('fast')}, or compiled=False ({error})"
            ) from error
        self._problem = problem
        self._name = equation.name
        self._parameters = np.array(equation.parameters, dtype=np.float64)
        self._checked = CheckedMember(problem, beginning or equation)
        self._seed = np.uint64(problem.seed)
        self._layout = Layout(equation)
        self._fixed_start = not callable(equation.initial)
        self._start: tuple[State, float, bool] | None = None
        self._dimension = dimension = self._layout.dimension
        self._chunk = chunk_length((dimension,))
        self._waiting: list[tuple[SegmentKey, Point]] = []
        self._in_loop: list[Point] = []
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._n_threads = threads
        self._room = max(1, min(_MAX_RECORDS, 2 * _MAX_RECORDS // max(1, self._dimension)))
        self._not_finite = NOT_FINITE
        start = perf_counter()
        try:
            self._loops = specialised(equation)
            misses = sum(self._loops.advance.stats.cache_misses.values())
            self._call(_Members(0, self._dimension, self._room).arrays, 1)  # so that it is compiled, or loaded, now
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise ModelError(
                f"{self._name} cannot be compiled: drift and diffusion must return {self._dimension} float(s), "
                f"score one, with what Numba knows of Python and NumPy. Numba says:\n" + "\n".join(reason[-12:])
            ) from error
        if sum(self._loops.advance.stats.cache_misses.values()) > misses:
            seconds = perf_counter() - start
            _logger.warning("compiled %s in %.1f s; later runs find it on disk", self._name, seconds)
        self.n_steps = 0

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._waiting, (point.key, point))

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance the waiting segments by a block each."""
        reports: list[Progress] = []
        points: list[Point] = []
        while self._waiting and len(points) < MAX_MEMBERS:
            _, point = heappop(self._waiting)
            if point.state is None:
                report, point = self._begin(point.key)
                reports.append(report)
                if report.ended:
                    continue
            points.append(point)
        if points:
            reports += self._advance(points, block_length or max(1, _STEPS_A_CALL // len(points)))
        return reports

    def whole_runs(self, settings: Settings, runs: Sequence[int]) -> Generator[RunOutcome | None]:
        """Make whole runs: see `pytams.models.sde.whole`."""
        from pytams.models.sde.runs import Begun, LeftToBlocksError, whole_runs, with_states  # noqa: PLC0415 - compiled

        if self._problem.sparse_freq:  # other states are stored than those at records
            return

        def begin(run: int) -> Begun:
            starts = [self._started(SegmentKey(run, slot, 0)) for slot in range(settings.n_trajectories)]
            states, scores, has_ended = zip(*starts, strict=True)
            if max(scores) >= self._problem.target_score and self._problem.model.has_fixed_start(self._problem.seed):
                raise LeftToBlocksError
            return Begun(self._layout.rows(states), np.array(scores), np.array(has_ended))

        loop, problem, threads = self._loops.segment, self._problem, self._n_threads
        self._in_loop = [Point(SegmentKey(run, 0, 0), 0, 0, -math.inf, None) for run in runs]
        try:
            for outcome in whole_runs(loop, problem, settings, self._parameters, self._chunk, begin, runs, threads):
                self.n_steps += 0 if outcome is None else outcome.n_steps
                yield None if outcome is None else with_states(outcome, self._layout)
        except LeftToBlocksError:
            pass
        except Exception as error:
            _logger.warning("whole runs of %s could not be made, so blocks are: %r", self._name, error)
        finally:
            self._in_loop = []

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Tell where every segment is now."""
        return [], [point for _, point in self._waiting]

    def where(self) -> str:
        """Say which segments the loop has got; only it knows which one it is at."""
        points = self._in_loop
        return f"{self._name}'s compiled loop, at {_segments(points)}" if points else self._checked.where()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _begin(self, key: SegmentKey) -> tuple[Progress, Point]:
        """Draw and score an initial state; a fixed one is scored once."""
        state, score, ended = self._started(key)
        trace = Trace([score], [0], [state]) if self._problem.traced else None
        return Progress(key, [0], [score], 0, ended, [state], trace), Point(key, 0, 0, score, state)

    def _started(self, key: SegmentKey) -> tuple[State, float, bool]:
        if self._start is not None:
            return self._start
        state = self._checked.initial_state(key)
        score = self._checked.score(state, (key, 0))
        started = state, score, score >= self._problem.target_score or self._checked.stopped(state, (key, 0))
        if self._fixed_start:
            self._start = started
        return started

    def _advance(self, points: list[Point], block_length: int) -> list[Progress]:
        room = self._room
        if self._problem.sparse_freq:
            room += min(block_length, self._problem.n_steps) // self._problem.sparse_freq
        members = _Members.of(points, self._layout, room)
        if self._problem.traced:
            members.trace = np.empty(
                (len(points), min(block_length, self._problem.n_steps - int(members.steps.min())))
            )
        self._in_loop = points
        try:
            self._loop(members, block_length)
        except Exception as error:
            raise ModelError(
                f"{self._name}: drift, diffusion, score or stopped raised {type(error).__name__} at "
                f"{_segments(points)}: {error}"
            ) from error
        finally:
            self._in_loop = []
        return self._collect(points, members)

    def _loop(self, members: _Members, block_length: int) -> None:
        """Advance the members, on the threads that there are."""
        if self._pool is None:
            self._call(members.arrays, block_length)
        else:
            arrays, n = members.arrays, 4 * self._n_threads
            list(self._pool.map(lambda first: self._call(arrays, block_length, first, n), range(n)))

    def _call(self, arrays: Sequence[NDArray[Any]], block_length: int, first: int = 0, stride: int = 1) -> None:
        self._loops.advance(
            *arrays,
            first,
            stride,
            block_length,
            self._seed,
            self._problem.n_steps,
            self._chunk,
            self._problem.sparse_freq,
            self._problem.step_size,
            self._problem.target_score,
            self._parameters,
        )

    def _collect(self, points: list[Point], members: _Members) -> list[Progress]:
        """Report what the loop wrote, and put back the segments that go on."""
        written = np.arange(members.record_steps.shape[1]) < members.n_records[:, np.newaxis]
        record_steps = members.record_steps[written].tolist()
        record_scores = members.record_scores[written].tolist()
        record_states = self._layout.states(members.record_states[written])
        states = self._layout.states(members.states)
        reports = []
        first = 0
        for i, (point, step, outcome, n) in enumerate(
            zip(points, members.steps.tolist(), members.outcomes.tolist(), members.n_records.tolist(), strict=True)
        ):
            if outcome == self._not_finite:
                raise self._checked.not_finite(members.scores.item(i), (point.key, step))
            self.n_steps += step - point.step
            here = slice(first, first + n)
            first += n
            report = Progress(
                point.key, record_steps[here], record_scores[here], step, outcome != 0, record_states[here]
            )
            reports.append(
                _traced(self._problem, report, point, members.trace[i]) if self._problem.traced else report
            )
            if outcome == 0:
                self.join(Point(point.key, point.start_step, step, members.best.item(i), states[i]))
        return reports


def _traced(problem: Problem, report: Progress, point: Point, scores: NDArray[np.float64]) -> Progress:
    """Tell records from states that are only stored, and add the trace."""
    states: Any = report.states
    trace = Trace(scores[: report.step - point.step], report.steps, states)
    if not problem.sparse_freq:
        return report._replace(trace=trace)
    best_before = np.maximum.accumulate([point.best, *report.scores])[:-1]
    is_record = np.asarray(report.scores) > best_before
    records = np.flatnonzero(is_record).tolist()
    return report._replace(
        steps=[report.steps[i] for i in records],
        scores=[report.scores[i] for i in records],
        states=[report.states[i] for i in records],
        trace=trace,
    )


def _segments(points: list[Point]) -> str:
    """Name some segments."""
    first, runs = points[0], {point.key.run for point in points}
    text = f"run {first.key.run}, slot {first.key.slot}, from step {first.step} on"
    if len(points) == 1:
        return text
    return f"one of {len(points)} segments of runs {min(runs)} to {max(runs)}, the first {text}"


class _Members:
    """The arrays that the loop works on, a row a member."""

    def __init__(self, n: int, dimension: int, room: int) -> None:
        self.states = np.empty((n, dimension))
        self.start_steps = np.empty(n, np.int64)
        self.steps = np.empty(n, np.int64)
        self.best = np.empty(n)
        self.names = np.empty((n, 2), np.uint64)
        self.scores = np.empty(n)
        self.outcomes = np.empty(n, np.int64)
        self.n_records = np.empty(n, np.int64)
        self.record_steps = np.empty((n, room), np.int64)
        self.record_scores = np.empty((n, room))
        self.record_states = np.empty((n, room, dimension))
        self.trace = np.empty((n, 0))

    @classmethod
    def of(cls, points: list[Point], layout: Layout, room: int) -> _Members:
        """Fill the arrays with points."""
        members = cls(len(points), layout.dimension, room)
        keys, start_steps, steps, best, states, *_ = zip(*points, strict=True)
        members.states[:] = layout.rows(states)
        members.start_steps[:], members.steps[:], members.best[:] = start_steps, steps, best
        runs, slots, branches = zip(*keys, strict=True)
        members.names[:, 0] = member_word(np.array(runs, np.uint64), np.array(slots, np.uint64))
        members.names[:, 1] = branches
        return members

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """In the order of the loop's arguments."""
        return list(vars(self).values())
