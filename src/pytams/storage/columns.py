"""What a segment file holds, in columns, and how it is written.

A file follows the CF conventions' contiguous ragged array representation (CF 1.11, section 9.3.3): dimension `piece`
has a row for each piece, `row_size(piece)` says how many of the `obs` scores are its own, `n_states(piece)` how many
of the stored states. Times are not written out: observation i of a piece is of step ``first_step + i``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import h5netcdf
import numpy as np

from pytams.core.segments import SegmentKey
from pytams.core.states import state_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.core.states import State

NETCDF_KINDS = "iuf"
"""Of arrays that NetCDF has a type for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a segment, in one file.

    If the segment was still running, the last stored state is the one that it goes on from.
    """

    key: SegmentKey
    first_step: int
    """Step of the first score."""
    scores: NDArray[np.float64]
    """The score at every step."""
    steps: NDArray[np.int64]
    """Steps whose states are stored: records, every `sparse_freq`-th, and the last one of a piece that goes on."""
    states: Sequence[State]
    """The states there, one for each; they may be read when they are asked for."""
    ended: bool
    features: NDArray[np.float64] | None = None
    """What a score may be learned from, at every step: (scores, features). None if the model gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Pieces, one after the other."""

    keys: NDArray[np.int64]
    """Run, slot and branch of each: of shape ``(pieces, 3)``."""
    first_steps: NDArray[np.int64]
    ended: NDArray[np.bool_]
    n_scores: NDArray[np.int64]
    """How many of the scores are its own."""
    n_states: NDArray[np.int64]
    """How many of the stored states."""
    scores: NDArray[np.float64]
    steps: NDArray[np.int64]
    """Of the stored states."""
    states: dict[str, NDArray[Any]]
    """As `pytams.core.states.state_columns` has them."""
    features: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Self:
        """Put pieces together."""
        features = [piece.features for piece in pieces if piece.features is not None]
        has_features = bool(features) and len(features) == len(pieces)
        return cls(
            keys=np.array([piece.key for piece in pieces], dtype=np.int64),
            first_steps=np.array([piece.first_step for piece in pieces], dtype=np.int64),
            ended=np.array([piece.ended for piece in pieces]),
            n_scores=np.array([len(piece.scores) for piece in pieces], dtype=np.int64),
            n_states=np.array([len(piece.steps) for piece in pieces], dtype=np.int64),
            scores=np.concatenate([piece.scores for piece in pieces]),
            steps=np.concatenate([piece.steps for piece in pieces]).astype(np.int64),
            states=state_columns([state for piece in pieces for state in piece.states]),
            features=np.concatenate(features) if has_features else None,
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Put columns without features under each other."""
        names = parts[0].states
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _ALIKE},
            states={name: np.concatenate([part.states[name] for part in parts]) for name in names},
        )


_ALIKE = "keys", "first_steps", "ended", "n_scores", "n_states", "scores", "steps"


def encoded(columns: Columns, step_size: float) -> memoryview:
    """Make the content of a file."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.attrs["Conventions"] = "CF-1.11"
        file.attrs["step_size"] = step_size
        file.dimensions = {"piece": len(columns.keys), "obs": len(columns.scores), "state_obs": len(columns.steps)}

        def add(name: str, dimensions: tuple[str, ...], data: Any, **attributes: str) -> None:
            variable = file.create_variable(name, dimensions, data=data)
            variable.attrs.update(attributes)

        for i, name in enumerate(SegmentKey._fields):
            add(name, ("piece",), columns.keys[:, i])
        where = "step of the piece's first score; score i is of step first_step + i"
        add("first_step", ("piece",), columns.first_steps, long_name=where)
        add("ended", ("piece",), columns.ended.astype(np.uint8))
        add("row_size", ("piece",), columns.n_scores, sample_dimension="obs")
        add("n_states", ("piece",), columns.n_states, sample_dimension="state_obs")
        add("score", ("obs",), columns.scores, long_name="score function")
        if columns.features is not None:
            file.dimensions["feature"] = columns.features.shape[1]
            add("features", ("obs", "feature"), columns.features, long_name="score by the user, and features")
        add("state_step", ("state_obs",), columns.steps)
        for name, column in columns.states.items():
            _add_states(file, name, column)
    return buffer.getbuffer()


def _add_states(file: Any, name: str, column: NDArray[Any]) -> None:
    """Add a part of the states; what NetCDF has no type for goes in as bytes."""
    dtype = column.dtype.str
    if column.dtype.kind not in NETCDF_KINDS:
        column = np.ascontiguousarray(column).view(np.uint8).reshape(*column.shape, column.dtype.itemsize)
    dimensions = ["state_obs"]
    for i, length in enumerate(column.shape[1:]):
        dimension = f"{name}_{i}"
        file.dimensions[dimension] = length
        dimensions.append(dimension)
    variable = file.create_variable(name, tuple(dimensions), data=column)
    variable.attrs["numpy_dtype"] = dtype
