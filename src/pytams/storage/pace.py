"""How often is written: what has ended in a small share of the time, and checkpoints at intervals."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.ports import Due

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytams.storage.state_keeper import StateKeeper

_FLUSH_SECONDS, _MOST_FLUSH_SECONDS = 1.0, 10.0
"""Between flushes: what others see is never older, whatever a flush costs."""
_FLUSH_SHARE = 0.005
"""Share of the time that flushes of ended segments may take."""


class Pace:
    """Knows when something was written last, and what that cost.

    Parameters
    ----------
    checkpoint_interval
        Seconds between checkpoints.
    can_flush
        Whether what has ended may be written without what runs.
    """

    def __init__(self, checkpoint_interval: float, *, can_flush: bool) -> None:
        self._checkpoint_interval, self._can_flush = checkpoint_interval, can_flush
        self._last_flush = self._last_checkpoint = perf_counter()
        self._cost = 0.0
        self.something_ended = False
        """Since then."""

    def due(self) -> Due:
        """Say what should be written now."""
        now = perf_counter()
        if now - self._last_checkpoint > self._checkpoint_interval:
            return Due.CHECKPOINT
        pause = min(max(_FLUSH_SECONDS, self._cost / _FLUSH_SHARE), _MOST_FLUSH_SECONDS)
        if not self.something_ended or now - self._last_flush <= pause:
            return Due.NOTHING
        return Due.FLUSH if self._can_flush else Due.CHECKPOINT

    @contextmanager
    def writing(self, store: StateKeeper | None, *, is_checkpoint: bool = False) -> Iterator[None]:
        """Time what is written, but for the seconds in which large states are waited for."""
        start, synced = perf_counter(), _seconds_synced(store)
        yield
        self._last_flush = now = perf_counter()
        self._cost, self.something_ended = now - start - (_seconds_synced(store) - synced), False
        if is_checkpoint:
            self._last_checkpoint = now


def _seconds_synced(store: StateKeeper | None) -> float:
    return 0.0 if store is None else store.seconds_synced
