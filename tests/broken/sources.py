"""Sources of trajectories that look sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2DSingle
from pytams.analysis.contract import SourceContract
from pytams.core.ports import Source
from pytams.core.segments import Course, Link
from pytams.core.states import State

TAMS = pytams.TAMS(DoubleWell2DSingle(), end_time=2, step_size=0.02, target_score=0.5, n_trajectories=8, n_discard=2)
RESULT = TAMS.run(2, seed=5)


class Sound:
    def __init__(self, source: Source) -> None:
        self.source = source

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        return [self.changed(course) for course in self.source.courses(chains, states=states)]

    def changed(self, course: Course) -> Course:
        return course


class NoNumbers(Sound):
    def changed(self, course: Course) -> Course:
        return course._replace(states=[np.full_like(state, np.nan) for state in course.states])


class StatesOfTheStepBefore(Sound):
    def changed(self, course: Course) -> Course:
        return course._replace(states=[*course.states[:1], *course.states[:-1]])


class LeavesTheLastStateOut(Sound):
    def changed(self, course: Course) -> Course:
        return course._replace(states=course.states[:-1])


class OtherScores(Sound):
    def changed(self, course: Course) -> Course:
        return course._replace(scores=course.scores + 1e-9)


class OneStepMore(Sound):
    def changed(self, course: Course) -> Course:
        return course._replace(scores=np.append(course.scores, course.scores[-1]))


class GivesStatesUnasked(Sound):
    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        return super().courses(chains, states=True)


class AnotherOrder(Sound):
    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        return super().courses(chains, states=states)[::-1]


class OtherScoresWithoutStates(Sound):
    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        found = super().courses(chains, states=states)
        return found if states else [course._replace(scores=np.sort(course.scores)) for course in found]


class AlwaysGivesSomething(Sound):
    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        return super().courses(chains, states=states) or [Course(np.zeros(1), [])]


def suite(source: type[Sound]) -> Any:
    class Suite(SourceContract):
        @pytest.fixture
        def result(self) -> pytams.Result:
            assert RESULT.source is not None
            return replace(RESULT, source=source(RESULT.source))

        def score(self, state: State, t: float) -> float:
            return float(TAMS.model.score(state, t))  # type: ignore[attr-defined] # it is a model of functions

    return Suite


ALL: list[type[Sound]] = [Sound, *Sound.__subclasses__()]
for broken in ALL:
    globals()[f"Test{broken.__name__}"] = suite(broken)
