"""Segments: the pieces of trajectory that are simulated once and shared by all who descend from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytams.core.errors import StoreError
from pytams.core.stored import Reference, inline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.core.settings import Settings
    from pytams.core.states import State, States
    from pytams.core.stored import Content, StateStore


class SegmentKey(NamedTuple):
    """Name of a segment; also the key of its noise."""

    run: int
    slot: int
    branch: int
    """How many times the slot has been restarted: 0 for the initial ensemble."""


class Start(NamedTuple):
    """A segment to simulate: where it begins."""

    key: SegmentKey
    parent: SegmentKey | None
    """The segment it branches from, None in the initial ensemble."""
    step: int
    """Step of the branch point, counted from t = 0."""
    score: float
    """Score at the branch point, NaN in the initial ensemble (the model has not been asked yet)."""
    ended: bool = False
    """True if the branch point is its ancestor's last step: the same trajectory, with nothing left to simulate."""

    @property
    def first_step(self) -> int:
        """Step of its first score: the one after the branch point, 0 in the initial ensemble."""
        return self.step + (self.parent is not None)


class Link(NamedTuple):
    """A segment as a part of a trajectory."""

    start: Start
    last: int | None
    """Step at which the trajectory leaves it; None: the segment's own end."""


def chain(starts: Mapping[SegmentKey, Start], key: SegmentKey) -> list[Link]:
    """Find the segments that a trajectory consists of, the initial one first.

    Parameters
    ----------
    starts
        All segments of its run.
    key
        Its name. If nothing was left to simulate for it, the chain ends with the segment that it shares.
    """
    links: list[Link] = []
    last: int | None = None
    here: SegmentKey | None = key
    while here is not None:
        start = starts[here]
        if start.ended:
            here = start.parent
            continue
        if last is None or last >= start.first_step:
            links.append(Link(start, last))
        here, last = start.parent, start.step
    return links[::-1]


class Trace(NamedTuple):
    """What is stored of the part of a segment that a report is about."""

    scores: Sequence[float] | NDArray[np.float64]
    """The score at every step since the last report (in the initial ensemble from step 0 on)."""
    steps: Sequence[int] | NDArray[np.int64]
    """Steps at which the state is stored: records, and every `Problem.sparse_freq`-th."""
    states: States
    """The states there, one for each of these steps."""
    features: NDArray[np.float64] | None = None
    """What a score may be learned from, at every step that has a score: the user's own score first. None if the model
    gives none, or its states tell it."""


class Progress(NamedTuple):
    """What happened to a segment since the last report: its new records, and where it is now.

    A *record* is a step at which the score rose above everything before it in the trajectory. In the initial
    ensemble step 0 is the first record; a branch's first record is its branch point, which is known and not reported.
    """

    key: SegmentKey
    steps: Sequence[int]
    scores: Sequence[float]
    step: int
    ended: bool
    states: States | Sequence[State | None] = ()
    """The states at the records, one for each; None where it is not stored: see `Problem.stores`."""
    trace: Trace | None = None
    """None unless the problem says that it is traced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an engine needs to know to advance segments."""

    model: Steppable
    n_steps: int
    step_size: float
    target_score: float
    seed: int
    spin_up: int = 0
    """How many of the steps are before t = 0."""
    traced: bool = False
    """Whether all scores are wanted, to be stored."""
    sparse_freq: int = 0
    """If traced: store every n-th state, beside those at records. 0: only those."""
    store: StateStore | None = None
    """Where large states are; None: they go along."""
    every: int = 1
    """States at records are stored that are so many steps or more after the last one stored of the segment."""

    @classmethod
    def of(
        cls,
        model: Steppable,
        settings: Settings,
        seed: int,
        *,
        traced: bool = False,
        sparse_freq: int = 0,
        store: StateStore | None = None,
        every: int = 1,
    ) -> Problem:
        """Put together what settings say."""
        return cls(
            model=model,
            n_steps=settings.spin_up + settings.n_steps,
            spin_up=settings.spin_up,
            step_size=settings.step_size,
            target_score=settings.target_score,
            seed=seed,
            traced=traced,
            sparse_freq=sparse_freq,
            store=store,
            every=every,
        )

    def keeps(self, step: int) -> bool:
        """Whether the state at a step is stored, record or not."""
        return self.sparse_freq > 0 and step % self.sparse_freq == 0

    def stores(self, step: int, stored: int) -> bool:
        """Whether the state at a record is stored, where the last one stored is `stored`, -1 if none is.

        So a state that is not stored is computed again within `every` steps, from another one of its segment.
        """
        return stored < 0 or step - stored >= self.every

    def put(self, key: SegmentKey, content: Content) -> State:
        """Make a state of what a model gives for the state of a segment: the reference to it, if it is large."""
        if isinstance(content, Reference):
            return content
        return inline(content) if self.store is None else self.store.put(key.run, content)

    def get(self, key: SegmentKey, state: State) -> Content:
        """Get what a reference stands for; another state is itself."""
        reference = Reference.found_in(state)
        if reference is None:
            return state
        if self.store is None:
            raise StoreError(
                f"run {key.run}, slot {key.slot}: its state is in a file of its own, and the study is said to have "
                "none: was its study.json edited?"
            )
        return self.store.get(key.run, reference)

    def put_point(self, point: Point) -> Point:
        """Make the state of a point one that can be handed around."""
        return point if point.state is None else point._replace(state=self.put(point.key, point.state))


class Point(NamedTuple):
    """A running segment at one moment: all that is needed to go on with it."""

    key: SegmentKey
    start_step: int
    step: int
    best: float
    state: State | None
    """None before the initial state is drawn, or the state is computed."""
    stored: int = -1
    """Step of the last record of the segment whose state is stored; -1 if there is none."""
    origin: Origin | None = None
    """Where its state is computed from, if it was not stored."""


class Origin(NamedTuple):
    """Stands for a state that was not stored: it is computed again from one that was."""

    point: Point
    """Where that one is."""
    step: int
    """Where the state is."""
    score: float
    """Which it must have, to the bit."""


class Past(NamedTuple):
    """A segment as far as it has been recorded."""

    progress: Progress
    """All of it, as an engine would report it."""
    point: Point | None
    """Where to go on with it; None if it has ended."""


class Final(NamedTuple):
    """A trajectory of the ensemble that a run ended with."""

    key: SegmentKey
    maximum: float
    """Largest score."""
    last_step: int
    """Step at which it ended: it reached the target, the end time, or the model's stop condition."""
    root: int
    """Slot of the initial trajectory that it descends from."""
    generation: int
    """0 if it was never restarted, i + 1 if splitting iteration i started it."""


class Course(NamedTuple):
    """What a trajectory went through, from step 0 to its end."""

    scores: NDArray[np.float64]
    """At every step."""
    states: Sequence[State]
    """At every step, or none."""
    features: NDArray[np.float64] | None = None
    """At every step, if they were stored: see `Trace`."""


def joined_features(parts: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Put the features of pieces of a trajectory together; None if they were not all stored."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
