"""Repairing a run directory: what is damaged is set aside or forgotten, and computed again, to the same bits.

Nothing that is whole is touched, and no file is removed: damaged ones are renamed.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from pytams.core.errors import DamagedFileError, RunDirectoryError, StoreError
from pytams.core.segments import SegmentKey
from pytams.core.stored import Reference
from pytams.sqldb.errors import RESTORE_DATABASE, DamagedLedgerError, LedgerError, NoLedgerError
from pytams.storage.agreement import check_variant
from pytams.storage.claims import STALE_SECONDS, driver_of, release
from pytams.storage.decided import decided
from pytams.storage.history import History
from pytams.storage.metadata import blank_metadata, check_segment, segment_of, start_of
from pytams.storage.recorded import Recorded
from pytams.storage.segment_files import SegmentFiles
from pytams.storage.state_keeper import keeper_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytams.core.selection import Variant
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory

_DAMAGE = (DamagedLedgerError, NoLedgerError, DamagedFileError)
"""What is known to be damaged; all other errors may be of something that is whole."""


def repair(directory: RunDirectory, variant: Variant) -> list[str]:
    """Set aside or forget what is damaged; what is then missing is computed when the study is resumed.

    What merely cannot be read or written is not damaged: then nothing is changed.

    Returns
    -------
    list of str
        What was done, a line each.

    Raises
    ------
    RunDirectoryError
        If somebody drives a run of the study, or something cannot be read or written.
    DamagedLedgerError
        If a ledger on PostgreSQL is damaged: it has to be restored there.
    """
    check_variant(directory.path, directory.info, variant)
    if directory.ledgers_are_lost():
        folder = directory.path / SegmentFiles.subfolder
        return [f"no run has a ledger: all are computed again, {_set_aside(folder)}"]
    is_whole = _whole_files(directory)
    lines: list[str] = []
    for run in directory.begun():
        lines += _repair_run(directory, variant, run)
    directory.segment_files.close()
    damaged = {directory.path / name for name, whole in is_whole.items() if not whole}
    return lines + [_set_aside(path) for path in sorted(damaged & set(directory.segment_files.paths()))]


def _whole_files(directory: RunDirectory) -> dict[str, bool]:
    """Find whether any ledger finds each segment file whole. Every ledger and every file is looked at."""
    is_whole: dict[str, bool] = {}
    try:
        for run in directory.begun():
            with suppress(*_DAMAGE), _claimed(directory, run) as ledger:
                for name, sha256 in ledger.files().items():
                    is_whole[name] = is_whole.get(name, False) or directory.segment_files.is_whole(name, sha256)
    except (LedgerError, StoreError) as error:
        raise RunDirectoryError(f"{error}. Nothing was changed: that is no damage that could be repaired") from error
    return is_whole


@contextmanager
def _claimed(directory: RunDirectory, run: int) -> Iterator[RunLedger]:
    """Open the ledger of a run as its driver."""
    ledger = directory.ledger(run)
    try:
        if not ledger.claim(STALE_SECONDS):
            raise RunDirectoryError(f"{directory.path}: run {run} is driven by {driver_of(ledger)}: stop it first")
        yield ledger
    finally:
        release([ledger])


def _repair_run(directory: RunDirectory, variant: Variant, run: int) -> list[str]:
    try:
        with _claimed(directory, run) as ledger:
            n_forgotten = _forget_damaged(directory, run, ledger)
            _check_rest(directory, variant, run, ledger)
    except _DAMAGE as error:
        files = directory.ledger_files(run)
        if not files:  # it is in a database
            what = error.what if isinstance(error, DamagedLedgerError) else f"run {run}: {error}"
            raise DamagedLedgerError(what, RESTORE_DATABASE) from error
        return [f"{error}: run {run} is computed again", *map(_set_aside, files)]
    return [f"run {run}: {n_forgotten} damaged trajectories are computed again"] if n_forgotten else []


def _forget_damaged(directory: RunDirectory, run: int, ledger: RunLedger) -> int:
    """Forget trajectories that are not whole, or not what their rows say."""
    files, sha256, settings = directory.segment_files, ledger.files(), directory.info.settings

    def is_bad(metadata: str) -> bool:
        try:
            key, names, _ = segment_of(metadata)
            if names:
                start = start_of(metadata)
                found = History(start, [files.read(name, sha256[name.file]) for name in names])
                _ = found.past  # looks for the state that it goes on from
                step, best, ended = found.step, found.best, found.ended
                check_segment(ledger.name(), metadata, start, step=step, best=best, ended=ended, settings=settings)
        except (DamagedFileError, RunDirectoryError, ValueError, LookupError):
            return True
        return key.run != run

    def is_empty(metadata: str) -> bool:
        try:
            key, names, _ = segment_of(metadata)
        except ValueError:  # it could not be forgotten: the whole ledger will be
            return False
        return key.branch > 0 and not names

    n_forgotten = ledger.forget(is_bad, lambda slot: blank_metadata(run, slot))
    n_forgotten += _forget_without_states(directory, run, ledger)
    if n_forgotten:  # what is said of those without a file of their own may follow from these
        ledger.forget(is_empty, lambda slot: blank_metadata(run, slot))
    with suppress(ValueError):  # it could not be forgotten: the whole ledger will be
        ledger.forget_files(sha256.keys() - _pointed_at(ledger))
    return n_forgotten


def _pointed_at(ledger: RunLedger) -> set[str]:
    """Find the segment files that trajectories are in."""
    rows = [row.metadata for row in ledger.trajectories()] + ledger.discarded()
    rows += [metadata for _, metadata in ledger.archived_trajectories()]
    return {piece.file for metadata in rows for piece in segment_of(metadata)[1]}


def _forget_without_states(directory: RunDirectory, run: int, ledger: RunLedger) -> int:
    """Forget trajectories of which a stored state is not whole, and what they descend from: it comes from there."""
    keeper = None if directory.info.states_are == "elsewhere" else keeper_of(directory.path, directory.info)
    if keeper is None:
        return 0
    rows = ledger.states()
    bad = {
        SegmentKey(run, row.slot, row.branch)
        for row in rows
        if not keeper.is_whole(run, Reference(row.sha256, row.size, row.kind))
    }
    if not bad:
        return 0
    try:
        bad |= Recorded.read(ledger, run, directory.info).ancestors(bad)
    except RunDirectoryError as error:  # then nothing of the ledger can be trusted
        raise DamagedFileError(str(error)) from error
    gone = [(row.slot, row.branch, row.step) for row in rows if SegmentKey(run, row.slot, row.branch) in bad]
    ledger.drop_states(gone)
    return ledger.forget(lambda text: segment_of(text)[0] in bad, lambda slot: blank_metadata(run, slot))


def _check_rest(directory: RunDirectory, variant: Variant, run: int, ledger: RunLedger) -> None:
    """Make sure that what is left fits together.

    Raises
    ------
    DamagedFileError
        If it does not: then nothing of the ledger can be trusted.
    """
    try:
        recorded = Recorded.read(ledger, run, directory.info)
        decided(directory, variant, {run: recorded})
    except RunDirectoryError as error:
        raise DamagedFileError(str(error)) from error


def _set_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.damaged-{uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except OSError as error:
        raise RunDirectoryError(f"{path} cannot be renamed to {aside.name}: {error.strerror}") from error
    return f"{path}: set aside as {aside.name}"
