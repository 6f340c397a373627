"""Numbers that may be too small, or too large, for a float: kept as their natural logs, and written from them."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOG_10 = math.log(10.0)
_LOG_SMALLEST = math.log(sys.float_info.min)
_LOG_LARGEST = math.log(sys.float_info.max)
_LARGE = 600.0
"""Log of a number that a logarithmic axis can have for certain."""


def number(log: float) -> float:
    """Give the number with this log: 0 or infinity if no float is so small or so large."""
    return float(numbers(log))


def numbers(logs: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the numbers with these logs, likewise."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(logs))


def is_plain(log: float) -> bool:
    """Whether the number with this log is 0, or a float of full precision."""
    return log == -math.inf or _LOG_SMALLEST < log < _LOG_LARGEST


def fit_an_axis(*logs: NDArray[np.float64]) -> bool:
    """Whether a logarithmic axis has room for the numbers with these logs, as far as they are finite."""
    return all((np.abs(log[np.isfinite(log)]) < _LARGE).all() for log in logs)


def text(log: float, form: str) -> str:
    """Write the number with this log, also if no float is so small or so large.

    Parameters
    ----------
    log
        Its natural log.
    form
        A format of floats, such as ``.4e`` or ``.2g``: what is no float gets as many digits.

    Examples
    --------
    >>> text(math.log(0.25), ".1e")
    '2.5e-01'
    >>> text(math.log(0.25) - 1000 * LOG_10, ".1e")
    '2.5e-1001'
    """
    if is_plain(log) or not math.isfinite(log):
        return format(number(log), form)
    digits = int(form.strip(",.efg")) - form.endswith("g")
    whole = math.floor(log / LOG_10)
    mantissa, _, carried = f"{math.exp(log - whole * LOG_10):.{digits}e}".partition("e")
    return f"{mantissa}e{whole + int(carried):+d}"
