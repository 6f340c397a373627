"""What a user writes: a stochastic model and its score, as functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError
from pytams.core.states import as_state, equal_states
from pytams.core.streams import Streams
from pytams.models.answers import RAISED
from pytams.models.made import Made

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SPIN_UP = 200
"""Steps before t = 0 of a model with a `Functions.start_shape`."""


class Functions(Made, ABC):
    """A discrete-time stochastic model X and its score function xi.

    Subclass it and define `noise_shape`, `initial_state`, `step` and `score`. A *state* is a NumPy array or a dict of
    NumPy arrays. All randomness comes in as arguments, so that every method is a pure function: the same arguments
    give the same bits. That is what makes a run reproducible, restartable and independent of who computes it.

    With ``vectorized = True``, `step`, `score` and `stopped` get many members at once, along a leading axis of every
    array (`initial_state` and `draw_noise` still make one member's). What they return for one member must not depend
    on which other members are in the batch, bit for bit; elementwise NumPy arithmetic has this property, a matrix
    product over the batch may not.
    """

    vectorized: bool = False
    """Whether `step`, `score` and `stopped` take a leading member axis."""

    noise_shape: tuple[int, ...]
    """Shape of the noise of one member in one step; ``()`` for a single number."""

    start_shape: tuple[int, ...] | None = None
    """Shape of the standard normals that a random start is a function of; None: it is fixed, or drawn from a stream.

    Then ``initial_state(normals)`` is given them in the place of a stream (vectorised: with a leading axis), and
    splitting works on the start, too, in a spin-up before t = 0: see `pytams.models.plain.spun_up`.
    """

    autonomous: bool = False
    """A promise: how it goes on depends on its state alone, and not on t. It helps `pytams.learn_score`."""

    def validate(self) -> None:
        """Make sure that what it says of itself can be used.

        Raises
        ------
        SettingsError
            If it cannot.
        """
        shape = getattr(self, "noise_shape", None)
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise SettingsError(
                "model", f"{type(self).__name__}.noise_shape must be the shape of one step's noise, "
                f"a tuple such as () or (2,), not {shape!r}"
            )  # fmt: skip

        start = self.start_shape
        if start is not None and not (isinstance(start, tuple) and all(isinstance(n, int) and n >= 0 for n in start)):
            text = f"{type(self).__name__}.start_shape must be a shape, a tuple such as () or (2,), not {start!r}"
            raise SettingsError("model", text)

    @property
    def spin_up(self) -> int:
        """Steps before t = 0."""
        return 0 if self.start_shape is None else SPIN_UP

    def has_fixed_start(self, seed: int) -> bool:
        """Whether every trajectory starts from the same state: whether two that are drawn are equal."""
        if self.start_shape is not None:
            return False
        streams = Streams(seed)
        try:
            first, second = (as_state(self.initial_state(streams.initial_state(0, slot))) for slot in (0, 1))
        except RAISED:
            return False  # what is wrong is said where it is advanced
        return equal_states(first, second)

    @property
    def may_stop(self) -> bool:
        """Whether there is a stop condition."""
        return type(self).stopped is not Functions.stopped

    @property
    def says_reached(self) -> bool:
        """Whether it says itself what the event is."""
        return type(self).reached is not Functions.reached

    @abstractmethod
    def initial_state(self, rng: Any) -> Any:
        """Make the state of one member at t = 0: an array of any shape, or a dict of such.

        Parameters
        ----------
        rng
            The member's own stream, for a random start. A fixed start ignores it. With a `start_shape`: standard
            normals of that shape (vectorised: with a leading axis here, too).
        """

    @abstractmethod
    def step(self, state: Any, noise: NDArray[Any], t: Any, dt: float) -> Any:
        """Advance the state from time t to t + dt.

        Parameters
        ----------
        state
            The state at time t, of the shape that `initial_state` gave it (vectorised: with a leading axis, one
            entry a member, in every array).
        noise
            The random numbers of this step, of shape `noise_shape` (vectorised: ``(members, *noise_shape)``).
            By default independent standard normals: an SDE multiplies them by ``sqrt(dt)``.
        t
            Time at the start of the step, a float (vectorised: an array of shape ``(members,)``).
        dt
            The step size.

        Returns
        -------
        state
            The state at time t + dt, of the same shapes and dtypes.
        """

    @abstractmethod
    def score(self, state: Any, t: Any) -> Any:
        """Score of a state at time t: a finite number that grows towards the rare event.

        Any such function gives an unbiased estimate; a good one (close to the committor) gives a small error.
        Vectorised: an array of shape ``(members,)``.
        """

    def stopped(self, state: Any, t: Any) -> Any:  # noqa: ARG002 - the default never looks
        """Whether the trajectory ends here, before the end time (for AMS: back in the initial set).

        Asked after every step that has not reached the target, and at t = 0. Vectorised: an array of shape
        ``(members,)``. The default is never.
        """
        return False

    def reached(self, state: Any, t: Any) -> Any:
        """Whether the event has happened; by default it has where the score is `target_score` or more.

        For an event that is no threshold of the score. Then the score is a guide: where the event has not happened,
        one of `target_score` or more counts as just below it, and where it has, a smaller one counts as
        `target_score`. Asked at every step, and at t = 0. Vectorised: an array of shape ``(members,)``.
        """
        raise NotImplementedError

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        """Draw the noise of n consecutive steps of one member: an array of shape ``(n, *noise_shape)``.

        Override it for other noise than standard normals, or for integers that seed a model's own generator. For a
        given model n is always the same.
        """
        return rng.standard_normal((n, *self.noise_shape))
