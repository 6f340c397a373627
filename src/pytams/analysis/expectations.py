"""Means over reactive trajectories, those that reach the target."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis import estimators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from pytams.analysis.runs import RunResult
    from pytams.core.settings import Settings


class Estimate(NamedTuple):
    """A mean over reactive trajectories with its error and 95 % interval: numbers, or arrays of one shape."""

    value: Any
    error: Any
    low: Any
    high: Any

    def __repr__(self) -> str:
        if np.ndim(self.value):
            return f"<Estimate of shape {np.shape(self.value)}>"
        return f"<Estimate {self.value:.4g} +- {self.error:.2g}, {self.low:.4g} to {self.high:.4g}>"


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


def reaching_time(runs: Sequence[RunResult], settings: Settings) -> Estimate:
    """Estimate the mean time at which reactive trajectories reach the target."""
    steps = [final.last_step for run in runs for final in run.reached]
    return mean_over_reached(runs, settings.times(np.array(steps, dtype=float)))


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
    columns = values.reshape(len(values), -1)
    parts = np.split(columns, np.cumsum([run.n_reached for run in runs])[:-1])
    largest = max(run.log_weight for run in runs if run.n_reached)
    weights = [math.exp(run.log_weight - largest) / run.n if run.n_reached else 0.0 for run in runs]  # up to a factor
    above = _sums(weights, parts)
    below = np.array([weight * run.n_reached for weight, run in zip(weights, runs, strict=True)])
    mean, error = estimators.ratio(above, below)
    residuals = np.abs(above - np.multiply.outer(below, mean))
    alike = (residuals <= estimators.ROUNDING * _sums(weights, map(np.abs, parts))).all(axis=0)
    for i in np.flatnonzero(alike):
        error[i] = _genealogical_error(runs, weights, [part[:, i] - mean[i] for part in parts]) / below.sum()
    error[error <= 1e-12 * np.abs(columns).max(axis=0)] = math.nan  # trajectories that are all alike tell nothing
    half_width = estimators.half_width(error, len(runs), alike)
    found = [part.reshape(values.shape[1:]) for part in (mean, error, mean - half_width, mean + half_width)]
    return Estimate(*(part.item() if part.ndim == 0 else part for part in found))


def _sums(weights: Iterable[float], parts: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of each run: its weight times the sum of values of its trajectories."""
    return np.array([weight * part.sum(axis=0) for weight, part in zip(weights, parts, strict=True)])


def _genealogical_error(
    runs: Iterable[RunResult], weights: Iterable[float], parts: Iterable[NDArray[np.float64]]
) -> float:
    """Tell the standard error of the sum of `_sums` over runs from genealogies alone; 0 if they do not tell it."""
    variances = [
        (weight * run.n) ** 2 * run.variance_of(part)
        for run, weight, part in zip(runs, weights, parts, strict=True)
        if weight
    ]
    return math.sqrt(max(0.0, sum(variances)))
