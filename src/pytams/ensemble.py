"""The weighted ensemble: the trajectories of finished runs and what each of them stands for, as xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pytams import _state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.trajectory import Link, SegmentKey


class Final(NamedTuple):
    """A trajectory of the ensemble that a run ended with."""

    key: SegmentKey
    maximum: float
    """Largest score."""
    last_step: int
    """Step at which it ended: it reached the target, the end time, or the model's stop condition."""
    root: int
    """Slot of the initial trajectory that it descends from."""
    generation: int
    """0 if it was never restarted, i + 1 if splitting iteration i started it."""


class Course(NamedTuple):
    """What a trajectory went through, from step 0 to its end."""

    scores: NDArray[np.float64]
    """At every step."""
    states: Sequence[State]
    """At every step, or none."""


class Source(Protocol):
    """Where the trajectories of a result come from: computed again, or read from disk."""

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        """Get trajectories, given the segments they consist of; with the state at every step, if wanted."""


def dataset(
    finals: Sequence[Final],
    weights: Sequence[float],
    courses: Sequence[Course],
    *,
    step_size: float,
    target_score: float,
) -> Any:
    """Put trajectories into an `xarray.Dataset`.

    Raises
    ------
    ImportError
        Without xarray.
    """
    try:
        import xarray as xr  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("ensemble() needs xarray: pip install pytams[xarray]") from error
    maxima = np.array([final.maximum for final in finals])
    variables: dict[str, Any] = {
        "weight": ("trajectory", np.array(weights)),
        "maximum": ("trajectory", maxima),
        "reached": ("trajectory", maxima >= target_score),
        "end_time": ("trajectory", np.array([final.last_step for final in finals]) * np.float64(step_size)),
        "root": ("trajectory", np.array([final.root for final in finals], dtype=np.int64)),
        "generation": ("trajectory", np.array([final.generation for final in finals], dtype=np.int64)),
        "score": (("trajectory", "time"), _padded([course.scores for course in courses])),
    }
    columns = [_state.columns(course.states) for course in courses]
    for name in columns[0] if columns else ():
        column = _padded([of_course[name] for of_course in columns])
        variables[name] = (["trajectory", "time", *(f"{name}_{i}" for i in range(column.ndim - 2))], column)
    n_times = variables["score"][1].shape[1]
    coordinates: dict[str, Any] = {
        name: ("trajectory", np.array([final.key[i] for final in finals], dtype=np.int64))
        for i, name in enumerate(("run", "slot", "branch"))
    }
    return xr.Dataset(variables, coordinates | {"time": np.arange(n_times) * np.float64(step_size)})


def evenly(n: int, n_most: int) -> list[int]:
    """Choose at most `n_most` of n."""
    chosen: list[int] = np.unique(np.linspace(0, n - 1, min(n, n_most)).round().astype(np.int64)).tolist()
    return chosen


def _padded(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays that differ in length; what is past the end of one is NaN (an empty text)."""
    if not rows:
        return np.empty((0, 0))
    first = rows[0]
    fill: Any = "" if first.dtype.kind in "SU" else np.nan
    dtype = first.dtype if first.dtype.kind in "SUfc" else np.dtype(np.float64)
    padded = np.full((len(rows), max(map(len, rows)), *first.shape[1:]), fill, dtype)
    for into, row in zip(padded, rows, strict=True):
        into[: len(row)] = row
    return padded
