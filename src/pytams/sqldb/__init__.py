"""A class for the TAMS data as an SQL database using SQLAlchemy.

The ledger of trajectories and splitting iterations, to which all workers have atomic access. Every call is one
transaction, on SQLite (a file, the default) or PostgreSQL (a URL); `SQLFile.transaction` makes several calls one.
`sqlfile` has the documented interface, `ledger` what it is made of and what is beside it, `tables` the tables, and
`database` connections and transactions. `runledger` adds what a driver needs to record a run in one.
"""

from pytams.sqldb.database import LedgerError, NoLedgerError
from pytams.sqldb.runledger import IterationRow, RunLedger, TrajectoryRow, splitting_columns
from pytams.sqldb.sqlfile import SQLFile
from pytams.sqldb.tables import (
    ArchivedTrajectory,
    Base,
    DiscardedTrajectory,
    LedgerInfo,
    RunLock,
    SegmentFile,
    SplittingIterations,
    Trajectory,
    TrajectoryLock,
    valid_statuses,
)

__all__ = [
    "ArchivedTrajectory",
    "Base",
    "DiscardedTrajectory",
    "IterationRow",
    "LedgerError",
    "LedgerInfo",
    "NoLedgerError",
    "RunLedger",
    "RunLock",
    "SQLFile",
    "SegmentFile",
    "SplittingIterations",
    "Trajectory",
    "TrajectoryLock",
    "TrajectoryRow",
    "splitting_columns",
    "valid_statuses",
]
