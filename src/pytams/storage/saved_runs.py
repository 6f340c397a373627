"""The runs of a run directory, as they are on disk."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.compact import RunOutcome
from pytams.core.errors import RunDirectoryError
from pytams.storage.ends import decide, read_ends
from pytams.storage.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytams.core.ports import Source
    from pytams.core.selection import Variant
    from pytams.core.splitting import Iteration, Splitting
    from pytams.sqldb.owner import Owner
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory


class SavedRuns:
    """What there is of the runs of a study: finished ones are read, others decided from their trajectories.

    Parameters
    ----------
    directory, variant
        Of the study.

    Raises
    ------
    RunDirectoryError, StoreError, LedgerError
        If something is damaged.
    """

    def __init__(self, directory: RunDirectory, variant: Variant) -> None:
        self._directory, self._variant = directory, variant
        self._owners: dict[int, Owner | None] = {}
        ends = read_ends(directory, variant, self._ledgers())
        self.outcomes = ends.outcomes
        """Of finished runs, by number."""
        self.wall_time = ends.wall_time
        """Seconds that the longest session spent."""
        self._recorded, self._decided = ends.recorded, ends.splittings
        finished = [run for run, recorded in self._recorded.items() if recorded.is_finished]
        self.damaged = [run for run in finished if run not in self.outcomes]
        """Runs that were finished, and of which something is missing."""

    def _ledgers(self) -> Iterator[tuple[int, RunLedger]]:
        """Open each ledger, and take note of who drives it."""
        for run in self._directory.begun():
            with self._directory.ledger(run, read_only=True) as ledger:
                self._owners[run] = ledger.driver()
                yield run, ledger

    @cached_property
    def splittings(self) -> dict[int, Splitting]:
        """The state of each run of which something is recorded, by number: to look at."""
        for run in self.outcomes:
            self.records(run)
        return decide(self._directory, self._variant, self._recorded)

    @property
    def have_begun(self) -> bool:
        """Whether something is recorded of any."""
        return bool(self.outcomes or self._decided)

    def result(self, source: Source, *, so_far: bool = False) -> Result:
        """Sum up the finished runs; or all that have begun, as they are so far.

        Raises
        ------
        RunDirectoryError
            If there is none.
        """
        info, target = self._directory.info, self._directory.info.settings.target_score
        runs = {run: RunResult.of(outcome, target) for run, outcome in self.outcomes.items()}
        if so_far:
            begun = {run: RunOutcome.of(splitting) for run, splitting in self._decided.items() if run not in runs}
            runs |= {run: RunResult.of(outcome, target, finished=False) for run, outcome in begun.items()}
        if not runs:
            raise RunDirectoryError(f"{self._directory.path}: no run has begun yet")
        return Result(
            model=info.model.name,
            settings=info.settings,
            seed=info.seed,
            runs=tuple(run for _, run in sorted(runs.items())),
            n_unfinished=info.n_runs - len(self.outcomes),
            wall_time=self.wall_time,
            caveat=info.model.caveat,
            taught_by=info.model.teachers,
            labels=info.model.labels,
            source=source,
        )

    def records(self, run: int) -> Recorded:
        """Read what is recorded of a run, unless it is known."""
        if run not in self._recorded:
            with self._directory.ledger(run, read_only=True) as ledger:
                self._recorded[run] = Recorded.read(ledger, run, self._directory.info)
        return self._recorded[run]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Say how far each run is: plain numbers and text, for JSON."""
        return list(map(self._to_dict, self._owners))

    def _to_dict(self, run: int) -> dict[str, Any]:
        owner, levels, n_branchings, log_weight = self._owners[run], [], 0, 0.0
        if (outcome := self.outcomes.get(run)) is not None:
            levels, n_branchings, log_weight = outcome.iterations.levels, outcome.n_branchings, outcome.log_weight
        elif (splitting := self._decided.get(run)) is not None:  # else nothing is recorded yet
            levels, n_branchings = [one.level for one in splitting.iterations], splitting.n_branchings
            log_weight = splitting.log_weight
        return {
            "run": run,
            "finished": outcome is not None,
            "damaged": run in self.damaged,
            "level": levels[-1] if levels else None,
            "log_weight": log_weight if log_weight > -math.inf else None,  # of getting above the level
            "n_iterations": len(levels),
            "n_branchings": n_branchings,
            "driver": None if owner is None else owner.label,
        }

    def iterations(self, run: int) -> Sequence[Iteration]:
        """Get the iterations of a run; KeyError if nothing of it is there."""
        return self._of(run).iterations

    def branches(self, run: int) -> list[int]:
        """List the branch of each member of the ensemble."""
        found = self._of(run)
        if isinstance(found, RunOutcome):
            return [final.key.branch for final in found.members]
        return [member.start.key.branch for member in found.members]

    def _of(self, run: int) -> RunOutcome | Splitting:
        found = self.outcomes.get(run) or self._decided.get(run)
        if found is None:
            n = len({*self.outcomes, *self._decided})
            raise KeyError(f"{self._directory.path} has no run {run}: there are {n} of {self._directory.info.n_runs}")
        return found
