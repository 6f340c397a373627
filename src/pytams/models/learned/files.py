"""Learned scores on disk: arrays in an ``.npz`` file, without pickled objects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from pytams.core.errors import StoreError
from pytams.models.learned.committor import Committor

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.models.learned.score import LearnedScore

_NUMBERS = ("end_time", "step_size", "target_score", "level", "log_estimate", "log_u_start")


def as_arrays(score: LearnedScore) -> dict[str, Any]:
    """Give all that is saved of a score, by name."""
    return {
        **score.committor._asdict(),
        **{name: getattr(score, name) for name in _NUMBERS},
        "names": np.array(score.names),
        "model": score.model,
        "paths": score.paths,
        "taught_by": np.array(sorted(score.taught_by), dtype=np.int64).reshape(-1, 2),
    }


def read(path: Path) -> dict[str, Any]:
    """Read what a score is made of.

    Raises
    ------
    StoreError
        If there is no such file, or it is none.
    """
    wanted = (*Committor._fields, *_NUMBERS, "names", "model", "paths", "taught_by")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in wanted}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise StoreError(f"{path} is no learned score: {error}") from error
    try:
        return _checked(found)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path} is no learned score: {error}") from error


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    parts = {name: found[name] for name in Committor._fields}
    numbers = {name: float(found[name]) for name in _NUMBERS}
    parts |= {name: float(parts[name]) for name in ("interval", "floor")} | {"is_odds": bool(parts["is_odds"])}
    committor = Committor(**parts)
    names = tuple(str(name) for name in found["names"].tolist())
    d, n = len(names) + committor.is_odds, len(committor.biases)
    shapes = {"center": (d,), "scale": (d,), "weights": (d, n), "importance": (len(names),)}
    wrong = [name for name, shape in shapes.items() if parts[name].shape != shape or parts[name].dtype != np.float64]
    rows = committor.coefficients.shape
    if wrong or len(rows) != 2 or rows[0] < 2 or rows[1] != n + 1:
        raise ValueError(f"{', '.join(wrong) or 'coefficients'}: not of the shape that belongs to {d} features")
    if not math.isfinite(committor.floor) or committor.floor >= 0.0 or not committor.interval > 0.0:
        raise ValueError(f"its floor is {committor.floor:g}, its interval {committor.interval:g}")
    if found["paths"].ndim != 3 or found["paths"].shape[2] != len(names) or found["paths"].dtype != np.float64:
        raise ValueError("paths: not of the shape that belongs to its features")
    return {
        **numbers,
        "paths": found["paths"],
        "committor": committor,
        "names": names,
        "model": str(found["model"]),
        "taught_by": frozenset((seed, run) for seed, run in found["taught_by"].tolist()),
    }
