"""Statements of SQLAlchemy, executed by Python's `sqlite3` itself.

What SQLAlchemy does at each execution takes several times as long as SQLite takes for it. Here a statement is turned
into SQL once.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Executable, Select
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql.ddl import CreateTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import MetaData

_DIALECT = dialect(paramstyle="named")


class _SQL(NamedTuple):
    """A statement as SQLite takes it."""

    text: str
    constants: dict[str, Any]
    """Parameters that the statement has the values of."""
    row: Callable[[Sequence[Any]], Any]
    """Makes a row of what SQLite gives."""


_known: dict[Executable, _SQL] = {}
"""They are as many as there are in `pytams.sqldb.statements`."""


def _compiled(statement: Executable, parameters: Any) -> _SQL:
    """Turn a statement with such parameters into SQL."""
    names = (parameters[0] if isinstance(parameters, list) else parameters) or ()
    compiled: Any = statement.compile(dialect=_DIALECT, column_keys=list(names))  # type: ignore[attr-defined] # it is a clause
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    columns = statement.selected_columns.keys() if isinstance(statement, Select) else []
    row: Any = namedtuple("Row", columns, rename=True)  # type: ignore[misc]
    return _known.setdefault(statement, _SQL(str(compiled), constants, row._make))


class DirectAnswer:
    """What a statement gives."""

    __slots__ = ("_cursor", "_row")

    def __init__(self, cursor: sqlite3.Cursor, row: Callable[[Sequence[Any]], Any]) -> None:
        self._cursor, self._row = cursor, row

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        return self._cursor.rowcount

    def all(self) -> list[Any]:
        """Get every row: a named tuple each."""
        try:
            return [self._row(row) for row in self._cursor]
        finally:
            self._cursor.close()

    def first(self) -> Any:
        """Get the first row; None if there is none."""
        try:
            row = self._cursor.fetchone()
        finally:
            self._cursor.close()  # else it would go on reading
        return None if row is None else self._row(row)


class DirectConnection:
    """A connection to an SQLite database."""

    __slots__ = ("begin", "commit", "generation", "raw")

    def __init__(self, raw: sqlite3.Connection, generation: int = 0) -> None:
        self.raw, self.generation = raw, generation
        self.begin = raw.execute
        self.commit = raw.commit

    def execute(self, statement: Executable, parameters: Any = None, /) -> DirectAnswer:
        """Execute a statement, with its parameters by name; with a list of such: many times."""
        known = _known.get(statement)
        if known is None:
            known = _compiled(statement, parameters)
        text, constants, row = known
        if type(parameters) is list:
            if len(parameters) > 1:
                rows = [constants | values for values in parameters] if constants else parameters
                return DirectAnswer(self.raw.executemany(text, rows), row)
            [parameters] = parameters
        values = constants | (parameters or {}) if constants else (parameters or ())
        return DirectAnswer(self.raw.execute(text, values), row)

    def scalar(self, statement: Executable, parameters: Any = None, /) -> Any:
        """Get the first value of the first row; None if there is none."""
        known = _known.get(statement)
        if known is None or known.constants:
            row = self.execute(statement, parameters).first()
        else:
            row = self.raw.execute(known.text, parameters or ()).fetchone()
        return None if row is None else row[0]

    def roll_back(self) -> bool:
        """Forget what was not committed; False if it cannot be: then the connection is closed."""
        if self.raw.in_transaction:
            try:
                self.raw.rollback()
            except sqlite3.Error:
                self.close()
                return False
        return True

    def close(self) -> None:
        """Close it."""
        with suppress(sqlite3.Error):
            self.raw.close()


def creating(metadata: MetaData) -> list[str]:
    """List the SQL that makes tables."""
    return [str(CreateTable(table).compile(dialect=_DIALECT)) for table in metadata.sorted_tables]
