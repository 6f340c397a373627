"""The state machine, on random small chains: whatever the order of the reports, it decides the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytams.core.segments import Progress, SegmentKey, Start
from pytams.core.settings import Settings
from pytams.core.splitting import Iteration, Splitting


@dataclass
class Chains:
    """Simulates segments of a small integer chain, and tells the state machine in an order of its own."""

    seed: int
    n_steps: int
    target: int
    up: float
    order: Random
    longest: int
    paths: dict[SegmentKey, dict[int, int]] = field(default_factory=dict)
    reported: dict[SegmentKey, int] = field(default_factory=dict)
    ends: dict[SegmentKey, int] = field(default_factory=dict)

    def start(self, start: Start) -> None:
        """Simulate a whole segment at once; how much of it is reported when is another matter."""
        key = start.key
        noise = np.random.default_rng([self.seed, *key])
        x = int(noise.integers(-2, 2)) if start.parent is None else self.paths[start.parent][start.step]
        step = start.step
        path = {step: x}
        while step < self.n_steps and x < self.target:
            x += 1 if noise.random() < self.up else -1
            step += 1
            path[step] = x
        self.paths[key], self.ends[key] = path, step
        self.reported[key] = start.step if start.parent else -1

    def progress(self, key: SegmentKey) -> Progress:
        """Tell some more steps of a segment."""
        first = self.reported[key] + 1
        last = min(self.ends[key], first + self.order.randrange(self.longest))
        path = self.paths[key]
        best = max((path[s] for s in path if s < first), default=-math.inf)
        steps = []
        for step in range(first, last + 1):
            if path[step] > best:
                best = path[step]
                steps.append(step)
        self.reported[key] = last
        return Progress(key, steps, [float(path[s]) for s in steps], last, last == self.ends[key])


def run(splitting: Splitting, chains: Chains, *, stutter: bool = False) -> list[Iteration]:
    """Drive the state machine to its end; with stutter, every report comes twice."""
    iterations = []
    running = []
    for start in splitting.initial_starts:
        chains.start(start)
        running.append(start.key)
    while running:
        key = chains.order.choice(running)
        progress = chains.progress(key)
        if progress.ended:
            running.remove(key)
        decided = splitting.report(progress)
        if stutter:
            assert splitting.report(progress) == []
        for iteration in decided:
            iterations.append(iteration)
            for start in iteration.starts:
                if not start.ended:
                    chains.start(start)
                    running.append(start.key)
    assert splitting.finished
    assert iterations == splitting.iterations
    return iterations


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(2, 12))
    return {
        "n": n,
        "n_discard": draw(st.integers(1, n - 1)),
        "cap": draw(st.none() | st.integers(0, 20)),
        "seed": draw(st.integers(0, 10**6)),
        "n_steps": draw(st.integers(1, 25)),
        "target": draw(st.integers(1, 6)),
        "up": draw(st.sampled_from([0.1, 0.3, 0.5, 0.8])),
    }


def machines(case: dict[str, Any], order: int, longest: int) -> tuple[Splitting, Chains]:
    splitting = make(
        n_trajectories=case["n"],
        n_discard=case["n_discard"],
        target_score=float(case["target"]),
        max_branchings=case["cap"],
        seed=case["seed"],
    )
    chains = Chains(case["seed"], case["n_steps"], case["target"], case["up"], Random(order), longest)
    return splitting, chains


@given(case=cases(), order=st.integers(0, 1000), longest=st.integers(1, 30), stutter=st.booleans())
def test_any_interleaving_gives_the_same_decisions(
    case: dict[str, Any], order: int, longest: int, stutter: bool
) -> None:
    serial, serial_chains = machines(case, 0, 100)
    other, other_chains = machines(case, order, longest)
    assert run(serial, serial_chains) == run(other, other_chains, stutter=stutter)
    for name in ("log_weight", "n_branchings", "n_reached", "estimate", "n_steps"):
        assert getattr(serial, name) == getattr(other, name)


@given(case=cases())
def test_every_iteration_is_the_serial_algorithms(case: dict[str, Any]) -> None:
    """Replay the decisions on an ensemble of whole trajectories, as the textbook has it."""
    splitting, chains = machines(case, 1, 5)
    iterations = run(splitting, chains)
    n, target = case["n"], case["target"]

    def path(start: Start) -> dict[int, int]:
        if start.parent is None:
            return chains.paths[start.key]
        past = {s: x for s, x in whole[start.parent].items() if s <= start.step}
        return past | ({} if start.ended else chains.paths[start.key])

    whole = {start.key: path(start) for start in splitting.initial_starts}
    ensemble = [start.key for start in splitting.initial_starts]
    weight, branchings = 1.0, 0
    for iteration in iterations:
        maxima = [max(whole[key].values()) for key in ensemble]
        level = sorted(maxima)[case["n_discard"] - 1]
        assert iteration.level == level < target
        assert (iteration.lowest, iteration.highest) == (min(maxima), max(maxima))
        killed = [slot for slot in range(n) if maxima[slot] <= level]
        assert list(iteration.killed) == [ensemble[slot] for slot in killed]
        assert list(iteration.killed_maxima) == [maxima[slot] for slot in killed]
        assert iteration.n_branchings == branchings
        branchings += len(killed)
        weight *= 1 - len(killed) / n
        assert math.exp(iteration.log_weight) == pytest.approx(weight)
        if len(killed) == n:
            assert (iteration.starts, iteration.ancestors) == ((), ())
            ensemble = []
            continue
        survivors = [ensemble[slot] for slot in range(n) if slot not in killed]
        for slot, ancestor, start in zip(killed, iteration.ancestors, iteration.starts, strict=True):
            assert ancestor in survivors
            past = whole[ancestor]
            assert start.step == min(s for s, x in past.items() if x > level)
            assert start.score == past[start.step] > level
            whole[start.key] = path(start)
            assert start.ended == (max(past) == start.step)
            ensemble[slot] = start.key
    n_reached = sum(max(whole[key].values()) >= target for key in ensemble)
    assert splitting.n_reached == n_reached
    assert splitting.estimate == pytest.approx(weight * n_reached / n)
    assert [key.slot for key in ensemble] == ([] if splitting.extinct else list(range(n)))


def tell_all(splitting: Splitting, maxima: list[float]) -> list[Iteration]:
    """Tell an initial ensemble that has ended, each trajectory with one record."""
    decided = []
    for slot, maximum in enumerate(maxima):
        decided += splitting.report(Progress(SegmentKey(0, slot, 0), [5], [maximum], 5, ended=True))
    return decided


def make(seed: int = 0, **settings: Any) -> Splitting:
    given = {"end_time": 1.0, "step_size": 1.0, "n_trajectories": 4, "target_score": 1.0} | settings
    return Splitting(Settings(**given), seed)


def test_all_reach_at_once() -> None:
    splitting = make()
    assert tell_all(splitting, [1.0, 2.0, 1.5, 1.0]) == []
    assert splitting.finished
    assert splitting.estimate == 1.0


def test_early_convergence_is_the_plain_fraction() -> None:
    """l >= the number still below the target: no iteration happens, and no factor is applied."""
    splitting = make(n_discard=2)
    assert tell_all(splitting, [1.0, 2.0, 0.3, 1.0]) == []
    assert splitting.finished
    assert splitting.estimate == 0.75


def test_extinction_is_zero_and_ends() -> None:
    splitting = make()
    (iteration,) = tell_all(splitting, [0.5, 0.5, 0.5, 0.5])
    assert (iteration.starts, iteration.log_weight) == ((), -math.inf)
    assert splitting.finished
    assert splitting.extinct
    assert splitting.estimate == 0.0


def test_a_branch_point_at_the_target_needs_no_steps() -> None:
    splitting = make(n_discard=3)
    (iteration,) = tell_all(splitting, [-5.0, 1.5, -7.0, -3.0])
    assert [start.ended for start in iteration.starts] == [True, True, True]
    assert all(start.parent == SegmentKey(0, 1, 0) for start in iteration.starts)
    assert splitting.finished
    assert splitting.estimate == pytest.approx(0.25)


def test_running_trajectories_can_be_ancestors() -> None:
    splitting = make(n_trajectories=2)
    splitting.report(Progress(SegmentKey(0, 0, 0), [0], [-1e300], 9, ended=True))
    (iteration,) = splitting.report(Progress(SegmentKey(0, 1, 0), [0, 3], [-1e301, 0.5], 4, ended=False))
    assert iteration.starts == (Start(SegmentKey(0, 0, 1), SegmentKey(0, 1, 0), 3, 0.5, ended=False),)
    assert iteration.highest is None
    splitting.report(Progress(SegmentKey(0, 1, 0), [8], [0.75], 9, ended=True))
    assert iteration.highest == 0.75


def test_weights_far_below_the_smallest_float() -> None:
    """Log weights: a thousand halvings are 1e-301, two thousand would be 0 as a product."""
    splitting = make(n_trajectories=2, target_score=3000.0)
    splitting.report(Progress(SegmentKey(0, 0, 0), [0], [0.0], 1, ended=True))
    splitting.report(Progress(SegmentKey(0, 1, 0), [0], [1.0], 1, ended=False))
    for i in range(1, 2000):
        level = float(i)
        low, high = sorted(splitting.members, key=lambda member: (member.maximum, member.ended))
        splitting.report(Progress(high.start.key, [i + 1], [level + 1], i + 1, ended=False))
        splitting.report(Progress(low.start.key, [], [], 5000, ended=True))
    assert splitting.log_weight == pytest.approx(len(splitting.iterations) * math.log(0.5))
    assert len(splitting.iterations) > 1500
