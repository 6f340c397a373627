"""The ledger's documented interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytams.sqldb import statements
from pytams.sqldb.errors import LedgerError, NoIterationError
from pytams.sqldb.ledger import Ledger, splitting_row
from pytams.sqldb.openledger import repeated
from pytams.sqldb.tables import (
    COMPLETED,
    IDLE,
    LOCKED,
    ArchivedTrajectory,
    SplittingIterations,
    Trajectory,
    TrajectoryLock,
)

if TYPE_CHECKING:
    import numpy.typing as npt


class SQLFile(Ledger):
    """An SQL file.

    Allows atomic access to an SQL database from all
    the workers.

    Note: TAMS works with Python indexing starting at 0,
    while SQL indexing starts at 1. Trajectory ID is
    updated accordingly when accessing/updating the DB.

    Parameters
    ----------
    file_name
        Path of an SQLite file, made if it is not there; or a SQLAlchemy URL: ``postgresql+psycopg://...``, with
        ``?schema=NAME`` for a schema other than ``pytams`` (each ledger has one of its own), or
        ``sqlite:///path?synchronous=FULL`` for a ledger whose last commits survive a power cut, too.
    in_memory
        Keep the database in memory, shared by all threads that use this object.
    ro_mode
        Open what is there, create nothing, and refuse writes.

    Raises
    ------
    SQLAlchemyError
        If the database cannot be opened, is not a ledger, or is one of a newer version.
    """

    def __init__(self, file_name: str, in_memory: bool = False, ro_mode: bool = False) -> None:
        super().__init__(file_name, in_memory=in_memory, read_only=ro_mode)
        self._file_name = self._database.name

    # --- the contract: trajectories -----------------------------------------------------------------------------

    def name(self) -> str:
        """Access the DB file name."""
        return self._database.name

    def add_trajectory(self, traj_file: str, metadata: str) -> None:
        """Add a new trajectory to the DB.

        Parameters
        ----------
        traj_file
            The trajectory file of that trajectory
        metadata
            a json representation of the traj metadata

        Raises
        ------
        SQLAlchemyError
            if the DB could not be accessed
        """
        self.add_trajectories([(traj_file, metadata)])

    def update_trajectory_file(self, traj_id: int, traj_file: str) -> None:
        """Update a trajectory file in the DB.

        Parameters
        ----------
        traj_id
            The trajectory id
        traj_file
            The new trajectory file of that trajectory

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        SQLAlchemyError
            if the DB could not be accessed
        """
        self._update_trajectory(traj_id, "traj_file", traj_file)

    @repeated
    def lock_trajectory(self, traj_id: int, allow_completed_lock: bool = False) -> bool:
        """Set the status of a trajectory to "locked" if possible.

        Parameters
        ----------
        traj_id
            The trajectory id
        allow_completed_lock
            Allow to lock a "completed" trajectory

        Returns
        -------
        bool
            True if the trajectory was successfully locked, False otherwise

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        SQLAlchemyError
            if the DB could not be accessed
        """
        free = [IDLE, COMPLETED] if allow_completed_lock else [IDLE]
        with self._database.write() as connection:
            locked = self._change_status(connection, traj_id, free, LOCKED)
            if locked:
                connection.execute(statements.TAKE_LOCK, {"its_id": traj_id + 1, "me": self.owner})
        return locked

    def mark_trajectory_as_completed(self, traj_id: int) -> None:
        """Set the status of a trajectory to "completed" if possible.

        Parameters
        ----------
        traj_id
            The trajectory id

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        SQLAlchemyError
            if the DB could not be accessed
        """
        self._unlock(traj_id, COMPLETED)

    def release_trajectory(self, traj_id: int) -> None:
        """Set the status of a trajectory to "idle" if possible.

        Parameters
        ----------
        traj_id
            The trajectory id

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        """
        self._unlock(traj_id, IDLE)

    def get_trajectory_count(self) -> int:
        """Get the number of trajectories in the DB."""
        return self._count(Trajectory)

    def fetch_trajectory(self, traj_id: int) -> str:
        """Get the trajectory file of a trajectory.

        Parameters
        ----------
        traj_id
            The trajectory id

        Returns
        -------
        str
            The trajectory file

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        """
        return self._fetch(Trajectory, traj_id)[0]

    @repeated
    def release_all_trajectories(self) -> None:
        """Release all trajectories in the DB."""
        with self._database.write() as connection:
            connection.execute(statements.RELEASE_ALL)
            connection.execute(statements.CLEAR[TrajectoryLock])

    def archive_trajectory(self, traj_file: str, metadata: str) -> None:
        """Add a new trajectory to the archive container.

        Parameters
        ----------
        traj_file
            The trajectory file of that trajectory
        metadata
            a json representation of the traj metadata
        """
        self.archive_trajectories([(traj_file, metadata)])

    def fetch_archived_trajectory(self, traj_id: int) -> str:
        """Get the trajectory file of a trajectory in the archive.

        Parameters
        ----------
        traj_id
            The trajectory id

        Returns
        -------
        str
            The trajectory file

        Raises
        ------
        ValueError
            if the trajectory with the given id does not exist
        """
        return self._fetch(ArchivedTrajectory, traj_id)[0]

    def get_archived_trajectory_count(self) -> int:
        """Get the number of trajectories in the archive."""
        return self._count(ArchivedTrajectory)

    def clear_archived_trajectories(self) -> int:
        """Delete the content of the archived traj table."""
        return self._clear(ArchivedTrajectory)

    # --- the contract: splitting iterations ---------------------------------------------------------------------

    @repeated
    def add_splitting_data(
        self,
        k: int,
        bias: int,
        weight: float,
        discarded_ids: list[int],
        ancestor_ids: list[int],
        min_vals: list[float],
        min_max: list[float],
    ) -> None:
        """Add a new splitting data to the DB.

        Parameters
        ----------
        k
            The splitting iteration index
        bias
            The number of restarted trajectories
        weight
            Weight of the ensemble at the current iteration
        discarded_ids
            The list of discarded trajectory ids
        ancestor_ids
            The list of trajectories used to restart
        min_vals
            The list of minimum values
        min_max
            The score minimum and maximum values
        """
        row = splitting_row(k, bias, weight, discarded_ids, ancestor_ids, min_vals, min_max)
        with self._database.write() as connection:
            connection.execute(statements.ADD_ITERATION, {f"its_{name}": value for name, value in row.items()})

    @repeated
    def update_splitting_data(
        self,
        k: int,
        bias: int,
        weight: float,
        discarded_ids: list[int],
        ancestor_ids: list[int],
        min_vals: list[float],
        min_max: list[float],
    ) -> None:
        """Update the last splitting data row to the DB.

        Parameters
        ----------
        k
            The splitting iteration index
        bias
            The number of restarted trajectories
        weight
            Weight of the ensemble at the current iteration
        discarded_ids
            The list of discarded trajectory ids
        ancestor_ids
            The list of trajectories used to restart
        min_vals
            The list of minimum values
        min_max
            The score minimum and maximum values

        Raises
        ------
        NoIterationError
            if there is no row to update
        """
        row = splitting_row(k, bias, weight, discarded_ids, ancestor_ids, min_vals, min_max)
        with self._database.write() as connection:
            values = {f"its_{name}": value for name, value in row.items()}
            n_updated = connection.execute(statements.UPDATE_ITERATION, values).rowcount
        if not n_updated:
            raise NoIterationError(f"{self.name()}: there is no splitting iteration to update")

    @repeated
    def mark_last_iteration_as_completed(self) -> None:
        """Mark the last splitting iteration as complete.

        By default, iteration data append to the SQL table with a state "locked"
        to indicate an iteration being worked on. Upon completion, mark it as
        "completed" otherwise the iteration is considered incomplete, i.e.
        interrupted by some error or wall clock limit.
        """
        with self._database.write() as connection:
            connection.execute(statements.COMPLETE_ITERATION)

    def get_k_split(self) -> int:
        """Get the current splitting iteration counter."""
        rows = self._numbers("split_id", "bias", last=True)
        return sum(rows[0]) if rows else 0

    def get_ongoing(self) -> list[int] | None:
        """Get the list of ongoing trajectories if any.

        Returns
        -------
        list[int] | None
            Either a list trajectories or None if nothing was left to do
        """
        rows = self._iterations("discarded_traj_ids", "status", last=True)
        if not rows or rows[0].status != LOCKED:
            return None
        return self._parsed("discarded_traj_ids", rows[0].id, rows[0].discarded_traj_ids)

    def get_weights(self) -> npt.NDArray[np.number]:
        """Read the weights from the database.

        Returns
        -------
        numpy.typing.NDArray[numpy.number]
            the weight for each splitting iteration as a numpy array
        """
        return np.array(self._numbers("weight"), dtype=np.float64).reshape(-1)

    def get_biases(self) -> npt.NDArray[np.number]:
        """Read the biases from the database.

        Returns
        -------
        numpy.typing.NDArray[numpy.number]
            the bias for each splitting iteration as a numpy array
        """
        return np.array(self._numbers("bias"), dtype=np.int64).reshape(-1)

    def get_minmax(self) -> npt.NDArray[np.number]:
        """Read the min/max from the database.

        Returns
        -------
        numpy.typing.NDArray[numpy.number]
            the 2D Numpy array with k_index, min, max
        """
        table = self._numbers("split_id", "min_max")
        return np.array(table, dtype=np.float64).reshape(-1, 3)

    def clear_splitting_data(self) -> int:
        """Delete the content of the splitting data table."""
        return self._clear(SplittingIterations)

    @repeated
    def dump_file_json(self, json_file: str | None = None) -> None:
        """Dump the content of the trajectory table to a json file.

        Parameters
        ----------
        json_file
            an optional file name (or path) to dump the data to
        """
        if json_file is None and not self._database.stem:
            raise ValueError("a ledger in memory has no name: say which json_file to dump it to")
        path = Path(json_file or f"{self._database.stem}.json")
        models = (Trajectory, ArchivedTrajectory, SplittingIterations)
        with self._database.view() as connection:
            content = {
                model.__tablename__: [row._asdict() for row in connection.execute(statements.ROWS[model]).all()]
                for model in models
            }
        try:
            path.write_text(json.dumps(content, indent=2), encoding="utf-8")
        except OSError as error:
            raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
