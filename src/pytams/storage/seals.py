"""What a finished run came to, under a seal: it need not be decided again as long as its ledger is what was sealed.

A seal is a hash of all that a ledger says. Where it does not fit, because something was edited or is damaged, or if
there is none, the run is decided again from its trajectories, and whatever is wrong is found there. It is no proof
against somebody who writes a seal of his own: he could as well have written other trajectories.
"""

from __future__ import annotations

import hashlib
import json
import math
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pytams.core.compact import Finals, Iterations, RunOutcome
from pytams.core.partings import Pairs, Partings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams.core.settings import Settings
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.manifest import StudyInfo

_OUTCOME, _SEAL = "outcome", "seal"
_Kept = TypeVar("_Kept", Iterations, Finals)


def seal(ledger: RunLedger, outcome: RunOutcome) -> None:
    """Note what a finished run came to, and seal its ledger: the last thing in the transaction that ends it."""
    ledger.put_info(_OUTCOME, _written(outcome))
    ledger.put_info(_SEAL, _digest(ledger, outcome.run))


def sealed(ledger: RunLedger, run: int, info: StudyInfo) -> RunOutcome | None:
    """Read what a run came to; None if it is not finished, has no seal, or one that does not fit."""
    text = ledger.get_info(_OUTCOME)
    if text is None or ledger.get_info("finished") != info.cap or ledger.get_info(_SEAL) != _digest(ledger, run):
        return None
    try:
        return _read(text, run, info.settings)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # the trajectories tell
        return None


def _digest(ledger: RunLedger, run: int) -> str:
    """Hash all that the ledger of a run says, but for what changes while nothing happens."""
    said = [ledger.get_info(key) for key in (_OUTCOME, "study", "finished")]
    return hashlib.sha256(repr((run, said, ledger.contents())).encode()).hexdigest()


def _written(outcome: RunOutcome) -> str:
    neighbours, branches, after, starts_after = outcome.partings
    return json.dumps(
        {
            "n_steps": outcome.n_steps,
            "neighbours": neighbours,
            "branches": branches,
            "after": _counts(after),
            "starts_after": _counts(starts_after),
            "iterations": _arrays(outcome.iterations),
            "members": _arrays(outcome.members),
        }
    )


def _counts(after: tuple[tuple[float, int], ...]) -> list[tuple[float | None, int]]:
    return [(None if math.isinf(step) else step, count) for step, count in after]


def _arrays(kept: Iterations | Finals) -> list[tuple[int, str]]:
    """Write each array: what kind it is of, and its bytes."""
    return [
        (kinds.index(array.dtype), b64encode(array.tobytes()).decode())
        for kinds, array in zip(kept.kinds, kept.arrays, strict=True)
    ]


def _read(text: str, run: int, settings: Settings) -> RunOutcome:
    said = json.loads(text)
    iterations, members = _made(Iterations, run, said["iterations"]), _made(Finals, run, said["members"])
    _check(iterations, members, said["n_steps"], settings.n_trajectories)
    after, starts_after = (_steps(said[name]) for name in ("after", "starts_after"))
    partings = Partings(Pairs(*said["neighbours"]), Pairs(*said["branches"]), after, starts_after)
    return RunOutcome.of_parts(run, settings.target_score, said["n_steps"], iterations, members, partings)


def _check(iterations: Iterations, members: Finals, n_steps: Any, n: int) -> None:
    """Make sure that it belongs together, whoever has sealed it."""
    own, branchings, _ = iterations.arrays
    n_killed = np.diff(own["end"].astype(np.int64), prepend=0)
    slots = [branchings[name]["slot"] for name in ("killed", "ancestor", "parent")]
    if (
        len(members) != n
        or n_killed.sum() != len(branchings)
        or not np.all((n_killed > 0) & (n_killed <= n))
        or any(np.any(some >= n) for some in slots)
        or not isinstance(n_steps, int)
        or n_steps < 0
    ):
        raise ValueError("it does not belong together")


def _steps(counts: list[tuple[float | None, int]]) -> tuple[tuple[float, int], ...]:
    return tuple((math.inf if step is None else step, count) for step, count in counts)


def _made(kind: type[_Kept], run: int, written: list[tuple[int, str]]) -> _Kept:
    arrays: list[NDArray[Any]] = [
        np.frombuffer(b64decode(content), kinds[which])
        for kinds, (which, content) in zip(kind.kinds, written, strict=True)
    ]
    return kind(run, *arrays)
