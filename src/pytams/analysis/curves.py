"""What the same runs say of every level: probabilities and return times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis import estimators
from pytams.analysis.logs import numbers, text
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Curve:
    """Positive values at levels, with their error and 95 % interval; each of shape ``(len(z),)``."""

    z: NDArray[np.float64]
    log_value: NDArray[np.float64]
    """Natural logs, for what is too small or too large for a float."""
    relative_error: NDArray[np.float64]
    log_low: NDArray[np.float64]
    log_high: NDArray[np.float64]

    def __repr__(self) -> str:
        ends = f": {text(self.log_value[0], '.3e')} to {text(self.log_value[-1], '.3e')}" if len(self.z) else ""
        return f"<Curve at {len(self.z)} levels{ends}>"

    @property
    def value(self) -> NDArray[np.float64]:
        """The values; 0 or infinity where no float is so small or so large, as in the others."""
        return numbers(self.log_value)

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors; NaN where there is nothing to tell them from."""
        return self.relative_error * self.value

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower ends of the intervals."""
        return numbers(self.log_low)

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper ends."""
        return numbers(self.log_high)


def exceedance(runs: Sequence[RunResult], z: Sequence[float] | NDArray[np.float64]) -> Curve:
    """P(max of the score > z) for each z up to the target.

    Errors are from the spread of the runs; from their genealogies for a single run, and where runs coincide.
    """
    z = np.asarray(z, dtype=np.float64)
    mean = estimators.mean_over_runs(
        [run.log_exceedance(z) for run in runs],
        lambda unknown: [run.relative_exceedance_variance(z[unknown]) for run in runs],
    )
    return Curve(
        z=z,
        log_value=mean.log_value,
        relative_error=mean.relative_error,
        log_low=mean.log_low,
        log_high=mean.log_high,
    )


def return_times(runs: Sequence[RunResult], z: Sequence[float] | NDArray[np.float64], end_time: float) -> Curve:
    """Mean time between events score > z, in the model's unit, with interval: see `estimators.return_time`."""
    p = exceedance(runs, z)
    value, low, high = (estimators.log_return_time(log, end_time) for log in (p.log_value, p.log_high, p.log_low))
    with np.errstate(invalid="ignore"):  # where p is 0; |dr/dp| = r^2 / (T (1 - p))
        error = p.relative_error * numbers(p.log_value + value - math.log(end_time)) / (1.0 - p.value)
    return Curve(z=p.z, log_value=value, relative_error=error, log_low=low, log_high=high)


def means_of_first(runs: Sequence[RunResult], n_most: int = 100) -> tuple[NDArray[Any], ...]:
    """Average the first runs, for some numbers of them: how many; log of the mean, and of its interval's ends."""
    counts = np.unique(np.linspace(1, len(runs), min(len(runs), n_most)).round().astype(np.int64))
    means = [_mean_of(runs[:n]) for n in counts.tolist()]
    names = ("log_value", "log_low", "log_high")
    return counts, *(np.array([getattr(one, name) for one in means]) for name in names)


def _mean_of(runs: Sequence[RunResult]) -> estimators.LogMean:
    return estimators.mean_over_runs(
        [run.log_estimate for run in runs], lambda _: [run.relative_variance for run in runs]
    )


def step_edges(times: NDArray[np.float64], step_size: float, n_most: int) -> NDArray[np.float64]:
    """Choose at most so many bins, of whole steps: or some would hold more of them than others."""
    n_steps = round(np.ptp(times) / step_size) + 1
    width = math.ceil(n_steps / max(1, n_most))
    edges = times.min() + step_size * (width * np.arange(math.ceil(n_steps / width) + 1) - 0.5)
    return np.asarray(edges)


def bins_of_times(times: NDArray[np.float64], step_size: float, n_most: int = 40) -> NDArray[np.float64]:
    """Choose bins for a histogram of times at which something happened."""
    return step_edges(times, step_size, round(min(math.sqrt(len(times)), n_most)))


def levels_of(result: Result, n: int = 300) -> NDArray[np.float64]:
    """Choose levels from where the runs begin up to just below the target, or how far they have come."""
    end = result.level
    if end == -math.inf:
        return np.empty(0)
    begin = min((run.iterations[0].lowest for run in result.runs if run.iterations), default=end - 1.0)
    return np.linspace(begin, np.nextafter(end, -math.inf), n)


def says_of_levels(result: Result) -> bool:
    """Whether levels below the target mean something: the score there is the user's, and counts from t = 0."""
    return not (result.taught_by or result.settings.spin_up)


def check_levels(result: Result, z: Sequence[float] | NDArray[np.float64]) -> Sequence[float] | NDArray[np.float64]:
    """Give levels back; refuse those that runs of a result have not come to yet.

    Those below the target are refused if the score there is not the user's, or counts before t = 0.

    Raises
    ------
    SettingsError
        It says why.
    """
    if np.isnan(z).any():
        raise SettingsError("z", "nan is no level")
    settings, level = result.settings, result.level
    if level < settings.target_score and np.any(np.asarray(z) >= level):
        how_far = f"have only come to {level:g}: take levels below that" if level > -math.inf else "have no level yet"
        raise SettingsError("z", f"runs go on, and {how_far}")
    if np.all(np.asarray(z) >= settings.target_score) or says_of_levels(result):
        return z
    why = (
        "the score was learned, and only at the target it is yours"
        if result.taught_by
        else "scores before t = 0 count"
    )
    raise SettingsError("z", f"{why}: for levels below {settings.target_score:g} take a study without")
