"""Where a ledger lives: connections and transactions, alike on every database.

Writers of one ledger stand in line: a write transaction takes the ledger's write lock first (``BEGIN IMMEDIATE``; an
advisory lock on PostgreSQL), so it never has to be repeated for another writer's sake, and ids are given out without
gaps. It is only made again where its connection was lost on the way: see `Database.again`.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb import failures
from pytams.sqldb.errors import REPAIR_FILE, DamagedLedgerError, LedgerError
from pytams.sqldb.forks import gate, keep_forever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection, Engine

_T = TypeVar("_T")


class Database(ABC):
    """Connections to one ledger.

    Parameters
    ----------
    read_only
        Refuse writes, and create nothing.
    """

    name: str
    """What to call it: a path or a URL without its password, empty in memory."""
    stem: str = ""
    """What to call files that are made of it, empty in memory."""
    schema: str | None = None
    """Schema that its tables are in."""
    against_damage = REPAIR_FILE  # what to do

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return self.name or "the ledger in memory"

    def __init__(self, engine: Engine, *, read_only: bool) -> None:
        self.read_only = read_only
        self._engine = engine
        self._thread = threading.local()
        self._connections: set[Connection] = set()  # in use
        self._is_refused = False
        gate.watch(self)

    # --- transactions -------------------------------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that holds the write lock; inside another one of this thread, a part of that one."""
        with self.transaction() as connection, self._call():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; inside a transaction of this thread, what that one sees."""
        with self._transaction(write=False) as connection, self._call():
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction around writes and reads, and whatever else its body may do."""
        if self.read_only:
            raise LedgerError(f"{self.name} was opened read-only: nothing can be written to it")
        with self._transaction(write=True) as connection:
            yield connection

    def again(self, call: Callable[[], _T]) -> _T:
        """Make a call that is one transaction, again if the connection is lost on the way."""
        return call()

    @property
    def _outer(self) -> Connection | None:
        """Connection of the transaction that this thread is in."""
        return getattr(self._thread, "connection", None)

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        self._refuse_in_child()
        if self._outer is not None:
            self._refuse_after_failure()
            yield self._outer
            return
        process = os.getpid()
        connection = self._begun(write=write)
        try:
            if write:
                self._thread.connection, self._thread.failure = connection, None
            yield connection
            self._refuse_in_child()
            if write:
                self._refuse_after_failure()
                self._commit(connection)
        finally:
            if os.getpid() == process:
                self._thread.connection = None
                self._end(connection)

    def _begun(self, *, write: bool) -> Connection:
        """Connect, and begin a transaction."""
        connection = self._connected()
        try:
            with self._explained():
                self._begin(connection, write=write)
        except BaseException:
            self._end(connection)
            raise
        return connection

    def _connected(self) -> Connection:
        """Take a connection, which `_end` gives back."""
        gate.enter(self)
        try:
            with self._explained():
                connection = self._engine.connect()
        except BaseException:
            gate.leave(self)
            raise
        self._connections.add(connection)
        return connection

    @abstractmethod
    def _begin(self, connection: Connection, *, write: bool) -> None:
        """Begin a transaction; a writing one takes the write lock first."""

    def _commit(self, connection: Connection) -> None:
        with self._explained():
            connection.commit()

    def _end(self, connection: Connection) -> None:
        """Give a connection back; what is not committed is rolled back."""
        try:
            _close(connection)
        finally:
            self._connections.discard(connection)
            gate.leave(self)

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Say what an error means; nothing of the transaction that it happened in is written after it."""
        try:
            with self._explained():
                yield
        except LedgerError as error:
            if isinstance(error.__cause__, SQLAlchemyError):
                self._thread.failure = error
            raise

    def _refuse_after_failure(self) -> None:
        failure: LedgerError | None = self._thread.failure
        if failure is not None:
            raise LedgerError(
                f"{self.label}: nothing of this transaction is written, because a call in it failed: {failure}"
            ) from failure

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what an error of the database means."""
        try:
            yield
        except LedgerError:
            raise
        except SQLAlchemyError as error:
            raise self._explain(error) from error

    def _explain(self, error: SQLAlchemyError) -> LedgerError:
        return failures.explained(error, self.label, self.against_damage)

    def damaged(self, what: str) -> DamagedLedgerError:
        """Make the error that says what is not as it was written."""
        return DamagedLedgerError(f"{self.label}: {what}, which is not what was written", self.against_damage)

    # --- forks --------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:  # noqa: B027 - most have nothing to do
        """Close what a child must not inherit. No connection is in use."""

    def after_fork(self, *, was_in_use: bool) -> None:
        """In a child: begin anew, or do without the ledger if a connection was in use."""
        if was_in_use:
            self._is_refused = True
            self._leave_connections()
        self._thread = threading.local()

    def _leave_connections(self) -> None:
        """In a child: leave the parent's connections alone."""
        for thing in (self._engine, *self._connections):
            keep_forever(thing)
        self._connections = set()

    def _refuse_in_child(self) -> None:
        if self._is_refused:
            raise refused(self.name)

    # --- the rest -----------------------------------------------------------------------------------------------

    def make_room(self, connection: Connection) -> None:  # noqa: B027 - most have room
        """Make the place for the tables."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Make ready for use, once it is known to be a ledger."""

    @property
    @abstractmethod
    def now(self) -> ColumnElement[float]:
        """The database's own clock: seconds since 1970."""

    def close(self) -> None:
        """Close every connection."""
        if not self._is_refused:
            self._close()

    def _close(self) -> None:
        self._engine.dispose()


def refused(name: str) -> LedgerError:
    """Say why a child process may not use a ledger."""
    return LedgerError(
        f"{name} was in use when this process was forked, inside a transaction: only the parent can go on with it. "
        "Fork outside of transactions, or start the process with multiprocessing's 'spawn'"
    )


def _close(connection: Connection) -> None:
    try:
        connection.close()
    except SQLAlchemyError:  # it could not be rolled back: it is lost
        if not connection.closed:
            connection.invalidate()
            connection.close()
