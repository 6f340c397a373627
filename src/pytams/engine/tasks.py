"""The one task queue: segments go out to workers in tasks, and what is lost is sent again.

A task is some segments, each from its point, for about so many seconds. It answers with the segments' reports and the
points they have got to, so that branches can start from a segment that is still running. Noise is keyed, so a task
that is sent again gives the same bits. Workers of any kind are a `Workers`: processes, other executors, Dask.

A task that fails is tried three times. It has failed if it raised, if it took longer than the timeout, or if its
worker was lost while no other task was out: where several were, any of them may have been the cause, and one that is
suspected again is sent out alone, so that it shows. What was lost because another task failed has not been tried.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from time import perf_counter, sleep
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytams.core.errors import PytamsError, WorkersLostError
from pytams.engine.line import FIRST_PAUSE, Batches, Line
from pytams.engine.options import Runner
from pytams.engine.trouble import MAX_TRIES, Trouble, named
from pytams.engine.watchdog import Patience

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.segments import Point, Progress, SegmentKey
    from pytams.core.stored import StateStore
    from pytams.core.verification import Beginning, Outline
    from pytams.engine.worker import Answer

_logger = logging.getLogger("pytams")

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 0.1
"""For hung tasks it is looked as often."""
MAX_BREAKDOWNS = 20
"""Times in a row that the workers may break down without finishing a task."""


class Outcome(NamedTuple):
    """What became of a task."""

    task: Hashable
    answer: Answer | None
    error: BaseException | None = None
    """Why there is no answer."""
    is_lost: bool = False
    """Whether its worker was lost: no fault of the model's."""


class BreakdownError(Exception):
    """The workers have broken down: nothing can be sent to them, or it does not come back.

    Parameters
    ----------
    reason
        What has happened.
    undone
        Which of several lists of beginnings did not come back, by number.
    """

    def __init__(self, reason: str, undone: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.undone = undone


class Workers(Protocol):
    """Those who do the tasks."""

    @property
    def n_workers(self) -> int:
        """Tasks that are out at once."""

    @property
    def is_up(self) -> bool:
        """Whether workers have answered since they were started: one that is lost now was lost at a task."""

    def submit(self, points: list[Point]) -> Hashable:
        """Send a task out and return what to call it. Raise `BreakdownError` if that cannot be done."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait for tasks, no longer than this, and say what became of them."""

    def begun(self, tasks: Sequence[Hashable]) -> Sequence[Hashable]:
        """Which of these tasks, the first sent first, a worker has begun with, as far as anybody knows."""

    def recover(self, hung: Sequence[Hashable]) -> bool:
        """After a breakdown: start new workers. If tasks hang: end their workers, and start new ones.

        Returns
        -------
        bool
            Whether the other tasks that are out are lost, too.
        """

    def fetch(self, points: list[Point]) -> list[Point]:
        """Bring the states of points to the driver."""

    def begin_again(self, lists: Sequence[Sequence[Beginning]], timeout: float) -> list[list[Outline]]:
        """Have beginnings computed again, each list by one worker. Raise `BreakdownError` if that does not come back.

        Parameters
        ----------
        timeout
            Seconds that one may take once workers have begun, maybe infinitely many.
        """

    def close(self) -> None:
        """End the workers, if they are ours."""


class _Task(NamedTuple):
    points: list[Point]
    since: float
    is_noticed: bool = False
    """Whether it was said that it takes long."""


class TaskQueue:
    """A stepper that sends segments out, the ones that are furthest behind first: they hold the next decision up.

    Parameters
    ----------
    workers
        Who advances them.
    how
        How many segments are in a task, and after how long it is taken for hung.
    store
        Where large states are.
    """

    def __init__(self, workers: Workers, how: Runner | None = None, store: StateStore | None = None) -> None:
        how = how or Runner()
        self._workers, self._store, self._batches = workers, store, Batches(how.batch)
        self._timeout = math.inf if how.timeout is None else how.timeout
        self._line = Line()
        self._out: dict[Hashable, _Task] = {}
        self._trouble = Trouble()
        self._n_breakdowns = 0
        self._patience = Patience()
        self._last_look = 0.0
        self.n_steps = 0

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return min(self._workers.n_workers, len(self._out) + len(self._line))

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        self._line.join(point)

    def advance(self, block_length: int | None) -> list[Progress]:  # noqa: ARG002 - a task goes by time
        """Send out what is waiting, and return what has come back, after a while nothing."""
        broken, lost = "", []
        try:
            self._send()
        except BreakdownError as error:
            broken = str(error)
        if not self._out:  # all of it is to be sent later
            sleep(FIRST_PAUSE)
        reports: list[Progress] = []
        for outcome in self._wait(_POLL_SECONDS if self._out else 0.0):
            task = self._out.pop(outcome.task, None)
            if outcome.is_lost:
                broken = f"{type(outcome.error).__name__} {outcome.error}"
                lost += [] if task is None else [task]
            elif task is None:  # too late: it was sent again
                continue
            elif outcome.answer is not None:
                reports += self._take(task, outcome.answer)
            else:
                assert outcome.error is not None
                self._try_again(task, outcome.error)
        if broken:
            self._recover(broken, lost)
        else:
            self._look_for_hung()
        return reports

    def _send(self) -> None:
        while len(self._out) < self._workers.n_workers and (first := self._line.first()) and self._may_send(first):
            points = self._line.take(self._batches.size(len(self._line), self._workers.n_workers), self._trouble)
            try:
                name = self._workers.submit(points)
            except BreakdownError:
                self._line.join_later(points, self._n_breakdowns)
                raise
            self._out[name] = _Task(points, perf_counter())

    def _may_send(self, key: SegmentKey) -> bool:
        """Whether a segment may go out beside what is out: a suspect goes alone."""
        if len(self._out) == 1 and self._trouble.is_suspect(next(iter(self._out.values())).points[0].key):
            return False
        return not self._trouble.is_suspect(key) or (not self._out and self._workers.is_up)

    def _wait(self, seconds: float) -> list[Outcome]:
        """Wait for tasks; their time begins when workers are up."""
        were_up = self._workers.is_up
        outcomes = self._workers.wait(seconds)
        if self._workers.is_up and not were_up:
            now = perf_counter()
            self._out = {name: task._replace(since=now) for name, task in self._out.items()}
        return outcomes

    def _take(self, task: _Task, answer: Answer) -> list[Progress]:
        self._n_breakdowns = 0
        self.n_steps += answer.n_steps
        self._patience.took(answer.seconds)
        self._batches.took(answer.seconds, len(task.points))
        self._trouble.is_over(task.points)
        for point in answer.begun:
            self._held(point)  # so that it is known, and let go of
        for point in answer.points:
            self.join(self._held(point))
        return answer.reports

    def _held(self, point: Point) -> Point:
        """Hold the state that a segment goes on from."""
        if self._store is None or point.state is None:
            return point
        return point._replace(state=self._store.hold(point.key.run, point.state))

    def seconds_out(self) -> float:
        """For how long the oldest task is out; 0 if none is."""
        now = perf_counter()
        return now - min((task.since for task in self._out.values()), default=now)

    def _try_again(self, task: _Task, error: BaseException) -> None:
        """Send a task out again that raised; give up after some tries."""
        n_tries = self._trouble.failed(task.points)
        if isinstance(error, PytamsError) and (n_tries >= MAX_TRIES or getattr(error, "was_tried", False)):
            raise error
        what = f"{type(error).__name__}: {error}"
        if n_tries >= MAX_TRIES:
            raise WorkersLostError(f"{named(task.points)}: failed {n_tries} times: {what}") from error
        _logger.warning("trying again: %s", error if isinstance(error, PytamsError) else what)
        self._line.join_later(task.points, n_tries)

    def _recover(self, reason: str, lost: list[_Task]) -> None:
        """Get new workers, and send them what was lost."""
        was_at_task = self._workers.is_up
        self._n_breakdowns += 1
        if self._n_breakdowns > MAX_BREAKDOWNS:
            raise WorkersLostError(f"the workers broke down {self._n_breakdowns} times in a row: {reason}")
        if self._workers.recover(()):
            lost += self._out.values()
            self._out.clear()  # answers that come late are nobody's
        _logger.warning("workers lost (%s): %d tasks are sent again", reason, len(lost))
        points = [point for task in lost for point in task.points]
        if was_at_task and self._trouble.lost(points) >= MAX_TRIES:
            raise WorkersLostError(
                f"{named(points)}: its worker ended, {MAX_TRIES} times ({reason}). Does the model end its process "
                "there (os._exit, a crash in C or Fortran), or use up the memory? Mend it, and resume"
            )
        self._line.join_later(points, self._n_breakdowns)

    def _look_for_hung(self) -> None:
        """Say which tasks take long, and end those that have taken longer than the timeout."""
        now = perf_counter()
        if now - self._last_look < _LOOK_SECONDS:
            return
        self._last_look = now
        late = {name: task for name, task in self._out.items() if self._is_late(task, now)}
        begun = self._workers.begun(list(late)) if late else ()
        hung: dict[Hashable, _Task] = {}
        for name, task in late.items():
            if name not in begun:  # it waits for a worker
                self._out[name] = task._replace(since=now)
            elif now - task.since > self._timeout:
                hung[name] = task
            else:
                would = "would end it" if self._timeout == math.inf else f"ends it after {self._timeout:g} s"
                advice = f"[runner] block_timeout (timeout=) {would}"
                self._patience.warn(named(task.points), "task", now - task.since, advice)
                self._out[name] = task._replace(is_noticed=True)
        if hung:
            self._end(hung)

    def _is_late(self, task: _Task, now: float) -> bool:
        return now - task.since > min(self._timeout, math.inf if task.is_noticed else self._patience.seconds)

    def _end(self, hung: dict[Hashable, _Task]) -> None:
        """End the workers of hung tasks, and try these again; the others go on, or are sent again as they were."""
        points = [point for task in hung.values() for point in task.points]
        problem = f"{named(points)}: a task has taken more than {self._timeout:g} s"
        try:
            others_are_lost = self._workers.recover(list(hung))
        except WorkersLostError as error:
            raise WorkersLostError(f"{problem}; {error}") from error
        _logger.warning("%s: its worker is ended", problem)
        self._out = {name: task for name, task in self._out.items() if name not in hung}
        if others_are_lost:
            self._line.join_later((point for task in self._out.values() for point in task.points), 0)
            self._out.clear()
        for task in hung.values():
            n_tries = self._trouble.failed(task.points)
            if n_tries >= MAX_TRIES:
                raise WorkersLostError(
                    f"{named(task.points)}: not done within {self._timeout:g} s, {n_tries} times. Does the model "
                    "hang there? Mend it, or raise [runner] block_timeout (timeout=), and resume"
                )
            self._line.join_later(task.points, n_tries)

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Give the point that every segment was at when it last reported."""
        points = self._line.points() + [point for task in self._out.values() for point in task.points]
        return [], self._workers.fetch(points)

    def close(self) -> None:
        """Let go of what is out, and end the workers if they are ours."""
        self._out.clear()
        self._line = Line()
        self._workers.close()
