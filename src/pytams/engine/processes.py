"""Workers that are processes of this machine."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pytams.core.stopping import ASKED_TO_STOP
from pytams.engine.options import Runner, task_seconds
from pytams.engine.pool import ExecutorWorkers
from pytams.engine.queued import Queued
from pytams.engine.worker import set_problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from pytams.core.segments import Problem

_P = ParamSpec("_P")
_T = TypeVar("_T")
_OF_DRIVER = {signal.SIGINT, *ASKED_TO_STOP} - {signal.SIGTERM}
"""Signals that workers leave to it; by SIGTERM it may end them."""


class Processes(Queued):
    """Advances all segments of all runs on processes of this machine.

    A script that uses it needs ``if __name__ == "__main__":`` around what it does, as for `multiprocessing`.

    Parameters
    ----------
    problem
        What to advance.
    n_workers
        Processes; default: one a core.
    batch
        Segments in a task: more than one for a vectorised model.
    seconds
        About how long a task takes.
    timeout
        Seconds after which a task is taken for hung: its process is ended, and it is tried again, three times in all.
        None: never.
    """

    def __init__(
        self,
        problem: Problem,
        n_workers: int | None = None,
        *,
        batch: int | None = None,
        seconds: float | None = None,
        timeout: float | None = None,
    ) -> None:
        options = Runner(type="process", n_workers=n_workers, batch=batch, seconds=seconds, timeout=timeout)
        n_workers = options.n_workers or len(os.sched_getaffinity(0))
        seconds = task_seconds(options.seconds, n_workers)
        workers = ExecutorWorkers(problem, partial(make_executor, n_workers), n_workers, seconds)
        super().__init__(problem, workers, options)


def make_executor(n_workers: int, name: str, packed: bytes, method: str = "forkserver") -> Executor:
    """Start processes that know a problem, and end with their parent.

    By a fork server, since forking a process that has threads is asking for trouble; or each from nothing ("spawn").
    """
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload([__name__])
    if method == "forkserver":
        _start_fork_server()
    return _Pool(n_workers, context, _set_up_worker, (name, packed))


def _start_fork_server() -> None:
    """Start it, if it does not run, so that signals to all end neither it nor a worker that is being born."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_DRIVER)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pool(ProcessPoolExecutor):
    """A pool that may lose a worker at any moment.

    Python's own breaks down in a thread that takes no lock (3.11): it closes the pipes of a worker that is just being
    started, at which the fork server ends, and it forgets what is submitted meanwhile.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._safe_to_dynamically_spawn_children = False  # start all, then that thread

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Submit a call, unless the pool is broken; also if that has happened meanwhile."""
        future = super().submit(fn, *args, **kwargs)
        if self._broken:
            raise BrokenProcessPool(self._broken)
        return future


def _set_up_worker(name: str, packed: bytes) -> None:
    """Leave signals to the driver, and do not outlive it."""
    for number in _OF_DRIVER:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_DRIVER)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what a model prints is not lost with its process
    with suppress(Exception):  # the first task will say what is wrong
        set_problem(name, packed)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
