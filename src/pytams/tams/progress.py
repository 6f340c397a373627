"""How a study goes: a bar on a terminal, a line that is updated in a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import math
import sys
import uuid
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, Self

from pytams.analysis import logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized
    from types import TracebackType

    from rich.console import Console

BAR_WIDTH = 20


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

    @property
    def log_estimate(self) -> tuple[float, float]:
        """Log of the mean of what the runs estimate so far, and its relative error."""


class Progress:
    """Shows how a study goes while it is driven: a context manager.

    Parameters
    ----------
    study
        The study.
    console
        Where to; None: a notebook, if this is one, or standard error.
    shows_prints
        Whether what is printed meanwhile is shown above it, on a terminal. None: if it goes to a terminal anyway.
    """

    def __init__(self, study: Watched, console: Console | None = None, *, shows_prints: bool | None = None) -> None:
        self._meter = Meter(study)
        self._display = _display(console, shows_prints)
        self._has_moved = False

    def look(self) -> None:
        """Show how it goes, if it is time to."""
        self._has_moved = True
        if self._meter.due(self._display.seconds):
            self._display.show(self._meter)

    def __enter__(self) -> Self:
        self._display.begin(self._meter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._display.end(self._meter, is_done=kind is None and self._has_moved)


def shown(study: Watched, blocks: Iterable[object]) -> Iterator[None]:
    """Go through the blocks of a study, and show how it goes."""
    with Progress(study) as progress:
        for _ in blocks:
            progress.look()
            yield


class _Display(Protocol):
    """Where it is shown."""

    seconds: float
    """Between looks."""

    def begin(self, meter: Meter) -> None:
        """Before the first block."""

    def show(self, meter: Meter) -> None:
        """Show how it goes now."""

    def end(self, meter: Meter, *, is_done: bool) -> None:
        """After the last block; not `is_done` if there was none, or an exception."""


def _display(console: Console | None, shows_prints: bool | None) -> _Display:
    from rich.console import Console  # noqa: PLC0415 - `import pytams` is light

    if console is None:
        if _is_notebook():
            return _Cell()
        console = Console(stderr=True)
    is_terminal = getattr(console.file, "isatty", bool)()  # to Rich, FORCE_COLOR makes a terminal of a file
    if not is_terminal or console.is_dumb_terminal:
        return _Lines(console)
    return _Bar(console, shows_prints=sys.stdout.isatty() if shows_prints is None else shows_prints)


def _is_notebook() -> bool:
    """Whether the front end of this process can update what it shows: Jupyter, and what is derived from it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


class _Bar:
    """On a terminal: drawn again in its place, and gone in the end."""

    seconds = 0.2

    def __init__(self, console: Console, *, shows_prints: bool) -> None:
        from rich.live import Live  # noqa: PLC0415 - likewise

        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=shows_prints)

    def begin(self, meter: Meter) -> None:
        self._live.start()
        self.show(meter)

    def show(self, meter: Meter) -> None:
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - likewise
        from rich.table import Table  # noqa: PLC0415 - likewise
        from rich.text import Text  # noqa: PLC0415 - likewise

        row = Table.grid(padding=(0, 1))  # in one line, so that what C prints is not drawn over
        row.add_row(ProgressBar(total=1.0, completed=meter.share, width=BAR_WIDTH), Text(meter.text()))
        self._live.update(row, refresh=True)

    def end(self, meter: Meter, *, is_done: bool) -> None:  # noqa: ARG002 - as every display
        self._live.stop()


class _Lines:
    """In a file or a pipe: a line now and then, and one in the end."""

    seconds = 10.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, meter: Meter) -> None:
        pass

    def show(self, meter: Meter) -> None:
        self._console.print(meter.text(), highlight=False, soft_wrap=True)

    def end(self, meter: Meter, *, is_done: bool) -> None:
        if is_done:
            self.show(meter)


class _Cell:
    """In a notebook: below the cell, updated in its place. Needs no widgets."""

    seconds = 0.5

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex

    def begin(self, meter: Meter) -> None:
        self._write(meter, update=False)

    def show(self, meter: Meter) -> None:
        self._write(meter, update=True)

    def _write(self, meter: Meter, *, update: bool) -> None:
        from IPython.display import display  # noqa: PLC0415 - what only notebooks have

        text = meter.text()
        bar = f"<progress value='{meter.share:.3f}' max='1'></progress> {html.escape(text)}"
        display({"text/plain": text, "text/html": bar}, raw=True, display_id=self._id, update=update)

    def end(self, meter: Meter, *, is_done: bool) -> None:  # noqa: ARG002 - as every display
        self.show(meter)


class Meter:
    """How a study goes, in one line.

    Parameters
    ----------
    study
        The study.
    begun
        When it was, if that is longer ago than this is looked at.
    """

    def __init__(self, study: Watched, begun: datetime | None = None) -> None:
        self._study, self._begun = study, begun
        self._start = self._last = perf_counter()
        self._first_progress: tuple[float, float] | None = None

    def due(self, seconds: float) -> bool:
        """Whether it is time for another line."""
        now = perf_counter()
        if now - self._last < seconds:
            return False
        self._last = now
        return True

    @property
    def share(self) -> float:
        """How much is done, 0 to 1, for a bar."""
        return min(1.0, max(0.0, self._study.progress))

    def line(self, *, is_driven: bool = True) -> str:
        """Say runs done, lowest level against target, time; and speed and time left, if somebody drives it."""
        study = self._study
        elapsed = perf_counter() - self._start
        level = study.lowest_level
        parts = [
            f"{study.n_finished}/{len(study.runs)} runs",
            f"lowest level {'-' if math.isinf(level) else f'{level:.4g}'} of {study.target_score:.4g}",
        ]
        if is_driven:
            parts += [f"{study.n_running} running", f"{study.steps_per_second:,.0f} steps/s"]
        parts.append(
            f"{_clock(elapsed)} elapsed" if self._begun is None else f"begun {_clock(_age(self._begun))} ago"
        )
        left = self._left(elapsed) if is_driven else None
        if left is not None:
            parts.append(f"about {_clock(left)} left")
        return ", ".join(parts)

    def text(self) -> str:
        """Say that, and the estimate so far, if there is one."""
        log_mean, error = self._study.log_estimate
        estimate = f", running estimate{estimate_text(log_mean, error)}" if log_mean > -math.inf else ""
        return self.line() + estimate

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


def _age(begun: datetime) -> float:
    """Seconds since then; 0 if a clock elsewhere is ahead of this one."""
    return max(0.0, (datetime.now(UTC) - begun).total_seconds())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def estimate_text(log_mean: float, relative_error: float) -> str:
    """Write an estimate with its error, if there is one."""
    if log_mean == -math.inf:
        return ": nothing has reached the target yet"
    error = "" if math.isnan(relative_error) else f" +- {logs.text(log_mean + math.log(relative_error), '.1e')}"
    return f" {logs.text(log_mean, '.3e')}{error}"
