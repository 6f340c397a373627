"""When to stop before the end: signals and the wall time."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytams.core.stopping import ASKED_TO_STOP

if TYPE_CHECKING:
    from collections.abc import Iterator


STOPPED, INTERRUPTED = 75, 130
"""Exit codes: a temporary failure, after which the same command goes on (EX_TEMPFAIL); and Ctrl-C."""
_ALWAYS_HEARD = {signal.SIGINT, signal.SIGTERM}


class InterruptError(Exception):
    """Ctrl-C, under a name that the command-line library leaves alone."""


class Stop:
    """Whether to stop after the current block, and why.

    Parameters
    ----------
    walltime
        Seconds from now after which to stop; None: never.
    """

    def __init__(self, walltime: float | None = None) -> None:
        self._deadline = None if walltime is None else perf_counter() + walltime
        self.signal: signal.Signals | None = None
        """The signal that asked to stop."""
        self.is_at_once = False
        """Whether the first signal stops at once: while there is nothing to lose, as when a study is verified."""

    @property
    def reason(self) -> str | None:
        """Why to stop; None: go on."""
        if self.signal is not None:
            return self.signal.name
        if self._deadline is not None and perf_counter() > self._deadline:
            return "walltime"
        return None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT, and what else asks to stop, as a wish to stop.

        A second SIGINT or SIGTERM stops at once, by `KeyboardInterrupt`. Others do not: SIGHUP may come twice from a
        terminal that is closed, and SIGXCPU comes every second. What was ignored from the start, as SIGHUP by
        ``nohup``, stays so.
        """

        def listen(number: int, frame: Any) -> None:  # noqa: ARG001 - Python's signature
            is_second, self.signal = self.signal is not None, self.signal or signal.Signals(number)
            if self.is_at_once or (is_second and number in _ALWAYS_HEARD):
                raise KeyboardInterrupt

        numbers = [number for number in (signal.SIGINT, *ASKED_TO_STOP) if _is_heard(number)]
        before = {number: signal.signal(number, listen) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_heard(number: signal.Signals) -> bool:
    return number in _ALWAYS_HEARD or signal.getsignal(number) != signal.SIG_IGN
