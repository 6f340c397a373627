"""Where a ledger lives: connections and transactions, alike on every database.

Writers of one ledger stand in line: a write transaction takes the ledger's write lock first (``BEGIN IMMEDIATE``; an
advisory lock on PostgreSQL), so it never has to be repeated and ids are given out without gaps.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytams.sqldb.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection, Engine

BUSY_TIMEOUT = 60.0
"""Seconds that a writer waits for its turn before it gives up."""


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

    def __init__(self, engine: Engine, *, read_only: bool) -> None:
        self.read_only = read_only
        self._engine = engine
        self._pid = os.getpid()
        self._thread = threading.local()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that holds the write lock; inside another one of this thread, a part of that one."""
        if self.read_only:
            raise LedgerError(f"{self.name} was opened read-only: nothing can be written to it")
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; inside a transaction of this thread, what that one sees."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        outer: Connection | None = getattr(self._thread, "connection", None)
        if outer is not None:
            yield outer
            return
        self._leave_parents_connections()
        with self._engine.connect() as connection:
            self._begin(connection, write=write)
            if write:
                self._thread.connection = connection
            try:
                yield connection
            finally:
                self._thread.connection = None
            if write:
                self._check()
            connection.commit()

    def _leave_parents_connections(self) -> None:
        """After a fork, open connections of our own: those of the parent are in its use."""
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()

    @abstractmethod
    def _begin(self, connection: Connection, *, write: bool) -> None:
        """Begin a transaction; a writing one takes the write lock first."""

    def _check(self) -> None:  # noqa: B027 - most have nothing to check
        """Make sure, before a commit, that it will be found again."""

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
        self._engine.dispose()
