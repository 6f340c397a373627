"""Having beginnings computed again by workers: see `pytams.core.verification`."""

from __future__ import annotations

import logging
import math
from contextlib import closing
from typing import TYPE_CHECKING

from pytams.core.errors import WorkersLostError
from pytams.engine.tasks import BreakdownError
from pytams.engine.trouble import MAX_TRIES
from pytams.engine.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.verification import Beginning, Outline
    from pytams.engine.tasks import Workers

_logger = logging.getLogger("pytams")

_START_SECONDS = 60.0
"""Workers may take as long to start."""


def on_workers(
    workers: Workers, timeout: float | None, lists: Sequence[Sequence[Beginning]]
) -> list[list[Outline]]:  # fmt: skip
    """Have beginnings computed again, each list by one worker; give up after some tries.

    Raises
    ------
    WorkersLostError
        If they do not come back, or not in time.
    """
    what, reason = f"computing the beginning of run {lists[0][0].start.key.run} again", ""
    seconds = math.inf if timeout is None else timeout + _START_SECONDS
    for _ in range(MAX_TRIES):
        watchdog = Watchdog(lambda: what)
        try:
            with closing(watchdog), watchdog:
                return workers.begin_again(lists, seconds)
        except BreakdownError as error:
            reason = str(error)
            _logger.warning("%s: %s", what, reason)
            workers.recover(())
    raise WorkersLostError(f"{what} failed {MAX_TRIES} times: {reason}. Does the model end its process, or hang?")
