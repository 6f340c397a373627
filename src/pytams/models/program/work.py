"""Where a program works: a folder of its own, with the study's files; and what is kept of its output."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytams.core.text import size_text
from pytams.models.program.files import links_of, templates_of
from pytams.models.program.names import filled_template
from pytams.models.program.programs import InputChangedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.segments import SegmentKey
    from pytams.models.program.declaration import Declaration


_RESERVE = 2**20
"""Bytes: with less, a disk is full."""


class Work:
    """A working folder, and logs.

    Parameters
    ----------
    declared
        Says which files there are.
    noted
        Size and time of each file when the study was begun or resumed.
    scratch
        The folder of the simulator.
    logs
        Where output is kept; None: nowhere.
    """

    def __init__(
        self, declared: Declaration, noted: Mapping[str, tuple[int, int]], scratch: Path, logs: Path | None
    ) -> None:
        self._declared, self._noted, self._logs = declared, noted, logs
        self.scratch = scratch
        self.folder = scratch / "work"
        self.state, self.next = scratch / "state", scratch / "next"
        """Folders of the state, and of the one that is being written."""
        self.out, self.err = scratch / "out", scratch / "err"
        self._links = {self.folder / name: path for name, path in links_of(declared).items()}
        self._templates = {name: path.read_text(encoding="utf-8") for name, path in templates_of(declared).items()}

    def make_ready(self, values: Mapping[str, Any]) -> None:
        """Empty the folder, and fill it: with links to inputs, and templates with these values."""
        self._check_files()
        if not self._is_as_made():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            for link, path in self._links.items():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        self._fill(self.folder, values)

    def _is_as_made(self) -> bool:
        """Whether there is nothing in the folder but links to inputs: most programs write nothing there."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return False
        return len(names) == len(self._links) and all(
            link.parent == self.folder and link.is_symlink() and link.readlink() == path
            for link, path in self._links.items()
        )

    def _fill(self, folder: Path, values: Mapping[str, Any]) -> None:
        for name, text in self._templates.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)  # it may have become a link
            file.write_text(filled_template(text, values), encoding="utf-8")

    def _check_files(self) -> None:
        for path, noted in self._noted.items():
            if note(path) != noted:
                raise InputChangedError(
                    f"{path} has changed since this study was begun or resumed, or is gone: put it back, and resume"
                )

    def log(self, key: SegmentKey, step: int) -> Path | None:
        """Keep the output: ``.out`` and ``.err``; where it is kept."""
        if self._logs is None:
            return None
        kept = self._kept(key, step)
        with suppress(OSError):  # a full disk is told of what is to last, and not of this
            kept.parent.mkdir(parents=True, exist_ok=True)
            for file in filter(Path.exists, (self.out, self.err)):
                shutil.copyfile(file, kept.with_name(f"{kept.name}.{file.name}"))
        return kept

    def _kept(self, key: SegmentKey, step: int) -> Path:
        assert self._logs is not None
        return self._logs / str(key.run) / str(key.slot) / str(key.branch) / str(step)

    def keep(self, key: SegmentKey, step: int, values: Mapping[str, Any]) -> Path | None:
        """Keep all that a launch had, so that it can be tried by hand; where it is kept."""
        if self._logs is None:
            return None
        kept = self._kept(key, step)
        moved = {name: str(value).replace(str(self.scratch), str(kept)) for name, value in values.items()}
        shutil.rmtree(kept, ignore_errors=True)
        try:
            shutil.copytree(self.scratch, kept, symlinks=True)
            self._fill(kept / self.folder.name, moved)
        except OSError:  # there is no room, or something still writes there
            return None
        return kept

    def lack_of_room(self) -> str:
        """Say that the disk is full, if it is: a program may not have been able to."""
        free = shutil.disk_usage(self.scratch).free
        return f" (its disk is full: {self.scratch} has {size_text(free)} left)" if free < _RESERVE else ""


def note(path: str) -> tuple[int, int]:
    """Take note of a file: its size, and the time of its last change; zeros if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
