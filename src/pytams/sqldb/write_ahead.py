"""SQLite's write-ahead log: switched to and from without files that would be removed at once."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NORMAL = 1
"""SQLite's number for commits that may be lost in a power cut, the last ones only."""


def switch_to_log(connection: sqlite3.Connection) -> None:
    """Write to a log from now on (WAL), if it may be."""
    with suppress(sqlite3.Error), _at_once(connection):  # busy: another one has, or will
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # makes the log


def switch_from_log(connection: sqlite3.Connection) -> None:
    """Fold the log into the file, and take it away, if nobody else has the file open."""
    with suppress(sqlite3.Error):  # others have the file open
        connection.execute("PRAGMA busy_timeout=0")
        is_busy, n_pages, n_folded = connection.execute("PRAGMA wal_checkpoint").fetchone()
        if is_busy or n_pages != n_folded:
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
            return
        with _at_once(connection) as mode:  # all is on disk
            connection.execute(f"PRAGMA journal_mode={mode}").fetchone()


@contextmanager
def _at_once(connection: sqlite3.Connection) -> Iterator[str]:
    """Change the header of the file without a journal, nor waiting for the disk, if commits need not be waited for.

    Tells which journal there is to be. It is a few bytes in one sector, so it is written or not. And either will do:
    where a log is, SQLite finds it, whatever the header says; and where that says that there is one, which has been
    folded in, nothing is missing. Whatever comes of it, the connection is as careful as before.
    """
    [synchronous] = connection.execute("PRAGMA synchronous").fetchone()
    if synchronous != _NORMAL:
        yield "DELETE"
        return
    connection.execute("PRAGMA synchronous=OFF")
    try:
        if _mode(connection) != "wal":
            connection.execute("PRAGMA journal_mode=MEMORY").fetchone()
        yield "MEMORY"
    finally:
        connection.execute(f"PRAGMA synchronous={_NORMAL}")
        if _mode(connection) != "wal":
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()


def _mode(connection: sqlite3.Connection) -> str:
    [mode] = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode)
