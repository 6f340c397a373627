"""The same bits as ever: what studies gave before the house was rebuilt is kept in ``core/assets``.

The models do + - * / and sqrt alone, which IEEE 754 fixes to the last bit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import pytams
from pinned_models import OneByOne, Vectorised, compiled

EXPECTED = json.loads((Path(__file__).parent / "core" / "assets" / "bits_before_the_move.json").read_text())
MODELS: dict[str, Any] = {"compiled": compiled(pytams.SDE), "vectorised": Vectorised(), "one by one": OneByOne()}


def digest(run: pytams.RunResult) -> str:
    """Hash everything that was decided, and how it ended."""
    iterations = [
        [
            i.level.hex(),
            i.killed,
            [[*start[:3], float(start.score).hex(), start.ended] for start in i.starts],
            i.log_weight.hex(),
            float(i.lowest).hex(),
            float(i.highest or 0.0).hex(),
        ]
        for i in run.iterations
    ]
    members = [[final.key, float(final.maximum).hex(), final.last_step, final.root] for final in run.members]
    return hashlib.sha256(json.dumps([iterations, members]).encode()).hexdigest()[:16]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_studies_give_what_they_gave(name: str, seed: int) -> None:
    tams = pytams.TAMS(MODELS[name], end_time=4.0, step_size=0.01, target_score=0.6, n_trajectories=20, n_discard=2)
    found = [
        {
            "estimate": run.estimate.hex(),
            "n_steps": run.n_steps,
            "n_branchings": run.n_branchings,
            "sha256": digest(run),
        }
        for run in tams.run(3, seed=seed).runs
    ]
    assert found == EXPECTED[f"{name}, seed {seed}"]
