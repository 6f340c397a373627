"""Programs, whatever language, protocol and engine: the same bits, and the exact probability."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DOUBLE_WELL_2D_COUPLED
from programs import AT_THE_END, BY_BRANCH, IN_FORTRAN, PRINTED, needs, script, tams, well
from pytams.engine import InProcess, Processes
from pytams.engine.launches import Launches

pytestmark = needs("gcc")

C, FORTRAN = ["./dw", *BY_BRANCH], IN_FORTRAN
BY_SEGMENT: dict[str, dict[str, Any]] = {
    "C, by files": {"command": C},
    "C, its score in the file": {"command": C, **AT_THE_END},
    "C, 7 steps a launch": {"command": C, "steps_per_launch": 7},
    "C, 64 steps a launch": {"command": C, "steps_per_launch": 64},
    "C, by pipe": {"command": ["./dw_pipe"], "protocol": "pipe"},
    "Fortran, by files": {"command": FORTRAN},
    "Fortran, 7 steps a launch": {"command": FORTRAN, "steps_per_launch": 7},
    "Fortran, by pipe": {"command": ["./dw_pipe_fortran"], "protocol": "pipe"},
}
"""One generator, seeded where a segment begins: these all are the same model."""
BY_STEP = {"a step a launch": {}, "7 steps a launch": {"steps_per_launch": 7}}
STRETCHED = {"steps_per_launch": 7}
ENGINES: dict[str, Any] = {
    "blocks of 3": partial(InProcess, block_length=3),
    "processes": partial(Processes, n_workers=2, seconds=0.02),
    "launches": partial(Launches, slots=2, seconds=0.02),
}

REST, OTHERS = (sorted(ENGINES.keys() - {name}) for name in ("blocks of 3", "launches"))


def named(name: str) -> Any:
    return pytest.param(name, marks=needs("gfortran") if "Fortran" in name else ())


@cache
def by_segment() -> tuple[Any, ...]:
    return tams(well(seeding="branch", **BY_SEGMENT["C, by files"])).run(2, seed=3).runs


@cache
def by_step(**told: Any) -> tuple[Any, ...]:
    return tams(well(**told)).run(2, seed=3).runs


@pytest.mark.slow
@pytest.mark.parametrize("name", [named(name) for name in BY_SEGMENT])
def test_one_model_however_it_is_written(name: str) -> None:
    assert sum(run.n_branchings for run in by_segment()) > 4
    assert tams(well(seeding="branch", **BY_SEGMENT[name])).run(2, seed=3).runs == by_segment()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["launches", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
@pytest.mark.parametrize("name", ["C, 7 steps a launch", "C, by pipe"])
def test_on_every_engine(name: str, engine: str) -> None:
    model = well(seeding="branch", **BY_SEGMENT[name])
    assert tams(model).run(2, seed=3, engine=ENGINES[engine]).runs == by_segment()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["blocks of 3", *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
@pytest.mark.parametrize("told", BY_STEP.values(), ids=BY_STEP)
def test_a_seed_for_each_launch(told: dict[str, Any], engine: str) -> None:
    """A launch that is cut short is begun again where it began, with the seed that it had."""
    assert tams(well(**told)).run(2, seed=3, engine=ENGINES[engine]).runs == by_step(**told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"states": pytams.States(every=5)},
        {"sparse_freq": 3},
        pytest.param({"checkpoint_interval": 1e-9}, marks=pytest.mark.slow),
    ],
    ids=["every", "sparse", "checkpoints"],
)
@pytest.mark.parametrize("told", BY_STEP.values(), ids=BY_STEP)
def test_whatever_is_stored(told: dict[str, Any], how: dict[str, Any], tmp_path: Path) -> None:
    states = how.get("states")
    storage = pytams.Storage(
        path=tmp_path / "out", **{name: value for name, value in how.items() if name != "states"}
    )
    with tams(well(**told)).study(2, seed=3, out=storage, states=states) as study:
        for n_blocks, _ in enumerate(study):
            if n_blocks == 9:
                break
    assert tams(well(**told)).run(2, seed=3, out=tmp_path / "out").runs == by_step(**told)
    with pytams.load(tmp_path / "out") as saved:
        assert saved.result.runs == by_step(**told)
        [first, *_] = saved.trajectories(0)
        assert len(first.times) == len(first.scores) > 1


@pytest.mark.slow
def test_a_program_that_is_deterministic(tmp_path: Path) -> None:
    """A command perturbs it: it kicks the integer that is the state, before each step or where a segment begins."""
    (tmp_path / "init").write_text("0\n")
    step = script(tmp_path, 'x=$(cat "$1"); echo $((x > 0 ? x - 1 : 0)) > "$2"; cat "$2"')
    kick = script(tmp_path, 'x=$(cat "$1"); echo $((x + $3 % 3)) > "$2"', "kick.sh")
    told: dict[str, Any] = {
        "command": [step, "{restart}", "{next}"],
        "perturb": [kick, "{restart}", "{next}", "{seed31}"],
        "initial": "init",
        "folder": str(tmp_path),
        **PRINTED,
    }
    for when in ("step", "branch"):
        model = pytams.Program(when=when, **told)
        result = tams(model, target_score=4.0).run(2, seed=1)
        assert result.runs == tams(model, target_score=4.0).run(2, seed=1, engine=ENGINES["blocks of 3"]).runs
        assert (result.caveat != "") == (when == "branch")
        if when == "step":
            assert 0.0 < result.probability < 1.0


@pytest.mark.slow
def test_it_says_whether_it_has_ended_or_reached_the_event(tmp_path: Path) -> None:
    """A count: it ends at 8, and the event is that it is 5, though the score would be more later."""
    (tmp_path / "init").write_text("0\n")
    step = script(
        tmp_path, 'x=$(($(cat "$1") + 1 + $3 % 2)); echo $x > "$2"; echo $x; echo "is=$((x == 5)) end=$((x > 7))"'
    )
    model = pytams.Program(
        command=[step, "{restart}", "{next}", "{seed31}"],
        initial="init",
        folder=str(tmp_path),
        reached={"pattern": r"is=(\d)"},
        ended={"pattern": r"end=(\d)"},
        **PRINTED,
    )
    result = tams(model, target_score=100.0).run(8, seed=1)
    # P(steps of 1 or 2 hit n) = (P(n - 1) + P(n - 2)) / 2
    assert abs(result.probability - 21 / 32) < 3 * result.standard_error
    assert result.n_steps < 8 * 30 * 10


EXACTLY = {
    "a seed for each launch": ({"steps_per_launch": 5}, 8),
    "a seed for each segment": (BY_SEGMENT["C, by pipe"] | {"seeding": "branch"}, 16),
}
"""By files, and by pipe: others have the bits of these, says `test_one_model_however_it_is_written`."""


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACTLY)
def test_the_exact_probability(name: str) -> None:
    """Of the chain of 0.01 that is looked at every 0.1; few states are stored, since that takes most of the time."""
    told, n = EXACTLY[name]
    problem = tams(well(**told), end_time=10.0, target_score=0.95, n_trajectories=n)
    result = problem.run(64, seed=1, states=pytams.States(every=20), engine=partial(Launches, slots=2))
    assert abs(result.probability - DOUBLE_WELL_2D_COUPLED[10]) < 3 * result.standard_error
    assert result.standard_error < 0.35 * result.probability
