"""The word on an estimate: each reason, on both sides of where it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_formulas import run_of, three_runs

from pytams import RunResult
from pytams.analysis.health import Health, judge
from pytams.analysis.health import judge_runs as judge_runs_of
from pytams.core.partings import Pairs, Partings
from pytams.core.settings import Settings

LARGER = "take a larger ensemble, or a score that tells better how near the event is"


def study(**different: Any) -> Health:
    """Judge ten runs that are in order but for what is said."""
    of_runs: dict[str, Any] = {
        "n_runs": 10,
        "n_reached": 100,
        "roots": [8] * 10,
        "families": [0.25] * 10,
        "n_extinct": 0,
        "n_stalled": 3,
        "n_iterations": 40,
        "spread": 0.5,
        "partings": Partings(Pairs(70), Pairs(60), ((0, 40), (9, 20))),
        "parting_time": 0.0,
        "end_time": 10.0,
    }
    return judge(**of_runs | different)


def judge_runs(runs: Sequence[RunResult]) -> Health:
    return judge_runs_of(runs, Settings(end_time=10, step_size=0.5, target_score=3, n_trajectories=4))


def one(n_roots: int) -> Health:
    return study(n_runs=1, roots=[n_roots], families=[0.25], spread=math.nan)


def test_all_is_well() -> None:
    health = study()
    assert str(health) == "good: many initial trajectories have descendants, and the runs agree"
    assert (health.word, health.advice) == ("good", "")
    assert (health.n_roots, health.largest_family, health.spread) == (8.0, 0.25, 0.5)
    assert (health.n_collapsed, health.n_extinct, health.n_stalled, health.n_iterations) == (0, 0, 3, 40)
    assert str(one(10)) == "good: many initial trajectories have descendants"


@pytest.mark.parametrize(
    ("good", "bad", "text"),
    [
        (
            {"n_reached": 1},
            {"n_reached": 0},
            f"collapsed: no run has reached the target; {LARGER}; or a higher cap on branchings, if there is one",
        ),
        (
            {"roots": [1] * 5 + [8] * 5},
            {"roots": [1] * 6 + [8] * 4},
            f"collapsed: in 6 of 10 runs all descend from one trajectory; {LARGER}",
        ),
        (
            {"spread": 1e-9},
            {"spread": 0.0},
            "weak: the 10 runs coincide, so that their spread says nothing of the error; "
            "take a larger ensemble, or more runs",
        ),
        (
            {"n_extinct": 1},
            {"n_extinct": 2},
            "weak: 2 of 10 runs went extinct; take a larger ensemble, or a score that ties less",
        ),
        (
            {"roots": [3] * 4 + [4] * 6},
            {"roots": [3] * 5 + [4] * 5},
            f"weak: only 3.5 initial trajectories have descendants; {LARGER}",
        ),
        ({"spread": 1.0}, {"spread": 1.25}, f"weak: the runs differ by 125% of their mean; {LARGER}"),
    ],
)
def test_each_reason_on_both_sides(good: dict[str, Any], bad: dict[str, Any], text: str) -> None:
    assert study(**good).word == "good"
    assert str(study(**bad)) == text


def test_what_is_worse_comes_first() -> None:
    assert "no run" in study(n_reached=0, roots=[1] * 10, spread=math.nan).reason
    assert "all descend" in study(roots=[1] * 10, n_extinct=5, spread=0.0).reason
    assert "coincide" in study(roots=[2] * 10, spread=0.0).reason
    assert "extinct" in study(roots=[2] * 8, n_extinct=2, spread=3.0).reason
    assert "only 2 " in study(roots=[2] * 10, spread=3.0).reason


def test_one_run_needs_more_families() -> None:
    assert str(one(9)) == (
        "weak: only 9 initial trajectories have descendants, so that the error bar is likely too small; "
        "run it several times: their spread is a better one"
    )
    assert "only 3 initial" in one(3).reason
    assert str(study(n_runs=2, roots=[9, 9])) == str(study())
    extinct = study(n_runs=1, n_reached=0, roots=[], families=[], n_extinct=1, spread=math.nan)
    assert extinct.word == "collapsed"
    assert (extinct.n_roots, extinct.largest_family) == (0.0, 0.0)


def test_medians() -> None:
    assert study(roots=[9, 1, 5], families=[0.1, 0.9, 0.2]).n_roots == 5
    health = study(roots=[9, 1, 5, 6], families=[0.1, 0.9, 0.2, 0.4])
    assert (health.n_roots, health.largest_family) == pytest.approx((5.5, 0.3))
    assert health.n_collapsed == 1


def test_rows() -> None:
    assert study(n_extinct=1, roots=[1, 8]).rows == [
        ("families at the end", "4.5 initial trajectories have descendants (median over runs)"),
        ("largest family", "25% of the ensemble (median over runs)"),
        ("collapsed runs", "1 with one family only"),
        ("extinct runs", "1"),
        ("stalled levels", "3 of 40 iterations killed more than half of the ensemble"),
        ("spread of the runs", "50% of their mean"),
        ("repetitions", "0 of 60 branches repeat their parents to the bit"),
        ("branches part", "before the next record (median)"),
    ]
    assert one(10).rows[5] == ("spread of the runs", "-")
    assert [study(parting_time=time).rows[-1][1] for time in (math.nan, math.inf, 0.25)] == [
        "-",
        "never (median)",
        "after 0.25 (median)",
    ]


def partings(
    n: int, n_same: int, after: float = 0, *, n_records: int = 99, starts_part: float = np.nan, **more: Any
) -> dict[str, Any]:
    counts = {"branches": Pairs(n, n_same, n_records), "neighbours": Pairs(70), "after": ((after, n),)}
    return {"partings": Partings(**counts | more), "starts_part": starts_part}


SMALL = "perturb more, or see that the model uses its noise"
RARE = "take a larger ensemble if noise is rare, and see that the seed is used if not"
GOOD = "good: many initial trajectories have descendants, and the runs agree"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (partings(40, 0), GOOD),
        (partings(40, 1), f"{GOOD}; 1 of 40 branches repeat their parents to the bit"),
        (partings(4, 0, starts_part=6.0), f"weak: initial trajectories part only after 6 (median); {SMALL}"),
        (partings(4, 0, starts_part=np.inf), f"weak: initial trajectories never part; {SMALL}"),
        (partings(4, 0, starts_part=4.9), GOOD),
        (partings(5, 0, starts_part=6.0), GOOD),
        (partings(40, 20), f"{GOOD}; 20 of 40 branches repeat their parents to the bit"),
        (partings(40, 21), f"weak: 21 of 40 branches repeat their parents to the bit; {RARE}"),
        (
            partings(40, 36),
            "collapsed: 36 of 40 branches repeat their parents to the bit: the seed has no effect; "
            "a deterministic model needs `perturb`; see that the seed is used",
        ),
        (partings(40, 36, n_records=19), f"weak: 36 of 40 branches repeat their parents to the bit; {RARE}"),
        (
            partings(0, 0, neighbours=Pairs(70, 70, 20)),
            "collapsed: all initial trajectories are the same: the seed has no effect; "
            "a deterministic model needs `perturb`; see that the seed is used",
        ),
        (
            partings(0, 0, neighbours=Pairs(70, 70, 19)),
            "weak: all initial trajectories have the same records; see that the seed has an effect: pytams check",
        ),
        (partings(40, 0) | {"parting_time": 1.0}, GOOD),
        (
            partings(40, 0) | {"parting_time": 1.25},
            f"weak: branches part from their parents only after 1.25 (median), 12% of the end time; {SMALL}",
        ),
        (partings(4, 0) | {"parting_time": 1.25}, GOOD),
        (
            partings(40, 0) | {"parting_time": math.inf},
            f"weak: at least half of the branches never part from their parents; {SMALL}",
        ),
        ({"caveat": "of a coarse grid"}, "weak: of a coarse grid"),
        (
            {"caveat": "of a coarse grid", "n_extinct": 2},
            "weak: 2 of 10 runs went extinct; of a coarse grid; take a larger ensemble, or a score that ties less",
        ),
    ],
)
def test_what_branches_make_of_their_noise(asked: dict[str, Any], text: str) -> None:
    assert str(study(**asked)) == text


def test_a_seed_without_effect_explains_all_else() -> None:
    assert "the seed has no effect" in study(n_reached=0, **partings(40, 40)).reason


def test_partings_are_counted_over_runs() -> None:
    of_runs = [
        Partings(Pairs(3, 1, 2), Pairs(4, 1, 5), ((0, 3), (math.inf, 1))),
        Partings(Pairs(3), Pairs(5), ((2, 2), (8, 3))),
        Partings(),
    ]
    health = judge_runs([replace(run, partings=found) for run, found in zip(three_runs(), of_runs, strict=True)])
    assert (health.n_branches, health.n_repeats, health.parting_time) == (9, 1, 1.0)
    assert math.isnan(judge_runs(three_runs()).parting_time)


def test_what_is_counted_of_runs() -> None:
    """Families of three runs: 3 (the largest has 2 of 4), 4 (1 of 4) and 2 (3 of 4)."""
    runs = three_runs()
    health = judge_runs(runs)
    assert (health.n_roots, health.largest_family, health.n_extinct, health.n_collapsed) == (3.0, 0.5, 0, 0)
    assert (health.n_stalled, health.n_iterations) == (0, 3)  # half of an ensemble is not more than half
    estimates = np.array([9 / 16, 1 / 2, 1 / 4])
    assert health.spread == pytest.approx(estimates.std(ddof=1) / estimates.mean(), rel=1e-12)
    more = [
        *runs,
        run_of(4, [0.0] * 4, (0.0, [0, 1, 2, 3], [])),
        run_of(4, [3.0] * 4, (1.0, [0, 1, 2], [3, 3, 3])),
    ]
    health = judge_runs(more)
    assert (health.n_roots, health.largest_family, health.n_extinct, health.n_collapsed) == (2.5, 0.625, 1, 1)
    assert (health.n_stalled, health.n_iterations) == (2, 5)
    assert "1 of 5 runs went extinct" in health.reason
    assert math.isnan(judge_runs(runs[:1]).spread)
    assert judge_runs([runs[1], runs[1]]).spread == 0.0
    assert judge_runs([run_of(4, [2.0, 1.0, 1.0, 1.0])] * 2).reason == "no run has reached the target"
