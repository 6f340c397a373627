"""How a study goes, in one line: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, Self

from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sized
    from types import TracebackType

    from rich.console import Console

_LIVE_SECONDS = 0.2
_PLAIN_SECONDS = 10.0


class Watched(Protocol):
    """What there is to see of a study."""

    @property
    def runs(self) -> Sized:
        """Its runs."""

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet."""

    @property
    def target_score(self) -> float:
        """The score to reach."""

    @property
    def n_running(self) -> int:
        """Segments running now."""

    @property
    def steps_per_second(self) -> float:
        """Model steps a second."""

    @property
    def progress(self) -> float:
        """How far the levels have risen: 0 to 1."""


class Progress:
    """Shows how a study goes while it is driven: an observer, and a context manager.

    Parameters
    ----------
    console
        Where to.
    shows_prints
        Whether what is printed meanwhile is shown above it, on a terminal.
    """

    def __init__(self, console: Console, *, shows_prints: bool = True) -> None:
        self._console = console
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=shows_prints)
        self._meter: Meter | None = None

    def on_block(self, study: Watched) -> None:
        """Show it, if it is time to."""
        if self._meter is None:
            self._meter = Meter(study)
        if self._live is None:
            if self._meter.due(_PLAIN_SECONDS):
                self._print()
        elif self._meter.due(_LIVE_SECONDS):
            self._live.update(Text(self._meter.line()), refresh=True)

    def _print(self) -> None:
        if self._meter is not None:
            self._console.print(self._meter.line(), highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif kind is None:
            self._print()


class Meter:
    """How a study goes, in one line."""

    def __init__(self, study: Watched) -> None:
        self._study = study
        self._start = self._last = perf_counter()
        self._first_progress: tuple[float, float] | None = None

    def due(self, seconds: float) -> bool:
        """Whether it is time for another line."""
        now = perf_counter()
        if now - self._last < seconds:
            return False
        self._last = now
        return True

    def line(self) -> str:
        """Say runs done, lowest level against target, speed, time left."""
        study = self._study
        elapsed = perf_counter() - self._start
        level = study.lowest_level
        parts = [
            f"{study.n_finished}/{len(study.runs)} runs",
            f"lowest level {'-' if math.isinf(level) else f'{level:.4g}'} of {study.target_score:.4g}",
            f"{study.n_running} running",
            f"{study.steps_per_second:,.0f} steps/s",
            f"{_clock(elapsed)} elapsed",
        ]
        left = self._left(elapsed)
        if left is not None:
            parts.append(f"~{_clock(left)} left")
        return ", ".join(parts)

    def _left(self, elapsed: float) -> float | None:
        """Guess the time left: levels rise about evenly in time, from where they began to the target."""
        done = self._study.progress
        if self._first_progress is None:
            if done > 0.0:
                self._first_progress = (elapsed, done)
            return None
        start, first = self._first_progress
        if done >= 1.0 or done - first < 0.02:
            return None
        return (elapsed - start) * (1.0 - done) / (done - first)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
