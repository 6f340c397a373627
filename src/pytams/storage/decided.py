"""What follows from what is on disk: the decisions of runs, made again from their recorded scores."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytams.core.driver import Driver
from pytams.core.errors import RunDirectoryError
from pytams.core.nothing import NoEngine, NoJournal
from pytams.core.splitting import all_starts
from pytams.core.text import printable
from pytams.sqldb.runledger import splitting_columns
from pytams.storage.metadata import check_said, lineage, weight_facts
from pytams.storage.pending import iteration_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.segments import Past, Start
    from pytams.core.selection import Variant
    from pytams.core.splitting import Splitting
    from pytams.storage.directory import RunDirectory
    from pytams.storage.recorded import Recorded


def decided(directory: RunDirectory, variant: Variant, recorded: Mapping[int, Recorded]) -> dict[int, Splitting]:
    """Make the state machines of runs, as far as their trajectories are on disk; nothing is computed.

    Raises
    ------
    StoreError
        If a file is damaged.
    RunDirectoryError
        If what is written beside the files is not what follows from them.
    """

    def past(start: Start) -> Past | None:
        history = recorded[start.key.run].history(start, directory.segment_files)
        return None if history is None else history.past_without_point

    info = directory.info
    driver = Driver(info.settings, info.seed, variant, NoEngine(), NoJournal(past))
    driver.begin(list(recorded))
    for run, splitting in driver.splittings.items():
        compare_decisions(recorded[run], splitting)
    return driver.splittings


def compare_decisions(recorded: Recorded, splitting: Splitting) -> tuple[int, int]:
    """Compare what is written of decisions with what the trajectories give, as far as there are both.

    Returns
    -------
    n_found, n_expected
        How many completed iterations there are of each.

    Raises
    ------
    RunDirectoryError
        If they differ.
    """
    found = [row for row in recorded.iterations if row["status"] == "completed"]
    expected = [splitting_columns(row) for row in iteration_rows(splitting, 0)[: splitting.n_complete]]
    for i, (there, here) in enumerate(zip(found, expected, strict=False)):
        if there["weight"] == json.dumps(math.exp(splitting.iterations[i].log_weight)):
            there["weight"] = here["weight"]  # earlier versions wrote weights below the smallest float so
        for column, value in here.items():
            if there[column] != value:
                raise RunDirectoryError(
                    f"{recorded.ledger_name}: {column} of splitting iteration {i} is "
                    f"{printable(str(there[column]))}, but the trajectories give {value}: was the ledger edited, or "
                    "the model changed?"
                )
    _compare_rows(recorded, splitting)
    return len(found), len(expected)


def _compare_rows(recorded: Recorded, splitting: Splitting) -> None:
    """Compare the ancestors and the weights that are written of trajectories with those that follow.

    The weight of a member of the ensemble is final when the run is; before, it is the one it had when its row was
    written. Earlier versions wrote no log of it, and of some trajectories only the last ancestors.
    """
    is_final = splitting.finished and recorded.is_finished
    iterations = splitting.iterations
    weights = [0.0, *(iteration.log_weight for iteration in iterations)]
    killed_in = {key: iteration.index for iteration in iterations if iteration.starts for key in iteration.killed}
    starts = all_starts(splitting.run, len(splitting.members), iterations)
    parents = {key: start.parent for key, start in starts.items() if start.parent is not None}
    for key, start in starts.items():
        row = recorded.rows.get(key)
        if row is None:
            continue
        said = json.loads(row.metadata)
        expected: dict[str, Any] = {}
        if start.ended:  # nothing was left to simulate, and no file has it
            recorded.check(start, step=start.step, best=start.score, ended=True)
        if "log_weight" in said and (key in recorded.archived if key in killed_in else is_final):
            expected = weight_facts(weights[killed_in.get(key, -1)])
        if "branching_history" in said:
            history = said["branching_history"]
            n_said = len(history) if isinstance(history, list) else 0
            expected["branching_history"] = lineage(parents, key)[-n_said:]
        check_said(recorded.ledger_name, said, expected)
