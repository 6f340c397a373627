"""Which database a file name or URL stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytams.sqldb.errors import LedgerError
from pytams.sqldb.postgres import Postgres
from pytams.sqldb.sqlite import File, Memory
from pytams.sqldb.urls import is_url, parsed, shown

if TYPE_CHECKING:
    from pytams.sqldb.database import Database


def open_database(file_name: str, *, in_memory: bool, read_only: bool) -> Database:
    """Make the database that a file name or URL stands for.

    Raises
    ------
    SQLAlchemyError
        If it is not there and read-only, out of reach, or of an unknown kind.
    """
    if in_memory:
        return Memory()
    if not is_url(file_name):
        return File(Path(file_name), read_only=read_only)
    url = parsed(file_name)
    backend = url.get_backend_name()
    if backend == "postgresql":
        return Postgres(url, read_only=read_only)
    if backend == "sqlite" and url.database:
        synchronous = str(url.query.get("synchronous", "")).upper() or None
        if synchronous not in {None, "NORMAL", "FULL", "EXTRA"}:
            raise LedgerError(f"synchronous={synchronous}: one of NORMAL, FULL or EXTRA")
        return File(Path(url.database), read_only=read_only, synchronous=synchronous)
    raise LedgerError(f"{shown(file_name)}: a ledger is an SQLite file or a PostgreSQL schema")
