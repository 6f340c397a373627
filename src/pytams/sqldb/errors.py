"""What can go wrong with a ledger: a `PytamsError`, and a `SQLAlchemyError` as its documented interface has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from pytams.core.errors import PytamsError


class LedgerError(PytamsError, SQLAlchemyError):
    """The ledger is missing, foreign, read-only, or was replaced behind its object's back."""


class NoLedgerError(LedgerError):
    """There is a database, and no ledger in it."""


REPAIR_FILE = "`pytams repair DIR` computes a ledger of the run directory DIR again"
RESTORE_DATABASE = "Restore the database from a backup, or start a new study"
"""What helps against damage: a file can be set aside, a schema of somebody's server cannot."""


class DamagedLedgerError(LedgerError):
    """The ledger is not as it was written."""

    def __init__(self, what: str, remedy: str = REPAIR_FILE) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what, self.remedy = what, remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.remedy)


class NoAccessError(LedgerError):
    """The database did not do what it was asked, and would if the cause were gone. Nothing of it was written."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}, and try again")
        self.what, self.remedy = what, remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.remedy)


class LostConnectionError(NoAccessError):
    """The connection was lost on the way."""


class NoTrajectoryError(LedgerError, ValueError):
    """There is no trajectory with this id: the documented interface promises the one kind of error or the other."""

    def __init__(self, traj_id: int) -> None:
        super().__init__(f"there is no trajectory with id {traj_id}")
        self.traj_id = traj_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.traj_id,)


class NoIterationError(LedgerError, ValueError):
    """There is no splitting iteration yet."""
