"""Following a study from another terminal: reads its run directory now and then, and writes nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pytams import estimator
from pytams.progress import Meter
from pytams.recorder import STALE_SECONDS
from pytams.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

_MOST_ROWS = 20


class WatchedRun(NamedTuple):
    """How a run goes."""

    told: Mapping[str, Any]
    """What its driver last said; empty if it has not begun."""
    driver: str | None
    """Machine and process; None if nobody drives it."""
    silence: float | None
    """Seconds since the driver was last heard of."""

    @property
    def finished(self) -> bool:
        """Whether its estimate is known."""
        return bool(self.told.get("finished"))

    @property
    def level(self) -> float:
        """The last level, -inf before the first iteration."""
        level = self.told.get("level")
        return -math.inf if level is None else float(level)


class WatchedStudy:
    """What a run directory says of the study at the moment.

    Parameters
    ----------
    path
        The run directory.

    Raises
    ------
    RunDirectoryError, LedgerError
        If there is none, or something in it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.runs: dict[int, WatchedRun] = {}
        """By number."""
        self.look()

    def look(self) -> None:
        """Read the directory again; a finished run is not read twice."""
        directory = RunDirectory(self._path)
        self.target_score = directory.info.settings.target_score
        """The score to reach."""
        for run in range(directory.info.n_runs):
            if run not in self.runs or not self.runs[run].finished:
                self.runs[run] = _look_at(directory, run)

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return sum(run.finished for run in self.runs.values())

    @property
    def unfinished(self) -> dict[int, WatchedRun]:
        """Runs whose estimate is not known yet."""
        return {number: run for number, run in self.runs.items() if not run.finished}

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        levels = (run.level for run in self.unfinished.values())
        return min(levels, default=self.target_score)

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(run.told.get("n_running", 0) for run in self.runs.values())

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        return math.fsum(run.told.get("progress", 0.0) for run in self.runs.values()) / len(self.runs)

    @property
    def n_busy(self) -> int:
        """Workers that have something to do, over all drivers."""
        return round(self._sum_over_drivers("n_busy"))

    @property
    def steps_per_second(self) -> float:
        """Model steps a second, over all drivers."""
        return self._sum_over_drivers("steps_per_second")

    def _sum_over_drivers(self, what: str) -> float:
        return math.fsum(
            {run.driver: run.told.get(what, 0) for run in self.unfinished.values() if run.driver}.values()
        )

    @property
    def estimate(self) -> tuple[float, float]:
        """Mean of what the runs estimate so far, W / N times those that have reached the target, and its error."""
        return estimator.mean_and_error([run.told.get("estimate", 0.0) for run in self.runs.values()])


def _look_at(directory: RunDirectory, run: int) -> WatchedRun:
    if not directory.has_ledger(run):
        return WatchedRun({}, None, None)
    with directory.ledger(run, read_only=True) as ledger:
        owner = ledger.driver()
        told = json.loads(ledger.get_info("progress") or "{}")
        return WatchedRun(told, None if owner is None else owner.rpartition(":")[0], ledger.silence())


def follow(path: Path, console: Console, seconds: float) -> None:
    """Show how a study goes until all of its runs are finished: a live table on a terminal, lines elsewhere."""
    study = WatchedStudy(path)
    meter = Meter(study)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while study.unfinished:
                live.update(Group(*_lines(study, meter), _table(study)), refresh=True)
                sleep(seconds)
                study.look()
        return
    while study.unfinished:
        console.print(*_lines(study, meter), sep="; ", highlight=False, soft_wrap=True)
        sleep(seconds)
        study.look()


def _lines(study: WatchedStudy, meter: Meter) -> list[Text]:
    mean, error = study.estimate
    estimate = f"running estimate {mean:.3e}" + (f" +- {error:.1e}" if math.isfinite(error) else "")
    drivers = {run.driver for run in study.unfinished.values() if run.driver}
    at_work = f"{study.n_busy} workers busy" if drivers else "no driver is at work: go on with pytams resume"
    return [Text(meter.line()), Text(f"{estimate}, {at_work}")]


def _table(study: WatchedStudy) -> Table:
    """List unfinished runs, those that are furthest behind first."""
    table = Table("run", "level", "branchings", "running", "estimate", "driver", box=None)
    rows = sorted(study.unfinished.items(), key=lambda item: item[1].level)
    for number, run in rows[:_MOST_ROWS]:
        told = run.told
        table.add_row(
            str(number),
            f"{run.level:.4g}" if math.isfinite(run.level) else "-",
            str(told.get("n_branchings", 0)),
            str(told.get("n_running", 0)),
            f"{told.get('estimate', 0.0):.2e}",
            Text(_driver(run)),
        )
    if len(rows) > _MOST_ROWS:
        table.add_row("...", f"and {len(rows) - _MOST_ROWS} more")
    return table


def _driver(run: WatchedRun) -> str:
    if run.driver is None:
        return "none"
    silent = run.silence is not None and run.silence > STALE_SECONDS
    return run.driver + (f", silent for {run.silence:.0f} s" if silent else "")
