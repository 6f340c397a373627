"""Ledgers on SQLite: in a file, or in memory."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, literal_column
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from pytams.sqldb.database import BUSY_TIMEOUT, Database
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.untrusted import check_journal, check_schema

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

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
        self._shared = file_system(path) in SHARED_FILE_SYSTEMS
        self._synchronous = synchronous or ("FULL" if self._shared else "NORMAL")
        mode = "ro" if read_only else "rw"
        if read_only:
            if not path.is_file():
                raise LedgerError(f"{path}: there is no such ledger")
            if _is_left_in_wal_mode(path) and not os.access(path.parent, os.W_OK):
                mode = "ro&immutable=1"  # nobody can write here, and SQLite would want to make its log
        else:
            check_journal(path)
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
        try:
            check_schema(connection, self.name)
        except BaseException:
            connection.close()
            raise
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


def file_system(path: Path) -> str:
    """Type of the file system that a path is on, as Linux has it; empty elsewhere."""
    with suppress(OSError):
        folder = path.absolute().parent.resolve()
        mounts = (line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
        found = {target.replace("\\040", " "): kind for _, target, kind, *_ in mounts}
        return next(found[str(parent)] for parent in (folder, *folder.parents) if str(parent) in found)
    return ""
