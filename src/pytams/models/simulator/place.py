"""Where a simulator works: a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytams.core.scratch import Scratch, process_name

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
    logs: Path | None
    """A folder in the run directory for what is to stay; None if there is none. It may have to be made."""
    _folder: Scratch

    @classmethod
    def make(cls, where: Path | None = None, logs: Path | None = None) -> Place:
        """Make one in a folder; by default where the system keeps temporary files (``TMPDIR``)."""
        folder = Scratch.make(where)
        return cls(folder.path, folder.path / "simulator.log", process_name(), logs, folder)

    def last_words(self) -> str:
        """Quote the end of the log, if there is one."""
        try:
            text = self.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""
        return f"\nIts log ends with:\n{text}" if text else ""

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        self._folder.remove()
