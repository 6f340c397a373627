"""SDE models from a few plain functions, compiled or not."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.core.settings import choices
from pytams.core.streams import Streams
from pytams.models.answers import RAISED
from pytams.models.described import described
from pytams.models.plain.model import Model
from pytams.models.sde.compiled import Compiled
from pytams.models.sde.equation import Equation
from pytams.models.sde.layout import SpunUpEquation
from pytams.models.sde.schemes import SCHEMES, step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem


class SDE(Model):
    """dX = a(X, t) dt + b(X, t) dW, with a score, from plain functions.

    ::

        def drift(x, t, p):
            return x[0] - x[0] ** 3, -2.0 * x[1]

        def diffusion(x, t, p):
            return p.sigma, p.sigma

        def score(x, t, p):
            return x[0]

        model = SDE(drift, diffusion, score, initial=(-1.0, 0.0), sigma=0.3)

    Each function takes the state, the time and the parameters. With one number as `initial`, x is a number and drift
    and diffusion return a number; with d numbers, x is indexed by component and they return a tuple or an array of d
    numbers. The noise is diagonal: component j is driven by its own Brownian motion with coefficient b_j.

    Compiled (the default), whole segments run inside machine code, which Numba makes once and keeps on disk; this
    needs ``pip install "pytams-splitting[fast]"``. With ``compiled=False`` the same functions work on NumPy arrays of
    members: write them with NumPy's functions and `numpy.where`, without `if`. Both draw the same noise and do the
    same arithmetic in the same order, so they agree to the bit as long as the functions use + - * / and `numpy.sqrt`
    only; powers and functions such as `numpy.exp` may differ in the last bit, and trajectories then part after a
    while.

    Parameters
    ----------
    drift, diffusion
        a and b.
    score
        The score function, a number.
    initial
        The start: a number, d numbers, or a function ``initial(rng)`` that draws one.
    start_shape
        Makes ``initial`` a function of standard normals of this shape, as its other functions are of the state, and
        lets splitting work on the start: see `pytams.Model.start_shape`. Compiled, () or (m,).
    stopped
        Optional: whether the trajectory ends here.
    features
        Optional: what a learned score may look at, a tuple of numbers; by default the state itself.
    scheme
        ``"euler-maruyama"`` (Ito; strong order 1/2: Maruyama 1955) or ``"heun"`` (Stratonovich; Kloeden & Platen
        1992, section 11.1).
    compiled
        Whether to compile. Part of the model: it may change the last bit.
    parameters
        Numbers that the functions find in their last argument, by name.
    """

    vectorized = True

    def __init__(
        self,
        drift: Callable[..., Any],
        diffusion: Callable[..., Any],
        score: Callable[..., Any],
        *,
        initial: float | Sequence[float] | Callable[[Any], Any],
        start_shape: tuple[int, ...] | None = None,
        stopped: Callable[..., Any] | None = None,
        features: Callable[..., Any] | None = None,
        scheme: str = "euler-maruyama",
        compiled: bool = True,
        **parameters: float,
    ) -> None:
        if scheme not in SCHEMES:
            raise SettingsError("scheme", f"{scheme!r} is not one of {choices(str(scheme), SCHEMES)}")
        self.start_shape = start_shape
        start = _start(initial, start_shape)
        shape = start.shape
        if len(shape) > 1 or shape == (0,):
            raise SettingsError("initial", f"a number or a row of numbers, not an array of shape {shape}")
        values = {name: _number(name, value) for name, value in parameters.items()}
        functions = {"drift": drift, "diffusion": diffusion, "score": score, "stopped": stopped}
        if features is not None:
            functions["features"] = features
        for name in ("features", "start_shape"):
            if self._made_with.get(name) == described(None):
                del self._made_with[name]  # older studies have none, and mean the same
        self.equation = Equation(
            name=self.name,
            functions=functions,
            scheme=scheme,
            initial=initial,
            parameters=namedtuple("Parameters", values)(**values),
            noise_shape=shape,
            start_shape=start_shape,
        )
        if type(self).__init__ is SDE.__init__:  # else it is made of what the subclass is given
            used = values if callable(initial) else values | {"initial": start.astype(np.float64).tolist()}
            self._made_with |= {name: described(value) for name, value in used.items()}
        self.compiled = compiled
        self.noise_shape = shape
        """() for a scalar equation, (d,) for d components."""

    def validate(self) -> None:
        """Refuse what the compiled loop would not ask."""
        super().validate()
        if self.start_shape is not None and not callable(self.equation.initial):
            raise SettingsError("start_shape", "then initial must be a function of normals of this shape")
        if self.compiled and len(self.start_shape or ()) > 1:
            raise SettingsError("start_shape", "a number or a row of normals, if compiled; or set compiled=False")
        if self.compiled and self.says_reached:
            raise SettingsError(
                "compiled", f"the compiled loop does not call {self.name}.reached: set compiled=False"
            )

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:
        """Make what advances segments: the compiled loop, on so many threads, or NumPy."""
        if not self.compiled:
            return super().make_stepper(problem)
        beginning = None if self.start_shape is None else SpunUpEquation(self, problem)
        return Compiled(problem, self.equation, threads, beginning)

    def initial_state(self, rng: Any) -> NDArray[np.float64]:
        """Draw or repeat the start: an array of shape `noise_shape`; with a `start_shape`, of many members."""
        if self.start_shape is None:
            return self.equation.initial_state(rng)
        return _columns(self.equation.initial(rng.T), np.empty((len(rng), *self.noise_shape)))

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        """Advance many members by the scheme.

        Parameters
        ----------
        state, noise
            Of shape ``(members, *noise_shape)``.
        t
            Of shape ``(members,)``.
        dt
            The step size.
        """
        return step(SCHEMES[self.equation.scheme], self._coefficients, state, noise, t, dt)

    def _coefficients(self, state: NDArray[np.float64], t: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return _columns(self._call("drift", state, t), state), _columns(self._call("diffusion", state, t), state)

    def score(self, state: Any, t: Any) -> Any:
        """Score many members, states of shape ``(members, *noise_shape)``: an array of shape ``(members,)``."""
        return np.broadcast_to(self._call("score", state, t), state.shape[:1])

    def stopped(self, state: Any, t: Any) -> Any:
        """Tell which of many members end here: an array of shape ``(members,)``; False: none ever."""
        return False if self.equation.functions["stopped"] is None else self._call("stopped", state, t)

    def _call(self, name: str, state: NDArray[np.float64], t: Any) -> Any:
        """Call a function with the component first, as it has it: shape ``(*noise_shape, members)``."""
        function = self.equation.functions[name]
        assert function is not None
        return function(state.T, t, self.equation.parameters)


def _start(initial: Any, start_shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Draw a start, to see how many numbers it is."""
    try:
        given = Streams(0).initial_state(0, 0) if start_shape is None else np.zeros(start_shape)
        start = np.asarray(initial(given) if callable(initial) else initial)
    except RAISED as error:
        what = "calling it with a generator" if callable(initial) else "making an array of it"
        raise SettingsError("initial", f"{what} raised {type(error).__name__}: {error}") from error
    if start.dtype.kind not in "biuf":
        what = "but it returns" if callable(initial) else "not"
        raise SettingsError("initial", f"a number or a row of numbers, {what} {start!r}")
    return start


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SettingsError(name, f"{value!r} is not a number") from None


def _columns(values: Any, state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put what a function returned for each component side by side."""
    if state.ndim == 1:
        return np.broadcast_to(_real(values), state.shape)
    if not isinstance(values, tuple | list | np.ndarray) or len(values) != state.shape[1]:
        raise ValueError(f"drift and diffusion must return {state.shape[1]} numbers, one a component")
    columns = np.empty(state.shape)
    for j, value in enumerate(values):
        columns[:, j] = _real(value)
    return columns


def _real(value: Any) -> NDArray[Any]:
    """Refuse what NumPy would make a float of: half of a complex number, text, truth values."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"drift and diffusion must return real numbers, not {array.dtype}")
    return array
