"""Numbers from finished runs: pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def mean_and_error(estimates: Sequence[float]) -> tuple[float, float]:
    """Mean of independent estimates and its standard error, NaN for a single one."""
    values = np.asarray(estimates, dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def student_interval(mean: float, error: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Student interval of a probability from n independent estimates, cut at 0 and 1.

    NaN for a single estimate.
    """
    if n < 2:
        return math.nan, math.nan
    from scipy.special import stdtrit  # noqa: PLC0415 - keeps `import pytams` quick

    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * error
    return max(0.0, mean - half), min(1.0, mean + half)
