"""Putting a folder that was saved where a simulator may use it."""

from __future__ import annotations

import fcntl
import shutil
import stat
from typing import TYPE_CHECKING

from pytams.core.errors import ModelError, StoreError
from pytams.storage.state_content import files_of, folder_hash, folders_of

if TYPE_CHECKING:
    from pathlib import Path

_FICLONE = 0x40049409
"""Linux's request to share the blocks of a file with a copy of it."""


class Placing:
    """Puts folders in places of one's own.

    Parameters
    ----------
    how
        ``"copy"``, ``"reflink"`` or ``"hardlink"``: see `States.place`.
    """

    def __init__(self, how: str) -> None:
        self._how = how
        self._lent: Path | None = None
        """What a simulator has by hard links."""

    def placed(self, folder: Path, where: Path) -> Path:
        """Put a copy of a folder in a place, and say where it is.

        Raises
        ------
        StoreError
            If that cannot be done, as for files on two disks that are to be the same.
        """
        shutil.rmtree(where, ignore_errors=True)
        self._lent = folder if self._how == "hardlink" else None
        try:
            where.mkdir(parents=True)
            for inner in folders_of(folder):
                (where / inner.relative_to(folder)).mkdir()
            for file in files_of(folder):
                copy = where / file.relative_to(folder)
                if self._how == "hardlink":
                    copy.hardlink_to(file)
                else:
                    copied(file, copy, self._how == "reflink").chmod(file.stat().st_mode | stat.S_IWUSR)
        except OSError as error:
            advice = "" if self._how == "copy" else '; [states] place = "copy" always can'
            raise StoreError(
                f"{folder} cannot be placed in {where} by {self._how}: {error.strerror}{advice}"
            ) from error
        return where

    def check(self) -> None:
        """See that what was placed last by hard links is what it was.

        Raises
        ------
        ModelError
            If it has been written to.
        """
        folder, self._lent = self._lent, None
        if folder is not None and folder.exists() and folder_hash(folder) != folder.name:
            raise ModelError(
                f"{folder} is the state of a trajectory, and the simulator that loaded it has written to it: with "
                '[states] place = "hardlink" it must not; let it have a copy ("copy", "reflink")'
            )


def copied(file: Path, copy: Path, shares_blocks: bool) -> Path:
    """Copy a file; the copy may share its blocks until it is written to."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if shares_blocks:
        with file.open("rb") as source, copy.open("wb") as target:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    else:
        shutil.copyfile(file, copy)
    return copy
