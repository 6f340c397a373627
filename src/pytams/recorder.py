"""Recording a study in its run directory as it goes, and finding again what was recorded.

A flush writes what has happened since the last one: first a segment file, then, run by run, one transaction that
points at it. What is decided follows from the recorded scores alone, so a resumed study makes the same decisions
again from what is on disk (and checks them against the ledger), and computes what is not.
"""

from __future__ import annotations

import json
import logging
import math
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from pytams.errors import RunDirectoryError, StoreError
from pytams.past import Past
from pytams.recorded import RecordedRun, RecordedSegment, iteration_rows, progress_note
from pytams.sqldb import LedgerError, TrajectoryRow, splitting_columns
from pytams.store import Piece, PieceName
from pytams.trajectory import SegmentKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytams.rundir import RunDirectory
    from pytams.splitting import Iteration, Splitting
    from pytams.sqldb import RunLedger
    from pytams.trajectory import Point, Progress, Start

_logger = logging.getLogger("pytams")

STALE_SECONDS = 60.0
"""A driver that has not been heard of for so long is taken for dead, if it cannot be asked."""
_HEARTBEAT_SECONDS = 10.0
_FLUSH_SECONDS = 1.0
_FLUSH_SHARE = 0.005
"""Share of the time that flushes of ended segments may take."""


class Recorder:
    """Records the runs of a study that this process drives.

    Parameters
    ----------
    directory
        Where to.
    splittings
        The runs; those whose ledger is free are claimed, the others left to their drivers.
    step_size, n_steps
        Of the problem, for the metadata.
    checkpoint_interval
        Seconds after which running segments are written, too.
    driving
        False: read only, claim nothing.
    runs_at_once
        Claim so many at most, and none that is finished; None: all.

    Raises
    ------
    RunDirectoryError
        If no run is free, or the directory is damaged.
    """

    def __init__(
        self,
        directory: RunDirectory,
        splittings: dict[int, Splitting],
        *,
        step_size: float,
        n_steps: int,
        checkpoint_interval: float = 60.0,
        driving: bool = True,
        runs_at_once: int | None = None,
    ) -> None:
        self._runs_at_once = runs_at_once
        self._directory = directory
        self._step_size, self._n_steps = step_size, n_steps
        self._checkpoint_interval = checkpoint_interval
        self._driving = driving
        self._splittings = splittings
        self._runs: dict[int, RecordedRun] = {}
        self.wall_time = 0.0
        """Seconds that earlier sessions spent."""
        try:
            self._open_runs()
        except BaseException:
            self.close()
            raise
        self._last_flush = self._last_checkpoint = self._last_heartbeat = perf_counter()
        self._flush_cost = 0.0
        self._something_ended = False

    @property
    def runs(self) -> list[int]:
        """The runs that are ours."""
        return list(self._runs)

    def _open_runs(self) -> None:
        busy = ""
        for run in self._splittings:
            if len(self._runs) == self._runs_at_once:
                break
            if not self._driving and not self._directory.has_ledger(run):
                continue
            ledger = self._directory.ledger(run, read_only=not self._driving)
            if self._runs_at_once is not None and ledger.get_info("finished") == self._cap:
                ledger.close()
                continue
            if self._driving and not ledger.claim(STALE_SECONDS):
                busy = f"run {run} is driven by {ledger.driver()}"
                ledger.close()
                continue
            self._runs[run] = RecordedRun(ledger)
            wall_time = ledger.get_info("wall_time")
            if wall_time is not None:  # else nothing has been written yet
                self._runs[run].read()
                self.wall_time = max(self.wall_time, float(wall_time))
        if self._driving and not self._runs and self._runs_at_once is None:
            raise RunDirectoryError(
                f"{self._directory.path} is in use: {busy}. Stop that driver, or wait: a dead one's runs are free "
                f"after {STALE_SECONDS:g} s"
            )
        if self._driving and len(self._runs) == len(self._splittings):
            orphans = self._directory.clean_up(run.ledger for run in self._runs.values())
            if orphans:
                _logger.info("removed %d segment files that no ledger points at", len(orphans))

    @property
    def _cap(self) -> str:
        """What a run is finished under: it may be extended by a higher one."""
        return repr(self._directory.info.settings.max_branchings)

    # --- what was recorded --------------------------------------------------------------------------------------

    def past(self, start: Start) -> Past | None:
        """Find what is on disk of a segment; None if there is nothing."""
        run = self._runs[start.key.run]
        names, ended = run.stored.get(start.key, ([], False))
        if not names:
            return None
        for name in names:
            if name.file not in run.files:
                raise StoreError(
                    f"{run.ledger.name()}: {start.key} is said to be in {name.file}, no file of this run"
                )
        return Past(start, [self._directory.store.read(name, run.files[name.file]) for name in names], ended)

    def driver(self, run: int) -> str | None:
        """Who drives a run; None if nobody does."""
        return self._runs[run].ledger.driver()

    def take_up(self, past: Past) -> None:
        """Take note that a member is on disk so far."""
        segment = self._runs[past.start.key.run].segments[past.start.key]
        segment.pieces = self._runs[past.start.key.run].stored[past.start.key][0]
        segment.step, segment.best, segment.ended = past.step, past.best, past.ended

    # --- what happens -------------------------------------------------------------------------------------------

    def start(self, starts: Iterable[Start]) -> None:
        """Take note of new members of the ensemble."""
        for start in starts:
            run = self._runs[start.key.run]
            history: tuple[int, ...] = ()
            if start.parent is not None:
                parent = run.segments.get(start.parent)
                history = (*(parent.history if parent else ()), start.parent.slot)
                run.parents[start.key] = start.parent
            run.segments[start.key] = RecordedSegment(start, history)
            run.changed.add(start.key.slot)

    def add(self, progress: Progress) -> None:
        """Take note of what was computed."""
        run = self._runs[progress.key.run]
        segment = run.segments.get(progress.key)
        if segment is None or progress.step <= segment.step:
            return
        segment.add(progress)
        run.changed.add(progress.key.slot)
        self._something_ended = self._something_ended or progress.ended

    def decide(self, iteration: Iteration) -> None:
        """Take note of an iteration: who was killed, and who restarts."""
        run = self._runs[iteration.killed[0].run]
        if not iteration.starts:  # extinction: the slots keep what they have
            return
        before = self._splittings[iteration.killed[0].run].iterations[: iteration.index][-1:]
        self.start(iteration.starts)
        for key in iteration.killed:
            segment = run.segments.pop(key)
            segment.weight = math.exp(before[0].log_weight) if before else 1.0
            if key not in run.archived:
                run.killed.append(segment)

    # --- flushing -----------------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether something has ended that should go to disk now; flushes take a small share of the time."""
        wait = max(_FLUSH_SECONDS, self._flush_cost / _FLUSH_SHARE)
        return self._something_ended and perf_counter() - self._last_flush > wait

    def is_checkpoint_due(self) -> bool:
        """Whether running segments should go to disk now."""
        return perf_counter() - self._last_checkpoint > self._checkpoint_interval

    def flush(self, points: Iterable[Point], at_work: dict[str, float], *, wall_time: float, closing: bool) -> None:
        """Write all ended segments, and those that go on from one of the points; then what is decided.

        Parameters
        ----------
        points
            Where segments are that are running.
        at_work
            What there is to tell of the engine, for those who watch.
        wall_time
            Seconds spent so far, in all sessions.
        closing
            Whether this is the last time.

        Raises
        ------
        StoreError, SQLAlchemyError
            If something cannot be written: then nothing more may be.
        """
        start = perf_counter()
        where = {point.key: point for point in points}
        segments: list[RecordedSegment] = []
        pieces: list[Piece] = []
        for run in self._runs.values():
            self._drop_states(run)
            for segment in [*run.killed, *run.segments.values()]:
                point = where.get(segment.start.key)
                if segment.scores and (segment.ended or (point is not None and point.step == segment.step)):
                    segments.append(segment)
                    pieces.append(segment.piece(None if segment.ended else point))
        name, sha256 = self._directory.store.write(pieces, self._step_size) if pieces else ("", "")
        runs_in_file = set()
        for i, segment in enumerate(segments):
            segment.pieces = [*segment.pieces, PieceName(name, i)]
            segment.clear()
            runs_in_file.add(segment.start.key.run)
        for number, run in self._runs.items():
            if number in runs_in_file:
                run.files[name] = sha256
            if run.changed or run.killed:
                notes = {"wall_time": repr(wall_time), "progress": progress_note(self._splittings[number], at_work)}
                self._commit(number, run, name if number in runs_in_file else None, notes, closing=closing)
        now = perf_counter()
        self._last_flush, self._flush_cost, self._something_ended = now, now - start, False
        if where:
            self._last_checkpoint = now

    def _drop_states(self, run: RecordedRun) -> None:
        """If discarded trajectories are not archived: forget states that no member of the ensemble descends from."""
        if self._directory.info.archive_discarded:
            return
        needed: set[SegmentKey] = set()
        for key in run.segments:
            ancestor: SegmentKey | None = key
            while ancestor is not None and ancestor not in needed:
                needed.add(ancestor)
                ancestor = run.parents.get(ancestor)
        for segment in run.killed:
            if segment.start.key not in needed and segment.ended:
                segment.steps, segment.states = [np.empty(0, dtype=np.int64)], []

    def _commit(
        self, number: int, run: RecordedRun, file: str | None, notes: dict[str, str], *, closing: bool
    ) -> None:
        """Write what has changed of one run: one transaction, one fact."""
        splitting, ledger = self._splittings[number], run.ledger
        if run.rows:
            self._check_rows(run, splitting)
        slots = range(len(splitting.members)) if splitting.finished else run.changed
        weight = math.exp(splitting.log_weight)
        rows = {}
        for slot in slots:
            segment = run.segments[splitting.members[slot].start.key]
            status = "completed" if segment.ended else ("idle" if closing else "locked")
            rows[slot] = TrajectoryRow(self._file(run, segment), self._metadata(segment, weight), status)
        killed = [(self._file(run, segment), self._metadata(segment, segment.weight)) for segment in run.killed]
        with _explained(ledger), ledger.transaction():
            ledger.renew()
            if file is not None:
                ledger.add_file(file, run.files[file])
            if self._directory.info.archive_discarded:
                ledger.archive_trajectories(killed)
            else:
                ledger.note_discarded([metadata for _, metadata in killed])
            ledger.put_trajectories(rows)
            ledger.put_iterations(run.n_complete, iteration_rows(splitting, run.n_complete))
            for name, note in notes.items():
                ledger.put_info(name, note)
            if splitting.finished:
                ledger.put_info("finished", self._cap)
        run.archived.update(segment.start.key for segment in run.killed)
        run.killed, run.changed = [], set()
        run.n_complete = splitting.n_complete

    def _check_rows(self, run: RecordedRun, splitting: Splitting) -> None:
        """Make sure, once, that the iterations on disk are those that the trajectories on disk give."""
        found = [
            {name: row[name] for name in row if name != "id"} for row in run.rows if row["status"] == "completed"
        ]
        expected = [splitting_columns(row) for row in iteration_rows(splitting, 0)[: splitting.n_complete]]
        for i, (there, here) in enumerate(zip(found, expected, strict=False)):
            for column, value in here.items():
                if there[column] != value:
                    raise RunDirectoryError(
                        f"{run.ledger.name()}: {column} of splitting iteration {i} is {there[column]}, but the "
                        f"trajectories give {value}: was the ledger edited, or the model changed?"
                    )
        run.n_complete = min(len(found), splitting.n_complete)
        run.rows = []

    def _file(self, run: RecordedRun, segment: RecordedSegment) -> str:
        """Where the last piece of a trajectory is: its ancestor's, if there was nothing left to simulate."""
        if not segment.pieces and segment.start.ended and segment.start.parent in run.segments:
            segment = run.segments[segment.start.parent]
        return segment.pieces[-1].file if segment.pieces else ""

    def _metadata(self, segment: RecordedSegment, weight: float | None) -> str:
        start, target = segment.start, self._directory.info.settings.target_score
        step = max(segment.step, 0)
        return json.dumps(
            {
                "id": start.key.slot,
                "run": start.key.run,
                "slot": start.key.slot,
                "branch": start.key.branch,
                "parent": None if start.parent is None else [start.parent.slot, start.parent.branch],
                "branch_step": start.step,
                "branch_score": None if start.parent is None else start.score,
                "weight": weight,
                "t_end": self._n_steps * self._step_size,
                "t_cur": step * self._step_size,
                "dt": self._step_size,
                "ended": segment.ended,
                "converged": segment.best >= target,
                "score_max": None if math.isinf(segment.best) else segment.best,
                "length": step,
                "nstep_compute": max(0, step - start.step),
                "branching_history": segment.history,
                "pieces": segment.pieces,
            }
        )

    def beat(self, at_work: dict[str, float]) -> None:
        """Say that this driver is alive, and how its runs go, if it is time to."""
        if perf_counter() - self._last_heartbeat < _HEARTBEAT_SECONDS:
            return
        self._last_heartbeat = perf_counter()
        for number, run in self._runs.items():
            with _explained(run.ledger), run.ledger.transaction():
                run.ledger.renew()
                run.ledger.put_info("progress", progress_note(self._splittings[number], at_work))

    def close(self) -> None:
        """Leave the runs to others. What has not been flushed is forgotten."""
        for run in self._runs.values():
            if self._driving:
                with suppress(SQLAlchemyError):
                    run.ledger.disclaim()
            run.ledger.close()
        self._directory.store.close()


@contextmanager
def _explained(ledger: RunLedger) -> Iterator[None]:
    """Say what it means that a ledger cannot be written."""
    try:
        yield
    except LedgerError:
        raise
    except SQLAlchemyError as error:
        raise LedgerError(
            f"{ledger.name()} cannot be written: {getattr(error, 'orig', error)}. Everything before it is on disk; "
            "make room, and resume the run"
        ) from error
