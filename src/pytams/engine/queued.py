"""What every engine with workers is: it keeps states, and one task queue sends segments out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytams.engine.beginnings import on_workers
from pytams.engine.local import Keeping
from pytams.engine.tasks import TaskQueue

if TYPE_CHECKING:
    from pytams.core.segments import Problem
    from pytams.engine.options import Runner
    from pytams.engine.tasks import Workers


class Queued(Keeping):
    """An engine that has workers advance segments.

    Parameters
    ----------
    problem
        What to advance.
    workers
        Who does.
    options
        Segments in a task, and when one is taken for hung.
    """

    def __init__(self, problem: Problem, workers: Workers, options: Runner) -> None:
        queue = TaskQueue(workers, options, problem.store)
        super().__init__(
            queue,
            partial(on_workers, workers, options.timeout),
            problem=problem,
            seconds_out=queue.seconds_out,
        )
