"""Whole runs in machine code: the state machine's iterations to the bit, and its errors."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import threading
import time
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytams
from outcomes import in_full
from pytams import SDE
from pytams.engine import InProcess

STEPS = 40


def drift(x: Any, t: Any, p: Any) -> Any:
    return -p.pull * x[0], 0.0


def diffusion(x: Any, t: Any, p: Any) -> Any:
    return p.sigma, 0.1


def coarse(x: Any, t: Any, p: Any) -> Any:
    """Score by tenths of `grid`: many tie; if there is no grid, by what there is."""
    return math.floor(x[0] * p.grid) / p.grid if p.grid > 0.0 else x[0] + 0.1 * x[1]


def gone(x: Any, t: Any, p: Any) -> Any:
    return x[0] < p.floor


def scattered(rng: Any) -> Any:
    return rng.normal(0.0, 0.5, size=2)


def blocks(tams: pytams.TAMS, n_runs: int, seed: int, **more: Any) -> Any:
    """Run by the state machine."""
    return tams.run(n_runs, seed=seed, engine=partial(InProcess, block_length=STEPS), **more)


@given(
    grid=st.sampled_from([0.0, 1.0, 4.0]),
    floor=st.sampled_from([-9.0, -0.5]),
    sigma=st.sampled_from([0.3, 1.0]),
    starts=st.booleans(),
    target=st.sampled_from([0.5, 1.5, 3.0, -0.5]),
    n=st.integers(2, 12),
    share=st.floats(0.0, 1.0),
    cap=st.one_of(st.none(), st.integers(0, 30)),
    seed=st.integers(0, 2**63 - 1),
    first_run=st.sampled_from([0, 3, 2**32 - 10]),
    threads=st.integers(1, 2),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_bits_as_the_state_machine(
    grid: float,
    floor: float,
    sigma: float,
    starts: bool,
    target: float,
    n: int,
    share: float,
    cap: int | None,
    seed: int,
    first_run: int,
    threads: int,
) -> None:
    """With ties, extinction, stops, random starts, caps, targets that are hardly or soon reached, and any N and l."""
    model = SDE(
        drift,
        diffusion,
        coarse,
        initial=scattered if starts else (-1.0, 0.0),
        stopped=gone,
        pull=0.5,
        sigma=sigma,
        grid=grid,
        floor=floor,
    )
    tams = pytams.TAMS(
        model,
        end_time=0.05 * STEPS,
        step_size=0.05,
        target_score=target,
        n_trajectories=n,
        n_discard=1 + int(share * (n - 2)),
        max_branchings=cap,
    )
    made = tams.run(3, seed=seed, first_run=first_run, engine=partial(InProcess, threads=threads), verify=False)
    defined = blocks(tams, 3, seed, first_run=first_run, verify=False)
    assert made.runs == defined.runs
    assert in_full(made.runs) == in_full(defined.runs)  # of the same types, too: NaN is not NaN otherwise


def double_well(**changes: Any) -> pytams.TAMS:
    def pulled(x: Any, t: Any, p: Any) -> Any:
        return x[0] - x[0] ** 3, -2.0 * x[1]

    def first(x: Any, t: Any, p: Any) -> Any:
        return x[0]

    model = SDE(pulled, diffusion, first, initial=(-1.0, 0.0), sigma=0.4)
    return pytams.TAMS(
        model, **{"end_time": 10.0, "step_size": 0.01, "target_score": 0.9, "n_trajectories": 30, **changes}
    )


@pytest.mark.slow
def test_long_segments_with_records_at_every_step() -> None:
    """Records of one segment fill the room for all, many times over; l is nearly N."""

    def clock(x: Any, t: Any, p: Any) -> Any:
        return t + 1e-9 * x

    def still(x: Any, t: Any, p: Any) -> Any:
        return 1.0

    model = SDE(lambda x, t, p: -x, still, clock, initial=0.0)
    tams = pytams.TAMS(
        model, end_time=100.0, step_size=0.01, target_score=200.0, n_trajectories=6, n_discard=5, max_branchings=40
    )
    assert tams.run(2, seed=1).runs == blocks(tams, 2, 1).runs


@pytest.mark.slow
def test_many_members_and_few() -> None:
    for n, n_discard in ((500, 1), (500, 50), (2, 1)):
        tams = double_well(n_trajectories=n, n_discard=n_discard, end_time=2.0, target_score=-0.2)
        assert tams.run(2, seed=3).runs == blocks(tams, 2, 3).runs


def test_whole_runs_are_made_where_nobody_looks(tmp_path: Any, caplog: Any) -> None:
    tams = double_well(end_time=1.0, target_score=0.0)
    study = tams.study(3, seed=1)
    with study:
        study.finish()
        assert study.splittings == {}
        assert (study.n_finished, study.progress, study.n_running) == (3, 1.0, 0)
        assert study.lowest_level == study.target_score
        result = study.result()
        assert study.n_steps == result.n_steps > 0
    assert result.n_unfinished == 0
    assert list(result.ensemble().run) == list(blocks(tams, 3, 1).ensemble().run)
    seen: list[Any] = []

    class Watching:
        def on_iteration(self, run: int, iteration: Any) -> None:
            seen.append(iteration)

    assert tams.run(3, seed=1, observers=[Watching()]).runs == result.runs
    assert len(seen) == result.n_iterations
    assert tams.run(3, seed=1, out=tmp_path / "a").runs == result.runs


def test_what_was_begun_goes_on() -> None:
    tams = double_well(end_time=1.0, target_score=0.0)
    with tams.study(3, seed=1) as study:
        next(iter(study))
        study.finish()
        assert study.result().runs == tams.run(3, seed=1).runs
        assert len(study.splittings) == 3


def test_a_variant_of_ones_own_is_asked() -> None:
    class Greedy(pytams.Variant):
        name = "greedy"
        n_asked = 0

        def level(self, ended: Any, n_discard: int) -> float | None:
            Greedy.n_asked += 1
            return super().level(ended, n_discard)

    double_well(end_time=1.0, target_score=0.0, variant=Greedy()).run(2, seed=1)
    assert Greedy.n_asked > 0


def test_errors_are_those_of_the_state_machine() -> None:
    def blows_up(x: Any, t: Any, p: Any) -> Any:
        return 1.0 / (t - t) if t > 0.5 else x[0]

    def refuses(x: Any, t: Any, p: Any) -> Any:
        if t > 0.5:
            raise ValueError("too late")
        return x[0]

    def posed(score: Any, target: float = 9.0, **model: Any) -> pytams.TAMS:
        made = SDE(drift, diffusion, score, **{"initial": (-1.0, 0.0), "pull": 0.5, "sigma": 0.4, **model})
        return pytams.TAMS(made, end_time=1.0, step_size=0.01, target_score=target, n_trajectories=5)

    with pytest.raises(pytams.ModelError, match="SDE.score returned inf at run 0, slot 0, step 51"):
        posed(blows_up).run(2, seed=1)
    with pytest.raises(pytams.ModelError, match="raised ValueError at .*: too late"):
        posed(refuses).run(2, seed=1)
    with pytest.raises(pytams.SettingsError, match="target_score: -2 is already reached at t = 0"):
        posed(lambda x, t, p: x[0], target=-2.0).run(2, seed=1)
    with pytest.raises(pytams.ModelError, match="all 10 initial trajectories are the same to the bit"):
        posed(lambda x, t, p: t, sigma=0.0).run(2, seed=1)


def test_a_start_that_is_drawn_but_always_the_same_may_not_be_the_event() -> None:
    model = SDE(drift, diffusion, lambda x, t, p: x[0], initial=lambda rng: (1.0, 0.0), pull=0.5, sigma=0.4)
    tams = pytams.TAMS(model, end_time=1.0, step_size=0.01, target_score=0.5, n_trajectories=5)
    with pytest.raises(pytams.SettingsError, match="target_score: 0.5 is already reached at t = 0"):
        tams.run(2, seed=1)


@pytest.mark.slow
def test_a_score_that_is_true_or_false_is_refused_in_our_words() -> None:
    model = SDE(drift, diffusion, lambda x, t, p: x[0] > 0.5, initial=(-1.0, 0.0), pull=0.5, sigma=0.4)
    with pytest.raises(pytams.ModelError, match="a score must be a real number"):
        pytams.TAMS(model, end_time=1.0, step_size=0.01, target_score=0.5, n_trajectories=5).run(1, seed=1)


def test_memory_does_not_grow_with_the_steps_there_could_be() -> None:
    """Of trajectories that end early."""

    def far(x: Any, t: Any, p: Any) -> Any:
        return abs(x[0]) > 0.5

    model = SDE(drift, diffusion, lambda x, t, p: x[0], initial=(0.0, 0.0), stopped=far, pull=0.0, sigma=1.0)
    tams = pytams.TAMS(model, end_time=1e8, step_size=0.01, target_score=9.0, n_trajectories=5)
    tams.run(1, seed=1)
    tracemalloc.start()
    tams.run(2, seed=1)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


def test_a_model_is_verified_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def wild(rng: Any) -> Any:
        drawn.append(1)
        return -1.0 + 0.001 * len(drawn), 0.0

    model = SDE(drift, diffusion, lambda x, t, p: x[0], initial=wild, pull=0.5, sigma=0.4)
    with pytest.raises(pytams.ModelError, match="computed again"):
        pytams.TAMS(model, end_time=1.0, step_size=0.01, target_score=0.5, n_trajectories=100).run(9, seed=1)
    assert len(drawn) < 20


def test_engines_of_ones_own_are_not_passed_by() -> None:
    class Counting(InProcess):
        n_calls = 0

        def advance(self) -> Any:
            Counting.n_calls += 1
            return super().advance()

    double_well(end_time=1.0, target_score=0.0).run(2, seed=1, engine=Counting)
    assert Counting.n_calls > 0


@pytest.mark.slow
def test_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("pytams.engine.watchdog.LEAST_SECONDS", 0.2)
    monkeypatch.setattr("pytams.engine.watchdog.LOOK_SECONDS", 0.05)
    double_well(end_time=1000.0, n_trajectories=200, target_score=5.0, max_branchings=0).run(1, seed=1)
    assert re.search(r"SDE's compiled loop, at one of|SDE's compiled loop, at run 0", caplog.text)


def test_it_can_be_interrupted(caplog: Any) -> None:
    """In the middle of a run that would take minutes, and all threads end."""
    tams = double_well(end_time=10_000.0, n_trajectories=200, target_score=5.0)
    caplog.set_level(logging.WARNING)
    double_well(end_time=1.0, target_score=0.0).run(2, seed=1)  # compiled by now
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    begin = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        tams.run(4, seed=1, engine=partial(InProcess, threads=2), verify=False)
    assert time.perf_counter() - begin < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_a_probability_is_that_of_blocks_when_it_is_tiny() -> None:
    tams = double_well(end_time=1.0, target_score=0.3, n_trajectories=10)
    result = tams.run(2, seed=5)
    assert np.isfinite(result.log_probability) or result.n_extinct == 2
    assert result.to_dict().keys() == blocks(tams, 2, 5).to_dict().keys()
