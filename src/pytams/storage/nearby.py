"""Copies of the states that a process has read last, on a disk of its node's own."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from pytams.core.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST = 8
"""States, at most."""


class Nearby:
    """Copies of states, so that one that several branches start from is fetched once.

    Parameters
    ----------
    folder
        Where they are put, in a temporary folder of this process; None: nothing is copied.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._scratch: Scratch | None = None
        self._copies: OrderedDict[str, Path] = OrderedDict()
        """By hash, the one that was asked for last at the end."""
        self._remove: Callable[[], object] = str  # there is nothing to remove

    def copy_of(self, path: Path) -> Path:
        """Say where a copy of a state is, its file or its folder; the state itself if none is wanted."""
        if self._folder is None:
            return path
        sha256 = path.name
        if sha256 not in self._copies:
            self._copies[sha256] = self._copied(path)
        self._copies.move_to_end(sha256)
        while len(self._copies) > _MOST:
            _, oldest = self._copies.popitem(last=False)
            _remove(oldest)
        return self._copies[sha256]

    def _copied(self, path: Path) -> Path:
        if self._scratch is None:
            self._scratch = Scratch.make(self._folder)
            self._remove = Finalize(self, self._scratch.remove, exitpriority=1)  # at the end of a worker, too
        copy = self._scratch.path / path.name
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copyfile(path, copy)
        return copy

    def forget(self, path: Path) -> None:
        """Remove the copy of a state: it is not what it should be."""
        copy = self._copies.pop(path.name, None)
        if copy is not None:
            _remove(copy)

    def close(self) -> None:
        """Remove all copies."""
        self._copies.clear()
        self._scratch = None
        self._remove()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
