"""What stands for a state that is in a store: a file or a folder of its own, named by its content.

A reference is a state itself, a small one, and all are laid out alike: it goes wherever states go, to a worker, into
a segment file, into a digest. Whoever needs the content asks the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytams.core.errors import DamagedFileError
from pytams.core.states import State, as_state, n_bytes

Content: TypeAlias = bytes | State | Path
"""What a model gives for its state: bytes of any length, arrays, or a folder."""

KINDS = ("bytes", "array", "arrays", "folder")
_SHA256, _SIZE, _KIND = "__sha256__", "__size__", "__kind__"
_BYTES = "__bytes__"
"""Bytes that are in no store are a dict of one array of this name."""


class Reference(dict[str, NDArray[Any]]):
    """Stands for a state that is in a store.

    Parameters
    ----------
    sha256
        Of its content, in hexadecimal digits: its name.
    size
        Bytes that it takes.
    kind
        What it is: one of `KINDS`.
    """

    def __init__(self, sha256: str, size: int, kind: str) -> None:
        digits = np.frombuffer(bytes.fromhex(sha256), dtype=np.uint8)
        super().__init__({_SHA256: digits, _SIZE: np.array(size), _KIND: np.array(KINDS.index(kind))})
        self.sha256, self.size, self.kind = sha256, size, kind

    def __reduce__(self) -> tuple[type[Reference], tuple[str, int, str]]:
        return Reference, (self.sha256, self.size, self.kind)

    @classmethod
    def found_in(cls, state: Any) -> Self | None:
        """Tell a reference, also one that was read from a file, from other states.

        Raises
        ------
        DamagedFileError
            If it is one, and is not what was written.
        """
        if isinstance(state, cls):
            return state
        if not isinstance(state, dict) or state.keys() != {_SHA256, _SIZE, _KIND}:
            return None
        digits, size, kind = (np.asarray(state[name]) for name in (_SHA256, _SIZE, _KIND))
        if digits.dtype != np.uint8 or digits.shape != (32,) or int(kind) not in range(len(KINDS)) or int(size) < 0:
            raise DamagedFileError(
                "a reference to a state is not what was written: `pytams repair` computes it again"
            )
        return cls(digits.tobytes().hex(), int(size), KINDS[int(kind)])


def are_references(states: Sequence[State | None] | NDArray[Any]) -> bool:
    """Whether states that somebody has here are in a store, as far as they are stored: all are, or none is."""
    if not isinstance(states, list):
        return False
    for state in states:
        if state is not None:
            return isinstance(state, Reference)
    return False


class StateStore(Protocol):
    """Where states are that are too large to be handed around."""

    @property
    def reproducible(self) -> bool:
        """Whether the model gives the same bits again."""

    @property
    def local(self) -> Path | None:
        """Where simulators work, if that is not where temporary files go."""

    @property
    def logs(self) -> Path | None:
        """Where simulators leave what is to stay; None if nothing of the study stays."""

    def put(self, run: int, content: Content) -> State:
        """Put a state away, and give the reference to it; one that is small is given back."""

    def get(self, run: int, reference: Reference) -> Content:
        """Get the content of a reference: of a folder, where it is; it must not be written to."""

    def has(self, run: int, reference: Reference) -> bool:
        """Whether a state is here: it is not looked at."""

    def placed(self, folder: Path, where: Path) -> Path:
        """Put a copy of a folder that is here in a place of one's own, and say where it is."""

    def hold(self, run: int, state: State) -> State:
        """Keep a state's content here as long as anybody in this process has what this returns."""

    def sweep(self, seconds: float) -> None:
        """Remove what nobody has any more, and nobody has put here for so many seconds."""

    def close(self) -> None:
        """Let go of what is nowhere else."""

    def on_trial(self) -> StateStore:
        """Give one that finds what is here, and forgets what is put there when nobody has it any more."""


def inline(content: Content) -> State:
    """Make of a content a state that is in no store: it shares no memory with it.

    Raises
    ------
    TypeError
        If it is none, or a folder.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        return {_BYTES: np.frombuffer(bytes(content), dtype=np.uint8)}
    return as_state(content)


def content_of(state: State) -> Content:
    """Make of a state that is in no store its content again: a copy, which may be written to."""
    if isinstance(state, dict) and state.keys() == {_BYTES} and state[_BYTES].dtype == np.uint8:
        return state[_BYTES].tobytes()
    return as_state(state)


def as_arrays(content: Content) -> State:
    """Make sure that a content is of arrays: what a model without bytes and folders gave.

    Raises
    ------
    TypeError
        If it is not.
    """
    if isinstance(content, bytes | Path):
        raise TypeError("arrays were stored, and something else is there")
    return content


def size_of(state: State) -> int:
    """Bytes that a state takes, wherever it is."""
    return state.size if isinstance(state, Reference) else n_bytes(state)
