"""Engines that look sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pytams.core.segments import Past, Point, Problem, Progress, SegmentKey, Start
from pytams.core.verification import Beginning, Outline
from pytams.engine.again import outlines
from pytams.engine.contract import EngineContract
from pytams.engine.local import InProcess
from pytams.engine.records import Kept, Records


class Sound(InProcess):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem, block_length=7)


class IgnoresWhatHasEnded(Sound):
    def resume(self, start: Start, past: Past) -> None:
        if past.point is not None:
            super().resume(start, past)


class ForgetsRecordsOfThePast(Sound):
    def resume(self, start: Start, past: Past) -> None:
        super().resume(start, past._replace(progress=past.progress._replace(steps=[], scores=[], states=[])))


class ForgetsBranchPointsOfThePast(Sound):
    def resume(self, start: Start, past: Past) -> None:
        super().resume(start, past)
        if start.parent is not None:
            del self.kept.records[start.key][0]


class GoesOnFromTheBeginning(Sound):
    def resume(self, start: Start, past: Past) -> None:
        super().resume(start, past if past.point is None else past._replace(point=Point(start.key, 0, 0, -1e9, None)))


class KeptFirst(Kept):
    def _branch_point(self, key: SegmentKey, step: int) -> Records:
        return self.records[key][0]


class BranchesAtTheFirstRecord(Sound):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.kept = KeptFirst(problem)


class ForgetsWhereItBranched(Sound):
    def start(self, starts: Iterable[Start]) -> None:
        starts = list(starts)
        super().start(starts)
        for start in starts:
            self.kept.records[start.key] = []


class LetsTooMuchGo(Sound):
    def pass_level(self, run: int, level: float) -> None:
        for key in self.kept.records:
            if key.run == run:
                self.kept.records[key] = self.kept.records[key][-1:]


class TakesLevelsForThoseOfAllRuns(Sound):
    def pass_level(self, run: int, level: float) -> None:
        for any_run in {key.run for key in self.kept.records}:
            super().pass_level(any_run, level)


class DropsAll(Sound):
    def drop(self, keys: Iterable[SegmentKey]) -> None:
        if list(keys):
            self.kept.records.clear()


class TellsOfOtherStates(Sound):
    def advance(self) -> list[Progress]:
        return [self._changed(report) for report in super().advance()]

    def _changed(self, report: Progress) -> Progress:
        assert report.trace is not None
        return report._replace(trace=report.trace._replace(states=np.asarray(report.trace.states) + 1))


class PointsAreLate(Sound):
    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        reports, points = super().checkpoint()
        return reports, [point._replace(step=point.step + 1) for point in points]


class LosesReportsAtCheckpoints(Sound):
    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        super().advance()
        return super().checkpoint()


class CountsBeginnings(Sound):
    n_beginnings = 0

    @property
    def n_steps(self) -> int:
        return super().n_steps + self.n_beginnings

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        self.n_beginnings += len(lists)
        return super().begin_again(lists)


class OneModelForAllBeginnings(Sound):
    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        found = iter(outlines(self.problem, [beginning for one in lists for beginning in one]))
        return [[next(found) for _ in one] for one in lists]


class AModelForEveryBeginning(Sound):
    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        return [[outlines(self.problem, [beginning])[0] for beginning in one] for one in lists]


class BeginningsThatAreShort(Sound):
    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        return [[found._replace(scores=found.scores[:-1]) for found in one] for one in super().begin_again(lists)]


class CountsNoSteps(Sound):
    n_steps: Any = 0


ALL: list[type[Sound]] = [Sound, *Sound.__subclasses__()]
for engine in ALL:
    globals()[f"Test{engine.__name__}"] = type(
        engine.__name__, (EngineContract,), {"make_engine": lambda _, problem, make=engine: make(problem)}
    )
