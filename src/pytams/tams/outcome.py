"""What came of a study, and what it waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.labels import Labels
from pytams.core.ports import caveat_of
from pytams.engine.replay import Replay
from pytams.models.learned.model import taught_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytams.core.compact import RunOutcome
    from pytams.core.segments import Problem
    from pytams.core.settings import Settings


def result_of(
    problem: Problem, settings: Settings, outcomes: Iterable[RunOutcome], n_unfinished: int, wall_time: float
) -> Result:
    """Sum up finished runs, in the order of their numbers."""
    return Result(
        model=problem.model.name,
        settings=settings,
        seed=problem.seed,
        runs=tuple(RunResult.of(outcome, settings.target_score) for outcome in outcomes),
        n_unfinished=n_unfinished,
        wall_time=wall_time,
        source=Replay(replace(problem, every=1)),
        caveat=caveat_of(problem.model),
        labels=Labels.of(problem.model),
        taught_by=taught_by(problem.model),
    )


def listed(awaited: Mapping[int, str]) -> str:
    """List runs that others drive, and who does."""
    return ", ".join(f"run {run} (driven by {who})" for run, who in awaited.items())
