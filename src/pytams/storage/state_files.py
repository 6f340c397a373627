"""States in files of their own, named by their content: ``states/00003/ab/<sha256>`` is of run 3.

What is kept of them is another question: see `state_keeper`.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pytams.core.errors import DamagedFileError, ModelError, StoreError
from pytams.core.scratch import process_name
from pytams.core.states import n_bytes
from pytams.core.stored import Reference, inline
from pytams.core.text import size_text
from pytams.storage.files import REPAIR, cannot_be_written, why_not
from pytams.storage.nearby import Nearby
from pytams.storage.placing import Placing, copied
from pytams.storage.state_content import decoded, encoded, files_of, folder_hash, folders_of, hash_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.states import State
    from pytams.core.stored import Content
    from pytams.storage.options import States

_RESERVE = 2**26
"""Bytes that are left free on the disk: ledgers and segment files need room to the end."""
MAKE_ROOM = (
    "Make room, raise [states] max_size, or keep fewer states (keep = 'none', a larger every), and resume the run"
)


class StateFiles:
    """A folder of states, where who knows a reference finds its content.

    Parameters
    ----------
    path
        The folder.
    options
        What the user has chosen.
    in_memory
        Whether nothing is written of the study itself: then bytes, too, are put here only if they are many.
    """

    subfolder = "states"

    def __init__(self, path: Path, options: States, *, in_memory: bool = False) -> None:
        self.path, self.options = path, options
        self._in_memory = in_memory
        self._placing = Placing(options.place)
        self.nearby = Nearby(None if options.local is None else Path(options.local))
        """Copies of what was read last."""

    def file(self, run: int, sha256: str) -> Path:
        """Say where a state is, or would be."""
        return self.path / f"{run:05d}" / sha256[:2] / sha256

    # --- putting ------------------------------------------------------------------------------------------------

    def put(self, run: int, content: Content) -> State:
        """Put a state away, and give the reference to it; one that is small is given back.

        Raises
        ------
        StoreError
            If it cannot be written: the disk is full, or would soon be.
        TypeError
            If it is no state.
        """
        if isinstance(content, Path):
            return self._put_folder(run, content)
        if isinstance(content, bytes | bytearray | memoryview):
            if self._in_memory and len(content) < self.options.larger_than:
                return inline(content)
            kind, parts = "bytes", [memoryview(content)]
        else:
            state = inline(content)
            if n_bytes(state) < self.options.larger_than:
                return state
            kind, parts = encoded(state)
        sha256, size = hash_of(parts), sum(part.nbytes for part in parts)
        if not self._is_there(run, sha256):
            self._write(self.file(run, sha256), parts, size)
        return Reference(sha256, size, kind)

    def _is_there(self, run: int, sha256: str) -> bool:
        """Whether it has been put here before; then it is as if it was put here now."""
        try:
            os.utime(self.file(run, sha256))
        except OSError:
            return False
        return True

    def _write(self, path: Path, parts: Sequence[memoryview], size: int) -> None:
        """Write a file under another name first; the driver sees that it lasts, if it is to last."""
        temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
        try:
            self._make_room(path.parent, size)
            with temporary.open("wb") as file:
                for part in parts:
                    file.write(part)
            temporary.chmod(0o444)
            temporary.rename(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _not_written(path, error) from error

    def _make_room(self, folder: Path, size: int) -> None:
        """Make the folder of a state, if there is room for it."""
        if self._in_memory and not self.path.exists():
            raise StoreError(
                f"{self.path} is not to be seen from {process_name()}: a study in memory puts its states there. "
                "Name a folder that all workers see, by [states] store (States(store=...)), or "
                "give a run directory (--out, in Python out=)"
            )
        self.check(folder)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size + _RESERVE:
            raise StoreError(
                f"{self.path} has room for {size_text(free)} more: a state of {size_text(size)} is not written, so "
                f"that the disk is not full before it is noted where everything is. {MAKE_ROOM}"
            )

    def check(self, path: Path) -> None:
        """Make sure that a file or a folder is in here, and no link.

        Raises
        ------
        StoreError
            If it leads elsewhere.
        """
        problem = why_not(path, self.path)
        if problem is not None:
            raise StoreError(f"{path} {problem}: nothing is read from it, or written to it")

    def _put_folder(self, run: int, folder: Path) -> Reference:
        if not folder.is_dir():
            raise TypeError(f"{folder} is no folder")
        try:
            files = files_of(folder)
            size = sum(path.stat().st_size for path in files)
            sha256 = folder_hash(folder, files)
        except OSError as error:
            raise StoreError(f"{folder} cannot be read: {error.strerror} ({error.filename})") from error
        if not self._is_there(run, sha256):
            self._copy_here(folder, files, self.file(run, sha256), size)
        return Reference(sha256, size, "folder")

    def _copy_here(self, folder: Path, files: Sequence[Path], path: Path, size: int) -> None:
        """Copy a folder's files; they share blocks with the copies if that is wanted."""
        temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
        try:
            self._make_room(path.parent, size)
            for inner in folders_of(folder):
                (temporary / inner.relative_to(folder)).mkdir(parents=True)
            for file in files:
                copy = copied(file, temporary / file.relative_to(folder), self.options.place == "reflink")
                copy.chmod(0o555 if os.access(file, os.X_OK) else 0o444)
            temporary.mkdir(exist_ok=True)  # of no files
            if folder_hash(temporary) != path.name:
                raise ModelError(f"{folder} was written to while it was saved: does something still run there?")
            temporary.rename(path)
        except OSError as error:
            if not path.exists():  # else somebody was quicker
                raise _not_written(path, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    # --- getting ------------------------------------------------------------------------------------------------

    def get(self, run: int, reference: Reference) -> Content:
        """Get the content of a reference: of a folder, where it is; it must not be written to.

        Raises
        ------
        DamagedFileError
            If it is not there, or is not what was written.
        StoreError
            If it cannot be read.
        ModelError
            If the one that was placed last by hard links has been written to.
        """
        self._placing.check()
        path = self.file(run, reference.sha256)
        self.check(path)
        try:
            return self._read(self.nearby.copy_of(path), reference)
        except StoreError:
            self.nearby.forget(path)
        except OSError:  # no room there, or nothing to copy
            pass
        return self._read(path, reference)

    def _read(self, path: Path, reference: Reference) -> Content:
        """Read a state, or see that a folder is what it should be."""
        is_folder = reference.kind == "folder"
        try:
            if not is_folder and path.stat().st_size != reference.size:
                raise DamagedFileError(f"{path} is damaged: it has not the size that was written; {REPAIR}")
            data = b"" if is_folder else path.read_bytes()
            found = folder_hash(path) if is_folder else hash_of([data])
        except StoreError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DamagedFileError(f"{path} is missing: it is the state of a trajectory; {REPAIR}") from error
        except TypeError as error:
            raise DamagedFileError(f"{error}: pytams did not put it there; {REPAIR}") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}; see that it may be, and try again") from error
        if found != reference.sha256:
            raise DamagedFileError(f"{path} is damaged: it is not what was written; {REPAIR}")
        try:
            return path if is_folder else decoded(reference.kind, data)
        except Exception as error:  # whatever there may be in it
            raise DamagedFileError(f"{path} is no state ({type(error).__name__}); {REPAIR}") from error

    def has(self, run: int, reference: Reference) -> bool:
        """Whether a state is here: it is not looked at."""
        return self.file(run, reference.sha256).exists()

    def placed(self, folder: Path, where: Path) -> Path:
        """Put a copy of a folder that is here in a place of one's own, and say where it is."""
        return self._placing.placed(folder, where)


def _not_written(path: Path, error: OSError) -> StoreError:
    if isinstance(error, StoreError):
        return error
    what, remedy = cannot_be_written(path, error)
    return StoreError(f"{what}. Everything before it is on disk; {remedy}, and resume the run")
