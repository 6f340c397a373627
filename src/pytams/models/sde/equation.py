"""What defines an SDE, and its functions for one member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.plain.functions import Functions
from pytams.models.sde.schemes import SCHEMES, step

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """dX = a(X, t) dt + b(X, t) dW, with a score: plain functions of (x, t, parameters)."""

    name: str
    functions: dict[str, Callable[..., Any] | None]
    """drift, diffusion, score, and stopped if there is one."""
    scheme: str
    initial: Any
    """The start: a number, d numbers, or a function of a generator that draws one."""
    parameters: Any
    """A named tuple of numbers."""
    noise_shape: tuple[int, ...]
    """() for a scalar equation, (d,) for d components."""

    def initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw or repeat the start."""
        return np.array(self.initial(rng) if callable(self.initial) else self.initial, dtype=np.float64)


class OneMember(Functions):
    """An SDE for one member, its functions called as the compiled loop calls them."""

    def __init__(self, equation: Equation) -> None:
        self._equation = equation
        self.noise_shape = equation.noise_shape

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._equation.name

    def initial_state(self, rng: np.random.Generator) -> Any:
        """Draw or repeat the start."""
        return self._equation.initial_state(rng)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        """Advance it by the scheme."""

        def coefficients(x: Any, t: float) -> tuple[Any, Any]:
            return np.asarray(self._call("drift", x, t)), np.asarray(self._call("diffusion", x, t))

        return step(SCHEMES[self._equation.scheme], coefficients, state, noise, t, dt)

    def score(self, state: Any, t: Any) -> Any:
        """Score it."""
        return self._call("score", state, t)

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether it ends here; never, if there is no such function."""
        return False if self._equation.functions["stopped"] is None else self._call("stopped", state, t)

    def _call(self, name: str, state: Any, t: float) -> Any:
        function = self._equation.functions[name]
        assert function is not None
        return function(state[()], t, self._equation.parameters)
