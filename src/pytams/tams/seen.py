"""What a pilot study has seen: of each segment what a score may be learned from, computed again or stored."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis.ensemble import evenly
from pytams.core.errors import SettingsError
from pytams.core.segments import chain
from pytams.core.splitting import all_starts
from pytams.models.learned.features import features_of, her_scores, names_of, own_states, stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult
    from pytams.core.ports import Source
    from pytams.core.segments import Course, SegmentKey, Start
    from pytams.core.settings import Settings
    from pytams.models.simulator.simulator import Simulator

    Array = NDArray[np.float64]

_PATHS, _POINTS = 30, 60
"""Paths that are kept for pictures, and points of each."""


class Piece(NamedTuple):
    """What a segment went through, from its branch point on."""

    times: Array
    scores: Array
    """The pilot's."""
    features: Array
    hers: Array | None
    """The user's scores; None if they are not needed, as the target was reached."""
    ended_by_event: bool
    stopped: bool
    """Whether it ended before the end time without it."""


class Seen(NamedTuple):
    """All segments of a pilot."""

    pieces: list[Piece]
    names: tuple[str, ...]
    starts: Array
    """Features at t = 0, where the pilot's trajectories began."""

    def paths(self) -> Array:
        """Choose some paths, of those that reached the event first, and of each some points."""
        reaching = [piece for piece in self.pieces if piece.ended_by_event]
        others = [piece for piece in self.pieces if not piece.ended_by_event]
        few = [group[i] for group in (reaching, others) for i in evenly(len(group), _PATHS // 2)]
        found = np.full((len(few), _POINTS, len(self.names)), np.nan)
        for row, piece in zip(found, few, strict=True):
            points = piece.features[evenly(len(piece.features), _POINTS)]
            row[: len(points)] = points
        return found


def computed(pilot: Result, source: Source, hers: Any, features: Callable[..., Any] | None) -> Seen:
    """Compute all segments again, and look at their states."""
    pieces: list[Piece] = []
    begun: list[Array] = []
    names: tuple[str, ...] = ()
    for start, course, first in _courses(pilot, source, states=True):
        states = stacked(own_states(hers, course.states[first:]))
        times = _times(pilot.settings, first, course)
        looked_at = features_of(hers, states, times, features)
        names = names or names_of(hers, states, looked_at.shape[1], features)
        of_hers = None if pilot.log_probability > -math.inf else her_scores(hers, states, times)
        pieces.append(_piece(pilot, course, times, looked_at, of_hers))
        if start.parent is None:
            begun.append(looked_at[0])
    return Seen(pieces, names, np.array(begun))


def stored(pilot: Result, source: Source, hers: Simulator, features: Callable[..., Any] | None) -> Seen:
    """Take what a simulator has said at every step; in memory, it is computed again."""
    if features is not None:
        raise SettingsError("features", f"{hers.name} says itself what a score may look at: define features(t)")
    pieces: list[Piece] = []
    begun: list[Array] = []
    for start, course, first in _courses(pilot, source, states=False):
        if course.features is None:
            text = f"the pilot has none: define {hers.name}.features(t), the numbers that a score may look at"
            raise SettingsError("features", f"{text}, and run it again")
        told, times = course.features[first:], _times(pilot.settings, first, course)
        pieces.append(_piece(pilot, course, times, told[:, 1:], told[:, 0]))
        if start.parent is None:
            begun.append(told[0, 1:])
    names = tuple(f"features[{i}]" for i in range(pieces[0].features.shape[1]))
    return Seen(pieces, names, np.array(begun))


def _courses(pilot: Result, source: Source, *, states: bool) -> Iterator[tuple[Start, Course, int]]:
    """Get all segments, each with what led to it, and the first step of its own at or after t = 0."""
    settings = pilot.settings
    for run in pilot.runs:
        starts = all_starts(run.run, settings.n_trajectories, run.iterations)
        own = [start for start in starts.values() if not start.ended]
        maxima = _maxima(run)
        courses = source.courses([chain(starts, start.key) for start in own], states=states)
        for start, course in zip(own, courses, strict=True):
            if course.scores.max() != maxima[start.key]:
                text = f"it gives other scores than the pilot had in run {run.run}, slot {start.key.slot}"
                raise SettingsError("model", f"{text}: is it the same, on the same library versions?")
            first = max(start.step, settings.spin_up)  # the branch point, too: what follows it is the segment's own
            if first < len(course.scores):
                yield start, course, first


def _maxima(run: RunResult) -> dict[SegmentKey, float]:
    """Say how high each trajectory of a run got."""
    killed = {
        key: maximum
        for iteration in run.iterations
        for key, maximum in zip(iteration.killed, iteration.killed_maxima, strict=True)
    }
    return killed | {final.key: final.maximum for final in run.members}


def _times(settings: Settings, first: int, course: Course) -> Array:
    times: Array = settings.times(np.arange(first, len(course.scores), dtype=np.float64))
    return times


def _piece(pilot: Result, course: Course, times: Array, features: Array, hers: Array | None) -> Piece:
    scores = course.scores[-len(times) :]
    by_event = bool(scores[-1] >= pilot.settings.target_score)
    stopped = not by_event and len(course.scores) <= pilot.settings.spin_up + pilot.settings.n_steps
    return Piece(times, scores, features, hers, by_event, stopped)
