"""Following a study from another terminal: reads its run directory now and then, and writes nothing."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pytams.analysis import estimators, logs
from pytams.storage.claims import STALE_SECONDS
from pytams.storage.directory import RunDirectory
from pytams.storage.status import RunStatus
from pytams.tams.progress import Meter, estimate_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pytams.sqldb.owner import Owner

_MOST_ROWS = 20
_BAR_WIDTH = 60
_MOST_DRIVERS = 3
"""That are named."""


class WatchedRun(NamedTuple):
    """How a run goes."""

    status: RunStatus | None
    """What its driver noted last; None if it has noted nothing."""
    driver: Owner | None
    """None if nobody drives it."""
    silence: float | None
    """Seconds since the driver was last heard of."""

    @property
    def finished(self) -> bool:
        """Whether its estimate is known."""
        return self.status is not None and self.status.finished

    @property
    def level(self) -> float:
        """The last level, -inf before the first iteration."""
        return -math.inf if self.status is None or self.status.level is None else self.status.level

    @property
    def n_running(self) -> int:
        """Segments running now: none if nobody drives it."""
        return 0 if self.status is None or self.driver is None else self.status.n_running

    @property
    def log_estimate(self) -> float:
        """Log of what it estimates so far, -inf if nothing has reached the target."""
        return -math.inf if self.status is None or self.status.log_estimate is None else self.status.log_estimate


class WatchedStudy:
    """What a run directory says of the study at the moment.

    Parameters
    ----------
    path
        The run directory.
    database_url
        Of the database that its ledgers are in, if they are in one: see `pytams.load`.

    Raises
    ------
    RunDirectoryError, LedgerError
        If there is none, or something in it cannot be read.
    """

    def __init__(self, path: str | Path, database_url: str | None = None) -> None:
        self._path, self._database_url = Path(path), database_url
        self._begun: dict[int, WatchedRun] = {}
        self.look()

    def look(self) -> None:
        """Read the directory again; a finished run is not read twice."""
        directory = RunDirectory(self._path, self._database_url)
        directory.check_runs()
        self.target_score = directory.info.settings.target_score
        """The score to reach."""
        self.created = _time(directory.info.created)
        """When it was begun; None if the directory does not tell."""
        self.runs = range(directory.info.n_runs)
        """Their numbers."""
        for run in directory.begun():
            if run not in self._begun or not self._begun[run].finished:
                self._begun[run] = _look_at(directory, run)

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return sum(run.finished for run in self._begun.values())

    @property
    def n_to_come(self) -> int:
        """Runs that nobody has begun."""
        return len(self.runs) - len(self._begun)

    @property
    def unfinished(self) -> dict[int, WatchedRun]:
        """Runs that have begun and whose estimate is not known yet."""
        return {number: run for number, run in self._begun.items() if not run.finished}

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        levels = [run.level for run in self.unfinished.values()]
        return -math.inf if self.n_to_come else min(levels, default=self.target_score)

    @property
    def _statuses(self) -> list[RunStatus]:
        """Of the runs that have noted one."""
        return [run.status for run in self._begun.values() if run.status is not None]

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs that somebody drives."""
        return sum(run.n_running for run in self.unfinished.values())

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        return math.fsum(status.progress for status in self._statuses) / len(self.runs)

    @property
    def n_busy(self) -> int:
        """Workers that have something to do, over all drivers."""
        return sum(status.n_busy for status in self._of_each_driver)

    @property
    def steps_per_second(self) -> float:
        """Model steps a second, over all drivers."""
        return math.fsum(status.steps_per_second for status in self._of_each_driver)

    @property
    def age(self) -> float | None:
        """Seconds since a driver has noted how its runs go, the longest of all drivers; None if nobody drives."""
        return max((run.silence or 0.0 for run in self.unfinished.values() if run.driver), default=None)

    @property
    def _of_each_driver(self) -> list[RunStatus]:
        """One status of each driver at work: what it says of itself is the same in all of its runs."""
        found = {run.driver.process: run.status for run in self.unfinished.values() if run.driver and run.status}
        return list(found.values())

    @property
    def log_estimate(self) -> tuple[float, float]:
        """Log of the mean of what the runs estimate so far, -inf if nothing has reached the target, and its error.

        An estimate is W / N times the trajectories that have reached the target. The error is relative, and NaN where
        the spread of the runs does not tell it: before anything has reached the target, and if the runs coincide.
        """
        mean, error = estimators.log_mean_and_error([run.log_estimate for run in self._begun.values()] or [-math.inf])
        return float(mean), float(error)


def _look_at(directory: RunDirectory, run: int) -> WatchedRun:
    with directory.ledger(run, read_only=True) as ledger:
        text = ledger.get_info("progress")
        status = None if text is None else RunStatus.from_json(text, ledger.name())
        return WatchedRun(status, ledger.driver(), ledger.silence())


def _time(text: str) -> datetime | None:
    """Read a time with its zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def follow(path: Path, console: Console, seconds: float, database_url: str | None = None) -> None:
    """Show how a study goes until all of its runs are finished: a live table on a terminal, lines elsewhere."""
    study = WatchedStudy(path, database_url)
    meter = Meter(study, study.created)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while study.n_finished < len(study.runs):
                head = Table.grid()  # a bar does not end its line by itself
                head.add_row(ProgressBar(total=1.0, completed=meter.share, width=_BAR_WIDTH))
                for line in _lines(study, meter):
                    head.add_row(line)
                live.update(Group(head, _table(study)), refresh=True)
                sleep(seconds)
                study.look()
        return
    while study.n_finished < len(study.runs):
        console.print(*_lines(study, meter), sep="; ", highlight=False, soft_wrap=True)
        sleep(seconds)
        study.look()


def _lines(study: WatchedStudy, meter: Meter) -> list[Text]:
    driven = driven_by(study)
    workers = _busy(study.n_busy) if driven else "no driver is at work: go on with pytams resume"
    age = "" if study.age is None else f", as of {study.age:.0f} s ago"
    estimate = f"running estimate{estimate_text(*study.log_estimate)}, {workers}{age}"
    return [Text(line) for line in (meter.line(is_driven=bool(driven)), estimate, driven) if line]


def _busy(n: int) -> str:
    return f"{n} worker{'' if n == 1 else 's'} busy"


def driven_by(study: WatchedStudy) -> str:
    """Say who drives the study; nothing if nobody does."""
    drivers = {run.driver.process: run.driver for run in study.unfinished.values() if run.driver}
    return _driven_by(list(drivers.values()))


def _driven_by(drivers: Sequence[Owner]) -> str:
    named = [driver.in_words for driver in drivers[:_MOST_DRIVERS]]
    n_more = len(drivers) - len(named)
    named += [f"{n_more} more"] if n_more else []
    return f"driven by {' and '.join(named)}" if named else ""


COLUMNS = ("run", "level", "branchings", "running", "estimate", "driver")


def _table(study: WatchedStudy) -> Table:
    table = Table(*COLUMNS, box=None)
    for row in rows_of(study):
        table.add_row(*map(Text, row))
    return table


def rows_of(study: WatchedStudy) -> list[list[str]]:
    """List unfinished runs, those that are furthest behind first."""
    found = []
    rows = sorted(study.unfinished.items(), key=lambda item: item[1].level)
    for number, run in rows[:_MOST_ROWS]:
        status = run.status
        numbers = ["0", "0", "-"]
        if status is not None:
            estimate = logs.text(run.log_estimate, ".2e") if run.log_estimate > -math.inf else "-"
            numbers = [str(status.n_branchings), str(run.n_running), estimate]
        level = f"{run.level:.4g}" if math.isfinite(run.level) else "-"
        found.append([str(number), level, *numbers, _driver(run)])
    n_more = max(0, len(rows) - _MOST_ROWS) + study.n_to_come
    if n_more:
        found.append(["...", f"and {n_more} more"])
    return found


def _driver(run: WatchedRun) -> str:
    if run.driver is None:
        return "none"
    silent = run.silence is not None and run.silence > STALE_SECONDS
    return run.driver.label + (f", silent for {run.silence:.0f} s" if silent else "")
