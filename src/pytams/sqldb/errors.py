"""What can go wrong with a ledger: a `PytamsError`, and a `SQLAlchemyError` as its documented interface has it."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from pytams.core.errors import PytamsError


class LedgerError(PytamsError, SQLAlchemyError):
    """The ledger is missing, foreign, read-only, or was replaced behind its object's back."""


class NoLedgerError(LedgerError):
    """There is a database, and no ledger in it."""


class NoTrajectoryError(LedgerError, ValueError):
    """There is no trajectory with this id: the documented interface promises the one kind of error or the other."""

    def __init__(self, traj_id: int) -> None:
        super().__init__(f"there is no trajectory with id {traj_id}")
        self.traj_id = traj_id

    def __reduce__(self) -> tuple[type[NoTrajectoryError], tuple[int]]:
        return type(self), (self.traj_id,)
