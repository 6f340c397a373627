"""The runs of a study that are not driven here: read, never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.compact import RunOutcome
from pytams.core.ports import Elsewhere
from pytams.storage.decided import decided
from pytams.storage.recorded import DAMAGED, Recorded, wall_time_of
from pytams.storage.seals import sealed

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
        info, files = self._directory.info, set[tuple[str, str]]()
        finished: dict[int, RunOutcome] = {}
        recorded: dict[int, Recorded] = {}
        wall_times = [self.our_wall_time] if self.our_wall_time else []
        for run, ledger in self._ledgers():
            if run in unfinished:
                continue
            wall_times.append(wall_time_of(ledger))
            if (outcome := sealed(ledger, run, info)) is not None:
                finished[run] = outcome
                files.update(ledger.files().items())
            else:
                recorded[run] = Recorded.read(ledger, run, info)
        for name, sha256 in sorted(files):
            self._directory.segment_files.check(name, sha256)
        splittings = decided(self._directory, self._variant, recorded)
        self._directory.segment_files.close()
        damaged = {run: DAMAGED for run, splitting in splittings.items() if not splitting.finished}
        ends = ((run, splitting) for run, splitting in splittings.items() if splitting.finished)
        finished |= {run: RunOutcome.of(splitting) for run, splitting in ends}
        return Elsewhere(finished, unfinished | damaged, max(wall_times, default=None))

    def witnesses(self) -> list[Witness]:
        """Take segments of any run that was recorded."""
        for run, ledger in self._ledgers():
            recorded = Recorded.read(ledger, run, self._directory.info)
            found = recorded.witnesses(self._directory.segment_files)
            if found:
                return found
        return []
