"""What defines an SDE."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """dX = a(X, t) dt + b(X, t) dW, with a score: plain functions of (x, t, parameters).

    Its methods are for one member, with a state of shape `noise_shape`: they call the functions as the compiled loop
    does.
    """

    name: str
    functions: dict[str, Callable[..., Any] | None]
    """drift, diffusion, score, and stopped if there is one; and features, for learned scores."""
    scheme: str
    initial: Any
    """The start: a number, d numbers, or a function of a generator that draws one."""
    parameters: Any
    """A named tuple of numbers."""
    noise_shape: tuple[int, ...]
    """() for a scalar equation, (d,) for d components."""
    start_shape: tuple[int, ...] | None = None
    """Shape of the normals that `initial` is a function of: see `pytams.models.plain.spun_up`."""

    @property
    def n_normals(self) -> int:
        """How many these are."""
        return 0 if self.start_shape is None else math.prod(self.start_shape)

    def initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw or repeat the start: an array of shape `noise_shape`."""
        return np.array(self.initial(rng) if callable(self.initial) else self.initial, dtype=np.float64)

    def score(self, state: Any, t: Any) -> Any:
        """Score a state of shape `noise_shape`: a number."""
        return self._call("score", state, t)

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether a state of shape `noise_shape` ends here; never, if there is no such function."""
        return False if self.functions["stopped"] is None else self._call("stopped", state, t)

    def _call(self, name: str, state: Any, t: float) -> Any:
        function = self.functions[name]
        assert function is not None
        return function(state[()], t, self.parameters)
