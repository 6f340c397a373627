"""Recording a study in its run directory as it goes: here states go to disk.

A flush writes what has happened since the last one: first a segment file, then, run by run, one transaction that
points at it. What is decided follows from the recorded scores alone, so a resumed study makes the same decisions
again from what is on disk (and checks them against the ledger), and computes what is not.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.errors import RunDirectoryError
from pytams.core.ports import Due
from pytams.sqldb.runledger import TrajectoryRow, splitting_columns
from pytams.storage.claims import Claims, as_driver, release
from pytams.storage.pending import PendingRun, PendingSegment, iteration_rows
from pytams.storage.recorded import Recorded
from pytams.storage.segment_files import PieceName
from pytams.storage.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytams.core.ports import Activity
    from pytams.core.segments import Past, Point, Progress, SegmentKey, Start
    from pytams.core.splitting import Iteration, Splitting
    from pytams.storage.directory import RunDirectory
    from pytams.storage.segment_files import Piece

_logger = logging.getLogger("pytams")

_FLUSH_SECONDS = 1.0
_FLUSH_SHARE = 0.005
"""Share of the time that flushes of ended segments may take."""


class RunJournal:
    """Records the runs of a study that this process drives: a `pytams.Journal`.

    Parameters
    ----------
    directory
        Where to.
    checkpoint_interval
        Seconds after which running segments are written, too.
    runs_at_once
        Claim so many runs at most at a time, and none that is finished; None: all that nobody drives.
    """

    def __init__(
        self, directory: RunDirectory, *, checkpoint_interval: float = 60.0, runs_at_once: int | None = None
    ) -> None:
        self._directory = directory
        self._settings = directory.info.settings
        self._claims = Claims(directory, runs_at_once)
        self._keeps_finished = runs_at_once is None
        self._checkpoint_interval = checkpoint_interval
        self._runs: dict[int, PendingRun] = {}
        self._finished: set[int] = set()
        self.wall_time = 0.0
        """Seconds that earlier sessions spent."""
        self._last_flush = self._last_checkpoint = perf_counter()
        self._flush_cost = 0.0
        self._something_ended = False

    # --- what was recorded --------------------------------------------------------------------------------------

    def claim(self, runs: Sequence[int]) -> list[int]:
        """Claim runs that nobody drives.

        Raises
        ------
        RunDirectoryError
            If no run is free, or the directory is damaged.
        """
        if not self._keeps_finished:
            release(self._runs.pop(run).ledger for run in self._finished & self._runs.keys())
        ledgers = self._claims.take(runs)
        try:
            claimed = {run: PendingRun(ledger, Recorded.read(ledger)) for run, ledger in ledgers.items()}
        except BaseException:
            release(ledgers.values())
            raise
        self._runs |= claimed
        self.wall_time = max([self.wall_time, *(run.recorded.wall_time for run in claimed.values())])
        if len(ledgers) == len(runs):
            orphans = self._directory.clean_up(ledgers.values())
            if orphans:
                _logger.info("removed %d segment files that no ledger points at", len(orphans))
        return list(ledgers)

    def past(self, start: Start) -> Past | None:
        """Find what is on disk of a segment; None if there is nothing."""
        run = self._runs[start.key.run]
        history = run.recorded.history(start, self._directory.segment_files)
        if history is None:
            return None
        run.segments[start.key].skip(history, run.recorded.pieces[start.key][0])
        return history.past

    # --- what happens -------------------------------------------------------------------------------------------

    def begin(self, starts: Iterable[Start]) -> None:
        """Take note of new members of the ensemble."""
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
        self._something_ended = self._something_ended or progress.ended

    def decide(self, iteration: Iteration) -> None:
        """Take note of an iteration: who was killed. At extinction the slots keep what they have."""
        run = self._runs[iteration.killed[0].run]
        if iteration.starts:
            run.kill(iteration.killed)
        run.weight = math.exp(iteration.log_weight)

    # --- writing ------------------------------------------------------------------------------------------------

    def due(self) -> Due:
        """Say what should be written; flushes of what has ended take a small share of the time."""
        now = perf_counter()
        if now - self._last_checkpoint > self._checkpoint_interval:
            return Due.CHECKPOINT
        wait = max(_FLUSH_SECONDS, self._flush_cost / _FLUSH_SHARE)
        return Due.FLUSH if self._something_ended and now - self._last_flush > wait else Due.NOTHING

    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        """Write all ended segments, and those that go on from one of the points; then what is decided.

        Raises
        ------
        StoreError, SQLAlchemyError
            If something cannot be written: then nothing more may be.
        """
        start = perf_counter()
        where = {point.key: point for point in points}
        file, runs_in_file = self._write_segments(where)
        for number, run in self._runs.items():
            if run.changed or run.killed:
                in_file = file if number in runs_in_file else None
                self._commit(run, splittings[number], in_file, activity, closing=closing)
            if splittings[number].finished:
                self._finished.add(number)
        now = perf_counter()
        self._last_flush, self._flush_cost, self._something_ended = now, now - start, False
        if where:
            self._last_checkpoint = now

    def _write_segments(self, where: Mapping[SegmentKey, Point]) -> tuple[str, set[int]]:
        """Write one file of all that is to be written, and return its name, and whose segments are in it."""
        segments: list[PendingSegment] = []
        pieces: list[Piece] = []
        for run in self._runs.values():
            if not self._directory.info.archive_discarded:
                run.drop_states()
            for segment in [*run.killed, *run.segments.values()]:
                point = where.get(segment.start.key)
                if segment.scores and (segment.ended or (point is not None and point.step == segment.step)):
                    segments.append(segment)
                    pieces.append(segment.piece(None if segment.ended else point))
        if not pieces:
            return "", set()
        name, sha256 = self._directory.segment_files.write(pieces, self._settings.step_size)
        for i, segment in enumerate(segments):
            segment.pieces = [*segment.pieces, PieceName(name, i)]
            segment.clear()
        runs_in_file = {segment.start.key.run for segment in segments}
        for number in runs_in_file:
            self._runs[number].recorded.files[name] = sha256
        return name, runs_in_file

    def _commit(
        self, run: PendingRun, splitting: Splitting, file: str | None, activity: Activity, *, closing: bool
    ) -> None:
        """Write what has changed of one run: one transaction, one fact."""
        if not run.is_checked:
            _check_iterations(run, splitting)
        ledger, settings = run.ledger, self._settings
        rows = {}
        weight = math.exp(splitting.log_weight)
        for slot in range(len(splitting.members)) if splitting.finished else run.changed:
            segment = run.segments[splitting.members[slot].start.key]
            status = "completed" if segment.ended else ("idle" if closing else "locked")
            rows[slot] = TrajectoryRow(run.file(segment), segment.metadata(weight, settings), status)
        killed = [(run.file(segment), segment.metadata(segment.weight, settings)) for segment in run.killed]

        def write() -> None:
            if file is not None:
                ledger.add_file(file, run.recorded.files[file])
            if self._directory.info.archive_discarded:
                ledger.archive_trajectories(killed)
            else:
                ledger.note_discarded([metadata for _, metadata in killed])
            ledger.put_trajectories(rows)
            ledger.put_iterations(run.n_complete, iteration_rows(splitting, run.n_complete))
            ledger.put_info("wall_time", repr(activity.wall_time))
            ledger.put_info("progress", RunStatus.of(splitting, activity).to_json())
            if splitting.finished:
                ledger.put_info("finished", self._claims.cap)

        as_driver(ledger, write)
        run.recorded.archived.update(segment.start.key for segment in run.killed)
        run.killed, run.changed = [], set()
        run.n_complete = splitting.n_complete

    def beat(self, splittings: Mapping[int, Splitting], activity: Activity) -> None:
        """Say that this driver is alive, and how its runs go, if it is time to."""
        if not self._claims.is_heartbeat_due():
            return
        for number, run in self._runs.items():
            status = RunStatus.of(splittings[number], activity).to_json()
            as_driver(run.ledger, partial(run.ledger.put_info, "progress", status))

    def close(self) -> None:
        """Leave the runs to others. What has not been written is forgotten."""
        release(run.ledger for run in self._runs.values())
        self._runs.clear()
        self._directory.segment_files.close()


def _check_iterations(run: PendingRun, splitting: Splitting) -> None:
    """Make sure, once, that the completed iterations on disk are those that the trajectories on disk give."""
    found = [
        {name: row[name] for name in row if name != "id"}
        for row in run.recorded.iterations
        if row["status"] == "completed"
    ]
    expected = [splitting_columns(row) for row in iteration_rows(splitting, 0)[: splitting.n_complete]]
    if len(expected) < len(found):
        raise RunDirectoryError(
            f"{run.ledger.name()} has {len(found)} completed splitting iterations, but the trajectories give "
            f"{len(expected)}: was the ledger edited, or the model changed?"
        )
    for i, (there, here) in enumerate(zip(found, expected, strict=False)):
        for column, value in here.items():
            if there[column] != value:
                raise RunDirectoryError(
                    f"{run.ledger.name()}: {column} of splitting iteration {i} is {there[column]}, but the "
                    f"trajectories give {value}: was the ledger edited, or the model changed?"
                )
    run.n_complete, run.is_checked = len(found), True
    run.recorded.iterations = []
