"""A trajectory on disk: a chain of segments, each simulated once and shared by all who descend from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.distribution import imported_from
from pytams.core.errors import SettingsError
from pytams.core.segments import joined_features
from pytams.core.states import LazySequence, labelled_states
from pytams.core.stored import Reference
from pytams.core.streams import Streams, chunk_length
from pytams.storage.views import trajectory_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.core.segments import SegmentKey, Start
    from pytams.core.settings import Settings
    from pytams.core.states import State
    from pytams.core.stored import Content, StateStore
    from pytams.storage.history import History


@dataclass(frozen=True, slots=True)
class SavedLink:
    """A segment of a chain."""

    start: Start
    last: int | None
    """The step at which the chain leaves it; None: its own last one."""
    history: History = field(repr=False)

    @property
    def last_step(self) -> int:
        """The last step of it that belongs to the chain."""
        return self.history.step if self.last is None else self.last

    @property
    def scores(self) -> NDArray[np.float64]:
        """Its scores as far as they belong to the chain."""
        return self.history.scores[: self.last_step - self.history.first_step + 1]

    @property
    def features(self) -> NDArray[np.float64] | None:
        """What a score may be learned from, likewise; None if the model gave none."""
        features = self.history.features
        return None if features is None else features[: self.last_step - self.history.first_step + 1]


@dataclass(frozen=True, repr=False)
class SavedTrajectory:
    """A trajectory: a chain of segments, each simulated once and shared by all who descend from it."""

    links: tuple[SavedLink, ...]
    settings: Settings
    seed: int
    _compute: Callable[[SavedTrajectory, Steppable | None], Sequence[State]] = field(repr=False, compare=False)
    _make_model: Callable[[], Steppable] = field(repr=False, compare=False)
    _store: StateStore | None = field(default=None, repr=False, compare=False)
    asked: SegmentKey | None = field(default=None, compare=False)
    """Run, slot and branch that it is of; None: those of `key`."""

    def __repr__(self) -> str:
        run, slot, branch = self.name
        top = max(self.scores, default=math.nan)
        which = f"run {run}, slot {slot}, branch {branch}"
        return f"<SavedTrajectory of {which}: {len(self.scores)} scores, at most {top:.4g}>"

    def _repr_html_(self) -> str:
        return trajectory_html(self)

    @property
    def name(self) -> SegmentKey:
        """Run, slot and branch. If it had nothing left to simulate, it has no segment of its own: see `key`."""
        return self.asked or self.key

    @property
    def key(self) -> SegmentKey:
        """Its last segment: its own, or the one it shares, if there was nothing left to simulate."""
        return self.links[-1].start.key

    @property
    def segments(self) -> list[tuple[SegmentKey, int, int]]:
        """Each segment with its first and last step in this trajectory."""
        return [(link.start.key, link.history.first_step, link.last_step) for link in self.links]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The score at every step from 0 on, shape ``(steps,)``."""
        return np.concatenate([np.empty(0), *(link.scores for link in self.links)])

    @property
    def features(self) -> NDArray[np.float64] | None:
        """What a score may be learned from, at every step, shape ``(steps, features)``: the user's score first.

        None if the model gave none.
        """
        return joined_features([link.features for link in self.links])

    @property
    def times(self) -> NDArray[np.float64]:
        """The time of every score, in the model's unit."""
        return np.asarray(self.settings.times(np.arange(len(self.scores))))

    @cached_property
    def _stored(self) -> tuple[list[int], Sequence[Any]]:
        steps: list[int] = []
        states: list[State] = []
        for link in self.links:
            for step, state in link.history.stored():
                if step <= link.last_step:
                    steps.append(step)
                    states.append(state)
        references = [Reference.found_in(state) for state in states]
        if None in references:  # then none is one
            return steps, states
        there = [i for i, reference in enumerate(references) if self._has(reference)]
        return [steps[i] for i in there], LazySequence(self._content, [references[i] for i in there])

    def _has(self, reference: Reference | None) -> bool:
        """Whether a state is still kept, and it is known where."""
        return reference is not None and self._store is not None and self._store.has(self.key.run, reference)

    def _content(self, reference: Any) -> Content:
        assert self._store is not None
        return self._store.get(self.key.run, reference)

    @property
    def state_times(self) -> NDArray[np.float64]:
        """The times of the stored states."""
        return np.asarray(self.settings.times(np.array(self._stored[0], dtype=np.float64)))

    @property
    def states(self) -> Sequence[Any]:
        """The stored states, one for each of `state_times`: at records, unless more was asked for.

        Arrays or dicts of arrays; what a simulator saved as bytes or a folder is bytes, or a path, which must not be
        written to. Large states are read when they are asked for; those that are not kept are left out.
        """
        return self._stored[1]

    def replay(self, model: Steppable | None = None) -> list[State]:
        """Compute the state at every step again, to the same bits.

        Parameters
        ----------
        model
            The model; by default it is imported by its recorded reference.

        Raises
        ------
        RunDirectoryError
            If the model cannot be had, or does not give the recorded scores.
        """
        return list(self._compute(self, model))

    def noise(self, model: Steppable | None = None) -> NDArray[Any]:
        """Draw the noise of every step again: of shape ``(steps, *noise_shape)``.

        ``noise[k]`` is what made the state of step k + 1 of that of step k.

        Parameters
        ----------
        model
            As for `replay`.

        Raises
        ------
        SettingsError
            If the model is one that is seeded: a simulator, or a program.
        """
        model = model or self._make_model()
        shape: tuple[int, ...] | None = getattr(model, "noise_shape", None)
        if shape is None:
            raise SettingsError("model", f"{model.name} draws its own noise: it only gets seeds")
        draw = getattr(model, "draw_noise", lambda rng, n: rng.standard_normal((n, *shape)))
        streams, chunk = Streams(self.seed), chunk_length(shape)
        parts = [np.empty((0, *shape))]
        for key, first, last in self.segments:
            n = last - (first - 1 if first else 0)
            chunks = (draw(streams.noise(*key, j), chunk) for j in range(-(-n // chunk)))
            parts.append(np.concatenate([np.empty((0, *shape)), *chunks])[:n])
        return np.concatenate(parts)

    def to_xarray(self) -> Any:
        """Make an `xarray.Dataset`: scores over `time`, stored states over `state_time`.

        Raises
        ------
        ImportError
            Without xarray: ``pip install "pytams-splitting[xarray]"``.
        """
        xr = imported_from("xarray", "xarray", "to_xarray()")
        variables = {"score": ("time", self.scores), **labelled_states(self.states, "state_time")}
        return xr.Dataset(variables, {"time": self.times, "state_time": self.state_times}, self.name._asdict())
