"""Ledgers on PostgreSQL: a schema each, and few connections for all of them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from sqlalchemy import URL, create_engine, func, literal_column, select
from sqlalchemy.schema import CreateSchema

from pytams.sqldb.database import BUSY_TIMEOUT, Database
from pytams.sqldb.urls import secrets, shown, without_secrets

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine

MAX_CONNECTIONS = 4
"""Connections of this process to one database at most, however many ledgers it has open there."""


class _SharedEngines:
    """One pool of connections for each database, for as long as a ledger there is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[int, URL], tuple[Engine, int]] = {}  # a process has its own

    def take(self, url: URL) -> Engine:
        """Find the engine of a database, or make it."""
        with self._lock:
            engine, n_users = self._open.get((os.getpid(), url)) or (_make_engine(url), 0)
            self._open[os.getpid(), url] = engine, n_users + 1
        return engine

    def give_back(self, url: URL) -> None:
        """Close the connections of an engine that nobody uses any more."""
        with self._lock:
            engine, n_users = self._open.pop((os.getpid(), url), (None, 0))
            if engine is not None and n_users > 1:
                self._open[os.getpid(), url] = engine, n_users - 1
            elif engine is not None:
                engine.dispose()


def _make_engine(url: URL) -> Engine:
    passwords = secrets(url) | ({} if url.password is None else {"password": url.password})
    return create_engine(
        without_secrets(url),  # which it shows
        pool_size=MAX_CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT,
        pool_pre_ping=True,
        connect_args={"options": f"-c lock_timeout={int(BUSY_TIMEOUT * 1000)}", **passwords},
    )


_engines = _SharedEngines()


class Postgres(Database):
    """A schema of a PostgreSQL database, named by the URL's ``schema`` (default: ``pytams``)."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.name = shown(url.render_as_string(hide_password=False))
        schema = url.query.get("schema", "pytams")
        self.schema = self.stem = schema if isinstance(schema, str) else schema[-1]
        self._url = url.difference_update_query(["schema"])
        self._is_closed = False
        super().__init__(self._engine_here(read_only=read_only), read_only=read_only)

    def _engine_here(self, *, read_only: bool) -> Engine:
        return _engines.take(self._url).execution_options(
            schema_translate_map={None: self.schema}, postgresql_readonly=read_only
        )

    def _leave_parents_connections(self) -> None:
        """After a fork, use an engine of this process: the parent's connections are in its use."""
        if self._pid != os.getpid():
            self._engine = self._engine_here(read_only=self.read_only)
            self._pid = os.getpid()

    def make_room(self, connection: Connection) -> None:
        """Make the schema."""
        connection.execute(CreateSchema(str(self.schema), if_not_exists=True))

    def _begin(self, connection: Connection, *, write: bool) -> None:
        if write:
            key = func.hashtextextended(f"pytams.sqldb {self.schema}", 0)
            connection.execute(select(func.pg_advisory_xact_lock(key)))

    @property
    def now(self) -> ColumnElement[float]:
        """The database's own clock: seconds since 1970."""
        return literal_column("extract(epoch from clock_timestamp())::double precision")

    def close(self) -> None:
        """Give the connections back; the last ledger of a database closes them."""
        if not self._is_closed:
            self._is_closed = True
            _engines.give_back(self._url)
