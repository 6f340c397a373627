"""The ledger of a run: rows by the thousand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytams.core.stored import KINDS
from pytams.sqldb import statements
from pytams.sqldb.drivenledger import DrivenLedger
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.ledger import splitting_row
from pytams.sqldb.openledger import repeated
from pytams.sqldb.tables import (
    COMPLETED,
    LOCKED,
    ArchivedTrajectory,
    DiscardedTrajectory,
    LedgerInfo,
    SegmentFile,
    SplittingIterations,
    StoredState,
    Trajectory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


class TrajectoryRow(NamedTuple):
    """A row of the trajectories."""

    traj_file: str
    metadata: str
    status: str


class IterationRow(NamedTuple):
    """A row of the splitting iterations, as `SQLFile.add_splitting_data` takes it."""

    k: int
    bias: int
    weight: str
    """As JSON: it may be smaller than a float can be."""
    discarded_ids: list[int]
    ancestor_ids: list[int]
    min_vals: list[float]
    min_max: list[float]
    completed: bool


class StateRow(NamedTuple):
    """A row of the states that are in files of their own."""

    slot: int
    branch: int
    step: int
    score: float | None
    """None if it is no record."""
    sha256: str
    size: int
    kind: str


class RunLedger(DrivenLedger):
    """A ledger with a lock for its driver, and bulk reads and writes. The parameters are those of `SQLFile`."""

    # --- what it is, and where its segments are -----------------------------------------------------------------

    @repeated
    def put_info(self, key: str, value: str) -> None:
        """Note something about the run."""
        with self._database.write() as connection:
            if not connection.execute(statements.UPDATE_INFO, {"its_key": key, "new": value}).rowcount:
                connection.execute(statements.ADD[LedgerInfo], {"key": key, "value": value})

    @repeated
    def get_info(self, key: str) -> str | None:
        """Look up what was noted."""
        with self._database.read() as connection:
            row = connection.execute(statements.GET_INFO, {"its_key": key}).first()
        return None if row is None else self._text(row.value, f"its {key}")

    @repeated
    def add_file(self, name: str, sha256: str) -> None:
        """Note a segment file."""
        with self._database.write() as connection:
            connection.execute(statements.ADD[SegmentFile], {"name": name, "sha256": sha256})

    @repeated
    def forget_files(self, names: Collection[str]) -> None:
        """Forget segment files."""
        if names:
            with self._database.write() as connection:
                connection.execute(statements.FORGET_FILE, [{"its_name": name} for name in names])

    @repeated
    def files(self) -> dict[str, str]:
        """Every segment file and its SHA-256."""
        with self._database.read() as connection:
            rows = connection.execute(statements.ROWS[SegmentFile]).all()
        return {
            self._text(row.name, "the name of a segment file"): self._text(row.sha256, f"the SHA-256 of {row.name}")
            for row in rows
        }

    def _text(self, value: Any, what: str) -> str:
        """Make sure that a column holds text: whatever its type says, SQLite keeps what it is given."""
        if not isinstance(value, str):
            raise self._database.damaged(f"{what} is {value!r}")
        return value

    @repeated
    def note_discarded(self, metadata: Sequence[str]) -> None:
        """Note discarded trajectories that are not archived: a resumed run does not compute them again."""
        rows = [{"metadata": text} for text in metadata]
        if rows:
            with self._database.write() as connection:
                connection.execute(statements.NOTE_DISCARDED, rows)

    @repeated
    def discarded(self) -> list[str]:
        """Read what was noted of discarded trajectories that are not archived."""
        with self._database.read() as connection:
            return [row.t_metadata for row in connection.execute(statements.ROWS[DiscardedTrajectory]).all()]

    @repeated
    def forget(self, is_bad: Callable[[str], bool], blank: Callable[[int], str]) -> int:
        """Forget trajectories whose metadata are bad, and that the run is finished; count them.

        Archived ones lose their row; the others, of which there is one a slot, get blank metadata.
        """
        n_bad = 0
        with self._database.write() as connection:
            for table in (Trajectory, ArchivedTrajectory, DiscardedTrajectory):
                rows = connection.execute(statements.ROWS[table]).all()
                bad = [row.id for row in rows if is_bad(row.t_metadata)]
                if bad and table is Trajectory:
                    blanks = [{"its_id": number, "metadata": blank(number - 1)} for number in bad]
                    connection.execute(statements.BLANK, blanks)
                elif bad:
                    connection.execute(statements.DELETE[table], [{"its_id": number} for number in bad])
                n_bad += len(bad)
            if n_bad:
                connection.execute(statements.DELETE_INFO, {"its_key": "finished"})
        return n_bad

    # --- rows in bulk -------------------------------------------------------------------------------------------

    @repeated
    def put_trajectories(self, rows: dict[int, TrajectoryRow]) -> None:
        """Replace, or add, the rows of these slots."""
        if not rows:
            return
        with self._database.write() as connection:
            connection.execute(statements.DELETE[Trajectory], [{"its_id": slot + 1} for slot in rows])
            connection.execute(
                statements.ADD[Trajectory],
                [
                    {"id": slot + 1, "traj_file": row.traj_file, "t_metadata": row.metadata, "status": row.status}
                    for slot, row in rows.items()
                ],
            )

    @repeated
    def put_states(self, rows: Sequence[StateRow]) -> None:
        """Note states that are in files of their own."""
        if rows:
            with self._database.write() as connection:
                connection.execute(statements.ADD[StoredState], [row._asdict() for row in rows])

    @repeated
    def drop_states(self, names: Sequence[tuple[int, int, int]]) -> None:
        """Forget states, by slot, branch and step."""
        if not names:
            return
        with self._database.write() as connection:
            connection.execute(
                statements.DROP_STATE,
                [{"its_slot": slot, "its_branch": branch, "its_step": step} for slot, branch, step in names],
            )

    @repeated
    def states(self) -> list[StateRow]:
        """Every state that was noted."""
        with self._database.read() as connection:
            rows = connection.execute(statements.ROWS[StoredState]).all()
        try:
            return [_state_row(*row) for row in rows]
        except (TypeError, ValueError) as error:
            raise self._database.damaged(f"a stored state is not what was written: {error}") from None

    @repeated
    def put_iterations(self, first: int, rows: Sequence[IterationRow]) -> None:
        """Replace all splitting rows from number `first` on, none of which may be completed.

        Raises
        ------
        LedgerError
            If one of them is: a completed row is never deleted.
        """
        with self._database.write() as connection:
            if connection.scalar(statements.COMPLETED_AFTER, {"last": first}):
                raise LedgerError(f"{self.name()} has completed splitting iterations after number {first}")
            connection.execute(statements.DELETE_AFTER, {"last": first})
            if rows:
                connection.execute(
                    statements.ADD[SplittingIterations],
                    [{"id": first + i, **splitting_columns(row)} for i, row in enumerate(rows, start=1)],
                )

    @repeated
    def contents(self) -> list[list[tuple[Any, ...]]]:
        """Every row about the run, as it is in the tables: trajectories, iterations, files and states."""
        with self._database.view() as connection:
            there = self._database.table_names(connection)  # earlier versions did not have all
            tables = [table for table in _TABLES if table.__tablename__ in there]
            return [list(map(tuple, connection.execute(statements.ROWS[table]).all())) for table in tables]

    @repeated
    def trajectories(self) -> list[TrajectoryRow]:
        """Every active trajectory, in slot order."""
        with self._database.read() as connection:
            rows = connection.execute(statements.ROWS[Trajectory]).all()
        return [TrajectoryRow(*row[1:]) for row in rows]

    @repeated
    def archived_trajectories(self) -> list[tuple[str, str]]:
        """File and metadata of every archived trajectory."""
        with self._database.read() as connection:
            rows = connection.execute(statements.ROWS[ArchivedTrajectory]).all()
        return [(row.traj_file, row.t_metadata) for row in rows]

    @repeated
    def iterations(self) -> list[dict[str, Any]]:
        """Every splitting row, as it is in the table."""
        with self._database.read() as connection:
            return [row._asdict() for row in connection.execute(statements.ROWS[SplittingIterations]).all()]


_TABLES = (Trajectory, ArchivedTrajectory, DiscardedTrajectory, SplittingIterations, SegmentFile, StoredState)


def splitting_columns(row: IterationRow) -> dict[str, Any]:
    """Columns of a splitting row, but for its id."""
    return {"status": COMPLETED if row.completed else LOCKED, **splitting_row(*row[:-1])}


def _state_row(slot: Any, branch: Any, step: Any, score: Any, sha256: Any, size: Any, kind: Any) -> StateRow:
    """Make sure that a row holds what it may; ValueError or TypeError if not."""
    if kind not in KINDS or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"{kind!r}, {sha256!r}")
    return StateRow(
        int(slot), int(branch), int(step), None if score is None else float(score), sha256, int(size), kind
    )
