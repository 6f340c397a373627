"""Workers of a Dask cluster: states stay where they were computed, the driver sees scores.

A task's answer stays on its worker as a Dask future; the driver gets it without the states. Whoever goes on from one
of these states names the future, and Dask brings the task to the data or the data to the task. What a lost worker
held is computed again by Dask; states are then found in it as `held` says, the same to the bit.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any

from distributed import Client, KilledWorker, wait

from pytams.core.errors import WorkersLostError
from pytams.core.states import LazySequence
from pytams.core.stored import Reference
from pytams.engine.held import Held, StateName, are_stored, state_in, without_states
from pytams.engine.options import TASK_SECONDS, Runner
from pytams.engine.queued import Queued
from pytams.engine.records import LARGE_STATE
from pytams.engine.tasks import BreakdownError, Outcome
from pytams.engine.worker import Answer, advance, begin_again, name_of, pack

if TYPE_CHECKING:
    from distributed import Future

    from pytams.core.segments import Point, Problem, SegmentKey
    from pytams.core.verification import Beginning, Outline

_logger = logging.getLogger("pytams")

_LOOK_SECONDS = 0.1
"""For hung beginnings it is looked as often."""
_FETCH_SECONDS = 5.0
"""After as long it is looked whether an answer is still there; then after twice as long."""


class RemoteState:
    """A state of which a worker holds what it takes to find it."""

    nbytes = LARGE_STATE
    """For `pass_level`: let it go as soon as no branch can start from it."""

    def __init__(self, held: Future, name: StateName) -> None:
        self.held, self.name = held, name


def _remote(point: Point) -> RemoteState | None:
    """Tell a state on a worker, which a segment goes on or is computed from, from one that is here."""
    state: Any = point.state if point.origin is None else _remote(point.origin.point)
    return state if isinstance(state, RemoteState) else None


def _from(point: Point, state: Any) -> Point:
    """Let a segment go on, or be computed, from a state."""
    if point.origin is None:
        return point._replace(state=state)
    return point._replace(origin=point.origin._replace(point=_from(point.origin.point, state)))


# --- on the worker ----------------------------------------------------------------------------------------------


def advance_from(
    name: str, packed: bytes, points: list[Point], wanted: list[StateName | None], helds: list[Held], seconds: float
) -> Held:
    """Advance some segments, some of them from states that came of earlier tasks."""
    left = iter(helds)
    starts = [
        point if state is None else _from(point, state_in(name, packed, next(left), state))
        for point, state in zip(points, wanted, strict=True)
    ]
    answer = advance(name, packed, starts, seconds)
    known = {point.key: point for point in answer.begun}
    return Held([known.get(point.key, point) for point in starts], answer)


def end_worker(dask_worker: Any) -> None:
    """End a worker that hangs, on its nanny, which starts another one as it does when one is lost."""
    os.kill(dask_worker.process.pid, signal.SIGKILL)


# --- on the driver ----------------------------------------------------------------------------------------------


class DaskWorkers:
    """The workers of a client. A task is called by the future of its answer without states.

    Parameters
    ----------
    problem
        What to advance.
    client
        Of the cluster.
    n_workers
        Tasks that are out at once.
    seconds
        About how long a task takes.
    owns_cluster
        Whether to end client and cluster afterwards.
    """

    is_up = True
    """Dask sends nothing to workers that are not."""

    def __init__(
        self, problem: Problem, client: Client, n_workers: int, seconds: float, *, owns_cluster: bool
    ) -> None:
        self.n_workers = n_workers
        self._packed = pack(problem)
        self._name = name_of(self._packed)
        self._client, self._seconds, self._owns_cluster = client, seconds, owns_cluster
        self._held: dict[Future, Future] = {}
        """What workers hold of each task."""
        self._done: SimpleQueue[Future] = SimpleQueue()

    def submit(self, points: list[Point]) -> Hashable:
        """Send a task out."""
        remote = [_remote(point) for point in points]
        held = self._client.submit(
            advance_from,
            self._name,
            self._packed,
            [p if state is None else _from(p, None) for p, state in zip(points, remote, strict=True)],
            [None if state is None else state.name for state in remote],
            [state.held for state in remote if state is not None],
            self._seconds,
            pure=False,
        )
        small: Future = self._client.submit(without_states, held, pure=False)
        self._held[small] = held
        small.add_done_callback(self._done.put)
        return small  # type: ignore[no-any-return] # Dask has no types

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait for tasks, no longer than this."""
        done: list[Future] = []
        with suppress(Empty):
            done.append(self._done.get(timeout=seconds))
            while True:
                done.append(self._done.get_nowait())
        found = [self._outcome(small) for small in done if small in self._held]
        return [outcome for outcome in found if outcome is not None]

    def _outcome(self, small: Future) -> Outcome | None:
        """Say what became of a task; None if its answer was lost with its worker: Dask computes it again."""
        seconds = _FETCH_SECONDS
        while small.status == "finished":
            try:
                answer: Answer = small.result(timeout=seconds)
            except TimeoutError:
                seconds *= 2.0
            except Exception:
                if small.status == "finished":  # else it was lost meanwhile
                    raise
            else:
                return Outcome(small, _with_remote_states(answer, self._held.pop(small)))
        if small.status in ("pending", "lost"):
            small.add_done_callback(self._done.put)
            return None
        self._held.pop(small)
        error = small.exception() if small.status == "error" else None
        if error is None:
            raise WorkersLostError(f"the Dask cluster is gone (a task is {small.status}): resume the run directory")
        return Outcome(small, None, error, is_lost=isinstance(error, KilledWorker))

    def begun(self, tasks: Sequence[Hashable]) -> Sequence[Hashable]:
        """Those that workers have; of several that wait for one thread, the first."""
        sent = {self._held[task].key: task for task in tasks if task in self._held}
        n_threads = self._client.nthreads()
        found: list[Hashable] = []
        for address, keys in self._client.processing().items():
            here = set(keys)
            found += [task for key, task in sent.items() if key in here][: n_threads.get(address, 1)]
        return found

    def _at(self, futures: Sequence[Future]) -> list[str]:
        """Find the workers that some tasks are at, or wait for."""
        keys = {future.key for future in futures}
        return [address for address, tasks in self._client.processing().items() if keys & set(tasks)]

    def recover(self, hung: Sequence[Hashable]) -> bool:
        """End the workers of hung tasks; Dask sends what else they had to others."""
        helds = [self._held.pop(task) for task in hung if task in self._held]
        if helds:
            self._end(helds, hung)
        return False

    def _end(self, tasks: Sequence[Future], those_after: Sequence[Any] = ()) -> None:
        """Give tasks up, and end the workers that they are at."""
        workers = self._at(tasks)
        self._client.cancel([*those_after, *tasks])  # or Dask would send them to others
        try:
            n_ended = len(self._client.run(end_worker, workers=workers, nanny=True))
        except Exception as error:
            raise WorkersLostError(f"its worker cannot be ended; has it a nanny? {error}") from error
        if n_ended < len(workers):
            raise WorkersLostError("its worker cannot be ended: it has no nanny")

    def fetch(self, points: list[Point]) -> list[Point]:
        """Bring the states of points to the driver."""
        remote = {
            i: s for i, point in enumerate(points) if point.origin is None and (s := _remote(point)) is not None
        }
        wanted = [
            self._client.submit(state_in, self._name, self._packed, state.held, state.name, pure=False)
            for state in remote.values()
        ]
        states = dict(zip(remote, self._client.gather(wanted), strict=True))
        return [point._replace(state=states.get(i, point.state)) for i, point in enumerate(points)]

    def begin_again(self, lists: Sequence[Sequence[Beginning]], timeout: float) -> list[list[Outline]]:
        """Have beginnings computed again, each list by one worker; Dask sends what is lost to others."""
        tasks = [self._client.submit(begin_again, self._name, self._packed, one, pure=False) for one in lists]
        hung = self._hung(tasks, timeout)
        if hung:
            self._end(hung)
            raise BreakdownError(f"not done within {timeout:.3g} s", [tasks.index(task) for task in hung])
        try:
            found: list[list[Outline]] = self._client.gather(tasks)
        except KilledWorker as error:
            undone = [i for i, task in enumerate(tasks) if task.status != "finished"]
            self._client.cancel(tasks)
            raise BreakdownError(f"{type(error).__name__} {error}", undone) from error
        return found

    def _hung(self, tasks: Sequence[Future], timeout: float) -> list[Future]:
        """Wait for tasks; their time begins when workers have them, and anew when one is done."""
        left, since = list(tasks), perf_counter()
        while left:
            try:
                left = list(wait(left, min(timeout, _LOOK_SECONDS), "FIRST_COMPLETED").not_done)
                since = perf_counter()
            except TimeoutError:
                if not self._at(left):
                    since = perf_counter()
                elif perf_counter() - since > timeout:
                    return left
        return []

    def close(self) -> None:
        """Leave the cluster; end it if it is ours. A worker that is lost meanwhile costs no result."""
        try:
            self._client.cancel(list(self._held))
            self._held.clear()
            if self._owns_cluster:
                cluster = self._client.cluster
                self._client.close()
                if cluster is not None:
                    cluster.close()
        except Exception as error:
            _logger.warning("the Dask cluster did not close well: %s: %s", type(error).__name__, error)


def _with_remote_states(answer: Answer, held: Future) -> Answer:
    """Say which states they are that were left out of an answer."""

    def state(key: SegmentKey, steps: Sequence[int], i: int) -> Any:
        return RemoteState(held, StateName(key, int(steps[i])))

    return answer._replace(
        reports=[
            report
            if are_stored(report.states)
            else report._replace(
                states=LazySequence(partial(state, report.key, report.steps), range(len(report.steps)))
            )
            for report in answer.reports
        ],
        points=[
            point
            if point.best == -math.inf or isinstance(point.state, Reference)
            else point._replace(state=state(point.key, [point.step], 0))
            for point in answer.points
        ],
    )


class OnDask(Queued):
    """Advances all segments of all runs on a Dask cluster.

    Parameters
    ----------
    problem
        What to advance.
    connect
        Makes the client, or a client, which stays open. Bind it with `functools.partial`.
    n_workers
        Tasks that are out at once; default: the cluster's threads when it is first used.
    batch, timeout
        As for `TaskQueue`.
    seconds
        About how long a task takes. None of these changes a bit of the result.
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
        options = Runner(type="dask", n_workers=n_workers, batch=batch, seconds=seconds, timeout=timeout)
        ours = not isinstance(connect, Client)
        client: Any = connect() if ours else connect
        n_workers = options.n_workers or max(1, sum(client.nthreads().values()))
        workers = DaskWorkers(problem, client, n_workers, options.seconds, owns_cluster=ours)
        super().__init__(problem, workers, options)
        self.note = f"Dask dashboard: {client.dashboard_link}"
