"""What users write for a simulator: a stateful object that can save and load its state."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError
from pytams.core.states import equal_states
from pytams.models.simulator.again import MadeAgain
from pytams.models.simulator.live import Live, starts
from pytams.models.simulator.stepper import Simulators

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import numpy as np

    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem
    from pytams.models.simulator.place import Place

_logger = logging.getLogger("pytams")

_APPROXIMATION = "perturbed only where a segment starts: no Markov chain, the estimate is an approximation"


class Simulator(MadeAgain):
    """A model that holds its state: an ocean model, a molecular dynamics engine, a library in C or Fortran.

    Subclass it and define `start`, `load`, `save`, `step` and `score`. An object is made once in every worker, by
    the same constructor with the same arguments, and never pickled: what crosses from one process to another is what
    `save` gives. Consecutive steps do not load anything: `load` is called where another trajectory is taken up.

    Its random numbers must come from the seeds that it is given: a seed is a function of the study's seed, the
    trajectory and the step, so that whoever computes a trajectory again gets the same bits.
    """

    seeding: str = "step"
    """``"step"``: `step` is given a seed each time. ``"branch"``: only `branch` is given one, where a segment starts,
    and the simulator draws from a generator of its own, which is part of what it saves."""
    when: str = "step"
    """When `perturb` is called, if it is defined. ``"step"``: before each step. ``"branch"``: where a segment starts;
    then the simulator is no Markov chain, and the estimate is an approximation."""

    steps_at_once: int | None = None
    """With `steps`: how many are best made at once, up to multiples of it; fewer where a state is asked for."""

    autonomous: bool = False
    """A promise: how it goes on depends on its state alone, and not on t. It helps `pytams.learn_score`."""

    _live: Live

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make what opens it when it is needed."""
        simulator = super().__new__(cls, *args, **kwargs)
        simulator._live = Live(simulator, simulator._note_what_it_changes)
        return simulator

    # --- what a subclass defines --------------------------------------------------------------------------------

    def open(self, place: Place) -> None:
        """Get ready, once: start the engine, read what it needs, go to ``place.scratch`` for files of its own."""

    @abstractmethod
    def start(self, rng: np.random.Generator) -> None:
        """Take the state at t = 0.

        Parameters
        ----------
        rng
            The trajectory's own stream, for a random start. A fixed start ignores it.
        """

    @abstractmethod
    def load(self, state: Any) -> None:
        """Take a state that `save` gave, here or in another process: all of it, whatever was before.

        Of a folder, a copy of its own, in ``place.scratch``.
        """

    @abstractmethod
    def save(self) -> Any:
        """Give the state: bytes of any length, an array or a dict of arrays, always alike, or the path of a folder.

        All that the following steps depend on; with ``seeding = "branch"`` the generator's state, too. It must not
        change the state. Asked only where a state is kept. Of a folder, the
        files are copied.
        """

    def branch(self, seed: int) -> None:
        """Seed the generator, where a new segment starts: after `load` or `start`.

        Parameters
        ----------
        seed
            0 <= seed < 2**64.
        """

    @abstractmethod
    def step(self, seed: int | None, t: float, dt: float) -> None:
        """Advance from time t to t + dt, by as many steps of its own as it likes.

        Parameters
        ----------
        seed
            Of this step, 0 <= seed < 2**64; None with ``seeding = "branch"``.
        t
            Time at the start of the step.
        dt
            The step size.
        """

    def steps(self, seeds: Sequence[int] | None, t: float, dt: float, n: int) -> Sequence[float]:
        """Make n steps at once, and give the score after each. Optional: for a program whose every call is costly.

        The states in between are gone, so a branch from one of them computes it again, from the last one stored
        before; `ended`, `reached` and a `perturb` of each step cannot be had with it.

        Parameters
        ----------
        seeds
            One a step; None with ``seeding = "branch"``.
        t
            Time at the start of the first step.
        dt
            The step size.
        n
            How many, at least 1: ever others, which must not make a difference.

        Returns
        -------
        sequence of float
            n scores.
        """
        raise NotImplementedError

    @abstractmethod
    def score(self) -> float:
        """Score of the state: a finite number that grows towards the rare event. Asked after every step."""

    def features(self, t: float) -> Any:
        """Give what a learned score may look at, a few dozen numbers of the state. Optional: `pytams.learn_score`.

        Asked after every step, as the score, and stored with it. It must not change the state.
        """
        raise NotImplementedError

    def perturb(self, rng: np.random.Generator) -> None:
        """Change the state a little, for a model that is deterministic. Optional.

        Parameters
        ----------
        rng
            The stream of this step, or of this segment: see `when`.
        """

    def ended(self, t: float) -> bool:  # noqa: ARG002 - the default never looks
        """Whether it ends here, before the end time (for AMS: back in the initial set). Never by default."""
        return False

    def reached(self, t: float) -> bool:
        """Whether the event has happened; by default it has where the score is `target_score` or more.

        For an event that is no threshold of the score: see `pytams.Model.reached`.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything, when the engine or the worker ends; its scratch folder is removed afterwards."""

    # --- what pytams asks ---------------------------------------------------------------------------------------

    def validate(self) -> None:
        """Make sure that what it says of itself can be used.

        Raises
        ------
        SettingsError
            If it cannot.
        """
        self._check_attributes()
        for name, allowed in {"seeding": ("step", "branch"), "when": ("step", "branch")}.items():
            found = getattr(self, name)
            if found not in allowed:
                text = f"{self.name}.{name} must be {' or '.join(map(repr, allowed))}, not {found!r}"
                raise SettingsError("model", text)
        many = [name for name in ("ended", "reached", "perturb") if self.defines("steps") and self.defines(name)]
        if many and (many != ["perturb"] or self.when == "step"):
            text = f"{self.name} defines steps, which makes many at once, and {many[0]}, which is asked at each"
            raise SettingsError("model", text)
        if self.seeding == "branch" and not self.defines("branch"):
            raise SettingsError("model", f"{self.name}.seeding is 'branch', but it defines no method branch(seed)")
        if self.caveat:
            _logger.warning("%s: %s", self.name, self.caveat)

    @property
    def caveat(self) -> str:
        """Why estimates are approximations; empty if they are not."""
        is_perturbed_at_branches = self.when == "branch" and self.defines("perturb")
        return _APPROXIMATION if is_perturbed_at_branches else ""

    def _may_change(self) -> bool:
        return self._live.is_open

    def defines(self, method: str) -> bool:
        """Whether a subclass defines a method that it may define."""
        return getattr(type(self), method) is not getattr(Simulator, method)

    @property
    def stores_records(self) -> bool:
        """Whether the state at every record can be had: not where many steps are made at once."""
        return not self.defines("steps")

    def has_fixed_start(self, seed: int) -> bool:
        """Whether every trajectory starts from the same state: whether two that are drawn are equal."""
        found = starts(self, seed)
        return len(found) == 2 and equal_states(*found)

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:  # noqa: ARG002 - it has its own
        """Make what advances segments: this object itself, one segment at a time."""
        self._check_attributes()
        return Simulators(problem, self._live)
