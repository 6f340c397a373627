"""One answer: block length, batch, and company change no bit."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, OrnsteinUhlenbeck, Walk, WalkSingle
from pytams.core.segments import Point, Problem, SegmentKey
from pytams.engine import InProcess
from pytams.models.plain.batch import Batch

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.01,
    "target_score": 0.7,
    "n_trajectories": 12,
    "n_discard": 2,
}


class OscillatorDict(pytams.Model):
    """A noisy oscillator whose state is a dict, and whose noise is not normal."""

    vectorized = True
    noise_shape = (1,)

    def initial_state(self, rng: np.random.Generator) -> Any:
        return {"x": rng.normal(0.0, 0.1), "v": rng.normal(size=(3,)), "kicks": 0}

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        # two arrays a call: the order of draws depends on n, which the engine must keep fixed
        return (rng.exponential(size=n) * rng.choice([-1.0, 1.0], size=n))[:, np.newaxis]

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        kick = noise * math.sqrt(dt)
        v = state["v"] + (-state["x"][..., np.newaxis]) * dt + kick
        return {"x": state["x"] + v[..., 0] * dt, "v": v, "kicks": state["kicks"] + (noise[..., 0] > 2)}

    def score(self, state: Any, t: Any) -> Any:
        return state["x"] + 0.1 * t


class OscillatorDictSingle(OscillatorDict):
    vectorized = False


class StopsWhenNegative(OrnsteinUhlenbeck):
    """AMS: the trajectory ends back in the initial set."""

    def stopped(self, state: Any, t: Any) -> Any:
        return state < -1.5


class StopsWhenNegativeSingle(StopsWhenNegative):
    vectorized = False


class InPlaceSingle(DoubleWell2DSingle):
    """Works in place, as expensive models like to."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        state[:] = super().step(state, noise, t, dt)
        return state


PAIRS = [
    (DoubleWell2D(), DoubleWell2DSingle()),
    (DoubleWell2D(), InPlaceSingle()),
    (OscillatorDict(), OscillatorDictSingle()),
    (StopsWhenNegative(), StopsWhenNegativeSingle()),
]
IDS = ["array", "in place", "dict", "stopped"]


def facts(result: pytams.Result) -> list[Any]:
    return [(run.run, run.estimate, run.n_steps, run.iterations) for run in result.runs]


def run(model: pytams.Model, n_runs: int = 3, block_length: int = 64, **more: Any) -> list[Any]:
    return facts(
        pytams.TAMS(model, **SETTINGS).run(
            n_runs, seed=11, engine=partial(InProcess, block_length=block_length), **more
        )
    )


@pytest.mark.parametrize("pair", PAIRS, ids=IDS)
@pytest.mark.parametrize("block_length", [1, 7])
def test_block_length_changes_no_bit(pair: tuple[pytams.Model, pytams.Model], block_length: int) -> None:
    for model in pair:
        assert run(model, block_length=block_length) == run(model, block_length=64)


@pytest.mark.parametrize("pair", PAIRS, ids=IDS)
def test_vectorised_or_one_by_one(pair: tuple[pytams.Model, pytams.Model]) -> None:
    assert run(pair[0]) == run(pair[1])


@pytest.mark.slow
def test_runs_together_or_each_alone() -> None:
    together = run(DoubleWell2D(), n_runs=8)
    alone = [run(DoubleWell2D(), n_runs=1, first_run=r)[0] for r in range(8)]
    assert together == alone
    assert len({fact[1] for fact in together}) == 8


def test_ties_and_one_by_one() -> None:
    def walk(model: pytams.Model) -> list[Any]:
        tams = pytams.TAMS(model, end_time=20, step_size=1, target_score=4, n_trajectories=10)
        return facts(tams.run(20, seed=1))

    assert walk(Walk()) == walk(WalkSingle())


def test_a_batch_with_little_room_gives_the_same_blocks() -> None:
    """Members wait for a place, join others at any time, and are none the wiser."""
    model = OscillatorDict()
    problem = Problem(model=model, n_steps=300, step_size=0.01, target_score=0.4, seed=3)

    def ends(max_members: int) -> dict[SegmentKey, tuple[int, list[float]]]:
        batch = Batch(problem, model, max_members)
        for slot in range(9):
            batch.join(Point(SegmentKey(0, slot, 0), 0, 0, -math.inf, None))
        scores: dict[SegmentKey, list[float]] = {}
        ended: dict[SegmentKey, tuple[int, list[float]]] = {}
        while len(ended) < 9:
            for block in batch.advance(50):
                scores.setdefault(block.key, []).extend(block.scores)
                if block.ended:
                    ended[block.key] = (block.step, scores[block.key])
        return ended

    assert ends(100) == ends(4) == ends(1)


@pytest.mark.slow
def test_noise_longer_than_a_chunk() -> None:
    """Segments of more steps than one chunk of noise, for a model whose chunk is short."""

    class Wide(DoubleWell2D):
        noise_shape = (64,)

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return super().step(state, noise[:, :2], t, dt)

    class WideSingle(DoubleWell2DSingle):
        noise_shape = (64,)

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return super().step(state, noise[:2], t, dt)

    assert run(Wide()) == run(WideSingle()) == run(Wide(), block_length=5)
