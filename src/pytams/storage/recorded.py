"""What earlier sessions recorded of a run: which segments are on disk, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pytams.core.errors import DamagedFileError, RunDirectoryError
from pytams.core.segments import SegmentKey
from pytams.core.states import digest
from pytams.core.stored import Reference
from pytams.core.verification import Beginning, Outline, Witness
from pytams.sqldb.tables import COMPLETED
from pytams.storage.files import REPAIR
from pytams.storage.history import History
from pytams.storage.metadata import check_segment, length_of, segment_of, start_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.core.segments import Start
    from pytams.core.states import State
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.manifest import StudyInfo
    from pytams.storage.segment_files import PieceName, SegmentFiles

DAMAGED = f"damaged: it was finished, and some of it is missing; {REPAIR}"
"""What is said of a run whose ledger says that it is finished, while its trajectories do not."""


class Row(NamedTuple):
    """What a ledger says of a segment."""

    pieces: list[PieceName]
    """Where it is."""
    ended: bool
    metadata: str
    """All that is said, as JSON."""
    file: str | None
    status: str | None
    """These two are columns that not every table has."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One run, as its ledger has it."""

    ledger_name: str
    info: StudyInfo
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each segment file."""
    rows: dict[SegmentKey, Row] = field(default_factory=dict)
    """What is said of each segment."""
    stored: set[tuple[int, int, int]] = field(default_factory=set)
    """Slot, branch and step of the states that are in files of their own, and kept."""
    archived: set[SegmentKey] = field(default_factory=set)
    """Killed trajectories."""
    iterations: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the splitting iterations."""
    wall_time: float = 0.0
    """Seconds that earlier sessions spent."""
    finished_under: str | None = None
    """The cap on branchings under which it was finished, as `StudyInfo.cap` has it; None if it was not."""

    @property
    def is_finished(self) -> bool:
        """Whether it is said to be finished, under the cap that the study has."""
        return self.finished_under == self.info.cap

    @classmethod
    def read(cls, ledger: RunLedger, run: int, info: StudyInfo) -> Self:
        """Read it; empty if nothing has been written yet.

        Raises
        ------
        RunDirectoryError
            If it is not what was written, or is of another run.
        """
        recorded = cls(ledger_name=ledger.name(), info=info)
        if ledger.get_info("wall_time") is None:
            return recorded
        recorded.wall_time = wall_time_of(ledger)
        recorded.finished_under = ledger.get_info("finished")
        for row in ledger.trajectories():
            recorded._add(run, row.metadata, row.traj_file, row.status)
        for file, metadata in ledger.archived_trajectories():
            recorded.archived.add(recorded._add(run, metadata, file))
        for metadata in ledger.discarded():
            recorded.archived.add(recorded._add(run, metadata))
        if info.states_are != "along":
            recorded.stored = {(row.slot, row.branch, row.step) for row in ledger.states()}
        recorded.iterations = ledger.iterations()
        recorded.files = ledger.files()  # last: a driver may be adding files, with rows that point at them
        return recorded

    def _add(self, run: int, metadata: str, file: str | None = None, status: str | None = None) -> SegmentKey:
        """Take in a row."""
        try:
            key, pieces, ended = segment_of(metadata)
        except ValueError as error:
            raise RunDirectoryError(
                f"{self.ledger_name}: the metadata of a trajectory is not what was written: {error}; {REPAIR}"
            ) from None
        if key.run != run:
            raise RunDirectoryError(f"{self.ledger_name} has trajectories of run {key.run}: was it renamed?")
        self.rows[key] = Row(pieces, ended, metadata, file, status)
        return key

    def witnesses(self, segment_files: SegmentFiles) -> list[Witness]:
        """Take the longest of the initial trajectories, and of the branches that go on longest the one highest up.

        So it is seen what the model does from the beginning on, late, far out, and where it stops.
        """
        written = [key for key, row in self.rows.items() if row.pieces]
        initial = max((key for key in written if key.branch == 0), key=self._size, default=None)
        with_states = [key for key in written if self.info.archive_discarded or key not in self.archived]
        branches = [key for key in with_states if key.branch > 0 and self.rows[key].ended]
        reachable = filter(self._is_reachable, sorted(branches, key=self._reach, reverse=True))
        branch = next((key for key in reachable if self._begins_from_what_is_kept(key, segment_files)), None)
        chosen = [key for key in (initial, branch) if key is not None]
        return [self._witness(self._start(key), segment_files) for key in chosen]

    def _is_reachable(self, key: SegmentKey) -> bool:
        """Whether there is something of all its ancestors, too."""
        here: SegmentKey | None = key
        while here is not None and here in self.rows and self.rows[here].pieces:
            here = self._start(here).parent
        return here is None

    def _begins_from_what_is_kept(self, key: SegmentKey, segment_files: SegmentFiles) -> bool:
        """Whether the state that a branch starts from is still there."""
        start = self._start(key)
        try:
            state = self._branch_state(start, segment_files)
        except DamagedFileError:  # it was not stored
            return False
        return Reference.found_in(state) is None or (key.slot, key.branch, start.step) in self.stored

    def ancestors(self, keys: Iterable[SegmentKey]) -> set[SegmentKey]:
        """Find what segments descend from, as far as it is said."""
        found: set[SegmentKey] = set()
        for key in keys:
            here: SegmentKey | None = key
            while here is not None and here in self.rows:
                here = self._start(here).parent
                if here is None or here in found:
                    break
                found.add(here)
        return found

    def _reach(self, key: SegmentKey) -> tuple[int, float, SegmentKey]:
        return length_of(self.rows[key].metadata), self._start(key).score, key

    def _size(self, key: SegmentKey) -> tuple[bool, bool, int, int]:
        is_kept = key not in self.archived  # with its states
        return is_kept, self.rows[key].ended, length_of(self.rows[key].metadata), -key.slot

    def _witness(self, start: Start, segment_files: SegmentFiles) -> Witness:
        history = self.history(start, segment_files)
        assert history is not None
        state = None if start.parent is None else self._branch_state(start, segment_files)
        digests = {step: digest(state) for step, state in history.stored()}
        outline = Outline(history.scores.tolist(), digests, history.ended)
        return Witness(Beginning(start, history.step - start.step, state), outline)

    def _branch_state(self, start: Start, segment_files: SegmentFiles) -> State:
        """Read the state that a branch starts from: of the segment that it branches from, or of one before."""
        holder = start
        while holder.parent is not None and start.step < holder.first_step:
            holder = self._start(holder.parent)
        history = self.history(holder, segment_files)
        assert history is not None
        return history.state_at(start.step)

    def _start(self, key: SegmentKey) -> Start:
        """Read where a segment is said to begin."""
        try:
            return start_of(self.rows[key].metadata)
        except ValueError as error:
            raise RunDirectoryError(
                f"{self.ledger_name}: where {key} begins is not said: {error}; {REPAIR}"
            ) from error

    def history(self, start: Start, segment_files: SegmentFiles) -> History | None:
        """Find what is on disk of a segment; None if there is nothing.

        Raises
        ------
        StoreError
            If it is not where it is said to be.
        """
        row = self.rows.get(start.key)
        if row is None or not row.pieces:
            return None
        for name in row.pieces:
            if name.file not in self.files:
                raise DamagedFileError(
                    f"{self.ledger_name}: {start.key} is said to be in {name.file!r}, no file of this run; {REPAIR}"
                )
        history = History(start, [segment_files.read(name, self.files[name.file]) for name in row.pieces])
        if history.ended != row.ended:
            raise DamagedFileError(
                f"{self.ledger_name} says that {start.key} has {'' if row.ended else 'not '}ended, and its file says "
                f"otherwise: {REPAIR}"
            )
        self.check(start, step=history.step, best=history.best, ended=history.ended)
        return history

    def check(self, start: Start, *, step: int, best: float, ended: bool) -> None:
        """Make sure that the row of a segment says what follows from its files.

        Raises
        ------
        RunDirectoryError
            If it does not: the message names what differs.
        """
        row, settings = self.rows[start.key], self.info.settings
        check_segment(self.ledger_name, row.metadata, start, step=step, best=best, ended=ended, settings=settings)
        for name, value, is_right in (
            ("status", row.status, row.status is None or (row.status == COMPLETED) == ended),
            ("traj_file", row.file, row.file is None or not row.pieces or row.file == row.pieces[-1].file),
        ):
            if not is_right:
                raise RunDirectoryError(
                    f"{self.ledger_name}: {name} of run {start.key.run}, slot {start.key.slot} is {value!r}, but its "
                    f"metadata says otherwise: {REPAIR}"
                )


def wall_time_of(ledger: RunLedger) -> float:
    """Read how long a run that was begun has taken, in seconds; RunDirectoryError if that is not said."""
    text = ledger.get_info("wall_time") or ""
    try:
        wall_time = float(text)
    except ValueError:
        wall_time = math.nan
    if not 0.0 <= wall_time < math.inf:
        raise RunDirectoryError(f"{ledger.name()}: its wall time is not what was written: {text!r}")
    return wall_time
