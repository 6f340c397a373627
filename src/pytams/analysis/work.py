"""What a study costs for what it gives: relative variance of a run times steps of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from pytams.core.settings import Checked, RunCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.analysis.runs import RunResult

ENOUGH = 16
"""So many runs tell their variance by their spread better than their genealogies do."""
FAR_ABOVE = 2.0
"""The spread of eight normal estimates is so many times their variance once in twenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Checked):
    """Work of a study: (relative error)^2 times model steps, which does not depend on how many runs it has."""

    n_runs: RunCount
    n_trajectories: int
    log_probability: float | None
    """None if nothing has reached the target."""
    relative_variance: float | None
    """Variance of the estimate of one run over its square; None if that is not known."""
    steps: float
    """Of a run, the mean."""

    @classmethod
    def of(cls, runs: Sequence[RunResult]) -> Self:
        """Sum up finished runs."""
        logs = np.array([run.log_estimate for run in runs])
        largest = float(logs.max())
        log_p = largest + math.log(float(np.exp(logs - largest).mean())) if math.isfinite(largest) else -math.inf
        variance = _relative_variance(runs, logs - log_p) if math.isfinite(log_p) else math.nan
        return cls(
            n_runs=len(runs),
            n_trajectories=runs[0].n,
            log_probability=log_p if math.isfinite(log_p) else None,
            relative_variance=variance if variance > 0.0 else None,
            steps=float(np.mean([run.n_steps for run in runs])),
        )

    @property
    def ideal(self) -> float:
        """Relative variance of a run with the best score there is: -log(p) / N; NaN if p is not known."""
        return math.nan if self.log_probability is None else -self.log_probability / self.n_trajectories

    @property
    def least(self) -> float:
        """The work with that score, for the same steps."""
        return self.ideal * self.steps

    @property
    def value(self) -> float:
        """The work; infinite if it is not known."""
        return math.inf if self.relative_variance is None else self.relative_variance * self.steps


def _relative_variance(runs: Sequence[RunResult], logs: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Find the variance of a run over the square of the mean, given logs of estimates over that.

    By the spread of many runs; of few by their genealogies, each of which is right on average for its own run.
    """
    estimates = np.exp(logs)
    if len(runs) >= ENOUGH:
        return float(estimates.var(ddof=1))
    known = np.array([run.relative_variance if run.n_reached else 0.0 for run in runs])
    return float(np.mean(known * estimates**2))


def cautious(runs: Sequence[RunResult]) -> float:
    """Say how much work a score may take, judged by few runs: not less than is possible, or than their spread says.

    Genealogies are too low in most runs where few families are left; the spread of few runs is a poor measure: that
    of eight is off by a half. So it counts where it is far above them. Infinite if nothing is known.
    """
    work = Work.of(runs)
    if work.relative_variance is None:
        return math.inf
    estimates = np.exp(np.array([run.log_estimate for run in runs]) - (work.log_probability or 0.0))
    spread = float(estimates.var(ddof=1)) if len(runs) > 1 else 0.0
    told = spread if spread > FAR_ABOVE * work.relative_variance else work.relative_variance
    return max(told * work.steps, work.least)
