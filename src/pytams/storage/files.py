"""The atomic write: a name that exists is a whole file. And what may be opened in a directory from anybody."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPAIR = "`pytams repair` computes it again"
"""What helps against damage."""


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Name what is to become a file, and take away what is left of it.

    If even that does not happen, it is called ``<name>.<random>.tmp``, and `RunDirectory.clean_up` finds it.
    """
    where = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        yield where
    finally:
        where.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | memoryview, *, replace: bool = True, sync: bool = True) -> None:
    """Write a whole file or nothing: under a temporary name, synced, renamed, and the folder synced.

    Parameters
    ----------
    path
        The file.
    content
        All of it.
    replace
        False: only if there is no such file yet.
    sync
        False: it need not survive a power cut.

    Raises
    ------
    FileExistsError
        If there is one, and it is not to be replaced.
    OSError
        If it cannot be written; then nothing is left of it.
    """
    with temporary(path) as where:
        with where.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if replace:
            where.rename(path)
        else:
            path.hardlink_to(where)
    if sync:
        sync_folder(path.parent)


def why_not(path: Path, folder: Path) -> str | None:
    """Say why something in a run directory must not be opened; None if it may be, or is not there.

    It may if it is an ordinary file or a folder, and not, by a symbolic link or a ``..``, outside the directory: what
    is opened is then neither somebody else's, nor a pipe that never answers.
    """
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return "leads out of its run directory"
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a name with a zero byte
        return f"cannot be opened: {getattr(error, 'strerror', error)}"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is no ordinary file"


def cannot_be_written(path: Path, error: OSError) -> tuple[str, str]:
    """Say what it means that a file cannot be written, and what to do about it."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return f"{path} cannot be written: {error.strerror}", "make room" if is_full else "see that it may be written"


def sync_folder(folder: Path) -> None:
    """Make what a folder lists survive a power cut."""
    sync(folder)


def sync(path: Path) -> None:
    """Make the content of a file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
