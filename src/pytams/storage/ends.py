"""What became of runs: finished ones are read under their seals, others decided again from their trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytams.core.compact import RunOutcome
from pytams.storage.decided import decided
from pytams.storage.recorded import Recorded, wall_time_of
from pytams.storage.seals import sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytams.core.selection import Variant
    from pytams.core.splitting import Splitting
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory


class Ends(NamedTuple):
    """What there is of runs, by number."""

    outcomes: dict[int, RunOutcome]
    """Of those that are finished."""
    recorded: dict[int, Recorded]
    """What is recorded of those without a seal that fits."""
    splittings: dict[int, Splitting]
    """The state of each of these of which something is recorded."""
    wall_time: float
    """Seconds that the longest session spent."""


def read_ends(directory: RunDirectory, variant: Variant, ledgers: Iterable[tuple[int, RunLedger]]) -> Ends:
    """Read what became of runs, each with its ledger, which need not stay open.

    Raises
    ------
    RunDirectoryError, StoreError, LedgerError
        If something is damaged.
    """
    outcomes: dict[int, RunOutcome] = {}
    recorded: dict[int, Recorded] = {}
    files: set[tuple[str, str]] = set()
    wall_time = 0.0
    for run, ledger in ledgers:
        outcome = sealed(ledger, run, directory.info)
        if outcome is None:
            recorded[run] = Recorded.read(ledger, run, directory.info)
            wall_time = max(wall_time, recorded[run].wall_time)
        else:
            outcomes[run] = outcome
            wall_time = max(wall_time, wall_time_of(ledger))
            files.update(ledger.files().items())  # those that others are decided from are looked at anyway
    for name, sha256 in sorted(files):
        directory.segment_files.check(name, sha256)
    splittings = decide(directory, variant, recorded)
    ends = ((run, splitting) for run, splitting in splittings.items() if splitting.finished)
    outcomes |= {run: RunOutcome.of(splitting) for run, splitting in ends}
    return Ends(outcomes, recorded, splittings, wall_time)


def decide(directory: RunDirectory, variant: Variant, recorded: Mapping[int, Recorded]) -> dict[int, Splitting]:
    """Make the state machines of the runs of which something is recorded, in the order of their numbers."""
    return decided(directory, variant, {run: found for run, found in sorted(recorded.items()) if found.rows})
