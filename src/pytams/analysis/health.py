"""Whether an estimate can be trusted: one word, why, and what to change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytams.analysis import estimators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.analysis.runs import RunResult

Word = Literal["good", "weak", "collapsed"]

_FEW_ROOTS = 4
"""Initial trajectories with descendants below which runs have explored little."""
_FEW_ROOTS_OF_ONE = 10
"""The same for a single run, whose error bar comes from its genealogy: with fewer, it is too small in most runs."""
_MOST_EXTINCT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How well a study has sampled.

    A run is *collapsed* if all of its final trajectories descend from one initial trajectory: it then has explored
    one path, and its own error bar is an understatement.
    """

    word: Word
    reason: str
    advice: str
    """What to change; empty if all is well."""
    n_roots: float
    """Initial trajectories with descendants at the end, the median over runs that are not extinct."""
    largest_family: float
    """Share of the final ensemble that descends from one initial trajectory, the median over the same."""
    n_collapsed: int
    """Runs whose final trajectories all descend from one."""
    n_extinct: int
    n_stalled: int
    """Iterations that killed more than half of the ensemble at once, in all runs: their levels tie."""
    n_iterations: int
    spread: float
    """Standard deviation of the runs' estimates over their mean; 0 if they coincide, NaN for one run."""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values, as people read them."""
        return [
            ("families at the end", f"{self.n_roots:g} initial trajectories have descendants (median over runs)"),
            ("largest family", f"{self.largest_family:.0%} of the ensemble (median over runs)"),
            ("collapsed runs", f"{self.n_collapsed} with one family only"),
            ("extinct runs", str(self.n_extinct)),
            (
                "stalled levels",
                f"{self.n_stalled} of {self.n_iterations} iterations killed more than half of the ensemble",
            ),
            ("spread of the runs", "-" if math.isnan(self.spread) else f"{self.spread:.0%} of their mean"),
        ]

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}" + (f"; {self.advice}" if self.advice else "")


def judge(
    *,
    n_runs: int,
    n_reached: int,
    roots: Sequence[int],
    families: Sequence[float],
    n_extinct: int,
    n_stalled: int,
    n_iterations: int,
    spread: float,
) -> Health:
    """Put a study's numbers into a word.

    Parameters
    ----------
    n_runs, n_reached
        Finished runs, and final trajectories that reached the target, in all of them.
    roots, families
        Of each run that is not extinct: initial trajectories with descendants, and the share of the largest family.
    n_extinct, n_stalled, n_iterations, spread
        As in `Health`.
    """
    n_collapsed = sum(n == 1 for n in roots)
    word: Word = "good"
    reason = "many initial trajectories have descendants" + (", and the runs agree" if n_runs > 1 else "")
    advice = ""
    larger = "take a larger ensemble, or a score that tells better how near the event is"
    if not n_reached:
        word, reason = "collapsed", "no run has reached the target"
        advice = f"{larger}; or a higher cap on branchings, if there is one"
    elif n_collapsed > n_runs / 2:
        word, reason, advice = (
            "collapsed",
            f"in {n_collapsed} of {n_runs} runs all descend from one trajectory",
            larger,
        )
    elif spread == 0.0:
        word, reason = "weak", f"the {n_runs} runs coincide, so that their spread says nothing of the error"
        advice = "take a larger ensemble, or more runs"
    elif n_extinct > _MOST_EXTINCT * n_runs:
        word, reason = "weak", f"{n_extinct} of {n_runs} runs went extinct"
        advice = "take a larger ensemble, or a score that ties less"
    elif roots and _median(roots) < _FEW_ROOTS:
        word, reason, advice = "weak", f"only {_median(roots):g} initial trajectories have descendants", larger
    elif n_runs == 1 and roots[0] < _FEW_ROOTS_OF_ONE:
        word = "weak"
        reason = f"only {roots[0]} initial trajectories have descendants, so that the error bar is likely too small"
        advice = "run it several times: their spread is a better one"
    elif spread > 1.0:
        word, reason, advice = "weak", f"the runs differ by {spread:.0%} of their mean", larger
    return Health(
        word=word,
        reason=reason,
        advice=advice,
        n_roots=_median(roots),
        largest_family=_median(families),
        n_collapsed=n_collapsed,
        n_extinct=n_extinct,
        n_stalled=n_stalled,
        n_iterations=n_iterations,
        spread=spread,
    )


def judge_runs(runs: Sequence[RunResult]) -> Health:
    """Judge finished runs."""
    alive = [run for run in runs if not run.extinct]
    families = [run.families for run in alive]
    estimates = [run.log_estimate for run in runs]
    error = 0.0 if estimators.coincide(estimates) else float(estimators.log_mean_and_error(estimates)[1])
    return judge(
        n_runs=len(runs),
        n_reached=sum(run.n_reached for run in runs),
        roots=[len(family) for family in families],
        families=[max(family.values()) / run.n for family, run in zip(families, alive, strict=True)],
        n_extinct=len(runs) - len(alive),
        n_stalled=sum(2 * len(i.killed) > run.n for run in runs for i in run.iterations),
        n_iterations=sum(len(run.iterations) for run in runs),
        spread=error * math.sqrt(len(runs)),
    )


def _median(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
