"""Ledgers on PostgreSQL: a schema each, few connections for all of them, and patience with a server that is away."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, String, bindparam, create_engine, delete, func, inspect, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from pytams.core.distribution import installing
from pytams.sqldb.database import Database
from pytams.sqldb.errors import RESTORE_DATABASE, LedgerError, LostConnectionError, NoAccessError
from pytams.sqldb.failures import BUSY_TIMEOUT, cause_of
from pytams.sqldb.forks import keep_forever
from pytams.sqldb.tables import Base, LedgerInfo
from pytams.sqldb.transactions import WRITE
from pytams.sqldb.urls import secrets, shown, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection, Engine, Select

MAX_CONNECTIONS = 4
"""Connections of this process to one database at most, however many ledgers it has open there."""
OUT_OF_REACH = 120.0
"""Seconds that a database which has been reached before is tried again, before it is given up."""
_LONGEST_PAUSE = 5.0
CONNECT_WITH = {
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""Where the URL does not say otherwise. When a network is gone, we notice; in seconds and milliseconds."""
SERVERS_TIMEOUTS = {
    "lock_timeout": int(BUSY_TIMEOUT * 1000),
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
"""And the server notices, and lets go of our locks before we are tired of waiting for them."""

_logger = logging.getLogger("pytams.sqldb")
_T = TypeVar("_T")


class _SharedEngines:
    """One pool of connections for each database, for as long as a ledger there is open."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._open: dict[URL, tuple[Engine, WeakSet[Postgres]]] = {}
        self.reached: set[URL] = set()
        """Databases that were in reach when they were last tried."""

    def take(self, url: URL, user: Postgres) -> Engine:
        """Find the engine of a database, or make it."""
        if self._process != os.getpid():
            keep_forever(self._open)  # the parent's
            self._process, self._lock, self._open = os.getpid(), threading.Lock(), {}
        with self._lock:
            if url not in self._open:
                self._open[url] = _make_engine(url), WeakSet()
            engine, users = self._open[url]
            users.add(user)
        return engine

    def give_back(self, url: URL, user: Postgres) -> None:
        """Close the connections of an engine that nobody uses any more."""
        with self._lock:
            engine, users = self._open[url]
            users.discard(user)
            if not users:
                del self._open[url]
                engine.dispose()


def _make_engine(url: URL) -> Engine:
    options = str(url.query.get("options", "")) + "".join(f" -c {k}={v}" for k, v in SERVERS_TIMEOUTS.items())
    arguments: dict[str, Any] = {k: v for k, v in CONNECT_WITH.items() if k not in url.query} | secrets(url)
    if url.password is not None:
        arguments["password"] = url.password
    try:
        return create_engine(
            without_secrets(url),  # which it shows
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_timeout=BUSY_TIMEOUT,
            connect_args=arguments | {"options": options.strip()},
        )
    except (ImportError, NoSuchModuleError) as error:
        raise LedgerError(
            f"{shown(url.render_as_string(hide_password=False))} needs a driver that is not here "
            f"({' '.join(str(error).split())}): {installing('postgresql')}, and write postgresql+psycopg://..."
        ) from error


_engines = _SharedEngines()


class Postgres(Database):
    """A schema of a PostgreSQL database, named by the URL's ``schema`` (default: ``pytams``).

    A write transaction leaves a mark of its thread's in the ledger. When the connection is lost before the answer to
    a commit has come, the mark tells whether it was committed.
    """

    against_damage = RESTORE_DATABASE
    may_lose_connections = True

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.name = shown(url.render_as_string(hide_password=False))
        schema = url.query.get("schema", "pytams")
        self.schema = self.stem = schema if isinstance(schema, str) else schema[-1]
        self._url = url.difference_update_query(["schema"])
        self._is_ready = False
        self._marks: list[str] = []
        key = func.hashtextextended(f"pytams.sqldb {self.schema}", 0)
        self._lock = select(func.pg_advisory_xact_lock(key).label("lock"))
        self._lock_and_mark = _marking(self._lock)
        self._options = {"schema_translate_map": {None: self.schema}, "postgresql_readonly": read_only}
        self._engine = self._take_engine()
        super().__init__(read_only=read_only)

    def _take_engine(self) -> Engine:
        engine = _engines.take(self._url, self).execution_options(**self._options)
        self._is_open = True
        return engine

    def make_room(self, connection: Connection) -> None:
        """Make the schema."""
        connection.execute(CreateSchema(str(self.schema), if_not_exists=True))

    def prepare(self) -> None:
        """From now on transactions leave marks."""
        self._is_ready = True

    def table_names(self, connection: Connection) -> list[str]:
        """List the tables that are there."""
        return inspect(connection).get_table_names(schema=self.schema)

    def make_tables(self, connection: Connection) -> None:
        """Make the tables of a ledger."""
        Base.metadata.create_all(connection)

    # --- transactions -------------------------------------------------------------------------------------------

    def again(self, call: Callable[[], _T]) -> _T:
        """Make a call that is one transaction, again if the connection is lost on the way."""
        if self._outer is None:
            for pause in _pauses():
                try:
                    return call()
                except LostConnectionError:
                    time.sleep(pause)
        return call()

    def _begun(self, begin: str) -> Connection:
        """Connect, and begin a transaction; wait for a database that has been in reach before."""
        pauses = _pauses() if self._url in _engines.reached else iter(())
        is_away = False
        while True:
            try:
                connection: Connection = super()._begun(begin)
            except LostConnectionError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise self._out_of_reach(error.__cause__, waited=is_away) from error.__cause__
                if not is_away:
                    _logger.warning("%s is out of reach: trying again for %g s", self.name, OUT_OF_REACH)
                is_away = True
                self._wait(pause)
            else:
                _engines.reached.add(self._url)
                return connection

    def _wait(self, seconds: float) -> None:
        try:
            time.sleep(seconds)
        except BaseException:  # interrupted: who cleans up then does not wait again
            _engines.reached.discard(self._url)
            raise

    def _out_of_reach(self, cause: BaseException | None, *, waited: bool) -> NoAccessError:
        _engines.reached.discard(self._url)  # whoever asks next does not wait again
        said = cause_of(cause) if isinstance(cause, SQLAlchemyError) else cause
        if not waited:
            return NoAccessError(f"{self.name} is out of reach: {said}", "see to the server, or to the URL")
        return NoAccessError(
            f"{self.name} has been out of reach for {OUT_OF_REACH:g} s: {said}", "start the server again"
        )

    def _take(self) -> Connection:
        if not self._is_open:  # closed, or inherited
            self._engine = self._take_engine()
        return self._engine.connect()

    def _give_back(self, connection: Connection) -> None:
        try:
            connection.close()
        except SQLAlchemyError:  # it could not be rolled back: it is lost
            if not connection.closed:
                connection.invalidate()
                connection.close()

    def _idle(self) -> Iterable[object]:
        """Find what holds the connections that are not in use."""
        return [self._engine]

    def _begin(self, connection: Connection, begin: str) -> None:
        if begin is not WRITE:
            return
        if not self._is_ready:
            connection.execute(self._lock)
            return
        if not hasattr(self._thread, "mark"):
            self._thread.mark = f"last writer {uuid.uuid4().hex}"
            self._marks.append(self._thread.mark)
        self._thread.token = uuid.uuid4().hex
        connection.execute(self._lock_and_mark, {"mark": self._thread.mark, "token": self._thread.token})

    def _commit(self, connection: Connection) -> None:
        """Commit; if the connection is lost before the answer has come, find out what happened."""
        try:
            super()._commit(connection)
        except LostConnectionError:
            connection.close()
            self._thread.connection = None
            if not self._is_ready or not self._was_committed():
                raise

    def _was_committed(self) -> bool:
        try:
            return self.again(self._is_marked)
        except NoAccessError as error:
            what = f"{error.what}; whether the last transaction was written is not known"
            raise NoAccessError(what, error.remedy) from error

    def _is_marked(self) -> bool:
        """Look for the mark of this thread's last transaction, once that has let go of the lock."""
        with self.view() as connection:
            connection.execute(self._lock)
            found = connection.scalar(select(LedgerInfo.value).where(LedgerInfo.key == self._thread.mark))
        return bool(found == self._thread.token)

    # --- forks, and the end -------------------------------------------------------------------------------------

    def after_fork(self, *, was_in_use: bool) -> None:
        """In a child: begin anew, with an engine of this process, or do without the ledger if it was in use."""
        super().after_fork(was_in_use=was_in_use)
        self._leave_connections()
        self._is_open, self._marks = False, []

    def _close(self) -> None:
        """Give the connections back; the last ledger of a database closes them."""
        if not self._is_open:
            return
        if self._marks and self._outer is None:
            with suppress(LedgerError):
                self._remove_marks()
        self._is_open = False
        _engines.give_back(self._url, self)

    def _remove_marks(self) -> None:
        connection = super()._begun("")
        try:
            connection.execute(delete(LedgerInfo).where(LedgerInfo.key.in_(self._marks)))
            connection.commit()
        except SQLAlchemyError as error:
            raise self._explain(error) from error
        finally:
            self._end(connection)


def _marking(lock: Select[Any]) -> Insert:
    """Make the statement that takes the lock, and then leaves a mark."""
    row = select(bindparam("mark", type_=String), bindparam("token", type_=String)).select_from(lock.cte("lock"))
    marking = insert(LedgerInfo).from_select(["key", "value"], row)
    return marking.on_conflict_do_update(index_elements=["key"], set_={"value": marking.excluded.value})


def _pauses() -> Iterator[float]:
    """Pauses between attempts, longer and longer, until it has taken too long."""
    end = time.monotonic() + OUT_OF_REACH
    for i in itertools.count():
        left = end - time.monotonic()
        if left <= 0.0:
            return
        yield min(0.05 * 2**i, _LONGEST_PAUSE, left)
