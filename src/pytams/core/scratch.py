"""Temporary folders that do not outlive the process that made them, even if it is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pytams.core.errors import StoreError

_PREFIX, _LOCK = "pytams-", ".lock"


def process_name() -> str:
    """Name this process: ``host-number``."""
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A temporary folder."""

    path: Path
    _lock: TextIO
    """Beside the folder: locked as long as the folder is in use."""

    @classmethod
    def make(cls, folder: Path | None = None) -> Scratch:
        """Make one, by default where the system keeps temporary files; remove what killed processes left there."""
        where = Path(tempfile.gettempdir()) if folder is None else folder
        try:
            where.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{where} cannot be a folder for temporary files: {error.strerror}") from error
        _remove_left(where)
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{process_name()}-", dir=where))
        unlocked = Path(f"{path}.unlocked")  # nobody looks for it before it is locked
        lock = unlocked.open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX)
        unlocked.rename(f"{path}{_LOCK}")
        return cls(path, lock)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        _remove(self.path)
        self._lock.close()


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    Path(f"{path}{_LOCK}").unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    """Remove folders whose locks nobody holds."""
    for path in folder.glob(f"{_PREFIX}*{_LOCK}"):
        try:
            with path.open("r+", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(Path(str(path).removesuffix(_LOCK)))
        except OSError:  # in use, or somebody else's
            continue
