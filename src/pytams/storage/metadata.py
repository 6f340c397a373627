"""The metadata of trajectories in the ledger, as JSON: what is written there, and whether that is so.

People and tools read all of it. What decides comes from segment files; a row that says anything else was edited, or
is damaged.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytams.core.errors import RunDirectoryError
from pytams.core.segments import SegmentKey, Start
from pytams.storage.files import REPAIR
from pytams.storage.segment_files import PieceName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.settings import Settings


def facts_of(start: Start, *, step: int, best: float, ended: bool, settings: Settings) -> dict[str, Any]:
    """Say what is known of a segment that is at a step, with its largest score."""
    dt = settings.step_size
    return {
        "id": start.key.slot,
        "run": start.key.run,
        "slot": start.key.slot,
        "branch": start.key.branch,
        "parent": None if start.parent is None else [start.parent.slot, start.parent.branch],
        "branch_step": start.step,
        "branch_score": None if start.parent is None else start.score,
        "t_end": settings.n_steps * dt,
        "t_cur": settings.times(step),
        "dt": dt,
        "ended": ended,
        "converged": best >= settings.target_score,
        "score_max": None if math.isinf(best) else best,
        "length": step,
        "nstep_compute": max(0, step - start.step),
    }


class MetadataText:
    """Writes what is known of a segment as JSON: as `json.dumps` would, in a fraction of the time.

    Parameters
    ----------
    settings
        Of the study.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._target = settings, settings.target_score
        dt = settings.step_size
        self._t_end, self._dt = json.dumps(settings.n_steps * dt), json.dumps(dt)

    def __call__(
        self,
        key: tuple[int, int, int],
        parent: tuple[int, int] | None,
        branch_point: tuple[int, float],
        step: int,
        best: float,
        ended: bool,
        weight: str,
        lineage: str,
        pieces: str,
    ) -> str:
        """Write it.

        Parameters
        ----------
        key
            Run, slot and branch.
        parent
            Slot and branch of the segment that it branches from.
        branch_point
            Step and score there.
        step, best, ended
            Where it is, its largest score, and whether it goes no further.
        weight
            As `weight_text` writes it.
        lineage, pieces
            The slots of its ancestors, and its pieces, as JSON.
        """
        run, slot, branch = key
        branch_step, branch_score = branch_point
        parent_text, score_text = ("null", "null") if parent is None else (str(list(parent)), repr(branch_score))
        return (
            f'{{"id": {slot}, "run": {run}, "slot": {slot}, "branch": {branch}, '
            f'"parent": {parent_text}, "branch_step": {branch_step}, '
            f'"branch_score": {score_text}, "t_end": {self._t_end}, '
            f'"t_cur": {self._settings.times(step)!r}, "dt": {self._dt}, "ended": {_WORDS[ended]}, '
            f'"converged": {_WORDS[best >= self._target]}, '
            f'"score_max": {"null" if math.isinf(best) else repr(best)}, "length": {step}, '
            f'"nstep_compute": {max(0, step - branch_step)}, {weight}, '
            f'"branching_history": {lineage}, "pieces": {pieces}}}'
        )


def weight_text(log_weight: float) -> str:
    """Write what the weight of a trajectory is, as JSON; its log is null if it is 0."""
    return json.dumps(weight_facts(log_weight))[1:-1]


_WORDS = {True: "true", False: "false"}
_GROWING = "t_cur", "converged", "score_max", "length", "nstep_compute"


def weight_facts(log_weight: float) -> dict[str, Any]:
    """Say what the weight of a trajectory is; its log is None if it is 0."""
    return {"weight": math.exp(log_weight), "log_weight": None if math.isinf(log_weight) else log_weight}


def lineage(parents: Mapping[SegmentKey, SegmentKey], key: SegmentKey) -> list[int]:
    """List the slots of the ancestors of a trajectory, the first one first."""
    slots = []
    parent = parents.get(key)
    while parent is not None:
        slots.append(parent.slot)
        parent = parents.get(parent)
    return slots[::-1]


def blank_metadata(run: int, slot: int) -> str:
    """Write that nothing of a slot is recorded."""
    return json.dumps({"run": run, "slot": slot, "branch": 0, "ended": False, "pieces": []})


def segment_of(metadata: str) -> tuple[SegmentKey, list[PieceName], bool]:
    """Read which segment a row is about, where it is, and whether it is said to have ended.

    Raises
    ------
    ValueError
        If that is not what the metadata says.
    """
    if not isinstance(metadata, str):  # SQLite keeps whatever it is given
        raise ValueError(f"it is {metadata!r}")  # noqa: TRY004 - as documented
    try:
        found = json.loads(metadata)
        key = _key(found)
        names = [PieceName(str(file), int(row)) for file, row in found["pieces"]]
        return key, names, bool(found["ended"])
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {metadata[:80]!r}") from None


def _key(found: dict[str, Any]) -> SegmentKey:
    return SegmentKey(*(int(found[name]) for name in ("run", "slot", "branch")))


def length_of(metadata: str) -> int:
    """Read which step a segment is said to be at; -1 if it is not said."""
    length = json.loads(metadata).get("length")
    return length if isinstance(length, int) else -1


def start_of(metadata: str) -> Start:
    """Read where a segment is said to begin; ValueError if it is not said."""
    try:
        found = json.loads(metadata)
        key = _key(found)
        if found["parent"] is None:
            return Start(key, None, 0, math.nan)
        slot, branch = found["parent"]
        return Start(key, SegmentKey(key.run, slot, branch), int(found["branch_step"]), float(found["branch_score"]))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {metadata[:80]!r}") from None


def check_segment(
    ledger_name: str, metadata: str, start: Start, *, step: int, best: float, ended: bool, settings: Settings
) -> None:
    """Make sure that a row says what is in files of a segment; while it goes on, the row may be ahead of them.

    Raises
    ------
    RunDirectoryError
        As `check_said`.
    """
    facts = facts_of(start, step=step, best=best, ended=ended, settings=settings)
    known = facts if ended else {name: value for name, value in facts.items() if name not in _GROWING}
    check_said(ledger_name, json.loads(metadata), known)


def check_said(ledger_name: str, said: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Make sure that a row says what follows from files, as far as it says anything of it.

    Raises
    ------
    RunDirectoryError
        If it does not: the message names what differs.
    """
    for name, value in expected.items():
        if name in said and said[name] != value:
            run, slot, branch = (said[part] for part in ("run", "slot", "branch"))
            raise RunDirectoryError(
                f"{ledger_name}: {name} of run {run}, slot {slot}, branch {branch} is {said[name]!r}, but its files "
                f"give {value!r}: {REPAIR}"
            )
