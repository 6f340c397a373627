"""A class for the TAMS data as an SQL database using SQLAlchemy.

The ledger of trajectories and splitting iterations, to which all workers have atomic access. Every call is one
transaction, on SQLite (a file, the default) or PostgreSQL (a URL); `SQLFile.transaction` makes several calls one.
`sqlfile` has the documented interface, `ledger` and `openledger` what it is made of and what is beside it, `tables`
the tables, `database` connections and transactions, `sqlite` and `postgres` the databases, `failures` what their
errors mean, `forks` what a child process may do. `runledger` adds what a driver needs to record a run in one, and
`contract` is the suite that every backend passes.
"""

from pytams.sqldb.sqlfile import SQLFile
from pytams.sqldb.tables import ArchivedTrajectory, Base, SplittingIterations, Trajectory, valid_statuses

__all__ = [  # noqa: RUF022 - in the order of the documentation, which is made of it
    "Base", "Trajectory", "ArchivedTrajectory", "SplittingIterations", "valid_statuses", "SQLFile",
]  # fmt: skip
