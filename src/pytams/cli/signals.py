"""When to stop before the end: signals and the wall time."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


STOPPED, INTERRUPTED = 75, 130
"""Exit codes: a temporary failure, after which the same command goes on (EX_TEMPFAIL); and Ctrl-C."""


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
        """Take SIGINT and SIGTERM as a wish to stop; a second one stops at once, by `KeyboardInterrupt`."""

        def listen(number: int, frame: Any) -> None:  # noqa: ARG001 - Python's signature
            is_second, self.signal = self.signal is not None, self.signal or signal.Signals(number)
            if is_second or self.is_at_once:
                raise KeyboardInterrupt

        before = {number: signal.signal(number, listen) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
