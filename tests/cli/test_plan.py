"""What a study would take: foretold, and then measured."""

from __future__ import annotations

import json
import math
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2DSingle, double_well_2d
from pytams.cli.config import Config
from pytams.cli.new import write_program
from pytams.cli.plan import plan_study
from pytams.engine import Processes
from pytams.engine.virtual import Lengths
from pytams.tams.forecast import Experience, choices, forecast

SETTINGS: dict[str, Any] = {"end_time": 10.0, "step_size": 0.01, "target_score": 0.95}
INPUT = """
[tams]
ntrajectories = 50
ndiscard = 5
[trajectory]
end_time = 4.0
step_size = 0.05
targetscore = 0.9
[model]
class = "well.py:Well"
"""
MODEL = """
import time
import numpy as np
import pytams

class Well(pytams.Model):
    vectorized, noise_shape = True, (2,)

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def initial_state(self, rng):
        return np.array([-1.0, 0.0])

    def step(self, state, noise, t, dt):
        time.sleep(self.seconds)
        x, y = state[:, 0], state[:, 1]
        return state + np.stack([x - x**3, -2.0 * y], axis=1) * dt + np.sqrt(0.1 * dt) * noise

    def score(self, state, t):
        return state[:, 0]
"""


class Sleepy(DoubleWell2DSingle):
    """Takes 10 ms a step, most of it asleep: several workers have room on two cores."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        time.sleep(0.01)
        return super().step(state, noise, t, dt)


@pytest.mark.slow
def test_steps_and_errors_are_about_what_they_turn_out_to_be() -> None:
    def run(n: int, n_discard: int, n_runs: int, seed: int) -> pytams.Result:
        tams = pytams.TAMS(double_well_2d(), n_trajectories=n, n_discard=n_discard, **SETTINGS)
        return tams.run(n_runs, seed=seed)

    known = Experience.of(run(50, 5, 8, 1), step_seconds=0.01)
    for n, n_discard in ((50, 1), (100, 10), (200, 5)):
        told, real = forecast(known, n, n_discard, 40, 1), run(n, n_discard, 40, 2)
        assert told.n_steps == pytest.approx(real.n_steps, rel=0.2)
        assert told.relative_error == pytest.approx(real.relative_error, rel=0.6)
        assert told.seconds == pytest.approx(0.01 * told.n_steps, rel=0.01)


@pytest.mark.slow
def test_the_wall_time_is_within_a_factor_of_two() -> None:
    """On a machine that others use meanwhile, one of three times will do."""
    settings = {"end_time": 4.0, "step_size": 0.1, "target_score": 0.9}
    pilot = pytams.TAMS(DoubleWell2DSingle(), n_trajectories=50, n_discard=5, **settings).run(8, seed=1)  # type: ignore[arg-type]
    known = Experience.of(pilot, step_seconds=0.0102)
    tams = pytams.TAMS(Sleepy(), n_trajectories=24, n_discard=1, **settings)  # type: ignore[arg-type]
    for n_workers in (2, 6):
        told = forecast(known, 24, 1, 1, n_workers, 3e-4)
        real: list[float] = []
        while len(real) < 3 and not any(0.5 < told.seconds / seconds < 2.0 for seconds in real):
            with tams.study(1, seed=3, engine=partial(Processes, n_workers=n_workers), verify=False) as study:
                steps = iter(study)
                next(steps)  # the workers are up
                begin = time.perf_counter()
                for _ in steps:
                    pass
                real.append(time.perf_counter() - begin)
        assert any(0.5 < told.seconds / seconds < 2.0 for seconds in real), (told.seconds, real)


@pytest.mark.slow
def test_more_workers_are_quicker_and_a_smaller_error_takes_longer() -> None:
    pilot = pytams.TAMS(double_well_2d(), n_trajectories=50, n_discard=5, **SETTINGS).run(8, seed=1)
    known = Experience.of(pilot, step_seconds=0.01, n_bytes=1e6)
    few, many = (choices(known, 100, 5, 0.1, n) for n in (4, 400))
    assert few[0].seconds > 10.0 * many[0].seconds
    assert all(one.relative_error <= 0.1001 for one in few + many)
    assert few[0].efficiency > 0.9
    assert choices(known, 100, 5, 0.05, 4)[0].seconds > 2.0 * few[0].seconds
    assert few[0].n_bytes is not None
    assert few[0].n_bytes > 1e6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "well.py").write_text(MODEL)
    (tmp_path / "in.toml").write_text(INPUT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*settings: str, pilot: Path | None = None, error: float = 0.1, as_json: bool = False) -> str:
    return plan_study(Config.load(Path("in.toml"), settings), 64, pilot, error, None, as_json=as_json)


@pytest.mark.slow
def test_from_a_short_pilot_or_a_directory(folder: Path) -> None:
    lines = plan().splitlines()
    assert lines[0].startswith("P is about 0.0")
    assert lines[2].split() == [
        "N",
        "l",
        "runs",
        "error",
        "steps",
        "wall",
        "time",
        "core",
        "hours",
        "busy",
        "on",
        "disk",
    ]
    assert lines[-1].startswith("recommended: ntrajectories = ")
    model = Config.load(Path("in.toml"), ()).make_tams()
    model.run(4, seed=1, out=folder / "pilot.tams")
    found = json.loads(plan(pilot=Path("pilot.tams"), as_json=True))
    assert min(one["n_bytes"] for one in found) > 1e5
    assert all(np.isfinite([one["seconds"], one["efficiency"]]).all() for one in found)
    assert found[0]["seconds"] == pytest.approx(min(one["seconds"] for one in found), rel=0.2)


@pytest.mark.slow
def test_what_cannot_be_planned(folder: Path) -> None:
    for how, said in (
        ({"error": 0.0}, "--error: 0 is no relative error"),
        ({"error": math.nan}, "--error: nan is no relative error"),
    ):
        with pytest.raises(pytams.SettingsError, match=said):
            plan(**how)  # type: ignore[arg-type]
    with pytest.raises(
        pytams.SettingsError, match=r"--pilot: a step takes 0\.0\d+ s, so a pilot may take .* min: run one"
    ):
        plan("model.seconds=0.05")
    with pytest.raises(pytams.SettingsError, match="pilot: a pilot has shown too little of the event"):
        plan("trajectory.targetscore=9.0")
    Config.load(Path("in.toml"), ()).make_tams().run(4, seed=1, out=folder / "pilot.tams")
    with pytest.raises(pytams.SettingsError, match="its target_score is 0.9, not 0.8: it is of another event"):
        plan("trajectory.targetscore=0.8", pilot=Path("pilot.tams"))
    with pytest.raises(pytams.SettingsError, match="it is of another model: model.seconds is 1e-09, but"):
        plan("model.seconds=1e-9", pilot=Path("pilot.tams"))
    with pytest.raises(pytams.SettingsError, match=r"\[score\] learn: what a score would gain is not known yet"):
        plan("score.learn=true")
    with pytest.raises(pytams.SettingsError, match="is already reached at t = 0"):
        plan("trajectory.targetscore=-2.0")


@pytest.mark.slow
def test_a_program_and_large_ensembles(folder: Path) -> None:
    write_program(Path("code"))
    subprocess.run(["make", "-C", "code"], check=True, capture_output=True)
    small = ["trajectory.end_time=0.5", "trajectory.targetscore=0.05", "tams.ntrajectories=20", "tams.ndiscard=1"]
    config = Config.load(Path("code/input.toml"), [*small, "tams.seed=3"])
    assert "recommended" in plan_study(config, 8, None, 0.3, None, as_json=False)
    begin = time.perf_counter()
    assert "recommended" in plan("tams.ntrajectories=20000")
    assert time.perf_counter() - begin < 120


def test_a_part_of_a_study_is_as_quick_as_the_whole() -> None:
    """Also if the driver is slow, and runs are many and workers few."""
    lengths = Lengths(initial=100, branch=30.0)
    known = Experience(log_probability=-6.0, variance=8.0, lengths=lengths, excess=1.0, step_seconds=0.01)
    told = forecast(known, 50, 5, 1000, 8, 0.0015)
    assert told.seconds == pytest.approx(0.01 * told.n_steps / 8, rel=0.1)
