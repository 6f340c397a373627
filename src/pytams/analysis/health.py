"""Whether an estimate can be trusted: one word, why, and what to change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from pytams.analysis import estimators
from pytams.analysis.plateaus import Plateau, plateau
from pytams.core.partings import Partings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.analysis.runs import RunResult
    from pytams.core.settings import Settings

Word = Literal["good", "weak", "collapsed"]

_FEW_ROOTS = 4
"""Initial trajectories with descendants below which runs have explored little."""
_FEW_ROOTS_OF_ONE = 10
"""The same for a single run, whose error bar comes from its genealogy: with fewer, it is too small in most runs."""
_MOST_EXTINCT = 0.1
_MOST_REPEATS = 0.5
"""Share of branches that repeat their parents: where scores are whole numbers, or noise is rare, a few do."""
_LATE = 0.1
"""Share of the end time: branches that part later cost as much as others, and find less."""
_VERY_LATE = 0.5
"""Likewise of initial trajectories: they may have a way to go before noise makes a difference."""
_FEW = 5
"""Fewer branches, or trajectories, say nothing of when others part."""
_NO_EFFECT = "the seed has no effect"
_MORE = "perturb more, or see that the model uses its noise"
_PERTURB = "a deterministic model needs `perturb`; see that the seed is used"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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
    n_branches: int
    """Branches whose records, or ends, can be told from those of their parents, in all runs."""
    n_repeats: int
    """Those of them that repeat their parents to the bit."""
    parting_time: float
    """Time after which a branch has parted from its parent, the median: see `pytams.core.partings`. 0: before the
    next record of either; infinite: branches never part; NaN: there is none that tells."""

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
            ("repetitions", f"{self.n_repeats} of {self.n_branches} branches repeat their parents to the bit"),
            ("branches part", _when(self.parting_time)),
        ]

    def __repr__(self) -> str:
        return f"<Health {self.word}: {self.reason}>"

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
    partings: Partings,
    parting_time: float,
    starts_part: float = math.nan,
    end_time: float,
    caveat: str = "",
    stall: Plateau | None = None,
    is_provisional: bool = False,
) -> Health:
    """Put a study's numbers into a word.

    Parameters
    ----------
    n_runs, n_reached
        Finished runs, and final trajectories that reached the target, in all of them.
    roots, families
        Of each run that is not extinct: initial trajectories with descendants, and the share of the largest family.
    n_extinct, n_stalled, n_iterations, spread, parting_time
        As in `Health`.
    partings
        Of all runs.
    starts_part
        Time after which initial trajectories part, the median.
    end_time
        T.
    caveat
        Why estimates are approximations, if they are.
    stall
        Where the score hardly tells trajectories apart, if there is such a place.
    is_provisional
        Whether runs go on, which may have reached nothing yet.
    """
    n_collapsed = sum(n == 1 for n in roots)
    word: Word = "good"
    reason = "many initial trajectories have descendants" + (", and the runs agree" if n_runs > 1 else "")
    advice = ""
    larger = "take a larger ensemble, or a score that tells better how near the event is"
    if partings.starts_are_one:
        word, reason, advice = "collapsed", f"all initial trajectories are the same: {_NO_EFFECT}", _PERTURB
    elif partings.branches_repeat:
        word, reason, advice = "collapsed", f"{_repeats(partings)}: {_NO_EFFECT}", _PERTURB
    elif is_provisional:
        word, reason = (
            "weak",
            "provisional: runs go on, and nothing is final but what they say of levels below theirs",
        )
    elif not n_reached:
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
    remarks = _remarks(partings, parting_time, starts_part, end_time, caveat)
    remarks += [] if stall is None else [_Remark(str(stall), None)]
    weakening = [remark for remark in remarks if remark.advice is not None]
    if word == "good" and weakening:
        word, reason = "weak", ""
    reason = "; ".join(filter(None, [reason, *(remark.text for remark in remarks)]))
    advice = "; ".join(filter(None, [advice, *(remark.advice or "" for remark in remarks)]))
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
        n_branches=partings.branches.n,
        n_repeats=partings.branches.n_same,
        parting_time=parting_time,
    )


class _Remark(NamedTuple):
    """What else there is to say of a study."""

    text: str
    advice: str | None
    """What to change; None if it may be as it is."""


def _remarks(
    partings: Partings, parting_time: float, starts_part: float, end_time: float, caveat: str
) -> list[_Remark]:
    """Say what branches make of their noise, and why estimates are approximations."""
    remarks = [_Remark(caveat, "")] if caveat else []
    n, n_repeats, _ = partings.branches
    if partings.starts_are_one or partings.branches_repeat:  # all is said
        return remarks
    if partings.neighbours.n >= _FEW and partings.neighbours.n_same == partings.neighbours.n:
        text = "all initial trajectories have the same records"
        remarks.append(_Remark(text, "see that the seed has an effect: pytams check"))
    if n_repeats:
        is_much = n_repeats > _MOST_REPEATS * n
        advice = "take a larger ensemble if noise is rare, and see that the seed is used if not" if is_much else None
        remarks.append(_Remark(_repeats(partings), advice))
    if n >= _FEW and n_repeats <= _MOST_REPEATS * n and parting_time > _LATE * end_time:
        text = "at least half of the branches never part from their parents"
        if math.isfinite(parting_time):
            share = f"{parting_time / end_time:.0%} of the end time"
            text = f"branches part from their parents only {_when(parting_time)}, {share}"
        remarks.append(_Remark(text, _MORE))
    elif n < _FEW <= partings.neighbours.n and starts_part > _VERY_LATE * end_time:
        when = "never part" if math.isinf(starts_part) else f"part only {_when(starts_part)}"
        remarks.append(_Remark(f"initial trajectories {when}", _MORE))
    return remarks


def _repeats(partings: Partings) -> str:
    return f"{partings.branches.n_same} of {partings.branches.n} branches repeat their parents to the bit"


def _when(parting_time: float) -> str:
    if math.isnan(parting_time):
        return "-"
    if parting_time == 0.0:
        return "before the next record (median)"
    return "never (median)" if parting_time == math.inf else f"after {parting_time:.3g} (median)"


def judge_runs(
    runs: Sequence[RunResult],
    settings: Settings,
    caveat: str = "",
    *,
    was_learned: bool = False,
) -> Health:
    """Judge runs; levels of a score that was learned are no measure of where it stalls."""
    partings = Partings.of(run.partings for run in runs)
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
        n_stalled=sum(2 * killed > run.n for run in runs for killed in run.iterations.n_killed),
        n_iterations=sum(len(run.iterations) for run in runs),
        spread=error * math.sqrt(len(runs)),
        partings=partings,
        parting_time=partings.median * settings.step_size,
        starts_part=partings.starts_median * settings.step_size,
        end_time=settings.end_time,
        caveat=caveat,
        stall=None if was_learned or not all(run.finished for run in runs) else plateau(runs, settings.target_score),
        is_provisional=not all(run.finished for run in runs),
    )


def _median(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
