"""Means over reactive trajectories, those that reach the target."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis import estimators

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.analysis.runs import RunResult


class Estimate(NamedTuple):
    """A mean over reactive trajectories with its error and 95 % interval: numbers, or arrays of one shape."""

    value: Any
    error: Any
    low: Any
    high: Any


def values(functional: Callable[[Any], Any], ensemble: Any) -> NDArray[np.float64]:
    """Ask a functional for its values on an `xarray.Dataset` of trajectories: a row for each.

    Raises
    ------
    ValueError
        If it does not return a value for each.
    """
    found = functional(ensemble)
    rows = np.asarray(found.transpose("trajectory", ...) if hasattr(found, "dims") else found, dtype=float)
    if rows.shape[:1] != (ensemble.sizes["trajectory"],):
        raise ValueError(
            f"the functional returned shape {rows.shape}: it must have a value for each of "
            f"{ensemble.sizes['trajectory']} trajectories, along the first axis"
        )
    return rows


def mean_over_reached(runs: Sequence[RunResult], values: NDArray[np.float64]) -> Estimate:
    """Estimate the weighted mean of values of the trajectories that reached the target.

    Parameters
    ----------
    runs
        Finished ones.
    values
        Shape ``(trajectories that reached the target, ...)``, in the order of the runs.
    """
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    n = len(runs)
    estimates = [run.estimate for run in runs]
    parts = np.split(values, np.cumsum([run.n_reached for run in runs])[:-1])
    sums = np.array([run.weight * part.sum(axis=0) for run, part in zip(runs, parts, strict=True)])
    mean, error = estimators.ratio(sums, estimates)
    if n == 1:
        variance = np.apply_along_axis(runs[0].variance_of, 0, values - mean)
        error = np.sqrt(np.maximum(variance, 0.0)) / estimates[0]
    half_width = estimators.quantile(n if n > 1 else None) * error
    found = (mean, error, mean - half_width, mean + half_width)
    return Estimate(*(value.item() if value.ndim == 0 else value for value in found))
