"""A class for the TAMS data as an SQL database using SQLAlchemy.

The ledger of trajectories and splitting iterations, to which all workers have atomic access. Every call is one
transaction, on SQLite (a file, the default) or PostgreSQL (a URL); `SQLFile.transaction` makes several calls one.
`sqlfile` has the documented interface, `ledger` what it is made of and what is beside it, `tables` the tables, and
`database` connections and transactions.
"""

from pytams.sqldb.database import LedgerError
from pytams.sqldb.sqlfile import SQLFile
from pytams.sqldb.tables import (
    ArchivedTrajectory,
    Base,
    LedgerInfo,
    SplittingIterations,
    Trajectory,
    TrajectoryLock,
    valid_statuses,
)

__all__ = [
    "ArchivedTrajectory",
    "Base",
    "LedgerError",
    "LedgerInfo",
    "SQLFile",
    "SplittingIterations",
    "Trajectory",
    "TrajectoryLock",
    "valid_statuses",
]
