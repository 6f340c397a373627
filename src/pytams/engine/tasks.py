"""The one task queue: segments go out to workers in tasks, and what is lost is sent again.

A task is some segments, each from its point, for about so many seconds. It answers with the segments' reports and the
points they have got to, so that branches can start from a segment that is still running. Noise is keyed, so a task
that is sent again gives the same bits. Workers of any kind are a `Workers`: processes, other executors, Dask.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable
from heapq import heappop, heappush
from time import perf_counter, sleep
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cloudpickle

from pytams.core.errors import ModelError, WorkersLostError
from pytams.engine.again import outlines
from pytams.models.loading import import_file, model_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.core.segments import Point, Problem, Progress, SegmentKey
    from pytams.core.verification import Beginning, Outline

_logger = logging.getLogger("pytams")

_POLL_SECONDS = 0.5
_MAX_TRIES = 3
"""Times that a task whose model raises is sent out."""
_MAX_BREAKDOWNS = 20
"""Times in a row that the workers may break down without finishing a task."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 30.0
"""Seconds before something is sent out again: they double with every failure."""


# --- on the worker ----------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What a task says."""

    reports: list[Progress]
    """In order."""
    points: list[Point]
    """Where the segments are that have not ended."""
    n_steps: int


_problems: dict[str, Problem] = {}


def pack(problem: Problem) -> bytes:
    """Make bytes of a problem; a model from a file goes with the file's path, which workers import it from."""
    packed: bytes = cloudpickle.dumps((model_file(problem.model), cloudpickle.dumps(problem)))
    return packed


def set_problem(name: str, packed: bytes) -> None:
    """Build the problem and its model, once in a worker."""
    if name not in _problems:
        file, pickled = cloudpickle.loads(packed)
        if file is not None:
            import_file(file)
        _problems[name] = cloudpickle.loads(pickled)


def advance(name: str, packed: bytes, points: list[Point], seconds: float) -> Answer:
    """Advance some segments for some seconds: this is a task."""
    set_problem(name, packed)
    problem = _problems[name]
    stepper = problem.model.make_stepper(problem)
    for point in points:
        stepper.join(point)
    reports: list[Progress] = []
    n_ended = 0
    deadline = perf_counter() + seconds
    while n_ended < len(points) and perf_counter() < deadline:
        new = stepper.advance(None)
        n_ended += sum(report.ended for report in new)
        reports += new
    more, left = stepper.checkpoint()
    stepper.close()
    return Answer(reports + more, left, stepper.n_steps)


def begin_again(name: str, packed: bytes, beginnings: Sequence[Beginning]) -> list[Outline]:
    """Compute beginnings again, on the side."""
    set_problem(name, packed)
    return outlines(_problems[name], beginnings)


# --- on the driver ----------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of a task."""

    task: Hashable
    answer: Answer | None
    error: BaseException | None = None
    """Why there is no answer."""
    is_lost: bool = False
    """Whether its worker was lost: no fault of the model's."""


class BreakdownError(Exception):
    """The workers have broken down: nothing can be sent to them."""


class Workers(Protocol):
    """Those who do the tasks."""

    @property
    def n_workers(self) -> int:
        """Tasks that are out at once."""

    def submit(self, points: list[Point]) -> Hashable:
        """Send a task out and return what to call it. Raise `BreakdownError` if that cannot be done."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait for tasks, no longer than this, and say what became of them."""

    def recover(self, hung: Sequence[Hashable]) -> bool:
        """After a breakdown, or of hung tasks: end workers and start new ones.

        Returns
        -------
        bool
            Whether all that is out is lost, and has to be sent again.
        """

    def fetch(self, points: list[Point]) -> list[Point]:
        """Bring the states of points to the driver."""

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Have beginnings computed again, each list by one worker. Raise `BreakdownError` if that cannot be done."""

    def close(self) -> None:
        """End the workers, if they are ours."""


class _Task(NamedTuple):
    points: list[Point]
    since: float


class TaskQueue:
    """A stepper that sends segments out, the ones that are furthest behind first: they hold the next decision up.

    Parameters
    ----------
    workers
        Who advances them.
    batch
        Segments in a task.
    timeout
        Seconds after which a task is taken for hung; None: never.
    """

    def __init__(self, workers: Workers, *, batch: int = 1, timeout: float | None = None) -> None:
        self._workers, self._batch, self._timeout = workers, batch, timeout
        self._waiting: list[tuple[float, SegmentKey, Point]] = []
        self._later: list[tuple[float, SegmentKey, Point]] = []  # by the time at which they may go out again
        self._out: dict[Hashable, _Task] = {}
        self._tries: Counter[SegmentKey] = Counter()
        self._n_breakdowns = 0
        self.n_steps = 0

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return min(self._workers.n_workers, len(self._out) + len(self._waiting) + len(self._later))

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._waiting, (point.best, point.key, point))

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Have beginnings computed again, each list by one worker."""
        while True:
            try:
                return self._workers.begin_again(lists)
            except BreakdownError as error:
                self._recover(str(error))

    def advance(self, block_length: int | None) -> list[Progress]:  # noqa: ARG002 - a task goes by time
        """Send out what is waiting, and return what has come back, after a while nothing."""
        try:
            self._send()
        except BreakdownError as error:
            self._recover(str(error))
        if not self._out:  # all of it is to be sent later
            sleep(_FIRST_PAUSE)
            return []
        reports: list[Progress] = []
        broken = ""
        for outcome in self._workers.wait(_POLL_SECONDS):
            task = self._out.pop(outcome.task, None)
            if task is None:  # too late: it was sent again
                continue
            if outcome.answer is not None:
                reports += self._take(outcome.answer)
            elif outcome.is_lost:
                broken = f"{type(outcome.error).__name__} {outcome.error}"
                self._send_later(task.points, self._n_breakdowns)
            else:
                assert outcome.error is not None
                self._try_again(task, outcome.error)
        if broken:
            self._recover(broken)
        else:
            self._recover_hung()
        return reports

    def _send(self) -> None:
        now = perf_counter()
        while self._later and self._later[0][0] <= now:
            self.join(heappop(self._later)[2])
        while self._waiting and len(self._out) < self._workers.n_workers:
            points = [heappop(self._waiting)[2] for _ in range(min(self._batch, len(self._waiting)))]
            try:
                name = self._workers.submit(points)
            except BreakdownError:
                self._send_later(points, self._n_breakdowns)
                raise
            self._out[name] = _Task(points, perf_counter())

    def _send_later(self, points: Iterable[Point], n_failures: int) -> None:
        """Send points out again, after a pause that doubles with every failure."""
        due = perf_counter() + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**n_failures)
        for point in points:
            heappush(self._later, (due, point.key, point))

    def _take(self, answer: Answer) -> list[Progress]:
        self._n_breakdowns = 0
        self.n_steps += answer.n_steps
        for point in answer.points:
            self._tries.pop(point.key, None)
            self.join(point)
        return answer.reports

    def _try_again(self, task: _Task, error: BaseException) -> None:
        """Send a task out again that failed; give up after some tries."""
        self._tries.update(point.key for point in task.points)
        n_tries = max(self._tries[point.key] for point in task.points)
        if n_tries >= _MAX_TRIES:
            if isinstance(error, ModelError | WorkersLostError):
                raise error
            raise WorkersLostError(
                f"{task.points[0].key} failed {n_tries} times: {type(error).__name__}: {error}"
            ) from error
        _logger.warning("trying again: %s", error)
        self._send_later(task.points, n_tries)

    def _recover(self, reason: str, hung: Sequence[Hashable] = ()) -> None:
        """Get new workers, and send them what was lost."""
        self._n_breakdowns += 1
        if self._n_breakdowns > _MAX_BREAKDOWNS:
            raise WorkersLostError(f"the workers broke down {self._n_breakdowns} times in a row: {reason}")
        if self._workers.recover(hung):
            _logger.warning("workers lost (%s): %d tasks are sent again", reason, len(self._out))
            for task in self._out.values():
                self._send_later(task.points, self._n_breakdowns)
            self._out.clear()  # answers that come late are nobody's
        else:
            _logger.warning("workers lost (%s): others go on", reason)
            now = perf_counter()
            self._out |= {name: self._out[name]._replace(since=now) for name in hung}

    def _recover_hung(self) -> None:
        if self._timeout is None:
            return
        now = perf_counter()
        hung = [name for name, task in self._out.items() if now - task.since > self._timeout]
        if hung:
            self._recover(f"a task has taken more than {self._timeout:g} s", hung)

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Give the point that every segment was at when it last reported."""
        points = [point for _, _, point in self._waiting + self._later]
        points += [point for task in self._out.values() for point in task.points]
        return [], self._workers.fetch(points)

    def close(self) -> None:
        """Let go of what is out, and end the workers if they are ours."""
        self._out.clear()
        self._waiting.clear()
        self._later.clear()
        self._workers.close()
