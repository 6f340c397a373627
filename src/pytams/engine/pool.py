"""Advance segments on workers: any `concurrent.futures.Executor`.

Work goes out in tasks: some segments, each from its point, for about `seconds`. A task answers with the segments'
records and the points they have got to, so that branches can start from a segment that is still running. A task that
is lost is sent again: noise is keyed, so it gives the same bits.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import cloudpickle

from pytams.engine.inprocess import Keeping, make_stepper
from pytams.errors import ModelError, PytamsError
from pytams.loading import import_file, model_file
from pytams.trajectory import Point, Problem, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.trajectory import SegmentKey

_logger = logging.getLogger("pytams")

TASK_SECONDS = 0.5
"""A task takes about this long, unless a single step takes longer."""
_POLL_SECONDS = 0.5
MAX_TRIES = 3
"""Times that a task whose model raises is sent out."""
_MAX_BREAKDOWNS = 20
"""Times in a row that the workers may break down without finishing a task."""


class WorkersLostError(PytamsError):
    """The workers break down again and again, or cannot be started."""


class Answer(NamedTuple):
    """What a task says."""

    reports: list[Progress]
    """In order."""
    points: list[Point]
    """Where the segments are that have not ended."""
    n_steps: int


# --- on the worker ----------------------------------------------------------------------------------------------

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


def advance(name: str, pickled: bytes, points: list[Point], seconds: float) -> Answer:
    """Advance some segments for some seconds; this is a task."""
    set_problem(name, pickled)
    stepper = make_stepper(_problems[name])
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


# --- on the driver ----------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """What is out."""

    points: list[Point]
    since: float


class PoolStepper:
    """Sends segments out, the ones that are furthest behind first: they hold the next decision up.

    Parameters
    ----------
    problem
        What to advance.
    make_executor
        Makes an executor, from the name and the pickle of the problem; called again when it has broken down. An
        executor itself is used as it is, and left to its owner.
    n_workers
        Tasks that are out at once.
    batch
        Segments in a task.
    seconds
        About how long a task takes.
    timeout
        Seconds after which a task is taken for hung, and the executor for broken; None: never.
    """

    def __init__(
        self,
        problem: Problem,
        make_executor: Callable[[str, bytes], Executor] | Executor,
        n_workers: int,
        *,
        batch: int = 1,
        seconds: float = TASK_SECONDS,
        timeout: float | None = None,
    ) -> None:
        self._pickled = pack(problem)
        self._name = hashlib.sha256(self._pickled).hexdigest()
        self._make_executor = None if isinstance(make_executor, Executor) else make_executor
        self._executor = (
            make_executor if isinstance(make_executor, Executor) else make_executor(self._name, self._pickled)
        )
        self._n_workers, self._batch, self._seconds, self._timeout = n_workers, batch, seconds, timeout
        self._waiting: list[tuple[float, SegmentKey, Point]] = []
        self._out: dict[Future[Answer], Task] = {}
        self._tries: Counter[SegmentKey] = Counter()
        self._n_breakdowns = 0
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
        self._send()
        done, _ = wait(self._out, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        reports: list[Progress] = []
        broken = ""
        for future in done:
            task = self._out.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                reports += self._take(future.result())
            elif isinstance(error, BrokenExecutor | CancelledError):
                broken = f"{type(error).__name__} {error}"
                self._take_back(task)
            else:
                self._try_again(task, error)
        if self._timeout is not None and any(perf_counter() - t.since > self._timeout for t in self._out.values()):
            broken = f"a task has taken more than {self._timeout:g} s"
        if broken:
            self._replace_executor(broken)
        return reports

    def _send(self) -> None:
        while self._waiting and len(self._out) < self._n_workers:
            n = min(self._batch, len(self._waiting))
            points = [heappop(self._waiting)[2] for _ in range(n)]
            try:
                future = self._executor.submit(advance, self._name, self._pickled, points, self._seconds)
            except (BrokenExecutor, RuntimeError) as error:  # shut down behind our back
                self._take_back(Task(points, 0.0))
                self._replace_executor(str(error))
                return
            self._out[future] = Task(points, perf_counter())

    def _take(self, answer: Answer) -> list[Progress]:
        self._n_breakdowns = 0
        self.n_steps += answer.n_steps
        for point in answer.points:
            self._tries.pop(point.key, None)
            self.join(point)
        return answer.reports

    def _take_back(self, task: Task) -> None:
        for point in task.points:
            self.join(point)

    def _try_again(self, task: Task, error: BaseException) -> None:
        """Send a task out again whose model raised; give up after some tries."""
        self._tries.update(point.key for point in task.points)
        if max(self._tries[point.key] for point in task.points) >= MAX_TRIES:
            if isinstance(error, ModelError):
                raise error
            raise WorkersLostError(
                f"{task.points[0].key} failed {MAX_TRIES} times: {type(error).__name__}: {error}"
            ) from error
        _logger.warning("trying again: %s", error)
        self._take_back(task)

    def _replace_executor(self, reason: str) -> None:
        """After a breakdown: send everything that is out again, on new workers."""
        self._n_breakdowns += 1
        if self._make_executor is None:
            raise WorkersLostError(f"the executor broke down: {reason}")
        if self._n_breakdowns > _MAX_BREAKDOWNS:
            raise WorkersLostError(f"the workers broke down {self._n_breakdowns} times in a row: {reason}")
        _logger.warning("workers lost (%s): %d tasks are sent again", reason, len(self._out))
        for task in self._out.values():
            self._take_back(task)
        self._out.clear()  # answers that come late are nobody's
        end_executor(self._executor)
        self._executor = self._make_executor(self._name, self._pickled)

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Tell where every segment was when it was last heard of."""
        out = [point for task in self._out.values() for point in task.points]
        return [], [point for _, _, point in self._waiting] + out

    def close(self) -> None:
        """End the workers, if they are ours."""
        for future in self._out:
            future.cancel()
        self._out.clear()
        if self._make_executor is not None:
            end_executor(self._executor)


def end_executor(executor: Executor) -> None:
    """Shut down without waiting for tasks; processes that are left are killed."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


class OnExecutor(Keeping):
    """Advances all segments of all runs on the workers of an executor.

    Parameters
    ----------
    problem
        What to advance.
    executor
        Any `concurrent.futures.Executor`, such as ``mpi4py.futures.MPIPoolExecutor`` or a Dask client's
        ``get_executor()``; it stays open. Bind it with `functools.partial`.
    n_workers
        How many workers it has.
    batch, seconds, timeout
        As for `PoolStepper`. None changes a bit of the result.
    """

    def __init__(
        self,
        problem: Problem,
        executor: Executor,
        n_workers: int,
        *,
        batch: int = 1,
        seconds: float = TASK_SECONDS,
        timeout: float | None = None,
    ) -> None:
        super().__init__(PoolStepper(problem, executor, n_workers, batch=batch, seconds=seconds, timeout=timeout))
