"""Repairing a run directory: what is damaged is set aside or forgotten, and computed again, to the same bits.

Nothing that is whole is touched, and no file is removed: damaged ones are renamed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from uuid import uuid4

from pytams.core.errors import RunDirectoryError, StoreError
from pytams.core.segments import SegmentKey, Start
from pytams.sqldb.errors import LedgerError
from pytams.storage.claims import STALE_SECONDS, release
from pytams.storage.decided import decided
from pytams.storage.history import History
from pytams.storage.metadata import blank_metadata, segment_of
from pytams.storage.recorded import Recorded

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.core.selection import Variant
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory
    from pytams.storage.segment_files import Piece, SegmentFiles


def repair(directory: RunDirectory, variant: Variant) -> list[str]:
    """Set aside or forget what is damaged; what is then missing is computed when the study is resumed.

    Returns
    -------
    list of str
        What was done, a line each.

    Raises
    ------
    RunDirectoryError
        If somebody drives a run of the study.
    LedgerError
        If a ledger on PostgreSQL is damaged: it has to be restored there.
    """
    lines: list[str] = []
    is_whole: dict[str, bool] = {}
    """Whether any ledger finds each file whole."""
    for run in directory.begun():
        lines += _repair_run(directory, variant, run, is_whole)
    directory.segment_files.close()
    damaged = {directory.path / name for name, whole in is_whole.items() if not whole}
    return lines + [_set_aside(path) for path in sorted(damaged & set(directory.segment_files.paths()))]


def _repair_run(directory: RunDirectory, variant: Variant, run: int, is_whole: dict[str, bool]) -> list[str]:
    try:
        ledger = directory.ledger(run)
        try:
            if not ledger.claim(STALE_SECONDS):
                raise RunDirectoryError(f"{directory.path}: run {run} is driven by {ledger.driver()}: stop it first")
            n_forgotten = _forget_damaged(directory.segment_files, run, ledger, is_whole)
            _check_rest(directory, variant, run, ledger)
        finally:
            release([ledger])
    except (LedgerError, StoreError) as error:
        files = directory.ledger_files(run)
        if not files:  # it is in a database
            raise
        return [f"{error}: run {run} is computed again", *map(_set_aside, files)]
    return [f"run {run}: {n_forgotten} damaged trajectories are computed again"] if n_forgotten else []


def _forget_damaged(files: SegmentFiles, run: int, ledger: RunLedger, is_whole: dict[str, bool]) -> int:
    """Forget trajectories that are not whole; note which files are."""
    sha256 = ledger.files()
    for name in sha256:
        is_whole[name] = is_whole.get(name, False) or files.is_whole(name, sha256[name])

    def is_bad(metadata: str) -> bool:
        try:
            key, names, ended = segment_of(metadata)
            found = _history(key, [files.read(name, sha256[name.file]) for name in names]) if names else None
        except (StoreError, ValueError, LookupError):
            return True
        return key.run != run or (found is not None and found.ended != ended)

    return ledger.forget(is_bad, lambda slot: blank_metadata(run, slot))


def _history(key: SegmentKey, pieces: list[Piece]) -> History:
    """Put pieces together; where the segment begins is not known here."""
    is_branch, first_step = key.branch > 0, pieces[0].first_step
    history = History(Start(key, key if is_branch else None, first_step - is_branch, math.nan), pieces)
    _ = history.past  # looks for the state that it goes on from
    return history


def _check_rest(directory: RunDirectory, variant: Variant, run: int, ledger: RunLedger) -> None:
    """Make sure that what is left fits together.

    Raises
    ------
    StoreError
        If it does not: then nothing of the ledger can be trusted.
    """
    try:
        recorded = Recorded.read(ledger, run, directory.info)
        decided(directory, variant, {run: recorded})
    except RunDirectoryError as error:
        raise StoreError(str(error)) from error


def _set_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.damaged-{uuid4().hex[:8]}")
    path.rename(aside)
    return f"{path}: set aside as {aside.name}"
