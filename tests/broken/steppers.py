"""Steppers that look sound."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from exact import DoubleWell2DSingle
from pytams.core.ports import Steppable
from pytams.core.segments import Point, Problem, Progress, SegmentKey
from pytams.models.contract import StepperContract
from pytams.models.plain.single import Singles


class Sound(Singles):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, DoubleWell2DSingle())
        draw = self._model.noise
        setattr(self._model, "noise", lambda key, chunk, step: draw(self.noise_key(key), chunk, step))  # noqa: B010 - a method

    def noise_key(self, key: SegmentKey) -> SegmentKey:
        """Say whose noise a segment gets."""
        return key


class IgnoresTheTarget(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, target_score=sys.float_info.max))


class EndsEarly(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, n_steps=problem.n_steps - 50))


class EndsLate(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, n_steps=problem.n_steps + 1))


class StoresRecordsOnly(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, sparse_freq=0))


class TracesAlways(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, traced=True))


class IgnoresTheSeed(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, seed=0))


class OneNoiseForAllSlots(Sound):
    def noise_key(self, key: SegmentKey) -> SegmentKey:
        return key._replace(slot=0)


class OneNoiseForAllRuns(Sound):
    def noise_key(self, key: SegmentKey) -> SegmentKey:
        return key._replace(run=0)


class OneNoiseForAllBranches(Sound):
    def noise_key(self, key: SegmentKey) -> SegmentKey:
        return key._replace(branch=0)


class NoiseBeginsAnewAtEveryPoint(Sound):
    def join(self, point: Point) -> None:
        super().join(point._replace(start_step=point.step))


class ForgetsTheBestScore(Sound):
    def join(self, point: Point) -> None:
        super().join(point._replace(best=-1e9))


class CountsItsCalls(Sound):
    def advance(self, block_length: int | None) -> list[Progress]:
        self.n_steps += 1
        return super().advance(block_length)


class LeavesOneOutOfPoints(Sound):
    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        reports, points = super().checkpoint()
        return reports, points[1:]


class ChangesReports(Sound):
    """What it does is sound, and what it says is not."""

    def advance(self, block_length: int | None) -> list[Progress]:
        return [self.changed(report) for report in super().advance(block_length)]

    def changed(self, report: Progress) -> Progress:
        if report.trace is None:
            return report
        return report._replace(
            trace=report.trace._replace(states=[self.state(state) for state in report.trace.states])
        )

    def state(self, state: Any) -> Any:
        return state * float("nan")


class StoresOtherStates(ChangesReports):
    def state(self, state: Any) -> Any:
        return state + 1e-9


class LosesTheLastScore(ChangesReports):
    def changed(self, report: Progress) -> Progress:
        if report.trace is None or not report.ended:
            return report
        return report._replace(trace=report.trace._replace(scores=report.trace.scores[:-1]))


class ReportsEveryStepAsARecord(ChangesReports):
    def changed(self, report: Progress) -> Progress:
        if report.trace is None:
            return report
        steps = range(report.step - len(report.trace.scores) + 1, report.step + 1)
        return report._replace(steps=list(steps), scores=list(report.trace.scores))


def suite(stepper: type[Sound]) -> Any:
    class Suite(StepperContract):
        @pytest.fixture
        def model(self) -> Steppable:
            return DoubleWell2DSingle()

        def make_stepper(self, problem: Problem) -> Sound:
            return stepper(problem)

    return Suite


ALL: list[type[Sound]] = [Sound, *Sound.__subclasses__(), *ChangesReports.__subclasses__()]
for broken in ALL:
    globals()[f"Test{broken.__name__}"] = suite(broken)
