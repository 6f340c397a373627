"""Having beginnings computed again by workers: see `pytams.core.verification`."""

from __future__ import annotations

import logging
import math
from contextlib import closing
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.errors import WorkersLostError
from pytams.core.segments import Point
from pytams.engine.tasks import MAX_BREAKDOWNS, BreakdownError
from pytams.engine.trouble import MAX_TRIES, named
from pytams.engine.watchdog import FACTOR, Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.verification import Beginning, Outline
    from pytams.engine.tasks import Workers

_logger = logging.getLogger("pytams")

_GROWTH = 8


def on_workers(
    workers: Workers, timeout: float | None, lists: Sequence[Sequence[Beginning]]
) -> list[list[Outline]]:  # fmt: skip
    """Have beginnings computed again, each list by one worker; give up after some tries.

    A timeout is for a block, and a beginning may have hundreds. So, if there is one, the first step of each is
    computed, then 8 times as many, and so on: from shorter beginnings it is known how long longer ones may take.

    Raises
    ------
    WorkersLostError
        If they do not come back, or not in time.
    """
    found: list[list[Outline]] = []
    for first in range(0, len(lists), workers.n_workers):
        together = lists[first : first + workers.n_workers]
        if timeout is None:
            found += _tried(workers, together, 0, math.inf)[0]
        else:
            found += _growing(workers, together, timeout * max(map(len, together)))
    return found


def _growing(workers: Workers, lists: Sequence[Sequence[Beginning]], timeout: float) -> list[list[Outline]]:
    most = max((beginning.n_steps for one in lists for beginning in one), default=0)
    before, n_steps = 0, 1
    outlines, seconds = _tried(workers, _cut(lists, n_steps), before, timeout)
    while n_steps < most:
        before, n_steps = n_steps, _GROWTH * n_steps
        outlines, seconds = _tried(workers, _cut(lists, n_steps), before, timeout + FACTOR * seconds)
    return outlines


def _cut(lists: Sequence[Sequence[Beginning]], n_steps: int) -> list[list[Beginning]]:
    return [[beginning._replace(n_steps=min(beginning.n_steps, n_steps)) for beginning in one] for one in lists]


def _tried(
    workers: Workers, lists: Sequence[Sequence[Beginning]], done: int, timeout: float
) -> tuple[list[list[Outline]], float]:
    """Have beginnings computed that are known to come to a step, and say how long it took."""
    where, reason = _named(lists, done), ""
    for _ in range(MAX_TRIES):
        _wake(workers, len(lists))
        start = perf_counter()
        try:
            return _watched(workers, lists, timeout, where), perf_counter() - start
        except BreakdownError as error:
            where, reason = _named([lists[i] for i in error.undone] or lists, done), str(error)
            _logger.warning("%s: %s", where, reason)
            _recover(workers, f"{where}: {reason}")
        except WorkersLostError as error:
            raise WorkersLostError(f"{where}: not done in time, and {error}") from error
    raise WorkersLostError(
        f"{where}: {reason}, {MAX_TRIES} times. Does the model hang there, or end its process? Mend it, or raise "
        "[runner] block_timeout (timeout=), and resume"
    )


def _watched(
    workers: Workers, lists: Sequence[Sequence[Beginning]], timeout: float, where: str
) -> list[list[Outline]]:
    watchdog = Watchdog()
    with closing(watchdog), watchdog.at(partial(str, where)):
        return workers.begin_again(lists, timeout)


def _named(lists: Sequence[Sequence[Beginning]], step: int) -> str:
    starts = {beginning.start.key: beginning.start for one in lists for beginning in one}
    return named([Point(key, start.step, start.step + step, -math.inf, None) for key, start in starts.items()])


def _wake(workers: Workers, n: int) -> None:
    """Wait until workers are up, as long as that takes; it is no fault of the model's if they are lost meanwhile."""
    reason = ""
    for _ in range(MAX_BREAKDOWNS):
        try:
            _watched(workers, [[]] * n, math.inf, "workers that are about to start")
        except BreakdownError as error:
            reason = str(error)
            _logger.warning("workers lost (%s)", reason)
            _recover(workers, reason)
        else:
            return
    raise WorkersLostError(f"the workers broke down {MAX_BREAKDOWNS} times in a row: {reason}")


def _recover(workers: Workers, problem: str) -> None:
    try:
        workers.recover(())
    except WorkersLostError as error:
        raise WorkersLostError(f"{problem}; {error}") from error
