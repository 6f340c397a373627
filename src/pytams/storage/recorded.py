"""What earlier sessions recorded of a run: which segments are on disk, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pytams.core.errors import DamagedFileError, RunDirectoryError
from pytams.core.segments import SegmentKey
from pytams.core.states import digest
from pytams.core.verification import Beginning, Outline, Witness
from pytams.sqldb.tables import COMPLETED
from pytams.storage.files import REPAIR
from pytams.storage.history import History
from pytams.storage.metadata import check_segment, length_of, segment_of, start_of

if TYPE_CHECKING:
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
        for row in ledger.trajectories():
            recorded._add(run, row.metadata, row.traj_file, row.status)
        for file, metadata in ledger.archived_trajectories():
            recorded.archived.add(recorded._add(run, metadata, file))
        for metadata in ledger.discarded():
            recorded.archived.add(recorded._add(run, metadata))
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

    def witnesses(self, n_steps: int, segment_files: SegmentFiles) -> list[Witness]:
        """Take all of the branch that goes on longest, and `n_steps` at most of an initial trajectory.

        Of several such branches, the one that starts highest: so it is seen what the model does late, and far out. If
        no branch of the ensemble has ended, all that there is of the initial trajectory.
        """
        written = [key for key, row in self.rows.items() if row.pieces]
        initial = max((key for key in written if key.branch == 0), key=self._size, default=None)
        members = [key for key in written if key.branch > 0 and key not in self.archived and self.rows[key].ended]
        reachable = filter(self._is_reachable, sorted(members, key=self._reach, reverse=True))
        branch = next(reachable, None)
        found = []
        if initial is not None:
            found.append(self._witness(self._start(initial), segment_files, n_steps if branch else None))
        if branch is not None:
            found.append(self._witness(self._start(branch), segment_files))
        return found

    def _is_reachable(self, key: SegmentKey) -> bool:
        """Whether there is something of all its ancestors, too."""
        here: SegmentKey | None = key
        while here is not None and here in self.rows and self.rows[here].pieces:
            here = self._start(here).parent
        return here is None

    def _reach(self, key: SegmentKey) -> tuple[int, float, SegmentKey]:
        return length_of(self.rows[key].metadata), self._start(key).score, key

    def _size(self, key: SegmentKey) -> tuple[bool, bool, int, int]:
        is_kept = key not in self.archived  # with its states
        return is_kept, self.rows[key].ended, len(self.rows[key].pieces), -key.slot

    def _witness(self, start: Start, segment_files: SegmentFiles, n_steps: int | None = None) -> Witness:
        history = self.history(start, segment_files)
        assert history is not None
        n_written = history.step - start.step
        state = None if start.parent is None else self._branch_state(start, segment_files)
        beginning = Beginning(start, n_written if n_steps is None else min(n_steps, n_written), state)
        stored = takewhile(lambda at: at[0] <= beginning.last_step, history.stored())
        scores = history.scores[: beginning.last_step - start.first_step + 1]
        return Witness(beginning, Outline(scores.tolist(), {step: digest(state) for step, state in stored}))

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
