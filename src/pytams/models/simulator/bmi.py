"""Models with a Basic Model Interface as simulators (Hutton, Piper & Tucker 2020, doi 10.21105/joss.02317)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.models.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.models.simulator.place import Place

_REL_TOL = 1e-9


def from_bmi(
    model: Callable[[], Any],
    config_file: str | None = None,
    *,
    score: Callable[[Any], float],
    seed: Callable[[Any, int], object] | None = None,
    perturb: Callable[[Any, np.random.Generator], object] | None = None,
    state: Sequence[str] | None = None,
    save: Callable[[Any], Any] | None = None,
    load: Callable[[Any, Any], object] | None = None,
) -> Simulator:
    """Make a simulator of a model that has a Basic Model Interface, such as a subclass of `bmipy.Bmi`.

    BMI says nothing of how a state is saved, of randomness, or of a score: so this has to be said.

    Parameters
    ----------
    model
        Makes the model: its class.
    config_file
        For its `initialize`.
    score
        Given the model, gives the score.
    seed
        Given the model and a seed, 0 <= seed < 2**64, seeds its generator: before each step.
    perturb
        Instead, for a deterministic model: given the model and a generator, changes its state a little.
    state
        Names of the variables that are the state: they are got by `get_value` and put back by `set_value`.
    save, load
        Instead: give the state of the model, and put one back. See `pytams.Simulator.save`.

    Raises
    ------
    SettingsError
        If it is not said how to save the state, or where randomness comes from.
    """
    name = getattr(model, "__name__", type(model).__name__)
    if (state is None) == (save is None) or (save is None) != (load is None):
        raise SettingsError(
            "state",
            "a Basic Model Interface says nothing of how a state is saved: give state=[names of variables] of "
            f"{name}, which get_value and set_value know, or both save= and load=",
        )
    if (seed is None) == (perturb is None):
        raise SettingsError("seed", f"{name} needs either seed=, which seeds its generator, or perturb=")
    return _Bmi(model, config_file, score, seed, perturb, None if state is None else tuple(state), save, load)


class _Bmi(Simulator):
    """A model with a Basic Model Interface."""

    def __init__(
        self,
        model: Callable[[], Any],
        config_file: str | None,
        score: Callable[[Any], float],
        seed: Callable[[Any, int], object] | None,
        perturb: Callable[[Any, np.random.Generator], object] | None,
        state: tuple[str, ...] | None,
        save: Callable[[Any], Any] | None,
        load: Callable[[Any, Any], object] | None,
    ) -> None:
        self._make, self._config_file = model, config_file
        self._score, self._seed, self._perturb = score, seed, perturb
        self._state, self._save, self._load = state, save, load
        self._model: Any = None
        self._saved: Any = None

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return str(getattr(self._make, "__name__", type(self).__name__))

    def open(self, place: Place) -> None:  # noqa: ARG002 - it works where it does
        """Initialise it, and remember how it begins."""
        model = self._make()
        model.initialize(self._config_file)
        self._model = model
        if self._state is not None:
            self._check_variables(self._state)
        self._saved = copy.deepcopy(self.save())

    def _check_variables(self, names: tuple[str, ...]) -> None:
        known = {*self._model.get_input_var_names(), *self._model.get_output_var_names()}
        missing = [name for name in names if name not in known]
        if missing:
            text = f"{self.name} has no variable {', '.join(missing)}; there are {', '.join(sorted(known))}"
            raise SettingsError("state", text)

    def start(self, rng: np.random.Generator) -> None:  # noqa: ARG002 - it begins as it is initialised
        """Put it back to how it began."""
        self.load(copy.deepcopy(self._saved))

    def save(self) -> Any:
        """Get its state."""
        if self._state is None:
            assert self._save is not None
            return self._save(self._model)
        return {name: self._value(name) for name in self._state}

    def _value(self, name: str) -> np.ndarray[Any, Any]:
        model = self._model
        n = model.get_var_nbytes(name) // model.get_var_itemsize(name)
        value = np.empty(n, dtype=model.get_var_type(name))
        model.get_value(name, value)
        return value

    def load(self, state: Any) -> None:
        """Put a state back."""
        if self._load is not None:
            self._load(self._model, state)
            return
        for name, value in state.items():
            self._model.set_value(name, value)

    def step(self, seed: int | None, t: float, dt: float) -> None:  # noqa: ARG002 - it has a time of its own
        """Update it, as often as its own time step asks for."""
        n = round(dt / self._model.get_time_step())
        if n < 1 or abs(n * self._model.get_time_step() - dt) > _REL_TOL * dt:
            step = self._model.get_time_step()
            raise ValueError(f"its time step is {step:g}: dt = {dt:g} must be a multiple of it")
        if self._seed is not None:
            assert seed is not None
            self._seed(self._model, seed)
        for _ in range(n):
            self._model.update()

    def score(self) -> float:
        """Score its state."""
        return self._score(self._model)

    def close(self) -> None:
        """Finalise it."""
        if self._model is not None:
            model, self._model = self._model, None
            model.finalize()

    def defines(self, method: str) -> bool:
        """Whether it is perturbed, among others."""
        return self._perturb is not None if method == "perturb" else super().defines(method)

    def perturb(self, rng: np.random.Generator) -> None:
        """Change its state a little."""
        assert self._perturb is not None
        self._perturb(self._model, rng)
