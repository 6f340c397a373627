"""Workers of a Dask cluster: states stay where they were computed, the driver sees scores.

A task's answer stays on its worker as a Dask future; the driver gets it without the states. Whoever goes on from one
of these states names the future, and Dask brings the task to the data or the data to the task. What a lost worker
held is computed again by Dask; states are then found in it as `held` says, the same to the bit.

Small states go along with the answer, once one has shown that they are: a task is then a single one of Dask's, and
those that go out together are one message.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import Client, KilledWorker, wait

from pytams.core.errors import WorkersLostError
from pytams.engine.held import advance_from, advance_light, going_on_from, state_in, without_states
from pytams.engine.options import Runner, task_seconds
from pytams.engine.queued import Queued
from pytams.engine.remote import remote_in, with_remote_states
from pytams.engine.tasks import BreakdownError, Outcome
from pytams.engine.worker import begin_again, name_of, pack

if TYPE_CHECKING:
    from distributed import Future

    from pytams.core.segments import Point, Problem
    from pytams.core.verification import Beginning, Outline
    from pytams.engine.worker import Answer

_logger = logging.getLogger("pytams")

_LOOK_SECONDS = 0.1
"""For hung beginnings it is looked as often."""
_FETCH_SECONDS = 5.0
"""After as long it is looked whether an answer is still there; then after twice as long."""


def end_worker(dask_worker: Any) -> None:
    """End a worker that hangs, on its nanny, which starts another one as it does when one is lost."""
    os.kill(dask_worker.process.pid, signal.SIGKILL)


class _Sent(NamedTuple):
    """A task that is out."""

    told: Future
    """What the driver gets of it."""
    held: Future | None = None
    """What stays on the worker; None: nothing does."""

    @property
    def work(self) -> Future:
        """What is computed first."""
        return self.told if self.held is None else self.held


class DaskWorkers:
    """The workers of a client. Tasks are called by numbers, and sent when they are waited for.

    Parameters
    ----------
    problem, client
        What to advance, and the client of the cluster.
    n_workers, seconds
        Tasks that are out at once, and about how long one takes.
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
        self._numbers = count()
        self._unsent: dict[Hashable, list[Point]] = {}
        self._out: dict[Hashable, _Sent] = {}
        self._task_of: dict[str, Hashable] = {}
        """Tasks by the key of what is told."""
        self._are_light = False  # whether answers are known to have small states
        self._done: SimpleQueue[Future] = SimpleQueue()

    def submit(self, points: list[Point]) -> Hashable:
        """Note a task: those that go out together are sent together."""
        task = next(self._numbers)
        self._unsent[task] = points
        return task

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, {}
        light = {
            task: pickle.dumps(points)
            for task, points in unsent.items()
            if self._are_light and not any(map(remote_in, points))
        }
        if light:
            how = {"name": self._name, "packed": self._packed, "seconds": self._seconds}
            told = self._client.map(advance_light, list(light.values()), pure=False, **how)
            self._await({task: _Sent(future) for task, future in zip(light, told, strict=True)})
        self._await({task: self._sent(points) for task, points in unsent.items() if task not in light})

    def _await(self, sent: dict[Hashable, _Sent]) -> None:
        for task, (told, _) in sent.items():
            self._task_of[told.key] = task
            told.add_done_callback(self._done.put)
        self._out |= sent

    def _sent(self, points: list[Point]) -> _Sent:
        """Send a task out whose answer stays on the worker."""
        remote = [remote_in(point) for point in points]
        held = self._client.submit(
            advance_from,
            self._name,
            self._packed,
            [p if state is None else going_on_from(p, None) for p, state in zip(points, remote, strict=True)],
            [None if state is None else state.name for state in remote],
            [state.held for state in remote if state is not None],
            self._seconds,
            pure=False,
        )
        return _Sent(self._client.submit(without_states, held, pure=False), held)

    def wait(self, seconds: float) -> list[Outcome]:
        """Send tasks out, and wait for some, no longer than this."""
        self._send()
        done: list[Future] = []
        with suppress(Empty):
            done.append(self._done.get(timeout=seconds))
            while True:
                done.append(self._done.get_nowait())
        known = [told for told in done if told.key in self._task_of]
        answers = _fetched(self._client, known)
        found = [self._outcome(told, answers.get(told.key)) for told in known]
        return [outcome for outcome in found if outcome is not None]

    def _outcome(self, told: Future, answer: Any) -> Outcome | None:
        """Say what became of a task; None if its answer was lost with its worker: Dask computes it again."""
        seconds = _FETCH_SECONDS
        while answer is None and told.status == "finished":
            try:
                answer = told.result(timeout=seconds)
            except TimeoutError:
                seconds *= 2.0
            except Exception:
                if told.status == "finished":  # else it was lost meanwhile
                    raise
        if answer is None and told.status in ("pending", "lost"):
            told.add_done_callback(self._done.put)
            return None
        task = self._task_of.pop(told.key)
        sent = self._out.pop(task)
        if answer is not None:
            return Outcome(task, self._taken(answer, sent.held))
        error = told.exception() if told.status == "error" else None
        if error is None:
            raise WorkersLostError(f"the Dask cluster is gone (a task is {told.status}): resume the run directory")
        return Outcome(task, None, error, is_lost=isinstance(error, KilledWorker))

    def _taken(self, told: Any, held: Future | None) -> Answer:
        """Take an answer as it is, or say where its states are."""
        answer: Answer
        if held is None:
            answer = pickle.loads(told)  # from a worker of ours
            return answer
        answer, is_light = told
        self._are_light = self._are_light if is_light is None else is_light
        return with_remote_states(answer, held) if is_light is False else answer

    def begun(self, tasks: Sequence[Hashable]) -> Sequence[Hashable]:
        """Those that workers have; of several that wait for one thread, the first."""
        sent = {self._out[task].work.key: task for task in tasks if task in self._out}
        n_threads = self._client.nthreads()
        found: list[Hashable] = []
        for address, keys in self._client.processing().items():
            here = set(keys)
            found += [task for key, task in sent.items() if key in here][: n_threads.get(address, 1)]
        return found

    def recover(self, hung: Sequence[Hashable]) -> bool:
        """End the workers of hung tasks; Dask sends what else they had to others."""
        sent = [self._out.pop(task) for task in hung if task in self._out]
        for told, _ in sent:
            del self._task_of[told.key]
        if sent:
            self._end([one.work for one in sent], [one.told for one in sent])
        return False

    def _end(self, tasks: Sequence[Future], those_after: Sequence[Any] = ()) -> None:
        """Give tasks up, and end the workers that they are at."""
        workers = _at(self._client, tasks)
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
            i: s for i, point in enumerate(points) if point.origin is None and (s := remote_in(point)) is not None
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
                if not _at(self._client, left):
                    since = perf_counter()
                elif perf_counter() - since > timeout:
                    return left
        return []

    def close(self) -> None:
        """Leave the cluster; end it if it is ours. A worker that is lost meanwhile costs no result."""
        try:
            self._client.cancel([future for sent in self._out.values() for future in sent if future is not None])
            self._out, self._task_of, self._unsent = {}, {}, {}
            if self._owns_cluster:
                cluster = self._client.cluster
                self._client.close()
                if cluster is not None:
                    cluster.close()
        except Exception as error:
            _logger.warning("the Dask cluster did not close well: %s: %s", type(error).__name__, error)


def _fetched(client: Client, done: Sequence[Future]) -> dict[str, Any]:
    """Get answers in one go; none, if that fails for any: they are then asked for one by one."""
    if len(done) > 1:
        with suppress(Exception):
            answers = client.sync(lambda: client.gather(done, asynchronous=True), callback_timeout=_FETCH_SECONDS)
            return {told.key: answer for told, answer in zip(done, answers, strict=True)}
    return {}


def _at(client: Client, futures: Sequence[Future]) -> list[str]:
    """Find the workers that some tasks are at, or wait for."""
    keys = {future.key for future in futures}
    return [address for address, tasks in client.processing().items() if keys & set(tasks)]


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
        batch: int | None = None,
        seconds: float | None = None,
        timeout: float | None = None,
    ) -> None:
        options = Runner(type="dask", n_workers=n_workers, batch=batch, seconds=seconds, timeout=timeout)
        ours = not isinstance(connect, Client)
        client: Any = connect() if ours else connect
        n_workers = options.n_workers or max(1, sum(client.nthreads().values()))
        workers = DaskWorkers(problem, client, n_workers, task_seconds(options.seconds, n_workers), owns_cluster=ours)
        super().__init__(problem, workers, options)
        self.note = f"Dask dashboard: {client.dashboard_link}"
