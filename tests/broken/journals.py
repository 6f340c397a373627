"""Journals that look sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytams import Storage
from pytams.core.ports import Activity, Elsewhere
from pytams.core.segments import Past, Point, Progress, Start
from pytams.core.selection import Variant
from pytams.core.settings import RunArguments
from pytams.core.splitting import Splitting
from pytams.core.verification import Witness
from pytams.engine.contract import SETTINGS, Drifting
from pytams.storage.contract import RUNS, SEED, JournalContract, OpenJournal
from pytams.storage.journal import RunJournal
from pytams.storage.opening import make_or_open


class Sound(RunJournal):
    pass


class FindsNothing(Sound):
    def past(self, start: Start) -> Past | None:
        super().past(start)
        return None


class FindsTheEndOfWhatGoesOn(Sound):
    def past(self, start: Start) -> Past | None:
        past = super().past(start)
        return None if past is None else Past(past.progress._replace(ended=True), None)


class WritesNoPoints(Sound):
    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        super().write(splittings, [], activity, closing=closing)


class WritesNothingAtTheEnd(Sound):
    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        if not closing:
            super().write(splittings, points, activity, closing=closing)


class RecordsRunZeroAlone(Sound):
    def record(self, progress: Progress) -> None:
        if progress.key.run == 0:
            super().record(progress)


class ClaimsTwice(Sound):
    def claim(self, runs: Sequence[int]) -> list[int]:
        return super().claim(runs) or list(runs)


class KeepsItsRuns(Sound):
    def close(self) -> None:
        """Leave them to nobody."""


class HasNoWitness(Sound):
    def witnesses(self, runs: Sequence[int]) -> list[Witness]:
        return []


class HasShortWitnesses(Sound):
    def witnesses(self, runs: Sequence[int]) -> list[Witness]:
        found = super().witnesses(runs)
        return [
            Witness(start._replace(n_steps=1), outline._replace(scores=outline.scores[: 2 - start.start.first_step]))
            for start, outline in found
            if start.start.parent is None
        ]


class HasWitnessesOfSomethingElse(Sound):
    def witnesses(self, runs: Sequence[int]) -> list[Witness]:
        found = super().witnesses(runs)
        return [Witness(a.beginning, b.outline) for a, b in zip(found, found[::-1], strict=True)]


class AwaitsNobody(Sound):
    def awaited(self, runs: Sequence[int]) -> dict[int, str]:
        return {}


class KnowsOfNobody(Sound):
    def elsewhere(self) -> Elsewhere:
        return Elsewhere({}, {})


class TakesOthersForUnfinished(Sound):
    def elsewhere(self) -> Elsewhere:
        finished, unfinished, _ = super().elsewhere()
        return Elsewhere({}, {**unfinished, **dict.fromkeys(finished, "who knows")})


def suite(journal: type[Sound]) -> Any:
    class Suite(JournalContract):
        @pytest.fixture
        def open_journal(self, tmp_path: Path) -> OpenJournal:
            storage, arguments = Storage(path=tmp_path / "run"), RunArguments(n_runs=len(RUNS), seed=SEED)
            return lambda: journal(make_or_open(Drifting(), SETTINGS, arguments, storage), Variant())

    return Suite


ALL: list[type[Sound]] = [Sound, *Sound.__subclasses__()]
for broken in ALL:
    globals()[f"Test{broken.__name__}"] = suite(broken)
