"""A ledger's life: it is opened, its calls are transactions, and it is closed."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytams.core.text import printable
from pytams.sqldb import statements
from pytams.sqldb.errors import LedgerError, NoLedgerError
from pytams.sqldb.forks import gate
from pytams.sqldb.opening import open_database
from pytams.sqldb.owner import Owner
from pytams.sqldb.tables import SCHEMA_VERSION, LedgerInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

_T = TypeVar("_T")
_Call = TypeVar("_Call", bound="Callable[..., Any]")


def repeated(call: _Call) -> _Call:
    """Make again, if the connection to the database is lost on the way, a call that is one transaction."""

    @functools.wraps(call)
    def until_it_is_done(self: OpenLedger, *args: Any, **kwargs: Any) -> Any:
        if self._database.may_lose_connections:
            return self._database.again(lambda: call(self, *args, **kwargs))
        return call(self, *args, **kwargs)

    return cast("_Call", until_it_is_done)


class OpenLedger:
    """A ledger that is open."""

    def __init__(self, file_name: str, *, in_memory: bool, read_only: bool) -> None:
        if in_memory and read_only:
            raise ValueError("in_memory and ro_mode: a ledger in memory starts empty, so it must be written to")
        self._arguments = (file_name, in_memory, read_only)
        self._database = open_database(file_name, in_memory=in_memory, read_only=read_only)
        self._owner, self._depth = str(Owner.here()), gate.depth
        try:
            self._database.again(self._open)
        except BaseException:
            self._database.close()
            raise

    def _open(self) -> None:
        """Make the tables in an empty database; refuse one that is not ours or not of our time."""
        database = self._database
        version = self._schema_version()
        if version is None and not database.read_only:
            self._make_tables()
            version = self._schema_version()
        if version is None:
            raise NoLedgerError(f"{database.name} is not a pytams ledger: it has no schema version")
        if version != str(SCHEMA_VERSION):
            raise LedgerError(
                f"{database.name} has schema version {printable(version)}; this pytams reads version "
                f"{SCHEMA_VERSION}: open it with the pytams that made it, or a newer one"
            )
        database.prepare()

    def _schema_version(self) -> str | None:
        """Look it up; None if the table is not there."""
        with self._database.view() as connection:
            if LedgerInfo.__tablename__ not in self._database.table_names(connection):
                return None
            version: str | None = connection.scalar(statements.GET_INFO, {"its_key": "schema_version"})
        return version

    def _make_tables(self) -> None:
        """Make the tables, if the database is empty."""
        database = self._database
        with database.write() as connection:
            database.make_room(connection)
            if not database.table_names(connection):
                database.make_tables(connection)
                version = {"key": "schema_version", "value": str(SCHEMA_VERSION)}
                connection.execute(statements.ADD[LedgerInfo], version)

    def close(self) -> None:
        """Close every connection. A ledger on SQLite is then one file, which can be moved or read anywhere."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[str, bool, bool]]:
        """Send it to another process: it opens the same ledger there."""
        if self._arguments[1]:
            raise TypeError("a ledger in memory cannot be shared with another process")
        return type(self), self._arguments

    @property
    def owner(self) -> str:
        """Whose the locks are that this object takes; in a forked process it is another owner."""
        if self._depth != gate.depth:
            self._owner, self._depth = str(Owner.here()), gate.depth
        return self._owner

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the calls inside one transaction: one commit, all or nothing.

        Other writers wait until it ends. Belongs to the calling thread.
        """
        with self._database.transaction():
            yield

    def atomically(self, calls: Callable[[], _T]) -> _T:
        """Make the calls of a function one transaction, and again if the connection to the database is lost."""

        def once() -> _T:
            with self.transaction():
                return calls()

        return self._database.again(once)
