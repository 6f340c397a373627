"""Which ledgers there are in a PostgreSQL database."""

from __future__ import annotations

from sqlalchemy import inspect

from pytams.sqldb.postgres import Postgres
from pytams.sqldb.urls import parsed


def schemas(url: str) -> list[str]:
    """Name every schema of a database.

    Raises
    ------
    LedgerError
        If it is out of reach.
    """
    database = Postgres(parsed(url), read_only=True)
    try:
        with database.read() as connection:
            return list(inspect(connection).get_schema_names())
    finally:
        database.close()
