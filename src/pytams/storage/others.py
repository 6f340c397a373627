"""The runs of a study that are not driven here: read, never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.ports import Elsewhere
from pytams.storage.ends import read_ends
from pytams.storage.recorded import DAMAGED, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytams.core.selection import Variant
    from pytams.core.verification import Witness
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.claims import Claims
    from pytams.storage.directory import RunDirectory


class Others:
    """The runs that others drive, have finished, or have not begun.

    Parameters
    ----------
    directory, variant
        Of the study.
    claims
        Which runs are ours, and when one is finished.
    """

    def __init__(self, directory: RunDirectory, variant: Variant, claims: Claims) -> None:
        self._directory, self._variant, self._claims = directory, variant, claims
        self.our_wall_time = 0.0
        """Seconds that were noted last of runs that are ours."""

    def _numbers(self) -> list[int]:
        return [run for run in range(self._directory.n_runs_now()) if run not in self._claims.ours]

    def _ledgers(self) -> Iterator[tuple[int, RunLedger]]:
        """Open the ledgers of runs that have begun, one after the other."""
        for run in self._numbers():
            if self._directory.has_ledger(run):
                with self._directory.ledger(run, read_only=True) as ledger:
                    yield run, ledger

    def _unfinished(self) -> dict[int, str | None]:
        """Find who drives each run that is not finished; None: nobody does."""
        found: dict[int, str | None] = dict.fromkeys(self._numbers())
        for run, ledger in self._ledgers():
            if self._claims.is_finished(ledger):
                del found[run]
            elif (driver := ledger.driver()) is not None:
                found[run] = driver.label
        return found

    def awaited(self, runs: Sequence[int]) -> dict[int, str]:
        """Say who drives each run that is not finished: those that somebody drives, and those of `runs`."""
        return {run: who or "nobody" for run, who in self._unfinished().items() if who is not None or run in runs}

    def elsewhere(self) -> Elsewhere:
        """Find what became of them."""
        unfinished = {run: f"driven by {who or 'nobody'}" for run, who in self._unfinished().items()}
        ended = ((run, ledger) for run, ledger in self._ledgers() if run not in unfinished)
        ends = read_ends(self._directory, self._variant, ended)
        self._directory.segment_files.close()
        damaged = {run: DAMAGED for run in ends.recorded if run not in ends.outcomes}
        return Elsewhere(ends.outcomes, unfinished | damaged, max(self.our_wall_time, ends.wall_time) or None)

    def witnesses(self) -> list[Witness]:
        """Take segments of any run that was recorded."""
        for run, ledger in self._ledgers():
            recorded = Recorded.read(ledger, run, self._directory.info)
            found = recorded.witnesses(self._directory.segment_files)
            if found:
                return found
        return []
