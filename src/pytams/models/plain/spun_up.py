"""Random starts that splitting works on: a spin-up before t = 0, in the space of the normals a start is made of.

A start that is drawn once a trajectory can be rare itself, and then only N of them are ever drawn: estimates are low,
and their intervals do not show it. A model that makes its start of standard normals z lets them have a past: an
Ornstein-Uhlenbeck path, which keeps their law,

    z_0 ~ N(0, 1),  z_{k+1} = a z_k + sqrt(1 - a^2) w_k,  a = exp(-4 / `SPIN_UP`),

so that z at t = 0 has the very law that it is to have, and the probability is the same; and a branch may start within
that past. The score there is that of the start that is to be expected, made of a^(steps to go) z.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.models.plain.functions import SPIN_UP, Functions

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from pytams.core.segments import Problem

_LENGTH = 4.0
"""Of the spin-up, in units of the memory of the path."""
NORMALS, STATE = "normals", "array"
"""Names of the parts of a state: the normals, and the state itself if it is no dict."""


def past(n_steps: int) -> tuple[float, float, NDArray[np.float64]]:
    """Give a, sqrt(1 - a^2), and a^k for k steps to go, 0 to `n_steps`."""
    memory = math.exp(-_LENGTH / SPIN_UP)
    return memory, math.sqrt(1.0 - memory**2), memory ** np.arange(n_steps + 1.0)


def inner_state(state: Any) -> Any:
    """Give the model's own state, of one that is spun up."""
    rest = {name: part for name, part in state.items() if name != NORMALS}
    return rest[STATE] if rest.keys() == {STATE} else rest


class SpunUp(Functions):
    """A model with the past of its start: its times begin before 0.

    Parameters
    ----------
    model
        Whose `start_shape` is a shape.
    problem
        Whose steps include the spin-up.
    """

    def __new__(cls, *_: Any) -> Self:
        """Note no arguments: it is made where it is advanced, and never compared."""
        return object.__new__(cls)

    def __init__(self, model: Functions, problem: Problem) -> None:
        assert model.start_shape is not None
        self._model, self._target, self._dt = model, problem.target_score, problem.step_size
        self._start_shape, self._n_before = model.start_shape, problem.spin_up
        self._n_noise = math.prod(model.noise_shape)
        self._n_normals = math.prod(self._start_shape)
        self.vectorized = model.vectorized
        self.noise_shape = (self._n_noise + self._n_normals,)
        self._memory, self._fresh, self._shares = past(self._n_before)

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return self._model.name

    @property
    def may_stop(self) -> bool:
        """Whether the model has a stop condition."""
        return self._model.may_stop

    @property
    def says_reached(self) -> bool:
        """Before t = 0 nothing is the event, whatever its score."""
        return True

    def initial_state(self, rng: np.random.Generator) -> Any:
        """Draw the normals of one member, long before t = 0."""
        normals = rng.standard_normal(self._start_shape)
        if not self.vectorized:
            return self._joined(normals, self._start(normals, self._n_before))
        state = self._start(normals[None], np.array([self._n_before]))
        return self._joined(normals, {name: part[0] for name, part in state.items()} if isinstance(state, dict)
                            else np.asarray(state)[0])  # fmt: skip

    def _start(self, normals: Any, to_go: Any) -> Any:
        """Make the start that is to be expected so many steps later."""
        share = np.reshape(self._shares[to_go], np.shape(to_go) + self._ones)
        return self._model.initial_state(normals * share)

    @property
    def _ones(self) -> tuple[int, ...]:
        return (1,) * len(self._start_shape)

    def _joined(self, normals: Any, state: Any) -> dict[str, Any]:
        if not isinstance(state, dict):
            return {NORMALS: normals, STATE: np.asarray(state)}
        if taken := {NORMALS, STATE} & state.keys():
            text = f"a part of {self.name}'s state must have another name than {', '.join(map(repr, taken))}"
            raise SettingsError("start_shape", text)
        return {NORMALS: normals, **state}

    def _steps(self, t: Any) -> Any:
        """Count steps since t = 0: negative before."""
        return np.rint(np.asarray(t) / self._dt).astype(np.int64) - self._n_before

    def step(self, state: Any, noise: NDArray[Any], t: Any, dt: float) -> Any:
        """Advance the normals before t = 0, the state from then on."""
        steps = self._steps(t)
        if not self.vectorized:
            return self._one_step(state, noise, int(steps), dt)
        before = steps < 0
        if before.all():
            return self._spun(state, noise, steps)
        if not before.any():
            return self._advanced(state, noise, steps, dt)
        new = {name: np.array(part) for name, part in state.items()}
        for chosen, advance in ((before, self._spun), (~before, self._advanced)):
            of_chosen = {name: part[chosen] for name, part in state.items()}
            arguments = (of_chosen, noise[chosen], steps[chosen])
            found = advance(*arguments) if advance == self._spun else self._advanced(*arguments, dt)
            for name, part in found.items():
                new[name][chosen] = part
        return new

    def _one_step(self, state: Any, noise: NDArray[Any], step: int, dt: float) -> Any:
        if step < 0:
            return self._spun(state, noise, step)
        return self._advanced(state, noise, step, dt)

    def _spun(self, state: Any, noise: NDArray[Any], steps: Any) -> Any:
        fresh = np.reshape(noise[..., self._n_noise :], np.shape(state[NORMALS]))
        normals = self._memory * state[NORMALS] + self._fresh * fresh
        return self._joined(normals, self._start(normals, -1 - steps))

    def _advanced(self, state: Any, noise: NDArray[Any], steps: Any, dt: float) -> Any:
        of_model = noise[..., : self._n_noise]
        of_model = np.reshape(of_model, of_model.shape[:-1] + self._model.noise_shape)
        return self._joined(state[NORMALS], self._model.step(inner_state(state), of_model, steps * dt, dt))

    def score(self, state: Any, t: Any) -> Any:
        """Score the state, or the start that is to be expected."""
        return self._model.score(inner_state(state), self._time(t))

    def _time(self, t: Any) -> Any:
        """Give the model's own time, which is 0 before 0."""
        time = np.maximum(self._steps(t), 0) * self._dt
        return time if self.vectorized else float(time)

    def stopped(self, state: Any, t: Any) -> Any:
        """Whether the trajectory ends here: not before t = 0."""
        return (self._steps(t) >= 0) & np.asarray(self._model.stopped(inner_state(state), self._time(t)))

    def reached(self, state: Any, t: Any) -> Any:
        """Whether the event has happened: not before t = 0."""
        model, own, time = self._model, inner_state(state), self._time(t)
        found = model.reached(own, time) if model.says_reached else np.asarray(model.score(own, time)) >= self._target
        return (self._steps(t) >= 0) & np.asarray(found)

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        """Draw the noise of n steps, of the model and of the normals."""
        of_model = np.asarray(self._model.draw_noise(rng, n))
        if of_model.dtype.kind != "f":
            raise SettingsError("start_shape", f"{self.name}.draw_noise gives {of_model.dtype}: it must give floats")
        return np.hstack([np.reshape(of_model, (n, -1)), rng.standard_normal((n, self._n_normals))])
