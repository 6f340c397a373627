"""Trajectories computed again, to the same bits: noise is keyed, so nothing but branch points has to be kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from pytams.core.errors import ModelError
from pytams.core.segments import Course, Point, joined_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.core.segments import Link, Problem, Progress, SegmentKey, Start
    from pytams.core.states import State


@dataclass(frozen=True)
class Replay:
    """Source of trajectories that computes them again.

    Parameters
    ----------
    problem
        What was solved.
    """

    problem: Problem

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        """Compute trajectories again, a segment that several of them share once.

        Raises
        ------
        ModelError
            If a branch point is not found again.
        """
        segments: dict[SegmentKey, _Segment] = {}
        for links in chains:
            before = None
            for link in links:
                segment = segments.setdefault(link.start.key, _Segment(link.start, before))
                segment.want(self.problem.n_steps if link.last is None else link.last, states=states)
                before = segment
        store = self.problem.store
        if store is not None and not store.reproducible:
            raise ModelError(
                f"{self.problem.model.name} is not reproducible: its trajectories cannot be computed again; read "
                "what was stored of them, by pytams.load(...)"
            )
        store = None if store is None else store.on_trial()
        problem = replace(self.problem, traced=True, sparse_freq=1 if states else 0, store=store)
        for _, generation in groupby(sorted(segments.values(), key=_depth), key=_depth):
            _compute(problem, list(generation))
        found = [_joined([segments[link.start.key].until(link.last) for link in links]) for links in chains]
        return [_with_contents(problem, course, links) for course, links in zip(found, chains, strict=True)]


class _Segment:
    """A segment to compute again, and what of it is wanted."""

    def __init__(self, start: Start, before: _Segment | None) -> None:
        self.start = start
        self.before = before
        """The one that holds its branch point; None in the initial ensemble."""
        self.depth: int = 0 if before is None else before.depth + 1
        self.scores: list[float] = []
        self.features: list[NDArray[np.float64]] = []
        self.states: dict[int, State] = {}
        """By step."""
        self._last = 0
        self._wanted: set[int] | None = set()
        """Steps whose states are wanted: branch points, if not all."""

    def want(self, last: int, *, states: bool) -> None:
        """Take note that a trajectory follows it up to a step."""
        self._last = max(self._last, last)
        if states:
            self._wanted = None
        elif self._wanted is not None:
            self._wanted.add(last)

    @property
    def point(self) -> Point:
        """Where it begins."""
        start = self.start
        if self.before is None:
            return Point(start.key, 0, 0, float("-inf"), None)
        if start.step not in self.before.states:
            raise ModelError(
                f"run {start.key.run}, computed again, has no step {start.step} above the level where slot "
                f"{start.key.slot} branched: is it the same model, and a function of what it is given alone?"
            )
        return Point(start.key, start.step, start.step, start.score, self.before.states[start.step])

    def add(self, progress: Progress) -> bool:
        """Take in what was computed; return whether that is all that is wanted."""
        assert progress.trace is not None
        scores, steps, states, features = progress.trace
        self.scores.extend(scores)
        if features is not None:
            self.features.append(features)
        for step, state in zip(steps, states, strict=True):
            if self._wanted is None or step in self._wanted:
                self.states[int(step)] = state
        return progress.ended or progress.step >= self._last

    def until(self, last: int | None) -> Course:
        """Return it as far as a trajectory follows it."""
        first = self.start.first_step
        n = len(self.scores) if last is None else last - first + 1
        scores = np.array(self.scores[:n], dtype=np.float64)
        features = np.concatenate(self.features)[:n] if self.features else None
        if self._wanted is not None:
            return Course(scores, [], features)
        return Course(scores, [self.states[step] for step in range(first, first + len(scores))], features)


def _depth(segment: _Segment) -> int:
    return segment.depth


def _compute(problem: Problem, segments: Sequence[_Segment]) -> None:
    """Compute segments whose branch points are known."""
    running = {segment.start.key: segment for segment in segments}
    at_once = None if getattr(problem.model, "stores_records", True) else 1  # else states in between are gone
    with closing(problem.model.make_stepper(problem)) as stepper:
        for segment in segments:
            stepper.join(segment.point)
        while running:
            for progress in stepper.advance(at_once):
                segment_or_done = running.get(progress.key)
                if segment_or_done is not None and segment_or_done.add(progress):
                    del running[progress.key]


def _joined(courses: Sequence[Course]) -> Course:
    return Course(
        np.concatenate([course.scores for course in courses]),
        [state for course in courses for state in course.states],
        joined_features([course.features for course in courses]),
    )


def _with_contents(problem: Problem, course: Course, links: Sequence[Link]) -> Course:
    """Get the content of states that are in files of their own."""
    if problem.store is None or not len(course.states):
        return course
    contents = [problem.get(links[0].start.key, state) for state in course.states]
    return course._replace(states=contents)  # type: ignore[arg-type] # of arrays, unless bytes or folders were saved
