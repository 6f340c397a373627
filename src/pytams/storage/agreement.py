"""Whether a ledger is of the study that ``study.json`` says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytams.core.errors import RunDirectoryError
from pytams.core.text import printable
from pytams.storage.manifest import facts_from, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.core.selection import Variant
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.manifest import StudyInfo


def check_ledger(path: Path, info: StudyInfo, ledger: RunLedger, run: int) -> None:
    """Compare the settings of a run directory with those of a ledger; only the cap on branchings may have risen.

    Raises
    ------
    RunDirectoryError
        If they differ, or the ledger has not as many trajectories as there should be.
    """
    facts = info.facts()
    n_rows, n = ledger.get_trajectory_count(), info.settings.n_trajectories
    if n_rows not in {0, n}:
        raise RunDirectoryError(
            f"{path / 'study.json'}: n_trajectories is {n}, but {ledger.name()} has {n_rows} of them: "
            "one of the two was edited, or is damaged"
        )
    if not n_rows and _is_emptied(ledger):
        raise RunDirectoryError(
            f"{ledger.name()} has no trajectories, but segment files of run {run}: it was edited, or is damaged"
        )
    text = ledger.get_info("study")
    try:
        made_with = facts if text is None else facts_from(text)
    except (TypeError, ValueError) as error:
        what = f"{ledger.name()}: what it says of its study is not what was written"
        raise RunDirectoryError(f"{what}: {error}") from error
    cap = made_with.get("max_branchings")
    if cap != facts["max_branchings"] and _is_known(path, info, cap):
        made_with = made_with | {"max_branchings": facts["max_branchings"]}
    for name in facts | made_with:
        if facts.get(name) != made_with.get(name):
            raise RunDirectoryError(
                f"{path / 'study.json'}: {name} is {facts.get(name)!r}, but run {run} was made with "
                f"{made_with.get(name)!r}: put it back, or start a new study"
            )


def _is_known(path: Path, info: StudyInfo, cap: Any) -> bool:
    """Whether a ledger's cap on branchings is one that the study had, or has got since it was opened."""
    if cap is not None and not isinstance(cap, int):
        return False
    number = math.inf if cap is None else cap
    return number < info.settings.cap or number <= read_manifest(path / "study.json").settings.cap


def check_variant(path: Path, info: StudyInfo, variant: Variant) -> None:
    """Make sure that what is to make decisions is what made them.

    Raises
    ------
    RunDirectoryError
        If the study was made with another splitting variant.
    """
    if info.settings.variant != variant.name:
        raise RunDirectoryError(
            f"{path} was made with the splitting variant {printable(info.settings.variant)}: open it in Python, by "
            "pytams.load(..., variant=...)"
        )


def _is_emptied(ledger: RunLedger) -> bool:
    """Whether something was recorded, and there are no trajectories; somebody may be writing the first ones now."""
    recorded = ledger.files() or ledger.get_archived_trajectory_count()
    return bool(recorded) and not ledger.get_trajectory_count()
