"""What earlier sessions recorded of a run: which segments are on disk, and where."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pytams.core.errors import StoreError
from pytams.core.segments import SegmentKey
from pytams.storage.history import History
from pytams.storage.segment_files import PieceName

if TYPE_CHECKING:
    from pytams.core.segments import Start
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.segment_files import SegmentFiles


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

    @classmethod
    def read(cls, ledger: RunLedger) -> Self:
        """Read it; empty if nothing has been written yet."""
        recorded = cls(ledger_name=ledger.name())
        wall_time = ledger.get_info("wall_time")
        if wall_time is None:
            return recorded
        recorded.wall_time = float(wall_time)
        rows = [row.metadata for row in ledger.trajectories()]
        archived = [metadata for _, metadata in ledger.archived_trajectories()] + ledger.discarded()
        for is_archived, texts in ((False, rows), (True, archived)):
            for metadata in map(json.loads, texts):
                key = SegmentKey(metadata["run"], metadata["slot"], metadata["branch"])
                recorded.pieces[key] = [PieceName(*piece) for piece in metadata["pieces"]], metadata["ended"]
                if is_archived:
                    recorded.archived.add(key)
        recorded.iterations = ledger.iterations()
        recorded.files = ledger.files()  # last: a driver may be adding files, with rows that point at them
        return recorded

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
                raise StoreError(f"{self.ledger_name}: {start.key} is said to be in {name.file}, no file of this run")
        return History(start, [segment_files.read(name, self.files[name.file]) for name in names], ended)
