"""Functions of a compiled equation, called for many states: they may say `if`, and so take one state at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.described import described

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytams.models.sde.equation import Equation

    Array = NDArray[np.float64]


def numbers_of(function: Callable[..., Any], equation: Equation, states: Array, t: Array) -> Array:
    """Call a function of (x, t, parameters) that gives a number, or several, for each of many states.

    Parameters
    ----------
    states, t
        Of shapes ``(members, *noise_shape)`` and ``(members,)``.

    Returns
    -------
    ndarray
        Of shape ``(members, numbers)``.
    """
    from numba.core.errors import TypingError  # noqa: PLC0415 - an extra, and it takes a second

    call, fill_ones, fill = _compiled(function, described(function))
    first = np.asarray(call(states[0][()], t[0], equation.parameters), dtype=np.float64)
    found = np.empty((len(states), first.size))
    try:
        (fill if first.ndim else fill_ones)(states, t, equation.parameters, found)
    except TypingError:
        raise ValueError("the numbers of a tuple must all be floats: 1.0, not 1") from None
    return found


@lru_cache(maxsize=16)
def _compiled(function: Callable[..., Any], does: str) -> tuple[Any, Any, Any]:  # noqa: ARG001 - tells what it was
    """Compile a function, and loops over many states: for one number, and for several."""
    from numba import njit  # noqa: PLC0415 - an extra, and it takes a second

    call = njit(error_model="numpy")(function)

    @njit(error_model="numpy")
    def fill_ones(states: Any, t: Any, p: Any, found: Any) -> None:
        for i in range(len(t)):
            found[i, 0] = call(states[i], t[i], p)

    @njit(error_model="numpy")
    def fill(states: Any, t: Any, p: Any, found: Any) -> None:
        for i in range(len(t)):
            numbers = call(states[i], t[i], p)
            for k in range(found.shape[1]):
                found[i, k] = numbers[k]

    return call, fill_ones, fill
