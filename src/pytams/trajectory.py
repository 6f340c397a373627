"""Segments: the pieces of trajectory that are simulated once and shared by all who descend from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.model import Model


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
    """What is stored of a stretch of a segment."""

    scores: Sequence[float] | NDArray[Any]
    """The score at every step since the last report (in the initial ensemble from step 0 on)."""
    steps: Sequence[int] | NDArray[Any]
    """Steps at which the state is stored: records, and every `Problem.sparse_freq`-th."""
    states: Any
    """The states there: a sequence, or an array with a row for each."""


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
    states: Any = ()
    """The states at the records: a sequence, or an array with a row for each."""
    trace: Trace | None = None
    """None unless the problem says that it is traced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an engine needs to know to advance a segment."""

    model: Model
    n_steps: int
    step_size: float
    target_score: float
    seed: int
    traced: bool = False
    """Whether all scores are wanted, to be stored."""
    sparse_freq: int = 0
    """If traced: store every n-th state, beside those at records. 0: only those."""

    def keeps(self, step: int) -> bool:
        """Whether the state at a step is stored, record or not."""
        return self.sparse_freq > 0 and step % self.sparse_freq == 0


class Point(NamedTuple):
    """A running segment at one moment: all that is needed to go on with it."""

    key: SegmentKey
    start_step: int
    step: int
    best: float
    state: State | None
    """None before the initial state is drawn."""
