"""What is held: the states that a branch may still start from, and no others."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest

import pytams
from exact import double_well_2d
from pytams.core.segments import Problem
from pytams.core.splitting import Splitting
from pytams.engine import InProcess

SIZE = 50_000


class Field(pytams.Model):
    """A field of many numbers, of which the first one is scored."""

    vectorized = True
    noise_shape = ()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.zeros(SIZE)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        new = state.copy()
        new[..., 0] += 0.1 * noise
        return new

    def score(self, state: Any, t: Any) -> Any:
        return state[..., 0]


class FieldSingle(Field):
    vectorized = False


@pytest.mark.slow
@pytest.mark.parametrize("model", [Field(), FieldSingle()], ids=["vectorised", "one by one"])
def test_large_states_are_held_at_records_above_the_level_only(model: pytams.Model) -> None:
    tams = pytams.TAMS(model, end_time=100, step_size=1, target_score=4.0, n_trajectories=16)
    study = tams.study(1, seed=3, engine=partial(InProcess, block_length=10))
    state_size = SIZE * np.float64().nbytes

    def n_needed(splitting: Splitting) -> int:
        return sum(sum(score > splitting.level for score in member.scores) for member in splitting.members)

    tracemalloc.start()
    try:
        held = []
        for watched in study:
            splitting = watched.splittings[0]
            if splitting.iterations:
                # beside the records: where each running segment is, a batch of them, and one being computed
                working = 16 + 2 * 16 + 2
                held.append((tracemalloc.get_traced_memory()[0] / state_size, n_needed(splitting) + working))
    finally:
        tracemalloc.stop()
    assert len(held) > 10
    assert all(found <= needed for found, needed in held)
    assert min(needed for _, needed in held) < max(needed for _, needed in held) / 2


LARGE_ENSEMBLE = """
import sys
sys.path.insert(0, "tests")
import pytams
{model}
tams = pytams.TAMS(model(), end_time=10, step_size=0.01, target_score=0.95, n_trajectories=10_000, n_discard=500)
result = tams.run(1, seed=1)
assert 5e-3 < result.probability < 1.1e-2, result
[most] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(most) / 1024)  # ru_maxrss would be that of whoever started this process, if that is more
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        "sys.path.insert(0, 'examples/double_well_2d'); from double_well_2d import DoubleWell2D as model",
        "from exact import double_well_2d as model",
    ],
    ids=["vectorised", "compiled"],
)
def test_ten_thousand_trajectories_fit_into_500_megabytes(model: str) -> None:
    if "exact" in model:  # compiled here: the compiler itself takes memory, once
        InProcess(Problem(model=double_well_2d(), n_steps=1, step_size=1, target_score=1, seed=0))
    run = subprocess.run(
        [sys.executable, "-c", LARGE_ENSEMBLE.format(model=model)], capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 500
