"""Numbers from finished runs: pure functions.

Estimates come as logs, and errors relative to them, so that they are right whatever the size of the probability.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
ROUNDING = 1e-9
"""Relative differences below this are rounding: no study can tell an estimate so well."""


def log_mean_and_error(log_estimates: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average independent estimates along the first axis: log of the mean, and its relative error by their spread.

    The error is NaN where the spread does not tell it: of a single estimate, of several that `coincide`, and where
    all are 0.
    """
    logs = np.asarray(log_estimates)
    n = len(logs)
    largest = logs.max(axis=0)
    scale = np.where(np.isfinite(largest), largest, 0.0)
    scaled = np.exp(logs - scale)
    mean = scaled.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # where all are 0
        log_mean = scale + np.log(mean)
        error = scaled.std(axis=0, ddof=1) / math.sqrt(n) / mean if n > 1 else mean * math.nan
    return log_mean, np.where(coincide(logs), math.nan, error)


def coincide(log_estimates: ArrayLike) -> NDArray[np.bool_]:
    """Whether several estimates, along the first axis, are the same but for rounding, and not 0."""
    logs = np.asarray(log_estimates)
    with np.errstate(invalid="ignore"):  # where all are 0
        return np.asarray((np.ptp(logs, axis=0) <= ROUNDING) & (len(logs) > 1))


class LogMean(NamedTuple):
    """Mean of independent estimates of something positive, with error and 95 % interval: arrays of one shape."""

    log_value: NDArray[np.float64]
    relative_error: NDArray[np.float64]
    by_genealogy: NDArray[np.bool_]
    """Whether the error is from the runs' genealogies: the spread does not tell it."""
    log_low: NDArray[np.float64]
    log_high: NDArray[np.float64]


def mean_over_runs(log_estimates: ArrayLike, relative_variances: Callable[[NDArray[np.bool_]], ArrayLike]) -> LogMean:
    """Average over runs, along the first axis: the error is from their spread, or else from their genealogies.

    The interval is symmetric in the logarithm, so that it never reaches 0: estimates of rare events are skewed to the
    right, and a plain interval around a low mean is too short on its upper side. The error of the logarithm is the
    relative error (delta method).

    Parameters
    ----------
    log_estimates
        Shape ``(runs, ...)``.
    relative_variances
        Gives, where a mask of shape ``(...)`` is true, what each run knows of the variance of its own estimate, over
        its square.
    """
    logs = np.asarray(log_estimates)
    log_mean, error = log_mean_and_error(logs)
    by_genealogy = np.isnan(error)
    if by_genealogy.any():
        error[by_genealogy] = genealogical_error(relative_variances(by_genealogy))
    width = half_width(error, len(logs), by_genealogy)
    return LogMean(log_mean, error, by_genealogy, log_mean - width, np.minimum(0.0, log_mean + width))


def log_pair_factors(n: int, n_killed: Iterable[int]) -> list[float]:
    """Log of what a pair of unrelated trajectories stands for, in units of the weight squared.

    Parameters
    ----------
    n
        N, the size of the ensemble.
    n_killed
        How many trajectories each iteration killed.

    Returns
    -------
    list[float]
        Before the first iteration (0), and after each; NaN once no pair has survived, for then nothing can be said.
    """

    def of_one(killed: int) -> float:
        left = n - killed
        if left < 2:
            return math.nan
        pairs_kept = (n * (n - 1) - 2 * killed - killed * (killed - 1) / left) / (n * (n - 1))
        return math.log((left - 1) * n / (left * (n - 1)) / pairs_kept)

    return list(accumulate(map(of_one, n_killed), initial=0.0))


def genealogical_variance(
    n: int, log_pair_factor: float, values: Sequence[float] | NDArray[np.float64], roots: Sequence[int]
) -> float:
    """Estimate, from one run alone, the variance of its estimate, in units of its weight: of ``sum(values) / n``.

    Pairs of final trajectories that descend from different initial ones stand for two independent copies; counted
    with the right factor they estimate the square of the expectation (Lee & Whiteley 2018,
    doi 10.1093/biomet/asy028; Du & Guyader 2021, doi 10.1214/20-AAP1611). Right on average, and too low in most runs
    when few initial trajectories have descendants left.

    Parameters
    ----------
    n
        N, the size of the ensemble.
    log_pair_factor
        Of the iterations so far: the last of `log_pair_factors`.
    values, roots
        Of each final trajectory: its value (1 if it reached the target, else 0; or any functional of it) and the
        initial trajectory that it descends from.

    Returns
    -------
    float
        The variance; it may come out negative.
    """
    if math.isnan(log_pair_factor):
        return math.nan
    of_root: defaultdict[int, float] = defaultdict(float)
    for value, root in zip(values, roots, strict=True):
        if value:
            of_root[root] += value
    total = math.fsum(of_root.values())
    if len(of_root) < 2:  # the factor may be beyond a float where no pair is left
        return (total / n) ** 2
    disjoint_pairs = total * total - math.fsum(part * part for part in of_root.values())
    return (total / n) ** 2 - math.exp(log_pair_factor) * disjoint_pairs / (n * (n - 1))


def genealogical_error(relative_variances: ArrayLike) -> NDArray[np.float64]:
    """Relative standard error of the mean of runs, along the first axis, from what each knows of its own variance.

    For runs whose estimates are alike. NaN if one knows nothing, or if the variance comes out as 0 or negative.
    """
    variances = np.asarray(relative_variances)
    mean = variances.mean(axis=0)
    return np.sqrt(np.where(mean > 1e-13, mean, math.nan) / len(variances))  # it is a difference of numbers near 1


def ideal_relative_error(log_probability: float, n: int) -> float:
    """Relative error of one run with the best score there is: sqrt(-log(p) / N) (Cerou & Guyader 2007)."""
    return math.sqrt(abs(log_probability) / n) if math.isfinite(log_probability) else math.nan


def in_force(
    n: int,
    levels: Sequence[float],
    log_weights: Sequence[float],
    killed_maxima: Sequence[Sequence[float]],
    maxima: Sequence[float],
    z: Sequence[float] | NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the ensemble that is in force at each z up to the target: its log weight, and how many of it get above z.

    It is the one after all iterations with a level <= z; those of it that the next iteration kills tell how many have
    their maximum above z. Weight times share is an unbiased estimate of P(max of the score > z).

    Parameters
    ----------
    n
        N, the size of the ensemble.
    levels, log_weights, killed_maxima
        Of each iteration: its level, the log of the weight after it, and the maxima that it killed.
    maxima
        Of the final ensemble; anything if the run is extinct.
    z
        Where to estimate.
    """
    z = np.asarray(z, dtype=np.float64)
    k = np.searchsorted(levels, z, side="right")
    above = np.empty(len(z), dtype=np.int64)
    for i in np.unique(k).tolist():
        here = k == i
        sizes = (n, killed_maxima[i]) if i < len(levels) else (len(maxima), maxima)
        above[here] = sizes[0] - np.searchsorted(np.sort(sizes[1]), z[here], side="right")
    return np.array([0.0, *log_weights])[k], above


def return_time(probability: ArrayLike, end_time: float) -> NDArray[np.float64]:
    """Mean time between events of which one happens within `end_time` with this probability.

    r = -T / log(1 - P) (Lestang et al. 2018, doi 10.1088/1742-5468/aab856): for a stationary process, with T longer
    than its memory. Infinite where the probability is 0.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-end_time / np.log1p(-np.asarray(probability)))


def log_return_time(log_probability: ArrayLike, end_time: float) -> NDArray[np.float64]:
    """Log of the `return_time`, given the log of the probability."""
    log_p = np.asarray(log_probability)
    with np.errstate(divide="ignore"):
        log_rate = np.log(-np.log1p(-np.exp(log_p)))
    return np.asarray(math.log(end_time) - np.where(log_p < -40.0, log_p, log_rate))  # there log(1 - P) is -P


def half_width(
    error: ArrayLike, n: int, by_genealogy: ArrayLike, confidence: float = CONFIDENCE
) -> NDArray[np.float64]:
    """Half-width of a two-sided interval whose standard error is known.

    Student's quantile where it is from the spread of n estimates, the normal one where it is from genealogies.
    """
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - keeps `import pytams` quick

    level = 0.5 + confidence / 2
    return np.asarray(error) * np.where(by_genealogy, ndtri(level), stdtrit(n - 1, level))


def ratio(above: NDArray[np.float64], below: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratio of two means over independent runs, and its standard error by the delta method.

    Parameters
    ----------
    above
        Shape ``(runs, ...)``.
    below
        Shape ``(runs,)``; its mean must not be 0.

    Returns
    -------
    value, error
        Of shape ``(...)``; the error of a single run is NaN.
    """
    divisors = np.asarray(below)
    n = len(divisors)
    value = above.sum(axis=0) / divisors.sum()
    residuals = above - np.multiply.outer(divisors, value)
    if n == 1:
        return value, np.full_like(value, math.nan)
    return value, np.sqrt((residuals**2).sum(axis=0) / (n * (n - 1))) / divisors.mean()


def runs_for(relative_error: float, wanted: float, n_runs: int) -> int:
    """How many runs give a wanted relative error, if `n_runs` gave this one: errors fall with the square root.

    Raises
    ------
    ValueError
        If the relative error is not known, or not positive where it is wanted.
    """
    if not (math.isfinite(relative_error) and wanted > 0.0):
        raise ValueError(f"no number of runs takes a relative error of {relative_error:g} to {wanted:g}")
    return math.ceil(n_runs * (relative_error / wanted) ** 2)


def log_saving(log_probability: float, relative_error: float, n_steps: int, steps_per_trajectory: int) -> float:
    """Log of the model steps that plain Monte Carlo takes for the same relative error, over those taken.

    Plain Monte Carlo needs (1 - p) / (p e^2) trajectories for a relative error e. NaN if that is not known.
    """
    if math.isnan(relative_error):
        return math.nan
    trajectories = math.log1p(-math.exp(log_probability)) - log_probability - 2.0 * math.log(relative_error)
    return trajectories + math.log(steps_per_trajectory / n_steps)
