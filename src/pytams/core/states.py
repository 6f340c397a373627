"""States: an array or a dict of arrays, one member's or, with a leading axis, a batch of members'."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

State: TypeAlias = NDArray[Any] | dict[str, NDArray[Any]]
States: TypeAlias = Sequence[State] | NDArray[Any]
"""Several states: a sequence of them, or an array of shape ``(states, *shape of one)``."""


def as_state(value: Any) -> State:
    """Convert what a model returned to a state that shares no memory with it, in the byte order of the machine.

    Raises
    ------
    TypeError
        If it is neither numeric nor a dict of such.
    """
    if isinstance(value, dict):
        return {name: _as_array(part) for name, part in value.items()}
    return _as_array(value)


def _as_array(value: Any) -> NDArray[Any]:
    try:
        array = np.array(value)
    except Exception as error:  # ragged lists, and what other libraries' arrays raise
        raise TypeError(f"{_WANTED}, not {type(value).__name__}: {error}") from error
    is_text = array.dtype.kind in "SU" and isinstance(value, np.ndarray)  # text only where it is meant
    if np.ma.is_masked(value):
        raise TypeError(f"{_WANTED}, without masked values")
    if array.dtype.kind not in "biufc" and not is_text:
        raise TypeError(f"{_WANTED}, not {type(value).__name__}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


_WANTED = "a state is an array of numbers or a dict of such"


def describe_state(value: Any) -> str:
    """Shapes and dtypes, for messages."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {describe_state(part)}" for name, part in value.items()) + "}"
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__


def same_layout(a: State, b: Any) -> bool:
    """Whether b is a state of the same shapes and dtypes as a."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_layout(a[k], b[k]) for k in a)
    return isinstance(b, np.ndarray | np.generic) and a.shape == b.shape and a.dtype == b.dtype


def equal_states(a: State, b: State) -> bool:
    """Whether two states are the same to the bit."""
    if isinstance(a, dict) or isinstance(b, dict):
        return (
            isinstance(a, dict)
            and isinstance(b, dict)
            and a.keys() == b.keys()
            and all(equal_states(a[name], b[name]) for name in a)
        )
    return bool(np.array_equal(a, b))


def digest(state: State) -> str:
    """Hash a state: its names, shapes, dtypes and bits."""
    parts = sorted(state.items()) if isinstance(state, dict) else [("", state)]
    found = hashlib.sha256()
    for name, part in parts:
        found.update(f"{name} {part.shape} {part.dtype.str} ".encode())
        found.update(bits_of(part))
    return found.hexdigest()


def bits_of(array: NDArray[Any]) -> memoryview:
    """View the bytes of an array's values, to hash them: copied only if they are not contiguous, or padded."""
    if not array.nbytes:
        return memoryview(b"")
    values = np.ascontiguousarray(array).reshape(-1)
    if array.dtype.type in _PADDED and array.dtype.isnative:
        return np.ascontiguousarray(values.view(np.longdouble).view(np.uint8).reshape(-1, _LONG_BYTES)[:, :10]).data
    return values.view(np.uint8).data


_LONG_BYTES = np.dtype(np.longdouble).itemsize
_PADDED = {np.longdouble, np.clongdouble} if np.finfo(np.longdouble).nmant == 63 else set()
"""What has bytes that are of no value: numbers of 80 bits, in 12 or 16 bytes each."""


def n_bytes(state: State) -> int:
    """Memory that a state takes."""
    return sum(part.nbytes for part in state.values()) if isinstance(state, dict) else state.nbytes


def empty_batch(member: State, capacity: int) -> State:
    """Uninitialised room for `capacity` members like this one."""
    if isinstance(member, dict):
        return {name: np.empty((capacity, *part.shape), part.dtype) for name, part in member.items()}
    return np.empty((capacity, *member.shape), member.dtype)


def rows_of(batch: State, index: Any) -> State:
    """Members of a batch by NumPy index: a slice gives a view, an index array gives a copy."""
    if isinstance(batch, dict):
        return {name: part[index] for name, part in batch.items()}
    view: NDArray[Any] = batch[index]
    return view


def row_of(batch: State, i: int) -> State:
    """View one member of a batch: an array, also if it is of one number."""
    return {name: part[i, ...] for name, part in batch.items()} if isinstance(batch, dict) else batch[i, ...]


def put_rows(batch: State, index: Any, members: State) -> None:
    """Write members into rows of a batch."""
    if isinstance(batch, dict):
        assert isinstance(members, dict)
        for name, part in batch.items():
            part[index] = members[name]
    else:
        batch[index] = members


def state_columns(states: States) -> dict[str, NDArray[Any]]:
    """Stack states, as arrays named ``state``, or ``state.<name>`` for each part of a dict; none: no array."""
    if not len(states):
        return {}
    if isinstance(states, np.ndarray):
        return {"state": states}
    first = states[0]
    if not isinstance(first, dict):
        return {"state": np.stack(states)}  # type: ignore[arg-type] # all are arrays alike
    return {f"state.{name}": np.stack([state[name] for state in states]) for name in first}


def labelled_states(states: Sequence[Any], dimension: str) -> dict[str, tuple[list[str], NDArray[Any]]]:
    """Stack states along a dimension, as xarray takes variables; none of states that are bytes or folders."""
    are_arrays = len(states) > 0 and not isinstance(states[0], bytes | Path)
    return {
        name: ([dimension, *(f"{name}_{i}" for i in range(column.ndim - 1))], column)
        for name, column in state_columns(states if are_arrays else []).items()
    }


Item = TypeVar("Item")


class LazySequence(Sequence[Item], Generic[Item]):
    """A sequence whose items are got when they are asked for: states on disk, or on other machines.

    Parameters
    ----------
    get
        Gets the item of an index, or of whatever else names it.
    indices
        The index of each item.
    """

    def __init__(self, get: Callable[[Any], Item], indices: Sequence[Any]) -> None:
        self._get, self._indices = get, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | LazySequence[Item]:
        if isinstance(index, slice):
            return LazySequence(self._get, self._indices[index])
        return self._get(self._indices[index])
