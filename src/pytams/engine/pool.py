"""Workers that are behind a `concurrent.futures.Executor`: any of them will do."""

from __future__ import annotations

import math
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytams.core.errors import WorkersLostError
from pytams.engine.options import Runner, task_seconds
from pytams.engine.queued import Queued
from pytams.engine.tasks import BreakdownError, Outcome
from pytams.engine.worker import advance, begin_again, name_of, pack, set_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from pytams.core.segments import Point, Problem
    from pytams.core.verification import Beginning, Outline


CLOSING_SECONDS, _SHORT_SECONDS = 10.0, 0.5
"""Workers have so long to end; less if one has something to do, which is not waited for."""


class ExecutorWorkers:
    """The workers of an executor.

    Parameters
    ----------
    problem
        What to advance.
    make_executor
        Makes an executor, from the name and the bytes of the problem; called again when it has broken down. An
        executor itself is used as it is, and left to its owner.
    n_workers
        Tasks that are out at once.
    seconds
        About how long a task takes.
    """

    def __init__(
        self,
        problem: Problem,
        make_executor: Callable[[str, bytes], Executor] | Executor,
        n_workers: int,
        seconds: float,
    ) -> None:
        self.n_workers = n_workers
        self._packed = pack(problem)
        self._name = name_of(self._packed)
        self._seconds = seconds
        self._make_executor = None if isinstance(make_executor, Executor) else make_executor
        executor = make_executor if isinstance(make_executor, Executor) else make_executor(self._name, self._packed)
        self._begin(executor)

    def _begin(self, executor: Executor) -> None:
        """Use an executor. The first thing that it gets does nothing but show that its workers are up."""
        self._executor = executor
        self.is_up = False
        """Whether workers have answered since they were started."""
        self._broken = ""
        """Why it takes no more."""
        self._out: set[Future[Any]] = set()
        self._first: Hashable = None
        with suppress(BreakdownError):  # the next one will say so
            self._first = self._submit(set_problem, self._name, self._packed)

    def submit(self, points: list[Point]) -> Hashable:
        """Send a task out."""
        return self._submit(advance, self._name, self._packed, points, self._seconds)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Hashable:
        future = self._send(function, *arguments)
        self._out.add(future)
        return future

    def _send(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Give the executor something to do; where a worker is lost while that starts it, it is an `OSError`."""
        if self._broken:
            raise BreakdownError(self._broken)
        try:
            return self._executor.submit(function, *arguments)
        except (BrokenExecutor, RuntimeError, OSError, EOFError) as error:  # or shut down behind our back
            self._broken = str(error) or type(error).__name__
            raise BreakdownError(self._broken) from error

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait for tasks, no longer than this."""
        outcomes = self._wait(seconds)
        if [outcome.task for outcome in outcomes] == [self._first]:  # which nobody waits for
            outcomes += self._wait(seconds)
        return outcomes

    def _wait(self, seconds: float) -> list[Outcome]:
        done, self._out = wait(self._out, timeout=seconds, return_when=FIRST_COMPLETED)
        outcomes = [_outcome(future) for future in done]
        self.is_up = self.is_up or any(not outcome.is_lost for outcome in outcomes)
        return outcomes

    def begun(self, tasks: Sequence[Hashable]) -> Sequence[Hashable]:
        """Those that workers have, once they are up."""
        return [task for task in tasks if self.is_up and isinstance(task, Future) and task.running()]

    def recover(self, hung: Sequence[Hashable]) -> bool:  # noqa: ARG002 - nobody knows which process has which task
        """Replace the executor: all that is out is lost."""
        if self._make_executor is None:
            raise WorkersLostError("the executor broke down, or a task hangs in it: make a new one, and resume")
        end(self._executor)
        self._begin(self._make_executor(self._name, self._packed))
        return True

    def fetch(self, points: list[Point]) -> list[Point]:
        """Return them: their states are here."""
        return points

    def begin_again(self, lists: Sequence[Sequence[Beginning]], timeout: float) -> list[list[Outline]]:
        """Have beginnings computed again, each list by one worker; time begins anew when one is done."""
        futures: list[Future[list[Outline]]] = []
        try:
            futures += [self._send(begin_again, self._name, self._packed, one) for one in lists]
            left: Collection[Future[list[Outline]]] = futures
            while left:
                done, left = wait(left, None if math.isinf(timeout) else timeout, FIRST_COMPLETED)
                if not done:
                    raise BreakdownError(f"not done within {timeout:.3g} s", _undone(futures))
            return [future.result() for future in futures]
        except BrokenExecutor as error:
            raise BreakdownError(str(error), _undone(futures)) from error

    def close(self) -> None:
        """End the workers, if they are ours; those that have nothing to do may close what they have opened."""
        is_busy = any(not future.done() for future in self._out)
        for future in self._out:
            future.cancel()
        self._out.clear()
        if self._make_executor is not None:
            end(self._executor, _SHORT_SECONDS if is_busy else CLOSING_SECONDS)


def _outcome(future: Future[Any]) -> Outcome:
    error = CancelledError() if future.cancelled() else future.exception()
    if error is None:
        return Outcome(future, future.result())
    return Outcome(future, None, error, is_lost=isinstance(error, BrokenExecutor | CancelledError))


def _undone(futures: Sequence[Future[Any]]) -> list[int]:
    return [i for i, future in enumerate(futures) if not future.done() or future.exception()]


def end(executor: Executor, patience: float = 0.0) -> None:
    """Shut down without waiting for tasks; processes that have not ended by themselves after a while are killed."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    deadline = perf_counter() + patience
    for process in processes:
        process.join(max(0.0, deadline - perf_counter()))
        process.kill()
    for process in processes:
        process.join()


class OnExecutor(Queued):
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
    batch, timeout
        As for `TaskQueue`.
    seconds
        About how long a task takes. None of these changes a bit of the result.
    """

    def __init__(
        self,
        problem: Problem,
        executor: Executor,
        n_workers: int,
        *,
        batch: int | None = None,
        seconds: float | None = None,
        timeout: float | None = None,
    ) -> None:
        options = Runner(type="process", n_workers=n_workers, batch=batch, seconds=seconds, timeout=timeout)
        workers = ExecutorWorkers(problem, executor, n_workers, task_seconds(options.seconds, n_workers))
        super().__init__(problem, workers, options)
