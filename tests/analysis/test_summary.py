"""A result as people read it and as programs do, as it was approved."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pytams
from approved import check
from exact import Climb, Walk
from pytams.analysis import summary

APPROVED = Path(__file__).parent / "approved"


def walk(target: int, n_runs: int, **more: Any) -> pytams.Result:
    settings = {"end_time": 20, "step_size": 1, "n_trajectories": 10, "n_discard": 2} | more
    return pytams.TAMS(Walk(), target_score=target, **settings).run(n_runs, seed=1)


def climb() -> pytams.Result:
    tams = pytams.TAMS(Climb(), end_time=6000, step_size=1, target_score=1500, n_trajectories=8, n_discard=2)
    return tams.run(2, seed=1)


CASES: dict[str, Any] = {
    "several runs": lambda: walk(6, 4),
    "one run": lambda: walk(4, 1),
    "one run, no branching": lambda: walk(4, 1, max_branchings=0),
    "out of reach": lambda: walk(19, 2),
    "runs that coincide": lambda: walk(1, 2, n_trajectories=40),
    "some unfinished": lambda: replace(walk(6, 4), n_unfinished=3),
    "a name that is not printable": lambda: replace(walk(6, 4), model="Walk\x1b[2J"),
    "very small": climb,
}


def rounded(value: Any) -> Any:
    """Leave out digits that another machine may not have."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


@pytest.mark.parametrize("case", CASES)
def test_a_result_is_written_as_it_was_approved(case: str) -> None:
    result = replace(CASES[case](), wall_time=1.25)
    parts = [
        str(result),
        result.compare(0.0125),
        result.compare(0.0),
        summary.html_table(result),
        json.dumps(rounded(json.loads(json.dumps(result.to_dict()))), indent=1),
    ]
    check(APPROVED / f"summary-{case.replace(' ', '-').replace(',', '')}.txt", "\n\n".join(parts) + "\n")
