"""Where a score hardly tells trajectories apart: much of the log-probability is lost within few levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.analysis.runs import RunResult

_WIDTH = 0.05
"""Of all levels, from the first one to the target."""
_MUCH = 0.4
_FEWEST_LEVELS = 20
"""Fewer different ones are those of a score that is made of steps."""


class Plateau(NamedTuple):
    """Levels between which much is lost."""

    low: float
    high: float
    share: float
    """Of the log-probability, over all runs."""

    def __str__(self) -> str:
        low, high = f"{self.low:.4g}", f"{self.high:.4g}"
        where = f"at {low}" if low == high else f"between {low} and {high}"
        return f"{self.share:.0%} of the log-probability is lost {where}"


def plateau(runs: Sequence[RunResult], target: float) -> Plateau | None:
    """Find where most of the log-probability is lost within a twentieth of the levels; None if that is not much."""
    levels, lost = _losses(runs, target)
    if len(np.unique(levels)) < _FEWEST_LEVELS:
        return None
    order = np.argsort(levels)
    levels, lost = levels[order], np.concatenate([[0.0], np.cumsum(lost[order])])
    ends = np.searchsorted(levels, levels + _WIDTH * (target - levels[0]), side="right")
    within = lost[ends] - lost[:-1]
    first = int(np.argmax(within))
    share = float(within[first] / lost[-1])
    return Plateau(float(levels[first]), float(levels[ends[first] - 1]), share) if share >= _MUCH else None


def _losses(runs: Sequence[RunResult], target: float) -> tuple[np.ndarray, np.ndarray]:
    """List levels, and how much each iteration took from the log of the weight; the last ones are at the target."""
    levels: list[float] = []
    lost: list[float] = []
    for run in runs:
        weights = [0.0, *run.iterations.log_weights]
        found = [
            *zip(run.iterations.levels, -np.diff(weights), strict=True),
            (target, weights[-1] - run.log_estimate),
        ]
        for level, loss in found:
            if math.isfinite(loss):  # no extinction, and nothing that has not reached the target
                levels.append(level)
                lost.append(loss)
    return np.array(levels), np.array(lost)
