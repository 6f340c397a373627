"""Recording a study in its run directory as it goes: here states go to disk.

A flush writes what has happened since the last one: first a segment file, then, run by run, one transaction that
points at it. What is decided follows from the recorded scores alone, so a resumed study makes the same decisions
again from what is on disk (and checks them against the ledger), and computes what is not.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from pytams.core.ports import Elsewhere
from pytams.storage.claims import Claims, record, release
from pytams.storage.options import CHECKPOINT_SECONDS
from pytams.storage.others import Others
from pytams.storage.pace import Pace
from pytams.storage.pending import PendingRun
from pytams.storage.recorded import Recorded
from pytams.storage.references import References
from pytams.storage.status import RunStatus
from pytams.storage.whole import Taken
from pytams.storage.writing import commit, write_segments

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Activity, Due
    from pytams.core.segments import Past, Point, Progress, Start
    from pytams.core.selection import Variant
    from pytams.core.splitting import Iteration, Splitting
    from pytams.core.verification import Witness
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory
    from pytams.storage.manifest import StudyInfo
    from pytams.storage.state_keeper import StateKeeper

_logger = logging.getLogger("pytams")

_PATIENCE = 30.0
"""Seconds that a whole run may take, if checkpoints are not more frequent."""


class RunJournal:
    """Records the runs of a study that this process drives: a `pytams.Journal`.

    Parameters
    ----------
    directory
        Where to.
    variant
        The splitting variant.
    checkpoint_interval
        Seconds after which running segments are written, too.
    runs_at_once
        Claim so many runs at most at a time, and none that is finished; None: all that nobody drives.
    store
        Where large states are.
    """

    def __init__(
        self,
        directory: RunDirectory,
        variant: Variant,
        *,
        checkpoint_interval: float = CHECKPOINT_SECONDS,
        runs_at_once: int | None = None,
        store: StateKeeper | None = None,
    ) -> None:
        self._directory, self._store = directory, store
        self._is_reproducible = store is None or store.options.reproducible
        self._claims, self._keeps_finished = Claims(directory, runs_at_once), runs_at_once is None
        self._others = Others(directory, variant, self._claims)
        self._runs: dict[int, PendingRun] = {}
        self._finished: set[int] = set()
        self.wall_time = 0.0
        """Seconds that earlier sessions spent."""
        self._pace = Pace(checkpoint_interval, can_flush=self._is_reproducible)
        self._unannounced: list[RunLedger] = []
        """Ledgers of runs that are claimed, and not begun."""
        self._has_begun = self._is_removed = False
        self._whole = Taken()
        self.patience = min(checkpoint_interval, _PATIENCE)

    def claim(self, runs: Sequence[int]) -> list[int]:
        """Claim runs that nobody drives.

        Raises
        ------
        RunDirectoryError
            If no run is free, or the directory is damaged.
        """
        if not self._keeps_finished:
            _leave([self._runs.pop(run) for run in self._finished & self._runs.keys()])
        ledgers = self._claims.take(runs, len(self._runs))
        try:
            info = self._directory.info
            claimed = {run: _pending(ledger, run, info, self._store) for run, ledger in ledgers.items()}
        except BaseException:
            release(ledgers.values())
            raise
        self._runs |= claimed
        self._unannounced += ledgers.values()
        self.wall_time = max([self.wall_time, *(run.recorded.wall_time for run in claimed.values())])
        return list(ledgers)

    def _announce(self) -> None:
        """Write down what the study is now, before anything else; and remove what no run needs."""
        self._directory.save()  # before any ledger has it
        for ledger in self._unannounced:
            self._directory.note(ledger)
        for run in self._runs.values():
            if run.ledger in self._unannounced:
                run.clean_up()
        self._unannounced.clear()
        self._has_begun = True
        if len(self._runs) == self._directory.info.n_runs:  # else files may be those of other runs
            unused = self._directory.clean_up([run.ledger for run in self._runs.values()])
            if unused:
                _logger.info("removed %d files that no ledger points at", len(unused))

    def witnesses(self, runs: Sequence[int]) -> list[Witness]:
        """Choose segments that were recorded, to be computed again before these runs go on.

        Of each run that was begun and is not finished; if there is none, but others are to begin, of any run.
        """
        files = self._directory.segment_files
        here = [self._runs[run].recorded for run in runs]
        unfinished = [recorded for recorded in here if not recorded.is_finished]
        found = [witness for recorded in unfinished for witness in recorded.witnesses(files)]
        if not found and (unfinished or len(self._claims.ours) < self._directory.info.n_runs):
            finished = (recorded.witnesses(files) for recorded in here)
            found = next(filter(None, finished), []) or self._others.witnesses()
        return found

    def awaited(self, runs: Sequence[int]) -> dict[int, str]:
        """Say who drives the runs that are neither driven here nor finished: these, and others that are driven.

        Drivers that share a study by `runs_at_once` do not wait for each other.
        """
        return self._others.awaited(runs) if self._keeps_finished else {}

    def elsewhere(self) -> Elsewhere:
        """Find what became of the runs of the study that are not driven here, also after `close`."""
        return Elsewhere({}, {}) if self._is_removed else self._others.elsewhere()

    def past(self, start: Start) -> Past | None:
        """Find what is on disk of a segment; None if there is nothing."""
        run = self._runs[start.key.run]
        history = run.recorded.history(start, self._directory.segment_files)
        if history is None:
            return None
        run.segments[start.key].skip(history, run.recorded.rows[start.key].pieces)
        return history.past

    def begin(self, starts: Iterable[Start]) -> None:
        """Take note of new members of the ensemble."""
        if self._unannounced:
            self._announce()
        for start in starts:
            self._runs[start.key.run].begin(start)

    def record(self, progress: Progress) -> None:
        """Take note of what was computed."""
        run = self._runs[progress.key.run]
        segment = run.segments.get(progress.key)
        if segment is None or progress.step <= segment.step:
            return
        segment.add(progress)
        run.changed.add(progress.key.slot)
        self._pace.something_ended |= progress.ended

    def is_new(self, run: int) -> bool:
        """Whether nothing was recorded of a run, and all of it is to be kept."""
        return self._directory.info.archive_discarded and not self._runs[run].recorded.rows

    def take(self, outcome: RunOutcome, activity: Activity) -> None:
        """Take a whole run, and write those that were taken if it is time to."""
        if self._unannounced:
            self._announce()
        self._whole.add(self._runs[outcome.run], outcome)
        self._pace.something_ended = True
        if self._whole.is_much or self._pace.due():
            with self._pace.writing(self._store, is_checkpoint=True):  # nothing else is running
                self._write_whole(activity)

    def _write_whole(self, activity: Activity) -> None:
        if written := self._whole.write(self._directory, activity):
            self._others.our_wall_time = activity.wall_time
        _leave([self._runs.pop(run) for run in written])

    def decide(self, iteration: Iteration) -> None:
        """Take note of an iteration: who was killed. At extinction the slots keep what they have."""
        run = self._runs[iteration.killed[0].run]
        if iteration.starts:
            run.kill(iteration.killed)
        run.log_weight = iteration.log_weight

    def due(self) -> Due:
        """Say what should be written."""
        return self._pace.due()

    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        """Write all ended segments, and those that go on from one of the points; then what is decided.

        Raises
        ------
        StoreError, SQLAlchemyError
            If something cannot be written: then nothing more may be.
        """
        where = {point.key: point for point in points}
        with self._pace.writing(self._store, is_checkpoint=bool(where)):
            self._write_whole(activity)
            if closing and not self._is_reproducible and not where:
                return
            file, runs_in_file = write_segments(self._directory, self._runs, where)
            for number, splitting in splittings.items():
                run = self._runs.get(number)
                if run is not None and (run.changed or run.killed):
                    in_file = file if number in runs_in_file else None
                    commit(self._directory, run, splitting, in_file, activity, closing=closing)
                    self._others.our_wall_time = activity.wall_time
                if splitting.finished:
                    self._finished.add(number)

    def beat(self, splittings: Mapping[int, Splitting], activity: Activity) -> None:
        """Say that this driver is alive, and how its runs go, if it is time to."""
        if not self._claims.is_heartbeat_due():
            return
        for number, run in self._runs.items():
            status = RunStatus.of(splittings[number], activity).to_json() if number in splittings else None
            record(run.ledger, partial(run.ledger.put_info, "progress", status) if status else lambda: None)

    def close(self) -> None:
        """Leave the runs to others. What has not been written is forgotten; so is a new study that was not begun."""
        if self._directory.is_new and not self._has_begun:
            self._is_removed = self._directory.remove({number: run.ledger for number, run in self._runs.items()})
            self._runs = {} if self._is_removed else self._runs
        (_leave if self._has_begun else _release)(self._runs.values())
        self._runs.clear()
        self._directory.segment_files.close()


def _pending(ledger: RunLedger, run: int, info: StudyInfo, store: StateKeeper | None) -> PendingRun:
    """Take up a run where its ledger is."""
    references = None if store is None else References(store, run, ledger, info.sparse_freq)
    return PendingRun(ledger, Recorded.read(ledger, run, info), references)


def _leave(runs: Collection[PendingRun]) -> None:
    """Leave runs to others."""
    for run in runs:
        run.leave()
    _release(runs)


def _release(runs: Collection[PendingRun]) -> None:
    release(run.ledger for run in runs)
