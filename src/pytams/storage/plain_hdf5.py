"""HDF5 files from anybody: opened only if they hold plain arrays, each of them in the file itself.

HDF5 can do much that a segment file never needs: keep data in other files (external storage, virtual datasets,
external links), pass them through filters, which are libraries that it loads, and declare arrays that are not there.
All of it is refused by name before anything is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h5py
import numpy as np

from pytams.core.errors import StoreError
from pytams.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

_LINKS = {h5py.h5l.TYPE_SOFT: "is a soft link", h5py.h5l.TYPE_EXTERNAL: "is an external link, to another file"}
_PLAIN_TYPES = {h5py.h5t.INTEGER, h5py.h5t.FLOAT}
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def open_plain(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, if it holds nothing but plain arrays.

    Raises
    ------
    StoreError
        If it is no HDF5 file, or holds anything else: the message names it.
    """
    try:
        file = h5py.File(path, "r")
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be opened: {printable(str(error))}") from error
    try:
        _check(file, path)
    except StoreError:
        file.close()
        raise
    except Exception as error:  # whatever HDF5 stumbles over
        file.close()
        raise StoreError(f"{path} is no segment file: {printable(str(error))}") from error
    return file


def variables_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Give the arrays of a file that are variables to NetCDF, in a fifth of the time that h5netcdf takes."""
    return {name: array for name, array in file.items() if not _is_dimension(array.id)}


def _check(file: h5py.File, path: Path) -> None:
    """Look at every link and every array, without following the one or reading the other."""
    group = file["/"].id
    n_bytes = 0
    for name in list(group):
        link = group.links.get_info(name).type
        if link != h5py.h5l.TYPE_HARD:
            raise _refused(path, name, _LINKS.get(link, "is a link of an unknown kind"))
        if h5py.h5o.get_info(group, name).type != h5py.h5o.TYPE_DATASET:
            raise _refused(path, name, "is no array")
        n_bytes += _checked_size(h5py.h5d.open(group, name), path, name)
    if n_bytes > path.stat().st_size:
        raise StoreError(f"{path} holds arrays that share their bytes: no segment file does")


def _checked_size(array: h5py.h5d.DatasetID, path: Path, name: bytes) -> int:
    """Check an array, and return the bytes that are read of it."""
    creation, kind = array.get_create_plist(), array.get_type()
    layout = creation.get_layout()
    if creation.get_external_count():
        raise _refused(path, name, "has external storage, in another file")
    if layout == h5py.h5d.VIRTUAL:
        raise _refused(path, name, "is a virtual dataset, whose data are in other files")
    if creation.get_nfilters():
        raise _refused(path, name, "has filters")
    if kind.get_class() not in _PLAIN_TYPES or array.shape is None:
        raise _refused(path, name, "is no array of numbers")
    declared = math.prod(array.shape) * kind.get_size()
    if layout == h5py.h5d.CHUNKED and declared:  # what is empty is in chunks: it could grow
        raise _refused(path, name, "is divided into chunks")
    if _is_dimension(array):
        return 0
    stored: int = array.get_storage_size()
    if stored != declared:
        raise StoreError(
            f"{path}: {printable(name.decode(errors='replace'))} has {declared} bytes, of which {stored} are there"
        )
    return stored


def _is_dimension(array: h5py.h5d.DatasetID) -> bool:
    """Whether it stands for a dimension alone: then it is never read, and has no bytes."""
    if not h5py.h5a.exists(array, b"NAME"):
        return False
    return bytes(np.asarray(h5py.Dataset(array).attrs["NAME"])).startswith(_NO_VARIABLE)


def _refused(path: Path, name: bytes, what: str) -> StoreError:
    return StoreError(
        f"{path}: {printable(name.decode(errors='replace'))} {what}: pytams did not write that, and does not read it"
    )
