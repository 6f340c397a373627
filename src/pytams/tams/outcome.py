"""What came of a study, and what it waits for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytams.analysis import estimators
from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.labels import Labels
from pytams.core.ports import caveat_of
from pytams.core.splitting import log_estimate
from pytams.engine.replay import Replay
from pytams.models.learned.model import taught_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Elsewhere
    from pytams.core.segments import Problem
    from pytams.core.settings import Settings
    from pytams.core.splitting import Splitting


def result_of(
    problem: Problem,
    settings: Settings,
    here: Mapping[int, RunOutcome],
    n_unfinished: int,
    wall_time: float,
    elsewhere: Elsewhere,
) -> Result:
    """Sum up the finished runs, those that others have driven too; RuntimeError if there is none."""
    finished = {**here, **elsewhere.finished}
    if not finished:
        raise RuntimeError("no run is finished: iterate the study first")
    outcomes = [finished[run] for run in sorted(finished)]
    return Result(
        model=problem.model.name,
        settings=settings,
        seed=problem.seed,
        runs=tuple(RunResult.of(outcome, settings.target_score) for outcome in outcomes),
        n_unfinished=n_unfinished + len(elsewhere.unfinished),
        wall_time=elsewhere.wall_time or wall_time,
        source=Replay(replace(problem, every=1)),
        caveat=caveat_of(problem.model),
        labels=Labels.of(problem.model),
        taught_by=taught_by(problem.model),
    )


def running_estimate(
    settings: Settings, splittings: Iterable[Splitting], finished: Iterable[RunOutcome]
) -> tuple[float, float]:
    """Average what runs estimate so far: log of the mean, -inf if nothing has reached the target, and its error.

    The error is relative, and NaN where the spread of the runs does not tell it.
    """
    n = settings.n_trajectories
    logs = [splitting.log_estimate for splitting in splittings]
    logs += [log_estimate(outcome.log_weight, outcome.n_reached, n) for outcome in finished]
    mean, error = estimators.log_mean_and_error(logs or [-math.inf])
    return float(mean), float(error)


def listed(awaited: Mapping[int, str]) -> str:
    """List runs that others drive, and who does."""
    return ", ".join(f"run {run} (driven by {who})" for run, who in awaited.items())
