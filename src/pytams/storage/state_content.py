"""What a state is as bytes: the content of its file, or the files of its folder, and their hash."""

from __future__ import annotations

import hashlib
import io
import json
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.states import bits_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from pytams.core.states import State
    from pytams.core.stored import Content


def files_of(folder: Path) -> list[Path]:
    """List the files of a folder: ordinary ones, in the order of their names.

    Raises
    ------
    TypeError
        If there is anything else.
    """
    if not folder.is_dir():
        raise NotADirectoryError(2, "no folder", str(folder))
    found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in found:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise TypeError(f"{path} is no ordinary file, and cannot be saved")
    return found


def folders_of(folder: Path) -> list[Path]:
    """List the folders in a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())


def folder_hash(folder: Path, files: Iterable[Path] | None = None) -> str:
    """Hash a folder: the names of its files, and their hashes.

    Raises
    ------
    TypeError
        As `files_of`.
    """
    lines = [[path.relative_to(folder).as_posix(), ""] for path in folders_of(folder)]
    for path in files_of(folder) if files is None else files:
        with path.open("rb") as file:
            lines.append([path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()])
    return hash_of([json.dumps(lines).encode()])


def hash_of(parts: Iterable[bytes | memoryview]) -> str:
    """Hash bytes, in hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def encoded(state: State) -> tuple[str, list[memoryview]]:
    """Write arrays as ``.npy`` files, one after the other; those of a dict after their names."""
    if not isinstance(state, dict):
        return "array", _npy(state)
    names = list(state)  # in their order: a model may go by it
    parts = [np.array(names), *(state[name] for name in names)]
    return "arrays", [piece for part in parts for piece in _npy(part)]


def _npy(array: NDArray[Any]) -> list[memoryview]:
    array = _without_padding(np.ascontiguousarray(array).reshape(array.shape))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return [header.getbuffer(), array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")]


def _without_padding(array: NDArray[Any]) -> NDArray[Any]:
    """Blank out bytes that are of no value, such as six in every number of 80 bits."""
    if bits_of(array).nbytes == array.nbytes:
        return array
    blank = np.zeros_like(array)
    used = bits_of(array).nbytes * np.dtype(np.longdouble).itemsize // array.nbytes
    numbers = (blank, array)
    to, since = (part.reshape(-1).view(np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize) for part in numbers)
    to[:, :used] = since[:, :used]
    return blank


def decoded(kind: str, data: bytes) -> Content:
    """Read what was encoded, or bytes."""
    if kind == "bytes":
        return data
    file = io.BytesIO(data)
    first: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if kind == "array":
        return first
    return {str(name): np.lib.format.read_array(file, allow_pickle=False) for name in first}
