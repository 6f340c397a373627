"""Writing what a run's ledger and segment files do not have yet: a file first, then what points at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.compact import RunOutcome
from pytams.core.errors import RunDirectoryError
from pytams.sqldb.runledger import TrajectoryRow
from pytams.storage.claims import record
from pytams.storage.columns import Columns
from pytams.storage.decided import compare_decisions
from pytams.storage.metadata import MetadataText
from pytams.storage.pending import iteration_rows
from pytams.storage.seals import seal
from pytams.storage.segment_files import PieceName
from pytams.storage.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.ports import Activity
    from pytams.core.segments import Point, SegmentKey
    from pytams.core.settings import Settings
    from pytams.core.splitting import Splitting
    from pytams.storage.columns import Piece
    from pytams.storage.directory import RunDirectory
    from pytams.storage.pending import PendingRun, PendingSegment


def write_segments(
    directory: RunDirectory, runs: Mapping[int, PendingRun], where: Mapping[SegmentKey, Point]
) -> tuple[str, set[int]]:
    """Write one file of all that is to be written, and return its name, and whose segments are in it."""
    segments: list[PendingSegment] = []
    pieces: list[Piece] = []
    for run in runs.values():
        if not directory.info.archive_discarded:
            run.drop_states()
        for segment in [*run.killed, *run.segments.values()]:
            point = where.get(segment.start.key)
            if segment.scores and (segment.ended or (point is not None and point.step == segment.step)):
                segments.append(segment)
                pieces.append(segment.piece(None if segment.ended else point))
    if not pieces:
        return "", set()
    name, sha256 = directory.segment_files.write(Columns.of(pieces), directory.info.settings.step_size)
    for i, (segment, piece) in enumerate(zip(segments, pieces, strict=True)):
        segment.pieces = [*segment.pieces, PieceName(name, i)]
        references = runs[segment.start.key.run].references
        if references is not None:
            references.add(segment.start.key, piece.steps, piece.states, segment.record_scores)
        segment.clear()
    runs_in_file = {segment.start.key.run for segment in segments}
    for number in runs_in_file:
        runs[number].recorded.files[name] = sha256
    return name, runs_in_file


def commit(
    directory: RunDirectory,
    run: PendingRun,
    splitting: Splitting,
    file: str | None,
    activity: Activity,
    *,
    closing: bool,
) -> None:
    """Write what has changed of one run: one transaction, one fact."""
    is_caught_up = run.is_checked or _check_iterations(run, splitting)
    ledger, settings = run.ledger, directory.info.settings
    text = MetadataText(settings)
    rows = {}
    for slot in range(len(splitting.members)) if splitting.finished else run.changed:
        segment = run.segments[splitting.members[slot].start.key]
        status = "completed" if segment.ended else ("idle" if closing else "locked")
        rows[slot] = TrajectoryRow(run.file(segment), segment.metadata(splitting.log_weight, text), status)
    killed = [(run.file(segment), segment.metadata(segment.log_weight, text)) for segment in run.killed]
    references = run.references
    unneeded: set[tuple[SegmentKey, int]] = set()
    if references is not None:
        unneeded = references.unneeded(
            run.segments, run.ancestors, splitting.level, last=_is_over(splitting, settings)
        )
        references.sync(unneeded)

    def write() -> None:
        if references is not None:
            references.write(ledger, unneeded)
        if file is not None:
            ledger.add_file(file, run.recorded.files[file])
        if directory.info.archive_discarded:
            ledger.archive_trajectories(killed)
        else:
            ledger.note_discarded([metadata for _, metadata in killed])
        ledger.put_trajectories(rows)
        if is_caught_up:
            ledger.put_iterations(run.n_complete, iteration_rows(splitting, run.n_complete))
        ledger.put_info("wall_time", repr(activity.wall_time))
        ledger.put_info("progress", RunStatus.of(splitting, activity).to_json())
        if splitting.finished:
            ledger.put_info("finished", directory.info.cap)
            seal(ledger, RunOutcome.of(splitting))

    record(ledger, write)
    if references is not None:
        references.written(unneeded)
    run.recorded.archived.update(segment.start.key for segment in run.killed)
    run.killed, run.changed = [], set()
    if is_caught_up:
        run.n_complete = splitting.n_complete


def _is_over(splitting: Splitting, settings: Settings) -> bool:
    """Whether a run is finished, and would be under any cap on branchings: nothing branches any more."""
    was_capped = splitting.n_branchings >= settings.cap and splitting.n_reached < len(splitting.members)
    return splitting.finished and (splitting.extinct or not was_capped)


def _check_iterations(run: PendingRun, splitting: Splitting) -> bool:
    """Compare the completed iterations on disk with those that follow; say whether all of them do by now.

    After a repair, trajectories that they follow from are computed again; until then, they stay as they are.
    """
    n_found, n_expected = compare_decisions(run.recorded, splitting)
    if n_expected < n_found and splitting.finished:
        raise RunDirectoryError(
            f"{run.ledger.name()} has {n_found} completed splitting iterations, but the trajectories give "
            f"{n_expected}: was the ledger edited, or the model changed?"
        )
    if n_expected < n_found:
        return False
    run.n_complete, run.is_checked = n_found, True
    run.recorded.iterations = []
    return True
