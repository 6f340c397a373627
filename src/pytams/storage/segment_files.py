"""Segments on disk: immutable NetCDF files of ragged arrays, a piece of a segment in each row.

What is in one: `pytams.storage.columns`. Files are put together in memory, then written atomically.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.core.errors import DamagedFileError, StoreError
from pytams.core.segments import SegmentKey
from pytams.core.states import LazySequence
from pytams.core.text import printable
from pytams.storage.columns import NETCDF_KINDS, Columns, Piece, encoded
from pytams.storage.files import REPAIR, why_not, write_atomically
from pytams.storage.plain_hdf5 import open_plain, variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    import h5py
    from numpy.typing import NDArray


_OPEN_FILES = 32
_SMALL_BYTES = 2**26
_STATE_KINDS = "biufcSU"
_OF_PIECES = *SegmentKey._fields, "first_step", "ended"
_FLAT = *_OF_PIECES, "row_size", "n_states", "score", "state_step"


class PieceName(NamedTuple):
    """Where a piece is."""

    file: str
    """Relative to the run directory."""
    row: int


class SegmentFiles:
    """The segment files of a run directory.

    Parameters
    ----------
    folder
        The run directory.
    """

    subfolder = "segments"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tag = uuid.uuid4().hex[:8]  # several drivers may write into one folder
        self._n_written = 0
        self._open = lru_cache(maxsize=_OPEN_FILES)(partial(_File, folder.resolve()))

    def write(self, columns: Columns, step_size: float) -> tuple[str, str]:
        """Write pieces into a new file; return its name and its SHA-256. Row i is piece i."""
        name = f"{self.subfolder}/{self._n_written:06d}-{self._tag}.nc"
        content = encoded(columns, step_size)
        path = self._folder / name
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written: {error.strerror}. Everything before it is on disk; "
                "make room, and resume the run"
            ) from error
        self._n_written += 1
        return name, hashlib.sha256(content).hexdigest()

    def read(self, name: PieceName, sha256: str) -> Piece:
        """Read a piece; its states come from the file when they are asked for.

        Raises
        ------
        StoreError
            If the file is outside the run directory, missing, or not the one that was written.
        """
        file = partial(self._open, name.file, sha256)
        return file().piece(name.row, file)

    def check(self, name: str, sha256: str) -> None:
        """Make sure that a file is there, and the one that was written, without reading it any further.

        Raises
        ------
        StoreError
            If it is not.
        """
        checked_path(self._folder.resolve(), name, sha256)

    def is_whole(self, name: str, sha256: str) -> bool:
        """Whether a file is there, and the one that was written.

        Raises
        ------
        StoreError
            If that cannot be known: it cannot be read.
        """
        try:
            self._open(name, sha256)
        except DamagedFileError:
            return False
        return True

    def paths(self) -> list[Path]:
        """List the files that are there, half written ones too."""
        folder = self._folder / self.subfolder
        return [path for path in folder.glob("*") if path.suffix in {".nc", ".tmp"}]

    def close(self) -> None:
        """Close every file."""
        self._open.cache_clear()


def checked_path(folder: Path, name: str, sha256: str) -> Path:
    """Find a segment file of a run directory that is there, and the one that was written.

    Raises
    ------
    StoreError
        If it is outside the run directory, missing, or another one.
    """
    if not re.fullmatch(rf"{SegmentFiles.subfolder}/[\w.-]+\.nc", name, re.ASCII):
        raise DamagedFileError(
            f"{printable(name)}: a ledger may not point outside its run directory {folder}, nor at anything "
            f"in it but {SegmentFiles.subfolder}/*.nc"
        )
    path = folder / name
    problem = why_not(path, folder)
    if problem is not None:
        raise StoreError(f"{path} {problem}: nothing is read from it")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}; {REPAIR}") from error
    except OSError as error:  # it may be whole
        raise StoreError(f"{path} cannot be read: {error.strerror}; see that it may be, and try again") from error
    if found != sha256:
        raise DamagedFileError(
            f"{path} is damaged: it is not what was written (SHA-256 {found[:12]}, not {sha256[:12]}); {REPAIR}"
        )
    return path


class _File:
    """A segment file, checked, and open for reading."""

    def __init__(self, folder: Path, name: str, sha256: str) -> None:
        path = checked_path(folder, name, sha256)
        self._path = path
        try:
            self._read(variables_of(open_plain(path)))
        except StoreError:
            raise
        except Exception as error:  # whatever there may be in it
            raise StoreError(f"{path} is no segment file: {type(error).__name__}: {printable(str(error))}") from error

    def _read(self, variables: dict[str, h5py.Dataset]) -> None:
        """Read all but the states, and make sure that it belongs together."""
        if any(len(variables[name].shape) != 1 for name in _FLAT):
            raise ValueError("what has one number for each piece, score or state has more than one dimension")
        self._rows = {name: variables[name][:].tolist() for name in _OF_PIECES}
        self._scores, self._steps = variables["score"][:], variables["state_step"][:]
        self._features = variables["features"][:] if "features" in variables else None
        if self._features is not None and (self._features.ndim != 2 or self._features.dtype != np.float64):
            raise ValueError("its features are no table of numbers")
        self._states = {
            name.removeprefix("state").removeprefix("."): _Column(variable)
            for name, variable in variables.items()
            if name == "state" or name.startswith("state.")
        }
        n_rows = {len(row) for row in self._rows.values()}
        ragged = [self._scores] if self._features is None else [self._scores, self._features]
        self._obs = _bounds(variables["row_size"][:], *ragged)
        self._stored = _bounds(variables["n_states"][:], self._steps, *self._states.values())
        if n_rows != {len(self._obs) - 1} or n_rows != {len(self._stored) - 1}:
            raise ValueError("it has not as many of everything as it has pieces")

    def state(self, row: int) -> Any:
        """Read one state."""
        parts = {name: column[row] for name, column in self._states.items()}
        return parts.get("", parts)

    def piece(self, row: int, this: Callable[[], _File]) -> Piece:
        """Get one row; `this` finds this file again later on."""
        if not 0 <= row < len(self._obs) - 1:
            raise DamagedFileError(
                f"{self._path} has no piece {row}, which a ledger points at: was it edited? {REPAIR}"
            )
        stored = range(self._stored[row], self._stored[row + 1])
        of_row = slice(self._obs[row], self._obs[row + 1])
        return Piece(
            key=SegmentKey(*(self._rows[name][row] for name in ("run", "slot", "branch"))),
            first_step=self._rows["first_step"][row],
            scores=self._scores[of_row],
            steps=self._steps[stored.start : stored.stop],
            states=LazySequence(lambda row: this().state(row), stored),
            ended=bool(self._rows["ended"][row]),
            features=None if self._features is None else self._features[of_row],
        )


class _Column:
    """A part of the states of a file: read whole if it is small, else row by row."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable
        self._dtype = np.dtype(variable.attrs["numpy_dtype"])
        if self._dtype.kind not in _STATE_KINDS:
            raise ValueError(f"a state is no array of {self._dtype}")
        self._whole: NDArray[Any] | None = None
        self._is_small = math.prod(variable.shape) * variable.dtype.itemsize <= _SMALL_BYTES

    def __len__(self) -> int:
        return int(self._variable.shape[0])

    def __getitem__(self, row: int) -> NDArray[Any]:
        if self._is_small and self._whole is None:
            self._whole = self._variable[:]
        value = np.asarray(self._variable[row] if self._whole is None else self._whole[row])
        if self._dtype.kind in NETCDF_KINDS:
            return value
        decoded: NDArray[Any] = np.ascontiguousarray(value).view(self._dtype).reshape(value.shape[:-1])
        return decoded


def _bounds(sizes: NDArray[np.int64], *ragged: Sized) -> list[int]:
    """Say where each piece begins in ragged arrays; ValueError if they are not as long as their pieces."""
    bounds = list(accumulate(sizes.tolist(), initial=0))  # Python's integers: they never overflow
    if np.any(sizes < 0) or any(len(array) != bounds[-1] for array in ragged):
        raise ValueError("its arrays are not as long as its pieces together")
    return bounds
