"""What an SQLite file must not be able to do, since anybody may have made it: anything but hold plain tables."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pytams.core.text import printable
from pytams.sqldb.errors import DamagedLedgerError, LedgerError

_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""At the end of a rollback journal that names another one."""


def check_schema(connection: sqlite3.Connection, name: str) -> None:
    """Make sure that a database has plain tables alone: a view or a trigger would compute what is read or written.

    Raises
    ------
    LedgerError
        Names what else there is.
    DamagedLedgerError
        If it is nothing that SQLite knows.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    for kind, item, sql in connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall():
        if kind not in {"table", "index", "view", "trigger"} or not isinstance(sql, str):
            raise DamagedLedgerError(f"{name} is damaged: it has {kind!r} {item!r}")
        if kind == "table" and sql.upper().split()[:2] != ["CREATE", "TABLE"]:
            raise _refused(name, f"virtual table {printable(item)}")
        if kind not in {"table", "index"}:
            raise _refused(name, f"{kind} {printable(item)}")
    generated = (
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND hidden"
    )
    for table, column in connection.execute(generated):
        raise _refused(name, f"generated column {printable(column)} of {printable(table)}")


def _refused(name: str, what: str) -> LedgerError:
    return LedgerError(f"{name} has the {what}: no ledger has one, so it was not written by pytams")


def check_journal(database: Path) -> None:
    """Make sure that a journal that was left names no other file: rolling it back, SQLite would delete that one.

    Raises
    ------
    LedgerError
        If it does.
    """
    path = Path(f"{database}-journal")
    try:
        with path.open("rb") as file:
            file.seek(-len(_MAGIC), os.SEEK_END)
            found = file.read()
    except OSError:  # there is none, or it is empty
        return
    if found == _MAGIC:
        raise LedgerError(f"{path} names another file, which SQLite would delete: it was not written by pytams")
