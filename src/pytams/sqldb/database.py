"""Where a ledger lives: connections and transactions, alike on every database.

Writers of one ledger stand in line: a write transaction takes the ledger's write lock first (``BEGIN IMMEDIATE``; an
advisory lock on PostgreSQL), so it never has to be repeated for another writer's sake, and ids are given out without
gaps. It is only made again where its connection was lost on the way: see `Database.again`.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from pytams.sqldb import failures
from pytams.sqldb.errors import REPAIR_FILE, DamagedLedgerError, LedgerError
from pytams.sqldb.forks import gate, keep_forever
from pytams.sqldb.transactions import Transactions, is_of_a_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_T = TypeVar("_T")


class Database(Transactions):
    """Connections to one ledger.

    Parameters
    ----------
    read_only
        Refuse writes, and create nothing.
    """

    stem: str = ""
    """What to call files that are made of it, empty in memory."""
    against_damage = REPAIR_FILE  # what to do
    may_lose_connections = False
    """Whether a call may have to be made again: see `again`."""

    def __init__(self, *, read_only: bool) -> None:
        super().__init__(read_only=read_only)
        self._connections: set[Any] = set()  # in use
        self._is_refused = False
        gate.watch(self)

    def again(self, call: Callable[[], _T]) -> _T:
        """Make a call that is one transaction, again if the connection is lost on the way."""
        return call()

    def _begun(self, begin: str) -> Any:
        """Connect, and begin a transaction."""
        connection = self._connected()
        try:
            self._begin(connection, begin)
        except BaseException as error:
            self._end(connection)
            raise self._meaning(error) from _cause(error)
        return connection

    def _connected(self) -> Any:
        """Take a connection, which `_end` gives back."""
        gate.enter(self)
        try:
            connection = self._take()
        except BaseException as error:
            gate.leave(self)
            raise self._meaning(error) from _cause(error)
        self._connections.add(connection)
        return connection

    @abstractmethod
    def _take(self) -> Any:
        """Take a connection, which `_give_back` gives back."""

    @abstractmethod
    def _give_back(self, connection: Any) -> None:
        """Give a connection back; what is not committed is rolled back."""

    @abstractmethod
    def _begin(self, connection: Any, begin: str) -> None:
        """Begin a transaction, with SQLite's word for it; a writing one takes the write lock first."""

    def _commit(self, connection: Any) -> None:
        try:
            connection.commit()
        except Exception as error:
            raise self._meaning(error) from _cause(error)

    def _end(self, connection: Any) -> None:
        """Give a connection back, and tell forks."""
        try:
            self._give_back(connection)
        finally:
            self._connections.discard(connection)
            gate.leave(self)

    def _meaning(self, error: BaseException) -> BaseException:
        """Say what an error of the database means; another one is itself."""
        if isinstance(error, LedgerError) or not is_of_a_database(error):
            return error
        return self._explain(error)

    def _explain(self, error: Exception) -> LedgerError:
        return failures.explained(error, self.label, self.against_damage)

    def damaged(self, what: str) -> DamagedLedgerError:
        """Make the error that says what is not as it was written."""
        return DamagedLedgerError(f"{self.label}: {what}, which is not what was written", self.against_damage)

    # --- forks --------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close what a child must not inherit. No connection is in use."""

    def after_fork(self, *, was_in_use: bool) -> None:
        """In a child: begin anew, or do without the ledger if a connection was in use."""
        if was_in_use:
            self._is_refused = True
            self._leave_connections()
        self._thread = threading.local()

    @abstractmethod
    def _idle(self) -> Iterable[Any]:
        """Find what holds the connections that are not in use."""

    def _leave_connections(self) -> None:
        """In a child: leave the parent's connections alone."""
        for thing in (*self._idle(), *self._connections):
            keep_forever(thing)
        self._connections = set()

    def _refuse_in_child(self) -> None:
        if self._is_refused:
            raise refused(self.name)

    # --- the rest -----------------------------------------------------------------------------------------------

    @abstractmethod
    def table_names(self, connection: Any) -> list[str]:
        """List the tables that are there."""

    @abstractmethod
    def make_tables(self, connection: Any) -> None:
        """Make the tables of a ledger."""

    def make_room(self, connection: Any) -> None:
        """Make the place for the tables."""

    def prepare(self) -> None:
        """Make ready for use, once it is known to be a ledger."""

    def close(self) -> None:
        """Close every connection."""
        if not self._is_refused:
            self._close()

    @abstractmethod
    def _close(self) -> None:
        """Close every connection."""


def refused(name: str) -> LedgerError:
    """Say why a child process may not use a ledger."""
    return LedgerError(
        f"{name} was in use when this process was forked, inside a transaction: only the parent can go on with it. "
        "Fork outside of transactions, or start the process with multiprocessing's 'spawn'"
    )


def _cause(error: BaseException) -> BaseException | None:
    """Find what to name as the cause of what an error means: itself, if that is another one."""
    return error if is_of_a_database(error) and not isinstance(error, LedgerError) else error.__cause__
