"""States of an equation, as rows of an array for the compiled loop, and what there is where trajectories begin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.plain.spun_up import NORMALS, STATE, SpunUp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.core.segments import Problem
    from pytams.core.states import State, States
    from pytams.models.sde.equation import Equation
    from pytams.models.sde.model import SDE


class Layout:
    """The state in a row, and after it the normals that a random start is made of."""

    def __init__(self, equation: Equation) -> None:
        self._shape, self._start_shape = equation.noise_shape, equation.start_shape
        self._n_numbers = math.prod(equation.noise_shape)
        self.dimension = self._n_numbers + equation.n_normals

    def rows(self, states: Sequence[Any]) -> NDArray[np.float64]:
        """Put states in rows."""
        if self._start_shape is None:
            return np.array(states).reshape(len(states), self.dimension)
        parts = [[state[name] for state in states] for name in (STATE, NORMALS)]
        return np.hstack([np.array(part).reshape(len(states), -1) for part in parts])

    def states(self, rows: NDArray[np.float64]) -> States | list[State]:
        """Make states of rows."""
        if self._start_shape is not None:
            split, shape, start_shape = self._n_numbers, self._shape, self._start_shape
            return [{NORMALS: row[split:].reshape(start_shape), STATE: row[:split].reshape(shape)} for row in rows]
        return rows if self._shape else rows[:, 0]


class SpunUpEquation:
    """An equation at the beginning of the past of its start: nothing is the event there, and nothing stops."""

    def __init__(self, model: SDE, problem: Problem) -> None:
        self.name, self._equation, self._past = model.name, model.equation, SpunUp(model, problem)
        self._most = math.nextafter(problem.target_score, -math.inf)

    def initial_state(self, rng: np.random.Generator) -> Any:
        """Draw the normals of one member, and make the start that is to be expected."""
        return self._past.initial_state(rng)

    def score(self, state: Any, t: Any) -> Any:  # noqa: ARG002 - the model's own time is 0
        """Score it."""
        return min(float(self._equation.score(state[STATE], 0.0)), self._most)

    def stopped(self, state: Any, t: Any) -> Any:  # noqa: ARG002 - it goes on
        """Go on."""
        return False
