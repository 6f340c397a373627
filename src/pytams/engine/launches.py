"""Programs that are launched from one driver: threads wait for them, so that there is no Python on other nodes."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from pytams.core.errors import SettingsError
from pytams.engine.options import Runner, task_seconds
from pytams.engine.pool import ExecutorWorkers
from pytams.engine.queued import Queued
from pytams.engine.worker import forget
from pytams.models.program.program import Program
from pytams.models.program.programs import stop_those_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.core.segments import Problem

_T = TypeVar("_T")


class Launches(Queued):
    """Advances all segments of all runs by programs: so many launches at once, each waited for by a thread.

    Parameters
    ----------
    problem
        What to advance: its model is a program.
    slots
        Launches at once; by default the processors that this process has, or in an allocation of Slurm its tasks
        (``SLURM_NTASKS``), divided by the ranks of one launch.
    seconds
        About how long a task takes. None of these changes a bit of the result.
    """

    def __init__(self, problem: Problem, slots: int | None = None, *, seconds: float | None = None) -> None:
        if not isinstance(problem.model, Program):
            raise SettingsError("type", "'launch' is for programs, [model] type = 'program'; this is a class")
        options = Runner(type="launch", slots=slots, seconds=seconds)
        n_slots = options.slots or max(1, _allocated() // problem.model.declared.launch.ranks)
        seconds = task_seconds(options.seconds, n_slots)
        workers = ExecutorWorkers(problem, lambda name, _packed: _Threads(n_slots, name), n_slots, seconds)
        super().__init__(problem, workers, options)


def _allocated() -> int:
    """Find how many processors there are to use."""
    said = os.environ.get("SLURM_NTASKS", "")
    return int(said) if said.isdecimal() else len(os.sched_getaffinity(0))


class _Threads(ThreadPoolExecutor):
    """Threads that have a problem each, and so a program each."""

    def __init__(self, n_threads: int, name: str) -> None:
        super().__init__(n_threads)
        self._problem = name

    def submit(self, fn: Callable[..., _T], /, name: str, *args: Any) -> Future[_T]:  # type: ignore[override] # of ours
        """Submit a call that is given the problem by its name."""
        return super().submit(_in_thread, fn, name, args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - it ends soon
        """End what the threads have started; then they end, too."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        stop_those_of(thread.ident for thread in self._threads)
        super().shutdown(wait=True)
        forget(self._problem)


def _in_thread(function: Callable[..., _T], name: str, arguments: tuple[Any, ...]) -> _T:
    return function(f"{name} {get_ident()}", *arguments)
