"""Schemes for dX = a dt + b dW, each written once, for one component: NumPy and the compiled loop both use it.

A scheme with one stage makes an Euler step. One with two makes that step as a prediction, and corrects it with the
coefficients found there. The formulas are elementwise: x, a, b and dw may be numbers or arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


def euler(x: Any, a: Any, b: Any, dt: float, dw: Any) -> Any:
    """Step with the coefficients at the start."""
    return x + a * dt + b * dw


def trapezium(x: Any, a: Any, b: Any, a_end: Any, b_end: Any, dt: float, dw: Any) -> Any:
    """Step with the mean of the coefficients at the start and at the predicted end."""
    return x + 0.5 * (a + a_end) * dt + 0.5 * (b + b_end) * dw


def increment(noise: Any, dt: float) -> Any:
    """Make the increment of Brownian motion in a step of standard normal noise."""
    return math.sqrt(dt) * noise


class Scheme(NamedTuple):
    """How one step is made."""

    predict: Callable[..., Any]
    """(x, a, b, dt, dw) -> x."""
    correct: Callable[..., Any] | None
    """(x, a, b, a_end, b_end, dt, dw) -> x, or nothing to correct."""


SCHEMES = {
    "euler-maruyama": Scheme(euler, None),
    "heun": Scheme(euler, trapezium),
}
"""By name. Euler-Maruyama is for Ito's calculus (Maruyama 1955; strong order 1/2), Heun for Stratonovich's (Kloeden &
Platen 1992, section 11.1)."""


def step(
    scheme: Scheme, coefficients: Callable[[Any, Any], tuple[Any, Any]], x: Any, noise: Any, t: Any, dt: float
) -> Any:
    """Advance x from t to t + dt, given what computes (a, b) of a state at a time: arrays of x's shape."""
    dw = increment(noise, dt)
    a, b = coefficients(x, t)
    predicted = scheme.predict(x, a, b, dt, dw)
    if scheme.correct is None:
        return predicted
    return scheme.correct(x, a, b, *coefficients(predicted, t + dt), dt, dw)
