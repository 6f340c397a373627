"""Numbers from finished runs: pure functions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.95


def mean_and_error(estimates: Sequence[float]) -> tuple[float, float]:
    """Mean of independent estimates and its standard error, NaN for a single one."""
    values = np.asarray(estimates, dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def genealogical_variance(
    n: int,
    n_killed: Iterable[int],
    weight: float,
    values: Sequence[float] | NDArray[np.float64],
    roots: Sequence[int],
) -> float:
    """Estimate, from one run alone, the variance of its estimate ``weight / n * sum(values)``.

    Pairs of final trajectories that descend from different initial ones stand for two independent copies; counted
    with the right factor they estimate the square of the expectation (Lee & Whiteley 2018,
    doi 10.1093/biomet/asy028; Du & Guyader 2021, doi 10.1214/20-AAP1611). Right on average, and too low in most runs
    when few initial trajectories have descendants left.

    Parameters
    ----------
    n
        N, the size of the ensemble.
    n_killed
        How many trajectories each iteration killed.
    weight
        The ensemble's weight after the last iteration.
    values, roots
        Of each final trajectory: its value (1 if it reached the target, else 0; or any functional of it) and the
        initial trajectory that it descends from.

    Returns
    -------
    float
        The variance; it may come out negative.
    """
    log_c = 0.0
    for killed in n_killed:
        left = n - killed
        if left < 2:
            return math.nan  # no pair survives: nothing can be said
        log_c += math.log(left * (left - 1)) - math.log(n * (n - 1) - 2 * killed - killed * (killed - 1) / left)
    of_root: defaultdict[int, float] = defaultdict(float)
    for value, root in zip(values, roots, strict=True):
        of_root[root] += value
    total = math.fsum(values)
    disjoint_pairs = total * total - math.fsum(part * part for part in of_root.values())
    return (weight * total / n) ** 2 - math.exp(log_c) / (n * (n - 1)) * disjoint_pairs


def ideal_relative_error(probability: float, n: int) -> float:
    """Relative error of one run with the best score there is: sqrt(-log(p) / N) (Cerou & Guyader 2007)."""
    return math.sqrt(-math.log(probability) / n) if 0.0 < probability <= 1.0 else math.nan


def exceedance(
    n: int,
    levels: Sequence[float],
    log_weights: Sequence[float],
    killed_maxima: Sequence[Sequence[float]],
    maxima: Sequence[float],
    z: Sequence[float] | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Estimate P(max of the score > z) for each z up to the target, from one run.

    The ensemble in force at z is the one after all iterations with a level <= z; those of it that the next iteration
    kills tell how many have their maximum above z. Unbiased at every z.

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

    Returns
    -------
    numpy.ndarray
        Shape ``(len(z),)``.
    """
    found = np.empty(len(z))
    for i, value in enumerate(z):
        k = bisect_right(levels, value)
        weight = math.exp(log_weights[k - 1]) if k else 1.0
        if k < len(levels):
            above = n - sum(maximum <= value for maximum in killed_maxima[k])
        else:
            above = sum(maximum > value for maximum in maxima)
        found[i] = weight * above / n
    return found


def return_time(probability: float | NDArray[np.float64], end_time: float) -> NDArray[np.float64]:
    """Mean time between events of which one happens within `end_time` with this probability.

    r = -T / log(1 - P) (Lestang et al. 2018, doi 10.1088/1742-5468/aab856): for a stationary process, with T longer
    than its memory. Infinite where the probability is 0.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-end_time / np.log1p(-np.asarray(probability, dtype=float)))


def interval(mean: float, error: float, n: int | None, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided confidence interval of a positive mean: symmetric in its logarithm, so that it never reaches 0.

    Estimates of rare events are skewed to the right: a plain interval around a low mean is too short on its upper
    side. The error of the logarithm is error / mean (delta method); Student's quantile for n estimates, the normal
    one for n = None. NaN if the mean is 0 or there is no error.
    """
    if not (mean > 0.0 and math.isfinite(error)):
        return math.nan, math.nan
    factor = math.exp(quantile(n, confidence) * error / mean)
    return mean / factor, min(1.0, mean * factor)


def quantile(n: int | None, confidence: float = CONFIDENCE) -> float:
    """Half-width of a two-sided interval in standard errors: Student's for n estimates, the normal one for None."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - keeps `import pytams` quick

    level = 0.5 + confidence / 2
    return float(ndtri(level) if n is None else stdtrit(n - 1, level))


def ratio(above: NDArray[np.float64], below: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    divisors = np.asarray(below, dtype=float)
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


def saving(probability: float, relative_error: float, n_steps: int, steps_per_trajectory: int) -> float:
    """Model steps that plain Monte Carlo takes for the same relative error, over those taken.

    Plain Monte Carlo needs (1 - p) / (p e^2) trajectories for a relative error e.
    """
    return (1.0 - probability) / (probability * relative_error**2) * steps_per_trajectory / n_steps
