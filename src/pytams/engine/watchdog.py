"""Noticing what may hang: what takes far longer than all before it is said aloud, once."""

from __future__ import annotations

import logging
import weakref
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_logger = logging.getLogger("pytams")

LEAST_SECONDS, FACTOR = 60.0, 20.0
"""What takes longer than a minute, and 20 times as long as the slowest before it, may hang."""
LOOK_SECONDS = 2.0
"""A watchdog looks as often."""
_ADVICE = "Workers can be ended, this process cannot: see [runner] block_timeout"


class Patience:
    """How long something may take before it is worth a word."""

    def __init__(self) -> None:
        self._slowest = 0.0

    def took(self, seconds: float) -> None:
        """Take note of something that came to its end."""
        self._slowest = max(self._slowest, seconds)

    @property
    def seconds(self) -> float:
        """How long the next may take."""
        return max(LEAST_SECONDS, FACTOR * self._slowest)

    def warn(self, where: str, what: str, seconds: float, advice: str) -> None:
        """Say that a block or a task takes long."""
        before = f"the slowest before it took {_in_words(self._slowest)}" if self._slowest else "it is the first"
        text = "%s: this %s has taken %s, and %s. Does the model hang? %s"
        _logger.warning(text, where, what, _in_words(seconds), before, advice)


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10.0 else f"{seconds:.2g} s"


class Watchdog:
    """Watches, from a thread of its own, blocks that the calling thread advances: ``with watchdog.at(where): ...``.

    A block costs two looks at the clock. The thread starts with the first block, and ends when the watchdog is closed
    or forgotten. It needs Python's lock: a model that holds it while it hangs in C or Fortran is not noticed.
    """

    def __init__(self) -> None:
        self._where: Callable[[], str] = str
        self._patience = Patience()
        self._since: float | None = None
        self._last_said: float | None = None
        self._thread: Thread | None = None
        self._closed = Event()

    def at(self, where: Callable[[], str]) -> Self:
        """Take note of what says where the next block is."""
        self._where = where
        return self

    def __enter__(self) -> None:
        self._since = perf_counter()
        if self._thread is None:
            self._thread = Thread(target=_watch, args=(weakref.ref(self), self._closed), daemon=True)
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._since is not None
        self._patience.took(perf_counter() - self._since)
        self._since = None

    def look(self) -> None:
        """Say it if the block takes long, once."""
        since = self._since
        if since is None or since == self._last_said:
            return
        seconds = perf_counter() - since
        if seconds > self._patience.seconds:
            self._last_said = since
            self._patience.warn(self._where(), "block", seconds, _ADVICE)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()


def _watch(watchdog: weakref.ref[Watchdog], closed: Event) -> None:
    while not closed.wait(LOOK_SECONDS):
        there = watchdog()
        if there is None:
            return
        there.look()
        del there
