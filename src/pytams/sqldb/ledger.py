"""What a ledger does beside its documented interface, and what that interface is made of."""

from __future__ import annotations

import json
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytams.sqldb import statements
from pytams.sqldb.errors import NoTrajectoryError
from pytams.sqldb.openledger import OpenLedger, repeated
from pytams.sqldb.tables import IDLE, LOCKED, ArchivedTrajectory, SplittingIterations, Trajectory, TrajectoryLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.sqldb.connection import Connection

_logger = logging.getLogger("pytams.sqldb")
_N_NUMBERS = {"split_id": 1, "bias": 1, "weight": 1, "min_max": 2}
"""In columns of the splitting iterations."""


class Ledger(OpenLedger):
    """Bulk adds, lock owners, and what the documented interface is made of."""

    # --- bulk adds, metadata ------------------------------------------------------------------------------------

    def add_trajectories(self, trajectories: Iterable[tuple[str, str]]) -> None:
        """Add many (trajectory file, metadata) in one transaction."""
        self._add(Trajectory, [{"traj_file": f, "t_metadata": m, "status": IDLE} for f, m in trajectories])

    def archive_trajectories(self, trajectories: Iterable[tuple[str, str]]) -> None:
        """Add many (trajectory file, metadata) to the archive in one transaction."""
        self._add(ArchivedTrajectory, [{"traj_file": f, "t_metadata": m} for f, m in trajectories])

    def update_trajectory_metadata(self, traj_id: int, metadata: str) -> None:
        """Update the metadata of a trajectory; NoTrajectoryError if there is none."""
        self._update_trajectory(traj_id, "t_metadata", metadata)

    def fetch_trajectory_metadata(self, traj_id: int) -> str:
        """Get the metadata of a trajectory, as JSON; NoTrajectoryError if there is none."""
        return self._fetch(Trajectory, traj_id)[1]

    def fetch_archived_trajectory_metadata(self, traj_id: int) -> str:
        """Get the metadata of a trajectory in the archive, as JSON; NoTrajectoryError if there is none."""
        return self._fetch(ArchivedTrajectory, traj_id)[1]

    # --- owners of locks ----------------------------------------------------------------------------------------

    @repeated
    def heartbeat(self) -> None:
        """Say that the owner of this object's locks is alive, by the database's clock."""
        with self._database.write() as connection:
            connection.execute(statements.HEARTBEAT, {"me": self.owner})

    @repeated
    def release_stale(self, older_than: float) -> list[int]:
        """Release the trajectories whose owner has not been heard of for this many seconds, and return their ids."""
        with self._database.write() as connection:
            rows = connection.execute(statements.STALE, {"seconds": older_than}).all()
            here = [{"its_id": row.id} for row in rows]
            if here:
                connection.execute(statements.RELEASE, here)
                connection.execute(statements.DELETE[TrajectoryLock], here)
        return [row.id - 1 for row in rows]

    @repeated
    def lock_owner(self, traj_id: int) -> str | None:
        """Who holds a trajectory; None if nobody does. NoTrajectoryError if there is none."""
        with self._database.read() as connection:
            row = connection.execute(statements.HOLDER, {"its_id": traj_id + 1}).first()
        if row is None:
            raise NoTrajectoryError(traj_id)
        owner: str | None = row.owner
        return owner

    # --- what the documented interface is made of ---------------------------------------------------------------

    @repeated
    def _add(self, table: type[Trajectory | ArchivedTrajectory], rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        with self._database.write() as connection:
            first = connection.scalar(statements.LAST_ID[table]) or 0
            for i, row in enumerate(rows, start=first + 1):
                row["id"] = i
            connection.execute(statements.ADD[table], rows)

    @repeated
    def _update_trajectory(self, traj_id: int, name: str, value: str) -> None:
        with self._database.write() as connection:
            done = connection.execute(statements.UPDATE[name], {"its_id": traj_id + 1, "new": value})
            if done.rowcount == 0:
                raise NoTrajectoryError(traj_id)

    def _change_status(self, connection: Connection, traj_id: int, old: list[str], new: str) -> bool:
        """Compare and set: the status changes only if it is one of the old ones, and the row count tells."""
        values = {"its_id": traj_id + 1, "old": old[0], "or_old": old[-1], "new": new}
        if connection.execute(statements.CHANGE_STATUS, values).rowcount == 1:
            return True
        if connection.scalar(statements.EXISTS, {"its_id": traj_id + 1}) is None:
            raise NoTrajectoryError(traj_id)
        return False

    @repeated
    def _unlock(self, traj_id: int, status: str) -> None:
        with self._database.write() as connection:
            if self._change_status(connection, traj_id, [LOCKED], status):
                connection.execute(statements.DELETE[TrajectoryLock], {"its_id": traj_id + 1})
            else:
                _logger.warning("trajectory %d is not locked: it does not become %s", traj_id, status)

    @repeated
    def _fetch(self, table: type[Trajectory | ArchivedTrajectory], traj_id: int) -> tuple[str, str]:
        """Get the file and the metadata of a trajectory."""
        with self._database.read() as connection:
            row = connection.execute(statements.FETCH[table], {"its_id": traj_id + 1}).first()
        if row is None:
            raise NoTrajectoryError(traj_id)
        return row.traj_file, row.t_metadata

    @repeated
    def _count(self, table: type[Trajectory | ArchivedTrajectory]) -> int:
        with self._database.read() as connection:
            return connection.scalar(statements.COUNT[table]) or 0

    @repeated
    def _clear(self, table: type[ArchivedTrajectory | SplittingIterations]) -> int:
        with self._database.write() as connection:
            return connection.execute(statements.CLEAR[table]).rowcount

    @repeated
    def _iterations(self, *columns: str, last: bool = False) -> Sequence[Any]:
        """Get columns of all splitting rows in order, or of the last one; the row's id is the first."""
        with self._database.read() as connection:
            return connection.execute(statements.iterations(*columns, last=last)).all()

    def _numbers(self, *columns: str, last: bool = False) -> list[list[Any]]:
        """Get the numbers in columns of all splitting rows in order, or of the last one: one list a row."""
        return [
            [number for name, value in zip(columns, values, strict=True) for number in self._parsed(name, i, value)]
            for i, *values in self._iterations(*columns, last=last)
        ]

    def _parsed(self, column: str, row_id: int, value: Any) -> list[Any]:
        """Read numbers: an integer, or JSON of one number or of a list of them."""
        found = value
        with suppress(TypeError, ValueError):
            found = json.loads(value)
        numbers = found if isinstance(found, list) else [found]
        is_complete = _N_NUMBERS.get(column, len(numbers)) == len(numbers)
        if not is_complete or not all(isinstance(number, int | float) for number in numbers):
            raise self._database.damaged(f"{column} of splitting iteration {row_id - 1} is {value!r}")
        return numbers


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
        "discarded_traj_ids": str([int(i) for i in discarded_ids]),
        "ancestor_traj_ids": str([int(i) for i in ancestor_ids]),
        "min_vals": _floats(min_vals),
        "min_max": _floats(min_max),
    }


def _floats(values: Sequence[float]) -> str:
    """Write floats as JSON: quicker than `json`, where none is infinite."""
    floats = [float(value) for value in values]
    return str(floats) if all(map(math.isfinite, floats)) else json.dumps(floats)
