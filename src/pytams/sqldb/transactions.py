"""Transactions of a thread: one that it is in takes up those that begin in it."""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb.errors import LedgerError
from pytams.sqldb.forks import gate

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypeGuard

    from pytams.sqldb.connection import Connection


WRITE = "BEGIN IMMEDIATE"
"""SQLite's word for a transaction that holds the write lock."""


class Transactions(ABC):
    """What begins and ends transactions.

    Parameters
    ----------
    read_only
        Refuse those that write.
    """

    name: str
    """What to call the database: a path or a URL without its password, empty in memory."""

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._thread = threading.local()

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return self.name or "the ledger in memory"

    def write(self) -> Transaction:
        """One transaction that holds the write lock; inside another one of this thread, a part of that one."""
        return Transaction(self, begin=WRITE, is_call=True)

    def read(self) -> Transaction:
        """Read with one statement; inside a transaction of this thread, what that one sees."""
        return Transaction(self, begin="", is_call=True)

    def view(self) -> Transaction:
        """Read one consistent view, with several statements."""
        return Transaction(self, begin="BEGIN", is_call=True)

    def transaction(self) -> Transaction:
        """One transaction around writes and reads, and whatever else its body may do."""
        return Transaction(self, begin=WRITE, is_call=False)

    def enter(self, transaction: Transaction) -> Connection:
        """Begin a transaction, unless this thread is in one."""
        if transaction.writes and self.read_only:
            raise LedgerError(f"{self.name} was opened read-only: nothing can be written to it")
        self._refuse_in_child()
        outer: Connection | None = self._outer
        if outer is not None:
            self._refuse_after_failure()
            return outer
        transaction.depth = gate.depth
        connection: Connection = self._begun(transaction.begin)
        transaction.connection = connection
        if transaction.writes:
            self._thread.connection, self._thread.failure = connection, None
        return connection

    def leave(self, transaction: Transaction, error: BaseException | None) -> None:
        """Commit what was written; or roll it back after an error, and say what that means."""
        meaning = error
        if error is not None and transaction.is_call:
            meaning = self._meaning(error)
            if meaning is not error:
                meaning.__cause__ = error
            if isinstance(meaning, LedgerError) and is_of_a_database(meaning.__cause__):
                self._thread.failure = meaning
        if transaction.connection is not None:
            self._finish(transaction, is_good=error is None)
        if meaning is not None and meaning is not error:
            raise meaning

    def _finish(self, transaction: Transaction, *, is_good: bool) -> None:
        connection = transaction.connection
        try:
            if is_good:
                self._refuse_in_child()
                if transaction.writes:
                    self._refuse_after_failure()
                    self._commit(connection)
        finally:
            if transaction.depth == gate.depth:  # else it is the parent's
                self._thread.connection = None
                self._end(connection)

    @property
    def _outer(self) -> Any:
        """Connection of the transaction that this thread is in."""
        return getattr(self._thread, "connection", None)

    def _refuse_after_failure(self) -> None:
        failure: LedgerError | None = self._thread.failure
        if failure is not None:
            raise LedgerError(
                f"{self.label}: nothing of this transaction is written, because a call in it failed: {failure}"
            ) from failure

    @abstractmethod
    def _begun(self, begin: str) -> Any:
        """Connect, and begin a transaction."""

    @abstractmethod
    def _commit(self, connection: Any) -> None:
        """Make what was written last."""

    @abstractmethod
    def _end(self, connection: Any) -> None:
        """Give a connection back; what is not committed is rolled back."""

    @abstractmethod
    def _refuse_in_child(self) -> None:
        """Raise if a parent process goes on with the database."""

    @abstractmethod
    def _meaning(self, error: BaseException) -> BaseException:
        """Say what an error of the database means; another one is itself."""


class Transaction:
    """A transaction, or a part of one that this thread is in: ``with transaction as connection``.

    Parameters
    ----------
    database
        Where.
    begin
        SQLite's word for how it begins: empty if it is one statement that reads.
    is_call
        Whether what fails in it is a call: nothing of the transaction that it is in is written after it.
    """

    __slots__ = ("begin", "connection", "database", "depth", "is_call", "writes")

    def __init__(self, database: Transactions, *, begin: str, is_call: bool) -> None:
        self.database, self.begin, self.is_call = database, begin, is_call
        self.writes = begin is WRITE
        self.connection: Any = None
        """Of its own; none if it is a part of another one."""
        self.depth = 0

    def __enter__(self) -> Connection:
        return self.database.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.database.leave(self, error)


def is_of_a_database(error: BaseException | None) -> TypeGuard[SQLAlchemyError | sqlite3.Error]:
    """Whether an error was raised by SQLAlchemy, or by SQLite."""
    return isinstance(error, SQLAlchemyError | sqlite3.Error)
