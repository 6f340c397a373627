"""Where a simulator works: a folder of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_LOG_BYTES = 2000
"""So much of a log's end is quoted."""
_PREFIX, _LOCK = "pytams-", ".lock"


@dataclass(frozen=True, slots=True)
class Place:
    """What a simulator is told when it is opened."""

    scratch: Path
    """A folder of its own, empty, on the worker's machine; removed when the simulator is closed."""
    log: Path
    """A file for what it has to say, in that folder; its end is quoted when the simulator fails."""
    worker: str
    """Name of the worker: ``host-process``."""
    _lock: TextIO
    """Beside the folder: locked as long as the folder is in use."""

    @classmethod
    def make(cls) -> Place:
        """Make one where the system keeps temporary files (``TMPDIR``); remove what killed processes left."""
        _remove_left(Path(tempfile.gettempdir()))
        worker = f"{socket.gethostname()}-{os.getpid()}"
        scratch = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{worker}-"))
        path = Path(f"{scratch}.unlocked")  # nobody looks for it before it is locked
        lock = path.open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.rename(f"{scratch}{_LOCK}")
        return cls(scratch, scratch / "simulator.log", worker, lock)

    def last_words(self) -> str:
        """Quote the end of the log, if there is one."""
        try:
            text = self.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""
        return f"\nIts log ends with:\n{text}" if text else ""

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        _remove(self.scratch)
        self._lock.close()


def _remove(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    Path(f"{scratch}{_LOCK}").unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    """Remove folders whose locks nobody holds."""
    for path in folder.glob(f"{_PREFIX}*{_LOCK}"):
        try:
            with path.open("r+", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(Path(str(path).removesuffix(_LOCK)))
        except OSError:  # in use, or somebody else's
            continue
