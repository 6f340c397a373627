"""The ledger of a run that somebody drives: one driver at a time, and rows by the thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from pytams.sqldb.errors import LedgerError
from pytams.sqldb.ledger import splitting_row
from pytams.sqldb.openledger import repeated
from pytams.sqldb.owner import Owner
from pytams.sqldb.sqlfile import SQLFile
from pytams.sqldb.tables import (
    COMPLETED,
    IDLE,
    LOCKED,
    ArchivedTrajectory,
    DiscardedTrajectory,
    LedgerInfo,
    RunLock,
    SegmentFile,
    SplittingIterations,
    Trajectory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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


class RunLedger(SQLFile):
    """A ledger, with a lock for its driver and bulk reads and writes. The parameters are those of `SQLFile`."""

    # --- the driver ---------------------------------------------------------------------------------------------

    @repeated
    def claim(self, stale_after: float) -> bool:
        """Become the driver, if there is none, or if it is known to be dead or unheard of for `stale_after` seconds.

        Returns
        -------
        bool
            Whether this object is the driver now.
        """
        with self._database.write() as connection:
            now = self._database.now
            row = connection.execute(select(RunLock.owner)).first()
            if row is None:
                connection.execute(insert(RunLock).values(id=1, owner=self.owner, heartbeat=now))
                return True
            free = func.coalesce(RunLock.heartbeat, 0.0) < now - stale_after  # SQLite keeps NULLs, too
            if row.owner == self.owner or self._parsed_owner(row.owner).is_dead:
                free = or_(free, RunLock.owner == row.owner)
            taken = connection.execute(update(RunLock).where(free).values(owner=self.owner, heartbeat=now))
            return taken.rowcount == 1

    @repeated
    def renew(self) -> None:
        """Say that the driver is alive. To be called in every transaction of the driver's: it fences off others.

        Raises
        ------
        LedgerError
            If this object is not the driver any more.
        """
        with self._database.write() as connection:
            mine = update(RunLock).where(RunLock.owner == self.owner).values(heartbeat=self._database.now)
            if connection.execute(mine).rowcount != 1:
                raise LedgerError(f"{self.name()}: another driver has taken over this run; nothing was written")

    @repeated
    def disclaim(self) -> None:
        """Stop being the driver."""
        with self._database.write() as connection:
            connection.execute(delete(RunLock).where(RunLock.owner == self.owner))

    @repeated
    def driver(self) -> Owner | None:
        """Who drives the run; None if nobody does, or if the driver is known to be dead."""
        with self._database.read() as connection:
            row = connection.execute(select(RunLock.owner)).first()
        owner = None if row is None else self._parsed_owner(row.owner)
        return None if owner is None or owner.is_dead else owner

    def _parsed_owner(self, text: str) -> Owner:
        try:
            return Owner.parse(text)
        except ValueError as error:
            raise self._database.damaged(str(error)) from None

    @repeated
    def silence(self) -> float | None:
        """Seconds since the driver was last heard of; None if there is none."""
        with self._database.read() as connection:
            return connection.scalar(select(self._database.now - RunLock.heartbeat))

    # --- what it is, and where its segments are -----------------------------------------------------------------

    @repeated
    def put_info(self, key: str, value: str) -> None:
        """Note something about the run."""
        with self._database.write() as connection:
            old = connection.execute(update(LedgerInfo).where(LedgerInfo.key == key).values(value=value))
            if not old.rowcount:
                connection.execute(insert(LedgerInfo).values(key=key, value=value))

    @repeated
    def get_info(self, key: str) -> str | None:
        """Look up what was noted."""
        with self._database.read() as connection:
            row = connection.execute(select(LedgerInfo.value).where(LedgerInfo.key == key)).first()
        return None if row is None else self._text(row.value, f"its {key}")

    @repeated
    def add_file(self, name: str, sha256: str) -> None:
        """Note a segment file."""
        with self._database.write() as connection:
            connection.execute(insert(SegmentFile).values(name=name, sha256=sha256))

    @repeated
    def files(self) -> dict[str, str]:
        """Every segment file and its SHA-256."""
        with self._database.read() as connection:
            rows = connection.execute(select(SegmentFile.name, SegmentFile.sha256)).all()
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
        rows = [{"t_metadata": text} for text in metadata]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(DiscardedTrajectory), rows)

    @repeated
    def discarded(self) -> list[str]:
        """Read what was noted of discarded trajectories that are not archived."""
        with self._database.read() as connection:
            return list(connection.scalars(select(DiscardedTrajectory.t_metadata).order_by(DiscardedTrajectory.id)))

    @repeated
    def forget(self, is_bad: Callable[[str], bool], blank: Callable[[int], str]) -> int:
        """Forget trajectories whose metadata are bad, and that the run is finished; count them.

        Archived ones lose their row; the others, of which there is one a slot, get blank metadata.
        """
        n_bad = 0
        with self._database.write() as connection:
            for table in (Trajectory, ArchivedTrajectory, DiscardedTrajectory):
                rows = connection.execute(select(table.id, table.t_metadata)).all()
                bad = [row.id for row in rows if is_bad(row.t_metadata)]
                for number in bad:
                    here = table.id == number
                    change = update(table).values(t_metadata=blank(number - 1), traj_file="", status=IDLE)
                    connection.execute((change if table is Trajectory else delete(table)).where(here))
                n_bad += len(bad)
            if n_bad:
                connection.execute(delete(LedgerInfo).where(LedgerInfo.key == "finished"))
        return n_bad

    # --- rows in bulk -------------------------------------------------------------------------------------------

    @repeated
    def put_trajectories(self, rows: dict[int, TrajectoryRow]) -> None:
        """Replace, or add, the rows of these slots."""
        if not rows:
            return
        with self._database.write() as connection:
            connection.execute(
                delete(Trajectory).where(Trajectory.id == bindparam("slot_id")), [{"slot_id": i + 1} for i in rows]
            )
            connection.execute(
                insert(Trajectory),
                [
                    {"id": slot + 1, "traj_file": row.traj_file, "t_metadata": row.metadata, "status": row.status}
                    for slot, row in rows.items()
                ],
            )

    @repeated
    def put_iterations(self, first: int, rows: Sequence[IterationRow]) -> None:
        """Replace all splitting rows from number `first` on, none of which may be completed.

        Raises
        ------
        LedgerError
            If one of them is: a completed row is never deleted.
        """
        after = SplittingIterations.id > first
        with self._database.write() as connection:
            if connection.scalar(select(func.count()).where(after, SplittingIterations.status == COMPLETED)):
                raise LedgerError(f"{self.name()} has completed splitting iterations after number {first}")
            connection.execute(delete(SplittingIterations).where(after))
            if rows:
                connection.execute(
                    insert(SplittingIterations),
                    [{"id": first + i, **splitting_columns(row)} for i, row in enumerate(rows, start=1)],
                )

    @repeated
    def trajectories(self) -> list[TrajectoryRow]:
        """Every active trajectory, in slot order."""
        columns = Trajectory.traj_file, Trajectory.t_metadata, Trajectory.status
        with self._database.read() as connection:
            return [TrajectoryRow(*row) for row in connection.execute(select(*columns).order_by(Trajectory.id))]

    @repeated
    def archived_trajectories(self) -> list[tuple[str, str]]:
        """File and metadata of every archived trajectory."""
        columns = ArchivedTrajectory.traj_file, ArchivedTrajectory.t_metadata
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(select(*columns).order_by(ArchivedTrajectory.id))]

    @repeated
    def iterations(self) -> list[dict[str, Any]]:
        """Every splitting row, as it is in the table."""
        with self._database.read() as connection:
            rows = connection.execute(select(*SplittingIterations.__table__.c).order_by(SplittingIterations.id))
            return [dict(row) for row in rows.mappings()]


def splitting_columns(row: IterationRow) -> dict[str, Any]:
    """Columns of a splitting row, but for its id."""
    return {"status": COMPLETED if row.completed else LOCKED, **splitting_row(*row[:-1])}
