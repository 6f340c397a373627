"""What the same runs say of every level: probabilities and return times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytams.analysis import estimators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.analysis.runs import RunResult


class Curve(NamedTuple):
    """Values at levels, with their error and 95 % interval; each of shape ``(len(z),)``."""

    z: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def exceedance(runs: Sequence[RunResult], z: Sequence[float] | NDArray[np.float64]) -> Curve:
    """P(max of the score > z) for each z up to the target."""
    each = np.array([run.exceedance(z) for run in runs])
    n = len(each)
    mean = each.mean(axis=0)
    if n > 1:
        error = each.std(axis=0, ddof=1) / math.sqrt(n)
    else:
        error = np.sqrt(np.maximum(runs[0].exceedance_variance(z), 0.0))
    degrees = n if n > 1 else None
    bounds = [estimators.interval(m, e, degrees) for m, e in zip(mean.tolist(), error.tolist(), strict=True)]
    low, high = np.array(bounds).T
    return Curve(np.asarray(z, dtype=np.float64), mean, error, low, high)


def return_times(runs: Sequence[RunResult], z: Sequence[float] | NDArray[np.float64], end_time: float) -> Curve:
    """Mean time between events score > z, in the model's unit, with interval: see `estimators.return_time`."""
    p = exceedance(runs, z)
    value, low, high = (estimators.return_time(q, end_time) for q in (p.value, p.high, p.low))
    with np.errstate(divide="ignore", invalid="ignore"):
        error = p.error * value**2 / end_time / (1.0 - p.value)  # |dr/dp| = r^2 / (T (1 - p))
    return Curve(p.z, value, error, low, high)
