"""Workers of a Dask cluster: states stay where they were computed, the driver sees scores.

A task's answer stays on its worker as a Dask future; the driver gets it without the states. Whoever goes on from one
of these states names the future, and Dask brings the task to the data or the data to the task. What a lost worker
held is computed again by Dask, to the same bits.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from contextlib import suppress
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import Client, KilledWorker

from pytams.engine.inprocess import LARGE_STATE, Keeping
from pytams.engine.pool import MAX_TRIES, TASK_SECONDS, Answer, WorkersLostError, advance, pack
from pytams.errors import ModelError
from pytams.trajectory import Point, Problem, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Future

    from pytams.trajectory import SegmentKey

_logger = logging.getLogger("pytams")

_POLL_SECONDS = 0.5


class RemoteState:
    """A state in an answer that is on a worker: its report's number and its own, or the number of a point."""

    nbytes = LARGE_STATE
    """For `pass_level`: let it go as soon as no branch can start from it."""

    def __init__(self, answer: Future, where: tuple[int, ...]) -> None:
        self.answer, self.where = answer, where


class _RemoteStates:
    """The states of a report that is on a worker."""

    def __init__(self, answer: Future, report: int, rows: range) -> None:
        self._answer, self._report, self._rows = answer, report, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _RemoteStates(self._answer, self._report, self._rows[index])
        return RemoteState(self._answer, (self._report, self._rows[index]))


def _remote(point: Point) -> RemoteState | None:
    """Tell a state on a worker from one that is here."""
    state: Any = point.state
    return state if isinstance(state, RemoteState) else None


# --- on the worker ----------------------------------------------------------------------------------------------


def advance_from(
    name: str, packed: bytes, points: list[Point], where: list[tuple[int, ...]], answers: list[Answer], seconds: float
) -> Answer:
    """Advance some segments, some of them from states in earlier answers."""
    found = iter(answers)
    points = [
        point._replace(state=state_in(next(found), place)) if place else point
        for point, place in zip(points, where, strict=True)
    ]
    return advance(name, packed, points, seconds)


def state_in(answer: Answer, where: tuple[int, ...]) -> Any:
    """Find a state in an answer."""
    if len(where) == 1:
        return answer.points[where[0]].state
    return answer.reports[where[0]].states[where[1]]


def told(answer: Answer) -> Answer:
    """Leave the states out; what is to be stored goes to the driver, who writes it."""
    return Answer(
        [report._replace(states=()) for report in answer.reports],
        [point._replace(state=None) for point in answer.points],
        answer.n_steps,
    )


# --- on the driver ----------------------------------------------------------------------------------------------


class _Task(NamedTuple):
    """What is out."""

    points: list[Point]
    answer: Future
    since: float


class RemoteStepper:
    """Sends segments to the workers of a client, the ones that are furthest behind first."""

    def __init__(
        self, problem: Problem, client: Client, n_workers: int, *, batch: int, seconds: float, timeout: float | None
    ) -> None:
        self._packed = pack(problem)
        self._name = hashlib.sha256(self._packed).hexdigest()
        self._client = client
        self._n_workers, self._batch, self._seconds, self._timeout = n_workers, batch, seconds, timeout
        self._waiting: list[tuple[float, SegmentKey, Point]] = []
        self._out: dict[Future, _Task] = {}
        self._done: SimpleQueue[Future] = SimpleQueue()
        self._tries: Counter[SegmentKey] = Counter()
        self.n_steps = 0

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return min(self._n_workers, len(self._out) + len(self._waiting))

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        heappush(self._waiting, (point.best, point.key, point))

    def advance(self, block_length: int | None) -> list[Progress]:  # noqa: ARG002 - a task goes by time
        """Send out what is waiting, and return what has come back, after a while nothing."""
        while self._waiting and len(self._out) < self._n_workers:
            self._send([heappop(self._waiting)[2] for _ in range(min(self._batch, len(self._waiting)))])
        done: list[Future] = []
        with suppress(Empty):
            done.append(self._done.get(timeout=_POLL_SECONDS))
            while True:
                done.append(self._done.get_nowait())
        reports = [report for future in done if future in self._out for report in self._take(future)]
        self._restart_hung_workers()
        return reports

    def _send(self, points: list[Point]) -> None:
        remote = [_remote(point) for point in points]
        answer = self._client.submit(
            advance_from,
            self._name,
            self._packed,
            [p if state is None else p._replace(state=None) for p, state in zip(points, remote, strict=True)],
            [() if state is None else state.where for state in remote],
            [state.answer for state in remote if state is not None],
            self._seconds,
            pure=False,
        )
        small = self._client.submit(told, answer, pure=False)
        self._out[small] = _Task(points, answer, perf_counter())
        small.add_done_callback(self._done.put)

    def _take(self, future: Future) -> list[Progress]:
        task = self._out.pop(future)
        if future.status != "finished":
            self._try_again(task, future)
            return []
        answer: Answer = future.result()
        self.n_steps += answer.n_steps
        for i, point in enumerate(answer.points):
            self._tries.pop(point.key, None)
            state: Any = RemoteState(task.answer, (i,))
            self.join(point._replace(state=state))
        return [
            report._replace(states=_RemoteStates(task.answer, i, range(len(report.steps))))
            for i, report in enumerate(answer.reports)
        ]

    def _try_again(self, task: _Task, future: Future) -> None:
        """Send a task out again; give up after some tries if it is the model that raises."""
        error = future.exception() if future.status == "error" else None
        if error is None:
            raise WorkersLostError(f"the Dask cluster is gone (a task is {future.status}): resume the run directory")
        _logger.warning("trying again: %s", error)
        if not isinstance(error, KilledWorker):
            self._tries.update(point.key for point in task.points)
            if max(self._tries[point.key] for point in task.points) >= MAX_TRIES:
                if isinstance(error, ModelError):
                    raise error
                raise WorkersLostError(f"{task.points[0].key} failed {MAX_TRIES} times: {error}") from error
        for point in task.points:
            self.join(point)

    def _restart_hung_workers(self) -> None:
        if self._timeout is None:
            return
        hung = {task.answer.key for task in self._out.values() if perf_counter() - task.since > self._timeout}
        if not hung:
            return
        workers = [address for address, keys in self._client.processing().items() if hung & set(keys)]
        _logger.warning("a task has taken more than %g s: restarting %s", self._timeout, ", ".join(workers))
        self._client.restart_workers(workers)  # Dask sends what they had to others
        now = perf_counter()
        for small, task in self._out.items():
            if task.answer.key in hung:
                self._out[small] = task._replace(since=now)

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Tell where every segment was when it was last heard of: this brings states to the driver."""
        points = [point for _, _, point in self._waiting]
        points += [point for task in self._out.values() for point in task.points]
        remote = {i: state for i, point in enumerate(points) if (state := _remote(point)) is not None}
        wanted = [self._client.submit(state_in, state.answer, state.where, pure=False) for state in remote.values()]
        for i, state in zip(remote, self._client.gather(wanted), strict=True):
            points[i] = points[i]._replace(state=state)
        return [], points

    def close(self) -> None:
        """Let go of what is out."""
        self._client.cancel(list(self._out))
        self._out.clear()
        self._waiting.clear()


class OnDask(Keeping):
    """Advances all segments of all runs on a Dask cluster.

    Parameters
    ----------
    problem
        What to advance.
    connect
        Makes the client, or a client, which stays open. Bind it with `functools.partial`.
    n_workers
        Tasks that are out at once; default: the cluster's threads when it is first used.
    batch, seconds, timeout
        As for `PoolStepper`. None changes a bit of the result.
    """

    def __init__(
        self,
        problem: Problem,
        connect: Client | Callable[[], Client],
        n_workers: int | None = None,
        *,
        batch: int = 1,
        seconds: float = TASK_SECONDS,
        timeout: float | None = None,
    ) -> None:
        self._ours = not isinstance(connect, Client)
        self._client: Client = connect if isinstance(connect, Client) else connect()
        self.note = f"Dask dashboard: {self._client.dashboard_link}"
        n_workers = n_workers or max(1, sum(self._client.nthreads().values()))
        super().__init__(
            RemoteStepper(problem, self._client, n_workers, batch=batch, seconds=seconds, timeout=timeout)
        )

    def close(self) -> None:
        """Leave the cluster; end it if it is ours."""
        super().close()
        if self._ours:
            cluster = self._client.cluster
            self._client.close()
            if cluster is not None:
                cluster.close()
