"""Models that were written for others, as simulators: for pyTAMS (only their import lines change), and with a BMI."""

from __future__ import annotations

import copy
import inspect
import math
import random
from abc import abstractmethod
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.simulator.bmi import from_bmi
from pytams.models.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytams.models.simulator.place import Place

__all__ = ["ForwardModel", "from_bmi"]


class ForwardModel(Simulator):
    """What pyTAMS calls ``ForwardModelBaseClass``: derive from this one instead, and leave the class as it is.

    ``_init_model(m_id, params)`` is called where a trajectory begins: `params` is the ``[model]`` table, or the
    keyword arguments, also as ``params["model"]``, and says ``deterministic``. Before each step, the generators that
    are attributes of the object are seeded anew (and NumPy's and Python's global ones, if ``make_noise`` draws from
    them); then ``make_noise`` gives the noise of the step, and ``_advance`` is called with it. So noise is keyed, and
    a trajectory can be computed again.
    """

    _said_name: Any

    _id = 0
    _step = 0
    _time = 0.0
    _noise: Any = None
    _workdir = Path()

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a class say its name as it did there, by a method of the class."""
        super().__init_subclass__(**options)
        said = inspect.getattr_static(cls, "name")
        if not isinstance(said, property):
            cls._said_name, cls.name = said, ForwardModel.name  # type: ignore[method-assign] # of the class, or not

    def __init__(self, **params: Any) -> None:
        self.__params = params
        self.__draws_globally: bool | None = None
        self.__is_branch = False

    # --- what a subclass defines --------------------------------------------------------------------------------

    @abstractmethod
    def _init_model(self, m_id: int, params: dict[Any, Any]) -> None:
        """Take the state at t = 0. `m_id` is a number of the trajectory's own: a seed, for a random start."""

    @abstractmethod
    def _advance(self, step: int, time: float, dt: float, noise: Any, need_end_state: bool) -> float:
        """Advance by dt with this noise, and return dt."""

    @abstractmethod
    def get_current_state(self) -> Any:
        """Give the state: an array, a dict of arrays, or bytes."""

    @abstractmethod
    def set_current_state(self, state: Any) -> None:
        """Take a state."""

    @abstractmethod
    def make_noise(self) -> Any:
        """Draw the noise of the next step."""

    def check_convergence(self, step: int, time: float, current_score: float, target_score: float) -> bool:  # noqa: ARG002
        """Whether the event has happened."""
        return current_score >= target_score

    def _clear_model(self) -> Any:
        """Let go of everything."""

    def _trajectory_branching_hook(self) -> None:
        """Do what there is to do where a branch starts."""

    def _trajectory_restore_hook(self) -> None:
        """Do what there is to do where a trajectory is taken up again."""

    # --- as a simulator -----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What messages and results call it."""
        said = getattr(self, "_said_name", None)
        return str(said()) if callable(said) else type(self).__name__

    def defines(self, method: str) -> bool:
        """Whether the event is another than ``score() >= target_score``, among others."""
        if method == "reached":
            return type(self).check_convergence is not ForwardModel.check_convergence
        return super().defines(method)

    def open(self, place: Place) -> None:
        """Work in the scratch folder."""
        self._workdir = place.scratch
        self._begin(0)

    def start(self, rng: np.random.Generator) -> None:
        """Begin a trajectory, with a number of its own."""
        self._begin(int(rng.integers(2**31)))

    def _begin(self, number: int) -> None:
        params = copy.deepcopy(self.__params)
        params["model"] = {**params, **params.get("model", {}), "deterministic": True}
        self._id, self._step, self._time, self.__is_branch = number, 0, 0.0, False
        self._init_model(number, params)

    def load(self, state: Any) -> None:
        """Take a state up again."""
        moment = self._live.moment
        self.set_current_state(state)
        self._step, self._time, self.__is_branch = moment.step, moment.t, True
        self._trajectory_restore_hook()

    def save(self) -> Any:
        """Give the state."""
        return self.get_current_state()

    def branch(self, seed: int) -> None:  # noqa: ARG002 - each step is seeded
        """Say that a branch starts."""
        if self.__is_branch:
            self._trajectory_branching_hook()

    def step(self, seed: int | None, t: float, dt: float) -> None:
        """Advance by one step, with the noise of its seed."""
        assert seed is not None
        self._step, self._time = round(t / dt), t
        if self.__draws_globally is None:
            with _global_generators(None):
                before = _global_state()
                self.make_noise()
                self.__draws_globally = _global_state() != before
        self._seed(seed)
        with _global_generators(seed) if self.__draws_globally else nullcontext():
            self._noise = self.make_noise()
            advanced = self._advance(self._step, t, dt, self._noise, True)
        if not math.isclose(advanced, dt, rel_tol=1e-9):
            raise ValueError(f"_advance returned {advanced}: a step must be of length dt = {dt}")
        self._step, self._time = self._step + 1, t + dt

    def _seed(self, seed: int) -> None:
        for value in vars(self).values():
            if isinstance(value, np.random.Generator):
                value.bit_generator.state = type(value.bit_generator)(seed).state
            elif isinstance(value, np.random.RandomState):
                value.seed(_words(seed))
            elif isinstance(value, random.Random):
                value.seed(seed)

    def reached(self, t: float) -> bool:
        """Ask whether it has converged."""
        return bool(self.check_convergence(self._step, t, self.score(), self._live.moment.target_score))

    def close(self) -> None:
        """Let it clear itself."""
        self._clear_model()


def _words(seed: int) -> list[int]:
    """Split a seed into numbers that the older generators take."""
    return [seed & 0xFFFFFFFF, seed >> 32]


_lock = RLock()


@contextmanager
def _global_generators(seed: int | None) -> Iterator[None]:
    """Have NumPy's and Python's global generators alone, seeded; they are put back afterwards."""
    with _lock:
        states: Any = np.random.get_state(), random.getstate()  # noqa: NPY002 - they are the ones that are drawn from
        if seed is not None:
            np.random.seed(_words(seed))  # noqa: NPY002
            random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(states[0])  # noqa: NPY002
            random.setstate(states[1])


def _global_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()  # noqa: NPY002 - likewise
    return state[1].tobytes(), *state[2:], random.getstate()
