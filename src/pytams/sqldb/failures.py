"""What the errors of databases mean, and what to do about them: the one place that translates them."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from pytams.sqldb.errors import DamagedLedgerError, LedgerError, LostConnectionError, NoAccessError

BUSY_TIMEOUT = 60.0
"""Seconds that a writer waits for its turn before it gives up."""

_PASSING: tuple[tuple[set[int | str], str, str], ...] = (
    (
        {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, "55P03"},
        f"is locked by another writer, for up to {BUSY_TIMEOUT:g} s now",
        "wait until that one is done",
    ),
    ({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}, "cannot be read", "see to the disk"),
    ({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, "53100"}, "cannot be written", "make room"),
    (
        {
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_PERM,
            sqlite3.SQLITE_AUTH,
            "42501",
            "25006",
        },
        "cannot be used",
        "see that it is there, and that it may be used",
    ),
)
"""Codes, what they mean, and what to do about it; then the same call will do."""
_DAMAGE: tuple[tuple[set[int | str], str], ...] = (
    ({sqlite3.SQLITE_CORRUPT, "XX001", "XX002"}, "is damaged"),
    ({sqlite3.SQLITE_NOTADB}, "is not a pytams ledger, or is damaged"),
    ({"42P01", "42703", "3F000"}, "is not as pytams made it"),  # no such table, column, schema
)
_SQLITES_WORDS = ("no such table", "no such column", "Could not decode")
"""Of damage that has no code."""
_LOST: set[int | str] = {"57P01", "57P02", "57P03"}
"""Shutting down, crashed, starting up; no code at all is no answer at all."""


def explained(error: Exception, name: str, against_damage: str) -> LedgerError:
    """Say what an error means for the ledger of this name, and what to do about it."""
    codes, cause = _codes(error), cause_of(error)
    if isinstance(error, NoConnectionError):
        what = f"{name}: all connections of this process have been in use for {BUSY_TIMEOUT:g} s"
        return NoAccessError(what, "end a transaction")
    if _is_lost(error, codes):
        what = f"the connection to {name} was lost, and nothing of its transaction was written: {cause}"
        return LostConnectionError(what, "see to the server")
    for those, what, remedy in _PASSING:
        if codes & those:
            return NoAccessError(f"{name} {what}: {cause}", remedy)
    for those, what in _DAMAGE:
        if codes & those:
            return DamagedLedgerError(f"{name} {what}: {cause}", against_damage)
    if cause.startswith(_SQLITES_WORDS):
        return DamagedLedgerError(f"{name} is not as pytams made it: {cause}", against_damage)
    return LedgerError(f"{name}: the database says: {cause}")


def _is_lost(error: Exception, codes: set[int | str]) -> bool:
    if isinstance(error, PendingRollbackError):  # somebody went on after it was lost
        return True
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    says_so = not codes or bool(codes & _LOST) or any(str(code).startswith("08") for code in codes)
    return error.connection_invalidated or (says_so and isinstance(error, OperationalError | InterfaceError))


def _codes(error: Exception) -> set[int | str]:
    """Find SQLite's code, also without its details, or the server's SQLSTATE."""
    original = _original(error)
    code: int | None = getattr(original, "sqlite_errorcode", None)
    if code is not None:
        return {code, code & 0xFF}
    state: str | None = getattr(original, "sqlstate", None)
    return set() if state is None else {state}


def _original(error: Exception) -> BaseException | None:
    """Find the database's own error."""
    return error if isinstance(error, sqlite3.Error) else getattr(error, "orig", None)


def cause_of(error: Exception) -> str:
    """Find what the database said, without the statement that it said it of."""
    original = _original(error)
    if original is None:
        return str(error.args[0]) if error.args else type(error).__name__
    said = getattr(getattr(original, "diag", None), "message_primary", None) or str(original)
    return " ".join(said.partition("\nLINE ")[0].split())
