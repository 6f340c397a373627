"""Ledgers on SQLite: in a file, or in memory."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import quote
from weakref import WeakSet, WeakValueDictionary

from sqlalchemy.exc import TimeoutError as NoConnectionError

from pytams.sqldb.database import Database, refused
from pytams.sqldb.direct import DirectConnection, creating
from pytams.sqldb.errors import DamagedLedgerError, LedgerError
from pytams.sqldb.failures import BUSY_TIMEOUT
from pytams.sqldb.tables import Base
from pytams.sqldb.untrusted import check_journal, check_schema
from pytams.sqldb.write_ahead import switch_from_log, switch_to_log

if TYPE_CHECKING:
    from collections.abc import Iterable


_logger = logging.getLogger("pytams.sqldb")

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

_MAX_IDLE = 4
"""Connections to a file that are kept for the next transaction."""
_NO_LOG = "its log (`-wal`) is not beside it; if the file was copied without it, the last rows are missing"

_Identity = tuple[int, int]
_known: WeakValueDictionary[_Identity | None, WeakSet[File]] = WeakValueDictionary()
"""The objects of this process for each file."""
_inherited: set[_Identity] = set()
"""Files that were in use when this process was forked."""


class _SQLite(Database):
    def __init__(self, *, read_only: bool) -> None:
        self._unused: SimpleQueue[DirectConnection] = SimpleQueue()
        super().__init__(read_only=read_only)

    def _begin(self, connection: DirectConnection, begin: str) -> None:
        if begin:
            connection.begin(begin)

    def _meaning(self, error: BaseException) -> BaseException:
        """Say what an error of the database means, also if its message is of bytes that are no text."""
        if isinstance(error, UnicodeDecodeError):
            return self.damaged(f"there is {error.object!r}")
        return super()._meaning(error)

    def table_names(self, connection: DirectConnection) -> list[str]:
        """List the tables that are there."""
        return [name for (name,) in connection.raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def make_tables(self, connection: DirectConnection) -> None:
        """Make the tables of a ledger."""
        for statement in _creating():
            connection.raw.execute(statement)

    def _idle(self) -> Iterable[object]:
        """Find what holds the connections that are not in use."""
        return [self._unused]


class Memory(_SQLite):
    """SQLite in memory: one connection, which the threads take in turn."""

    name = ""

    def __init__(self) -> None:
        super().__init__(read_only=False)
        self._is_closed = False
        self._unused.put(DirectConnection(_connect(":memory:", BUSY_TIMEOUT)))

    def _take(self) -> DirectConnection:
        if self._is_closed:
            raise LedgerError("the ledger in memory was closed: what was in it is gone")
        try:
            return self._unused.get(timeout=BUSY_TIMEOUT)
        except Empty:
            raise NoConnectionError from None

    def _give_back(self, connection: DirectConnection) -> None:
        if self._is_closed:
            connection.close()
        elif connection.roll_back():
            self._unused.put(connection)

    def _close(self) -> None:
        self._is_closed = True
        with suppress(Empty):
            self._unused.get_nowait().close()

    def after_fork(self, *, was_in_use: bool) -> None:  # noqa: ARG002 - it makes no difference
        """In a child: do without the ledger, of which it has a copy that nobody else would ever see."""
        super().after_fork(was_in_use=True)

    def _refuse_in_child(self) -> None:
        if self._is_refused:
            raise LedgerError(
                "a ledger in memory belongs to the process that made it: what a forked one wrote would be lost. "
                "Use a file, or send the results to the parent"
            )


class File(_SQLite):
    """An SQLite file.

    On a local disk it is in WAL mode while it is open: readers and the writer do not wait for each other, and a
    commit is one write to the log. WAL needs memory shared between all who have the file open, so on a file system
    that several machines may share the classic rollback journal is used.
    """

    def __init__(self, path: Path, *, read_only: bool, synchronous: str | None = None) -> None:
        self.name = str(path)
        self.stem = path.stem
        self._path, self._log = path, Path(f"{path}-wal")
        is_shared = file_system(path) in SHARED_FILE_SYSTEMS
        self._synchronous = synchronous or ("FULL" if is_shared else "NORMAL")
        try:
            is_immutable = self._look(read_only=read_only)
        except (OSError, ValueError) as error:
            raise LedgerError(f"{path} cannot be opened: {getattr(error, 'strerror', error)}") from error
        self._uri = f"file:{quote(str(path.absolute()))}?mode="
        self._mode = ("ro&immutable=1" if is_immutable else "ro") if read_only else "rw"
        self._place, self._log_place = os.fspath(path), os.fspath(self._log)
        self.identity = _identity(self._place)
        """Tells it from another file of the same name."""
        self.is_open = False
        """Whether there may be connections."""
        self._log_identity: _Identity | None = None
        self._may_have_log = not is_shared and not read_only
        self._is_ready = False
        self._generation = 0
        """How often it was closed: what is given back later is closed, too."""
        self._refuse_in_child()
        self._namesakes = _known.setdefault(self.identity, WeakSet())  # there as long as one of them is
        self._namesakes.add(self)
        super().__init__(read_only=read_only)

    def _look(self, *, read_only: bool) -> bool:
        """Look at the file, make it if it may be made, and say whether nobody can change it."""
        path = self._path
        if path.is_dir():
            raise LedgerError(f"{path} is a folder: a ledger is a file")
        if not read_only:
            check_journal(path)
            path.touch()
        elif not path.is_file():
            raise LedgerError(f"{path}: there is no such ledger")
        self._log_is_missing = _log_is_missing(path, self._log)
        if self._log_is_missing and read_only and not os.access(path.parent, os.W_OK):
            return True  # SQLite would want to make its log
        if self._log_is_missing:
            _logger.warning("%s: %s", path, _NO_LOG)
        return False

    def _take(self) -> DirectConnection:
        try:
            return self._unused.get_nowait()
        except Empty:
            return DirectConnection(self._connect(), self._generation)

    def _give_back(self, connection: DirectConnection) -> None:
        if not connection.roll_back():
            return
        if connection.generation == self._generation and self._unused.qsize() < _MAX_IDLE:
            self._unused.put(connection)
            return
        if self._is_ready and not self.is_open:  # it was closed meanwhile
            switch_from_log(connection.raw)
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = _connect(self._uri + self._mode, BUSY_TIMEOUT)
        self.is_open = True
        try:
            check_schema(connection, self.name)
        except BaseException:
            connection.close()
            raise
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        if self._is_ready:
            switch_to_log(connection)
        return connection

    def prepare(self) -> None:
        """Switch to WAL mode, where the file system allows it."""
        if not self._may_have_log:
            return
        connection = self._connected()
        try:
            switch_to_log(connection.raw)
        finally:
            self._end(connection)
        self._is_ready = True

    def _commit(self, connection: DirectConnection) -> None:
        """Commit, if it will be found again."""
        found = _identity(self._place)
        if found is None:
            raise LedgerError(f"{self._path} is gone or out of reach: what is written to it would be lost")
        if found != self.identity:
            self._remove_orphaned_log()
            raise LedgerError(
                f"{self._path} was replaced by another file while it was open: nothing was written to it"
            )
        if self._log_identity is None:  # it stays as long as it is open
            self._log_identity = _identity(self._log_place)
        super()._commit(connection)

    def _remove_orphaned_log(self) -> None:
        """Remove the log of a file that was replaced: left there, SQLite would apply it to the new file."""
        if _identity(self._log_place) == self._log_identity:
            for suffix in ("-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _explain(self, error: Exception) -> LedgerError:
        explained = super()._explain(error)
        if self._log_is_missing and isinstance(explained, DamagedLedgerError):
            return DamagedLedgerError(f"{explained.what}; {_NO_LOG}")
        return explained

    def before_fork(self) -> None:
        """Close the file: a child would inherit SQLite's record of the locks on it, but not the locks."""
        if self.is_open:
            self._close()

    def after_fork(self, *, was_in_use: bool) -> None:
        """In a child: begin anew, or do without this file if a connection to it was in use."""
        super().after_fork(was_in_use=was_in_use)
        if was_in_use and self.identity is not None:
            _inherited.add(self.identity)

    def _refuse_in_child(self) -> None:
        if self.identity in _inherited:
            raise refused(self.name)

    def _close(self) -> None:
        """Close every connection; the last one to leave folds the log into the file, which is then whole."""
        is_replaced = self._is_ready and _identity(self._place) != self.identity
        with suppress(Empty):
            while True:
                connection = self._unused.get_nowait()
                if self._is_ready and not is_replaced and self._unused.empty():
                    switch_from_log(connection.raw)
                connection.close()
        if is_replaced:
            self._remove_orphaned_log()
        self._log_identity = None
        self._generation += 1
        self.is_open = False


def _connect(target: str, timeout: float) -> sqlite3.Connection:
    """Connect so that we say when transactions begin, and any thread may take the connection over."""
    return sqlite3.connect(target, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)


@cache
def _creating() -> list[str]:
    return creating(Base.metadata)


def _identity(path: str) -> _Identity | None:
    """Tell a file from another of the same name; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _log_is_missing(path: Path, log: Path) -> bool:
    """Whether the file says that it has a log, and there is none."""
    if any(file.is_open for file in _known.get(_identity(os.fspath(path)), ())):
        return False  # and closing a file drops all locks that this process has on it
    for pause in (0.1, 0.0):
        if log.exists():
            return False
        with path.open("rb") as file:
            header = file.read(20)
        if header[18:20] != b"\x02\x02":
            return False
        time.sleep(pause)  # somebody may be just closing it
    return True


def file_system(path: Path) -> str:
    """Type of the file system that a path is on, as Linux has it; empty elsewhere."""
    with suppress(OSError):
        folder = path.absolute().parent.resolve()
        mounts = (line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
        found = {target.replace("\\040", " "): kind for _, target, kind, *_ in mounts}
        return next(found[str(parent)] for parent in (folder, *folder.parents) if str(parent) in found)
    return ""
