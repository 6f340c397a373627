"""What a study would take: from a pilot, for other ensembles, runs and workers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from pytams.analysis import logs
from pytams.analysis.work import Work
from pytams.core.errors import SettingsError
from pytams.engine.options import task_seconds
from pytams.engine.virtual import Conditions, Lengths, simulate

if TYPE_CHECKING:
    from pytams.analysis.result import Result

_MOST_SEGMENTS, _MOST_TRAJECTORIES = 5_000, 1_000
"""In virtual time; of larger studies a part is simulated, on its share of the workers."""
_FEWEST_RUNS, _FEWEST_TRAJECTORIES = 8, 50
"""For an error bar that can be trusted."""
_ABOUT = 0.1
"""Logs of times that differ by less are about the same."""
_LEAST_SHARE = 0.02
"""Of the steps of a whole trajectory: if branches seem to be shorter, initial trajectories are, too."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Experience:
    """What a pilot has shown."""

    log_probability: float
    variance: float
    """N times the relative variance of a run: it hardly depends on N and l."""
    lengths: Lengths
    excess: float
    """Branches over those of scores without ties."""
    step_seconds: float
    """Of the model, on one worker."""
    bytes_a_segment: float | None = None
    """On disk; None: not known."""

    def __repr__(self) -> str:
        chance = logs.text(self.log_probability, ".2e")
        return (
            f"<Experience: probability {chance}, variance {self.variance:.3g} / N, {self.step_seconds:.3g} s a step>"
        )

    @classmethod
    def of(cls, pilot: Result, step_seconds: float, n_bytes: float | None = None) -> Self:
        """Learn from a study.

        Raises
        ------
        SettingsError
            If it goes on, has not reached its target, or its error is not known.
        """
        if pilot.is_provisional:
            raise SettingsError("pilot", "none of its runs is finished yet")
        work, settings = Work.of(pilot.runs), pilot.settings
        if work.log_probability is None or work.relative_variance is None or not work.log_probability < 0.0:
            text = "a pilot has shown too little of the event: take one of more runs, or of a larger ensemble"
            raise SettingsError("pilot", text)
        n, n_runs = settings.n_trajectories, len(pilot.runs)
        n_branches = sum(not start.ended for run in pilot.runs for one in run.iterations for start in one.starts)
        longest = settings.spin_up + settings.n_steps
        branch = (pilot.n_steps - n_runs * n * longest) / max(1, n_branches)
        if branch < _LEAST_SHARE * longest:  # then initial trajectories end early, too
            branch = pilot.n_steps / (n_runs * n + n_branches)
            longest = round(branch)
        share = settings.n_discard / n
        expected = n_runs * n * -work.log_probability * share / -math.log1p(-share)
        return cls(
            log_probability=work.log_probability,
            variance=n * work.relative_variance,
            lengths=Lengths(initial=max(2, longest), branch=branch),
            excess=n_branches / expected,
            step_seconds=step_seconds,
            bytes_a_segment=None if n_bytes is None else n_bytes / (n_runs * n + n_branches),
        )


class Forecast(NamedTuple):
    """What a study would take."""

    n_trajectories: int
    n_discard: int
    n_runs: int
    relative_error: float
    n_steps: float
    seconds: float
    """Wall time."""
    efficiency: float
    """Share of the workers' time in which they have something to do."""
    n_bytes: float | None
    """On disk; None: not known."""

    def __repr__(self) -> str:
        study = f"N = {self.n_trajectories}, l = {self.n_discard}, {self.n_runs} runs"
        return f"<Forecast of {study}: relative error {self.relative_error:.2g}, {self.seconds:.3g} s>"


def forecast(
    known: Experience,
    n_trajectories: int,
    n_discard: int,
    n_runs: int,
    n_workers: int,
    message_seconds: float = 0.0,
    seconds_a_task: float | None = None,
) -> Forecast:
    """Say what a study would take on so many workers, by making it, or a part of it, in virtual time.

    Parameters
    ----------
    message_seconds
        Of the driver, for each task.
    seconds_a_task
        About how long one takes; None: as engines choose.
    """
    n = min(n_trajectories, _MOST_TRAJECTORIES)
    part = max(1, min(n_runs, int(_MOST_SEGMENTS / (n * (1.0 - known.log_probability)))))
    share = part * n / (n_runs * n_trajectories)
    conditions = Conditions(
        n_workers=max(1, round(n_workers * share)),
        step_seconds=known.step_seconds,
        task_seconds=task_seconds(seconds_a_task, n_workers),
    )
    conditions = replace(conditions, message_seconds=message_seconds * n_workers / conditions.n_workers)
    n_discard_there = max(1, n_discard * n // n_trajectories)
    spent = simulate(known.log_probability, n, n_discard_there, part, known.lengths, conditions)
    n_branches = known.excess * (spent.n_segments / share - n_trajectories * n_runs)
    n_steps = n_trajectories * n_runs * known.lengths.initial + n_branches * known.lengths.branch
    seconds = spent.seconds * n_steps / (spent.n_steps / share) * conditions.n_workers / (n_workers * share)
    size = known.bytes_a_segment
    return Forecast(
        n_trajectories=n_trajectories,
        n_discard=n_discard,
        n_runs=n_runs,
        relative_error=math.sqrt(known.variance / n_trajectories / n_runs),
        n_steps=n_steps,
        seconds=seconds,
        efficiency=spent.efficiency(conditions.n_workers),
        n_bytes=None if size is None else size * (n_trajectories * n_runs + n_branches),
    )


def choices(
    known: Experience,
    n_trajectories: int,
    n_discard: int,
    relative_error: float,
    n_workers: int,
    message_seconds: float = 0.0,
    seconds_a_task: float | None = None,
) -> list[Forecast]:
    """Say what studies of this relative error would take: smaller and larger ensembles, with small and large l.

    Parameters
    ----------
    n_trajectories, n_discard
        That one had in mind: half, twice and five times as many trajectories, and other l, are looked at, too.
    message_seconds, seconds_a_task
        See `forecast`.

    Returns
    -------
    list
        By wall time, the shortest first; of those that take about as long, the one with the least work.
    """
    found = []
    others = [round(n_trajectories * factor) for factor in (0.5, 2.0, 5.0)]
    for n in [n_trajectories, *(other for other in others if other >= _FEWEST_TRAJECTORIES)]:
        n_runs = max(_FEWEST_RUNS, math.ceil(known.variance / n / relative_error**2))
        own = {n_discard} if n == n_trajectories else set()
        found += [
            forecast(known, n, some, n_runs, n_workers, message_seconds, seconds_a_task)
            for some in sorted({1, max(1, n // 20), max(1, n // 10)} | own)
        ]
    return sorted(found, key=lambda one: (round(math.log(one.seconds) / _ABOUT), one.n_steps))
