"""Where a simulator works: a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

_LOG_BYTES = 2000
"""So much of a log's end is quoted."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a simulator is told when it is opened."""

    scratch: Path
    """A folder of its own, empty, on the worker's machine; removed when the simulator is closed."""
    log: Path
    """A file for what it has to say, in that folder; its end is quoted when the simulator fails."""
    worker: str
    """Name of the worker: ``host-process``."""

    @classmethod
    def make(cls) -> Place:
        """Make one where the system keeps temporary files (``TMPDIR``); remove what killed processes left."""
        worker = f"{socket.gethostname()}-{os.getpid()}"
        _remove_left(Path(tempfile.gettempdir()), socket.gethostname())
        scratch = Path(tempfile.mkdtemp(prefix=f"pytams-{worker}-"))
        return cls(scratch, scratch / "simulator.log", worker)

    def last_words(self) -> str:
        """Quote the end of the log, if there is one."""
        try:
            text = self.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""
        return f"\nIts log ends with:\n{text}" if text else ""

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def _remove_left(folder: Path, host: str) -> None:
    for path in folder.glob(f"pytams-{host}-*"):
        found = re.fullmatch(rf"pytams-{re.escape(host)}-(\d+)-\w+", path.name)
        if found and path.is_dir() and not _is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
