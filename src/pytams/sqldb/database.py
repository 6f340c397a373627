"""Where a ledger lives: connections and transactions on SQLite and PostgreSQL, alike to who uses them.

Writers of one ledger stand in line: a write transaction takes the ledger's write lock first (``BEGIN IMMEDIATE``; an
advisory lock on PostgreSQL), so it never has to be repeated and ids are given out without gaps.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, func, literal_column, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateSchema

from pytams.errors import PytamsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement

BUSY_TIMEOUT = 60.0
"""Seconds that a writer waits for its turn before it gives up."""

SHARED_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
"""File systems on which several machines may see one file, but not each other's shared memory."""


class LedgerError(PytamsError, SQLAlchemyError):
    """The ledger is missing, foreign, read-only, or was replaced behind its object's back."""


class NoLedgerError(LedgerError):
    """There is a database, and no ledger in it."""


class Database(ABC):
    """Connections to one ledger.

    Parameters
    ----------
    read_only
        Refuse writes, and create nothing.
    """

    name: str
    """What to call it: a path or a URL without its password, empty in memory."""
    stem: str = ""
    """What to call files that are made of it, empty in memory."""
    schema: str | None = None
    """Schema that its tables are in."""

    def __init__(self, engine: Engine, *, read_only: bool) -> None:
        self.read_only = read_only
        self._engine = engine
        self._pid = os.getpid()
        self._thread = threading.local()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that holds the write lock; inside another one of this thread, a part of that one."""
        if self.read_only:
            raise LedgerError(f"{self.name} was opened read-only: nothing can be written to it")
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; inside a transaction of this thread, what that one sees."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        outer: Connection | None = getattr(self._thread, "connection", None)
        if outer is not None:
            yield outer
            return
        self._leave_parents_connections()
        with self._engine.connect() as connection:
            self._begin(connection, write=write)
            if write:
                self._thread.connection = connection
            try:
                yield connection
            finally:
                self._thread.connection = None
            if write:
                self._check()
            connection.commit()

    def _leave_parents_connections(self) -> None:
        """After a fork, open connections of our own: those of the parent are in its use."""
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()

    @abstractmethod
    def _begin(self, connection: Connection, *, write: bool) -> None:
        """Begin a transaction; a writing one takes the write lock first."""

    def _check(self) -> None:  # noqa: B027 - most have nothing to check
        """Make sure, before a commit, that it will be found again."""

    def make_room(self, connection: Connection) -> None:  # noqa: B027 - most have room
        """Make the place for the tables."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Make ready for use, once it is known to be a ledger."""

    @property
    @abstractmethod
    def now(self) -> ColumnElement[float]:
        """The database's own clock: seconds since 1970."""

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


class _SQLite(Database):
    def _begin(self, connection: Connection, *, write: bool) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    @property
    def now(self) -> ColumnElement[float]:
        """The database's own clock: seconds since 1970."""
        return literal_column("(julianday('now') - 2440587.5) * 86400.0")


class Memory(_SQLite):
    """SQLite in memory: one connection, which the threads take in turn."""

    name = ""

    def __init__(self) -> None:
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(":memory:"),
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=BUSY_TIMEOUT,
        )
        super().__init__(engine, read_only=False)


class File(_SQLite):
    """An SQLite file.

    On a local disk it is in WAL mode while it is open: readers and the writer do not wait for each other, and a
    commit is one write to the log. WAL needs memory shared between all who have the file open, so on a file system
    that several machines may share the classic rollback journal is used.
    """

    def __init__(self, path: Path, *, read_only: bool, synchronous: str | None = None) -> None:
        self.name = str(path)
        self.stem = path.stem
        self._path = path
        self._shared = _file_system(path) in SHARED_FILE_SYSTEMS
        self._synchronous = synchronous or ("FULL" if self._shared else "NORMAL")
        mode = "ro" if read_only else "rw"
        if read_only:
            if not path.is_file():
                raise LedgerError(f"{path}: there is no such ledger")
            if _is_left_in_wal_mode(path) and not os.access(path.parent, os.W_OK):
                mode = "ro&immutable=1"  # nobody can write here, and SQLite would want to make its log
        else:
            try:
                path.touch()
            except OSError as error:
                raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
        uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
        engine = create_engine("sqlite://", creator=lambda: self._connect(uri), poolclass=QueuePool)
        super().__init__(engine, read_only=read_only)
        self._log = Path(f"{path}-wal")
        self._identity, self._log_identity = _identity(path), _identity(self._log)

    def _connect(self, uri: str) -> sqlite3.Connection:
        connection = _connect(uri)
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        return connection

    def prepare(self) -> None:
        """Switch to WAL mode, where the file system allows it."""
        if self._shared or self.read_only:
            return
        with self._engine.connect() as connection, suppress(SQLAlchemyError):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # somebody busy: another one has or will
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # makes the log
            self._log_identity = _identity(self._log)

    def _check(self) -> None:
        found = _identity(self._path)
        if found is None:
            raise LedgerError(f"{self._path} is gone or out of reach: what is written to it would be lost")
        if found != self._identity:
            self._remove_orphaned_log()
            raise LedgerError(
                f"{self._path} was replaced by another file while it was open: nothing was written to it"
            )

    def _remove_orphaned_log(self) -> None:
        """Remove the log of a file that was replaced: left there, SQLite would apply it to the new file."""
        if _identity(self._log) == self._log_identity:
            for suffix in ("-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close every connection; the last one to leave folds the log into the file, which is then whole."""
        super().close()
        if self.read_only or self._shared:
            return
        if _identity(self._path) != self._identity:
            self._remove_orphaned_log()
            return
        with suppress(sqlite3.Error):
            connection = sqlite3.connect(f"file:{quote(str(self._path.absolute()))}?mode=rw", uri=True, timeout=0)
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.close()


class Postgres(Database):
    """A schema of a PostgreSQL database, named by the URL's ``schema`` (default: ``pytams``)."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.name = url.render_as_string(hide_password=True)
        schema = url.query.get("schema", "pytams")
        self.schema = self.stem = schema if isinstance(schema, str) else schema[-1]
        engine = create_engine(
            url.difference_update_query(["schema"]),
            pool_pre_ping=True,
            connect_args={"options": f"-c lock_timeout={int(BUSY_TIMEOUT * 1000)}"},
        ).execution_options(schema_translate_map={None: self.schema}, postgresql_readonly=read_only)
        super().__init__(engine, read_only=read_only)

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


def open_database(file_name: str, *, in_memory: bool, read_only: bool) -> Database:
    """Make the database that a file name or URL stands for.

    Raises
    ------
    SQLAlchemyError
        If it is not there and read-only, out of reach, or of an unknown kind.
    """
    if in_memory:
        return Memory()
    if not re.match(r"[A-Za-z][\w+]*://", file_name):
        return File(Path(file_name), read_only=read_only)
    url = make_url(file_name)
    backend = url.get_backend_name()
    if backend == "postgresql":
        return Postgres(url, read_only=read_only)
    if backend == "sqlite" and url.database:
        synchronous = str(url.query.get("synchronous", "")).upper() or None
        if synchronous not in {None, "NORMAL", "FULL", "EXTRA"}:
            raise LedgerError(f"synchronous={synchronous}: one of NORMAL, FULL or EXTRA")
        return File(Path(url.database), read_only=read_only, synchronous=synchronous)
    raise LedgerError(
        f"{url.render_as_string(hide_password=True)}: a ledger is an SQLite file or a PostgreSQL schema"
    )


def _connect(target: str) -> sqlite3.Connection:
    """Connect so that we say when transactions begin, and any thread may take the connection over."""
    return sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from another of the same name; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_left_in_wal_mode(path: Path) -> bool:
    """Whether the file says that it has a log, and there is none."""
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:20] == b"\x02\x02" and not Path(f"{path}-wal").exists()


def _file_system(path: Path) -> str:
    """Type of the file system that a path is on, as Linux has it; empty elsewhere."""
    with suppress(OSError):
        folder = path.absolute().parent.resolve()
        mounts = (line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
        found = {target.replace("\\040", " "): kind for _, target, kind, *_ in mounts}
        return next(found[str(parent)] for parent in (folder, *folder.parents) if str(parent) in found)
    return ""
