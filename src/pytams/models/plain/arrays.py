"""The arrays of a batch: a row a member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.states import empty_batch, n_bytes, put_rows, row_of, rows_of
from pytams.core.stored import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytams.core.states import State

TINY = 256
"""Bytes of a state up to which those recorded in one step share an array: it stays as long as one of them does."""


class Arrays:
    """What is known of the members of a batch, for `capacity` of them; states and noise get room when one is seen."""

    def __init__(self) -> None:
        self.capacity = 0
        self.index = np.arange(0)
        self.steps: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.best: NDArray[np.float64] = np.empty(0)
        self.position: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        """In the chunk of noise."""
        self.traced: NDArray[np.float64] = np.empty((0, 0))
        """Scores since the last report, shape ``(capacity, steps)``."""
        self.n_traced: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._noise: NDArray[Any] | None = None  # (capacity, chunk, *noise_shape)
        self._states: State | None = None  # (capacity, ...)
        self._are_tiny = False

    @property
    def noise(self) -> NDArray[Any]:
        """A chunk of noise for each, shape ``(capacity, chunk, *noise_shape)``."""
        assert self._noise is not None
        return self._noise

    def noise_now(self, n: int) -> NDArray[Any]:
        """Take what each of the first n members is at of its chunk."""
        capacity, chunk, *shape = self.noise.shape
        rows: NDArray[Any] = self.noise.reshape(capacity * chunk, *shape)
        taken: NDArray[Any] = rows.take(self.index[:n] * chunk + self.position[:n], axis=0)
        return taken

    @property
    def states(self) -> State:
        """The state of each: arrays with a leading axis of length `capacity`."""
        assert self._states is not None
        return self._states

    @property
    def is_empty(self) -> bool:
        """Whether no state has been seen yet."""
        return self._states is None

    def put_state(self, i: int, state: State) -> None:
        """Write the state of a member, which is laid out like the others'."""
        if self._states is None:
            self._states = empty_batch(state, self.capacity)
        put_rows(self._states, i, state)

    def copies(self, numbers: NDArray[np.int64], put_away: Callable[[int], State]) -> list[State]:
        """Copy the states of members: each is put away, unless they are tiny."""
        if self._are_tiny:
            rows = rows_of(self.states, numbers)
            if isinstance(rows, np.ndarray) and rows.ndim > 1:
                return list(rows)
            return [row_of(rows, k) for k in range(len(numbers))]
        states = [put_away(i) for i in numbers.tolist()]
        self._are_tiny = not isinstance(states[0], Reference) and n_bytes(states[0]) <= TINY
        return states

    def put_noise(self, i: int, chunk: NDArray[Any]) -> None:
        """Write the chunk of noise that a member is about to use."""
        if self._noise is None:
            self._noise = np.empty((self.capacity, *chunk.shape), chunk.dtype)
        self._noise[i] = chunk

    def move(self, source: int, target: int, *, traced: bool) -> None:
        """Copy a member into another row."""
        for array in (self.steps, self.best, self.position, self.noise, self.n_traced):
            array[target] = array[source]
        if traced:
            self.traced[target] = self.traced[source]
        put_rows(self.states, target, rows_of(self.states, source))

    def reserve(self, capacity: int) -> None:
        """Make room for so many members."""
        self.capacity = capacity
        self.index = np.arange(capacity)
        self.steps = _grown(self.steps, capacity)
        self.best = _grown(self.best, capacity)
        self.position = _grown(self.position, capacity)
        self.n_traced = _grown(self.n_traced, capacity)
        self.traced = _grown(self.traced, capacity)
        if self._noise is not None:
            self._noise = _grown(self._noise, capacity)
        if isinstance(self._states, dict):
            self._states = {name: _grown(part, capacity) for name, part in self._states.items()}
        elif self._states is not None:
            self._states = _grown(self._states, capacity)


def _grown(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    """Copy an array into one with more rows."""
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
