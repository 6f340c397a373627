"""Writing whole runs: a file of all that were taken, then one transaction for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytams.sqldb.runledger import IterationRow, TrajectoryRow
from pytams.sqldb.tables import COMPLETED
from pytams.storage.claims import record
from pytams.storage.columns import Columns
from pytams.storage.metadata import MetadataText, weight_text
from pytams.storage.pending import iteration_weight
from pytams.storage.seals import seal
from pytams.storage.status import RunStatus

if TYPE_CHECKING:
    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Activity
    from pytams.storage.directory import RunDirectory
    from pytams.storage.pending import PendingRun

_MANY_BYTES = 2**24


class Taken:
    """Whole runs that are finished, and of which nothing has been written."""

    def __init__(self) -> None:
        self._runs: list[tuple[PendingRun, RunOutcome]] = []
        self._n_bytes = 0

    def add(self, run: PendingRun, outcome: RunOutcome) -> None:
        """Take one."""
        assert outcome.recorded is not None
        self._runs.append((run, outcome))
        self._n_bytes += outcome.recorded.n_bytes

    @property
    def is_much(self) -> bool:
        """Whether they take much memory."""
        return self._n_bytes > _MANY_BYTES

    def write(self, directory: RunDirectory, activity: Activity) -> list[int]:
        """Write them, and list their numbers."""
        runs, self._runs, self._n_bytes = self._runs, [], 0
        if not runs:
            return []
        parts = [_columns(outcome) for _, outcome in runs]
        file, sha256 = directory.segment_files.write(Columns.joined(parts), directory.info.settings.step_size)
        first_row = 0
        for (run, outcome), part in zip(runs, parts, strict=True):
            _commit(directory, run, outcome, (file, sha256, first_row), activity)
            first_row += len(part.keys)
        return [outcome.run for _, outcome in runs]


def _columns(outcome: RunOutcome) -> Columns:
    """Put together what is stored of a run: a piece for each segment."""
    recorded, started, n = outcome.recorded, outcome.iterations.started, len(outcome.members)
    assert recorded is not None
    started = started[~started["ended"]]
    keys = np.zeros((n + len(started), 3), np.int64)
    keys[:, 0], keys[:n, 1] = outcome.run, np.arange(n)
    keys[n:, 1], keys[n:, 2] = started["slot"], started["branch"]
    n_scores, n_states = np.diff(recorded.bounds[:, :2], axis=0, prepend=0).T
    return Columns(
        keys=keys,
        first_steps=np.concatenate([np.zeros(n, np.int64), started["step"] + 1]),
        ended=np.ones(len(keys), np.bool_),
        n_scores=n_scores,
        n_states=n_states,
        scores=recorded.scores,
        steps=recorded.steps,
        states=recorded.states,
    )


def _commit(
    directory: RunDirectory,
    pending: PendingRun,
    outcome: RunOutcome,
    where: tuple[str, str, int],
    activity: Activity,
) -> None:
    """Write one run: one transaction, one fact."""
    info, ledger = directory.info, pending.ledger
    file, sha256, first_row = where
    rows = _rows(outcome, file, first_row, MetadataText(info.settings))
    members = {
        i: TrajectoryRow(file, rows[i, final.key.branch], COMPLETED) for i, final in enumerate(outcome.members)
    }
    n_archived = len(rows) - len(members)  # at extinction the slots keep what they have
    killed = outcome.iterations.branchings["killed"][:n_archived].tolist()
    iterations = _iteration_rows(outcome)
    status = RunStatus.of_finished(outcome, len(members), activity)

    def write() -> None:
        ledger.add_file(file, sha256)
        ledger.archive_trajectories([(file, rows[key]) for key in killed])
        ledger.put_trajectories(members)
        ledger.put_iterations(0, iterations)
        ledger.put_info("wall_time", repr(activity.wall_time))
        ledger.put_info("progress", status.to_json())
        ledger.put_info("finished", info.cap)
        seal(ledger, outcome)

    record(ledger, write)


def _rows(outcome: RunOutcome, file: str, first_row: int, text: MetadataText) -> dict[tuple[int, int], str]:
    """Say what became of every segment, by slot and branch."""
    assert outcome.recorded is not None
    run, row = outcome.run, 0
    last_steps, maxima = outcome.recorded.bounds[:, 2].tolist(), outcome.recorded.maxima.tolist()
    weights, at_the_end = _weights(outcome), weight_text(outcome.log_weight)
    lineages: dict[tuple[int, int], str] = {}
    rows: dict[tuple[int, int], str] = {}

    for slot in range(len(outcome.members)):
        key = slot, 0
        lineages[key] = ""
        rows[key] = text(
            (run, slot, 0),
            None,
            (0, math.nan),
            last_steps[row],
            maxima[row],
            True,
            weights.get(key, at_the_end),
            "[]",
            f'[["{file}", {first_row + row}]]',
        )
        row += 1
    for slot, branch, parent, step, score, ended in outcome.iterations.started.tolist():
        key, last_step, best, pieces = (slot, branch), step, score, "[]"
        if not ended:
            last_step, best, pieces = last_steps[row], maxima[row], f'[["{file}", {first_row + row}]]'
            row += 1
        before = lineages[parent]
        lineages[key] = lineage = f"{before}, {parent[0]}" if before else f"{parent[0]}"
        rows[key] = text(
            (run, slot, branch),
            parent,
            (step, score),
            last_step,
            best,
            True,
            weights.get(key, at_the_end),
            f"[{lineage}]",
            pieces,
        )
    return rows


def _weights(outcome: RunOutcome) -> dict[tuple[int, int], str]:
    """Write the weights that trajectories had when they were killed: those of the ensemble before."""
    iterations = outcome.iterations
    ends, killed = [0, *iterations.ends], iterations.branchings["killed"].tolist()
    texts = map(weight_text, [0.0, *iterations.log_weights])
    spans = zip(ends, ends[1:], texts, strict=False)
    found = {key: text for first, end, text in spans for key in killed[first:end]}
    if outcome.log_weight == -math.inf:  # these are still there
        for key in killed[ends[-2] :]:
            del found[key]
    return found


def _iteration_rows(outcome: RunOutcome) -> list[IterationRow]:
    """Make the rows of the splitting iterations."""
    iterations, rows, first = outcome.iterations, list[IterationRow](), 0
    branchings = iterations.branchings
    slots, ancestors = branchings["killed"]["slot"].tolist(), branchings["ancestor"]["slot"].tolist()
    maxima = branchings["maximum"].tolist()
    for end, log_weight, highest in zip(iterations.ends, iterations.log_weights, iterations.highest, strict=True):
        here = slice(first, end)
        rows.append(
            IterationRow(
                k=first,
                bias=end - first,
                weight=iteration_weight(log_weight),
                discarded_ids=slots[here],
                ancestor_ids=ancestors[here] if log_weight > -math.inf else [],
                min_vals=maxima[here],
                min_max=[min(maxima[here]), highest],
                completed=True,
            )
        )
        first = end
    return rows
