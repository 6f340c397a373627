"""What a ledger does beside its documented interface, and what that interface is made of."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb.errors import LedgerError, NoLedgerError, NoTrajectoryError
from pytams.sqldb.opening import open_database
from pytams.sqldb.owner import Owner
from pytams.sqldb.tables import (
    IDLE,
    LOCKED,
    SCHEMA_VERSION,
    ArchivedTrajectory,
    Base,
    LedgerInfo,
    SplittingIterations,
    Trajectory,
    TrajectoryLock,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Row, ScalarSelect
    from sqlalchemy.orm import InstrumentedAttribute

_logger = logging.getLogger("pytams.sqldb")


class Ledger:
    """A ledger's life, transactions, bulk adds and lock owners."""

    def __init__(self, file_name: str, *, in_memory: bool, read_only: bool) -> None:
        if in_memory and read_only:
            raise ValueError("in_memory and ro_mode: a ledger in memory starts empty, so it must be written to")
        self._arguments = (file_name, in_memory, read_only)
        self._database = open_database(file_name, in_memory=in_memory, read_only=read_only)
        self.owner = str(Owner.here())
        """Whose the locks are that this object takes."""
        try:
            self._open()
        except BaseException:
            self._database.close()
            raise

    def _open(self) -> None:
        """Make the tables in an empty database; refuse one that is not ours or not of our time."""
        database = self._database
        try:
            version = self._schema_version()
            if version is None and not database.read_only:
                self._make_tables()
                version = self._schema_version()
        except LedgerError:
            raise
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", error)
            raise LedgerError(f"{database.name} is not a pytams ledger, or out of reach: {cause}") from error
        if version is None:
            raise NoLedgerError(f"{database.name} is not a pytams ledger: it has no schema version")
        if version != str(SCHEMA_VERSION):
            raise LedgerError(
                f"{database.name} has schema version {version}; this pytams reads version {SCHEMA_VERSION}: "
                "open it with the pytams that made it, or a newer one"
            )
        database.prepare()

    def _schema_version(self) -> str | None:
        """Look it up; None if the table is not there."""
        with self._database.read() as connection:
            if not inspect(connection).has_table(LedgerInfo.__tablename__, schema=self._database.schema):
                return None
            return connection.scalar(select(LedgerInfo.value).where(LedgerInfo.key == "schema_version"))

    def _make_tables(self) -> None:
        """Make the tables, if the database is empty."""
        database = self._database
        with database.write() as connection:
            database.make_room(connection)
            if not inspect(connection).get_table_names(schema=database.schema):
                Base.metadata.create_all(connection)
                connection.execute(insert(LedgerInfo).values(key="schema_version", value=str(SCHEMA_VERSION)))

    def close(self) -> None:
        """Close every connection. A ledger on SQLite is then one file, which can be moved or read anywhere."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[str, bool, bool]]:
        """Send it to another process: it opens the same ledger there."""
        if self._arguments[1]:
            raise TypeError("a ledger in memory cannot be shared with another process")
        return type(self), self._arguments

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the calls inside one transaction: one commit, all or nothing.

        Other writers wait until it ends. Belongs to the calling thread.
        """
        with self._database.write():
            yield

    # --- bulk adds, metadata ------------------------------------------------------------------------------------

    def add_trajectories(self, trajectories: Iterable[tuple[str, str]]) -> None:
        """Add many (trajectory file, metadata) in one transaction."""
        self._add(Trajectory, [{"traj_file": f, "t_metadata": m, "status": IDLE} for f, m in trajectories])

    def archive_trajectories(self, trajectories: Iterable[tuple[str, str]]) -> None:
        """Add many (trajectory file, metadata) to the archive in one transaction."""
        self._add(ArchivedTrajectory, [{"traj_file": f, "t_metadata": m} for f, m in trajectories])

    def update_trajectory_metadata(self, traj_id: int, metadata: str) -> None:
        """Update the metadata of a trajectory; NoTrajectoryError if there is none."""
        self._update_trajectory(traj_id, t_metadata=metadata)

    def fetch_trajectory_metadata(self, traj_id: int) -> str:
        """Get the metadata of a trajectory, as JSON; NoTrajectoryError if there is none."""
        return self._fetch(Trajectory, traj_id)[1]

    def fetch_archived_trajectory_metadata(self, traj_id: int) -> str:
        """Get the metadata of a trajectory in the archive, as JSON; NoTrajectoryError if there is none."""
        return self._fetch(ArchivedTrajectory, traj_id)[1]

    # --- owners of locks ----------------------------------------------------------------------------------------

    def heartbeat(self) -> None:
        """Say that the owner of this object's locks is alive, by the database's clock."""
        with self._database.write() as connection:
            connection.execute(
                update(TrajectoryLock).where(TrajectoryLock.owner == self.owner).values(heartbeat=self._database.now)
            )

    def release_stale(self, older_than: float) -> list[int]:
        """Release the trajectories whose owner has not been heard of for this many seconds, and return their ids."""
        with self._database.write() as connection:
            stale = TrajectoryLock.heartbeat < self._database.now - older_than
            ids = list(connection.scalars(select(TrajectoryLock.id).where(stale).order_by(TrajectoryLock.id)))
            connection.execute(
                update(Trajectory).where(Trajectory.id.in_(ids), Trajectory.status == LOCKED).values(status=IDLE)
            )
            connection.execute(delete(TrajectoryLock).where(TrajectoryLock.id.in_(ids)))
        return [i - 1 for i in ids]

    def lock_owner(self, traj_id: int) -> str | None:
        """Who holds a trajectory; None if nobody does."""
        with self._database.read() as connection:
            return connection.scalar(select(TrajectoryLock.owner).where(TrajectoryLock.id == traj_id + 1))

    # --- what the documented interface is made of ---------------------------------------------------------------

    def _add(self, table: type[Trajectory | ArchivedTrajectory], rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        with self._database.write() as connection:
            first = connection.scalar(select(last_id(table))) or 0
            for i, row in enumerate(rows, start=first + 1):
                row["id"] = i
            connection.execute(insert(table), rows)

    def _update_trajectory(self, traj_id: int, **values: str) -> None:
        with self._database.write() as connection:
            done = connection.execute(update(Trajectory).where(Trajectory.id == traj_id + 1).values(**values))
            if done.rowcount == 0:
                raise NoTrajectoryError(traj_id)

    def _change_status(self, connection: Connection, traj_id: int, old: list[str], new: str) -> bool:
        """Compare and set: the status changes only if it is one of the old ones, and the row count tells."""
        changed = connection.execute(
            update(Trajectory).where(Trajectory.id == traj_id + 1, Trajectory.status.in_(old)).values(status=new)
        )
        if changed.rowcount == 1:
            return True
        if connection.scalar(select(Trajectory.id).where(Trajectory.id == traj_id + 1)) is None:
            raise NoTrajectoryError(traj_id)
        return False

    def _unlock(self, traj_id: int, status: str) -> None:
        with self._database.write() as connection:
            if self._change_status(connection, traj_id, [LOCKED], status):
                connection.execute(delete(TrajectoryLock).where(TrajectoryLock.id == traj_id + 1))
            else:
                _logger.warning("trajectory %d is not locked: it does not become %s", traj_id, status)

    def _fetch(self, table: type[Trajectory | ArchivedTrajectory], traj_id: int) -> tuple[str, str]:
        """Get the file and the metadata of a trajectory."""
        with self._database.read() as connection:
            row = connection.execute(
                select(table.traj_file, table.t_metadata).where(table.id == traj_id + 1)
            ).one_or_none()
        if row is None:
            raise NoTrajectoryError(traj_id)
        return row.traj_file, row.t_metadata

    def _count(self, table: type[Trajectory | ArchivedTrajectory]) -> int:
        with self._database.read() as connection:
            return connection.scalar(select(func.count()).select_from(table)) or 0

    def _clear(self, table: type[ArchivedTrajectory | SplittingIterations]) -> int:
        with self._database.write() as connection:
            return connection.execute(delete(table)).rowcount

    def _update_last_iteration(self, values: dict[str, Any]) -> bool:
        """Change the last splitting row; False if there is none."""
        last = SplittingIterations.id == last_id(SplittingIterations)
        with self._database.write() as connection:
            return connection.execute(update(SplittingIterations).where(last).values(**values)).rowcount == 1

    def _iterations(
        self, *columns: InstrumentedAttribute[Any] | ColumnElement[Any], last: bool = False
    ) -> Sequence[Row[Any]]:
        """Get columns of all splitting rows in order, or of the last one."""
        statement = select(*columns).order_by(SplittingIterations.id)
        if last:
            statement = select(*columns).order_by(SplittingIterations.id.desc()).limit(1)
        with self._database.read() as connection:
            return connection.execute(statement).all()


def last_id(table: type[Trajectory | ArchivedTrajectory | SplittingIterations]) -> ScalarSelect[int]:
    """Largest id of a table, 0 if it is empty: ids are given out in order, without gaps."""
    return select(func.coalesce(func.max(table.id), 0)).scalar_subquery()


def splitting_row(
    k: int,
    bias: int,
    weight: float | str,
    discarded_ids: list[int],
    ancestor_ids: list[int],
    min_vals: list[float],
    min_max: list[float],
) -> dict[str, Any]:
    """Columns of a splitting iteration: lists and floats as JSON, which keeps every bit of a double.

    A weight that no float is small enough for comes as JSON.
    """
    return {
        "split_id": int(k),
        "bias": int(bias),
        "weight": weight if isinstance(weight, str) else json.dumps(float(weight)),
        "discarded_traj_ids": json.dumps([int(i) for i in discarded_ids]),
        "ancestor_traj_ids": json.dumps([int(i) for i in ancestor_ids]),
        "min_vals": json.dumps([float(value) for value in min_vals]),
        "min_max": json.dumps([float(value) for value in min_max]),
    }
