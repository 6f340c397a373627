"""What earlier sessions recorded of a run: which segments are on disk, and where."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Self

from pytams.core.errors import DamagedFileError, RunDirectoryError
from pytams.core.segments import SegmentKey, Start
from pytams.core.states import digest
from pytams.core.verification import Beginning, Outline, Witness
from pytams.storage.files import REPAIR
from pytams.storage.history import History
from pytams.storage.segment_files import PieceName

if TYPE_CHECKING:
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.segment_files import SegmentFiles

DAMAGED = f"damaged: it was finished, and some of it is missing; {REPAIR}"
"""What is said of a run whose ledger says that it is finished, while its trajectories do not."""


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
        key = SegmentKey(*(int(found[name]) for name in ("run", "slot", "branch")))
        names = [PieceName(str(file), int(row)) for file, row in found["pieces"]]
        return key, names, bool(found["ended"])
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {metadata[:80]!r}") from None


def blank_metadata(run: int, slot: int) -> str:
    """Write that nothing of a slot is recorded."""
    return json.dumps({"run": run, "slot": slot, "branch": 0, "ended": False, "pieces": []})


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One run, as its ledger has it."""

    ledger_name: str
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each segment file."""
    pieces: dict[SegmentKey, tuple[list[PieceName], bool]] = field(default_factory=dict)
    """Where each segment is, and whether it has ended."""
    archived: set[SegmentKey] = field(default_factory=set)
    """Killed trajectories."""
    iterations: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the splitting iterations."""
    wall_time: float = 0.0
    """Seconds that earlier sessions spent."""
    finished_under: str | None = None
    """The cap on branchings under which it was finished, as `StudyInfo.cap` has it; None if it was not."""

    @classmethod
    def read(cls, ledger: RunLedger, run: int) -> Self:
        """Read it; empty if nothing has been written yet.

        Raises
        ------
        RunDirectoryError
            If it is not what was written, or is of another run.
        """
        recorded = cls(ledger_name=ledger.name())
        wall_time = ledger.get_info("wall_time")
        if wall_time is None:
            return recorded
        try:
            recorded.wall_time = float(wall_time)
        except ValueError:
            recorded.wall_time = math.nan
        if not 0.0 <= recorded.wall_time < math.inf:
            raise RunDirectoryError(f"{ledger.name()}: its wall time is not what was written: {wall_time!r}")
        recorded.finished_under = ledger.get_info("finished")
        rows = [row.metadata for row in ledger.trajectories()]
        archived = [metadata for _, metadata in ledger.archived_trajectories()] + ledger.discarded()
        for is_archived, texts in ((False, rows), (True, archived)):
            for text in texts:
                try:
                    key, names, ended = segment_of(text)
                except ValueError as error:
                    raise RunDirectoryError(
                        f"{ledger.name()}: the metadata of a trajectory is not what was written: {error}; {REPAIR}"
                    ) from None
                if key.run != run:
                    raise RunDirectoryError(f"{ledger.name()} has trajectories of run {key.run}: was it renamed?")
                recorded.pieces[key] = names, ended
                if is_archived:
                    recorded.archived.add(key)
        recorded.iterations = ledger.iterations()
        recorded.files = ledger.files()  # last: a driver may be adding files, with rows that point at them
        return recorded

    def witness(self, n_steps: int, segment_files: SegmentFiles) -> Witness | None:
        """Take the beginning, of `n_steps` at most, of the initial trajectory of which there is most."""
        sizes = {key: (ended, len(names)) for key, (names, ended) in self.pieces.items() if key.branch == 0 and names}
        if not sizes:
            return None
        key = max(sizes, key=lambda key: (sizes[key], -key.slot))
        history = self.history(Start(key, None, 0, math.nan), segment_files)
        assert history is not None
        n_steps = min(n_steps, history.step)
        digests = {step: digest(state) for step, state in takewhile(lambda at: at[0] <= n_steps, history.stored())}
        return Witness(Beginning(key, n_steps), Outline(history.scores[: n_steps + 1].tolist(), digests))

    def history(self, start: Start, segment_files: SegmentFiles) -> History | None:
        """Find what is on disk of a segment; None if there is nothing.

        Raises
        ------
        StoreError
            If it is not where it is said to be.
        """
        names, ended = self.pieces.get(start.key, ([], False))
        if not names:
            return None
        for name in names:
            if name.file not in self.files:
                raise DamagedFileError(
                    f"{self.ledger_name}: {start.key} is said to be in {name.file!r}, no file of this run; {REPAIR}"
                )
        history = History(start, [segment_files.read(name, self.files[name.file]) for name in names])
        if history.ended != ended:
            raise DamagedFileError(
                f"{self.ledger_name} says that {start.key} has {'' if ended else 'not '}ended, and its file says "
                f"otherwise: {REPAIR}"
            )
        return history
