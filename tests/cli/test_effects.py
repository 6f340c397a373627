"""Settings that have no effect are warned of, or refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytams
from pytams.cli.config import Config
from pytams.cli.effects import threads_without_effect, without_effect

MODEL = """
import pytams
class Walk(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return 0.0
    def step(self, state, noise, t, dt):
        return state + noise
    def score(self, state, t):
        return state
"""
INPUT = """
[tams]
ntrajectories = 6
seed = 1
[trajectory]
end_time = 5
step_size = 1
targetscore = 2
[model]
class = "walk.py:Walk"
"""


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    (tmp_path / "walk.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    return tmp_path / "input.toml"


def warnings(path: Path, *settings: str, has_directory: bool = False) -> list[str]:
    return without_effect(Config.load(path, settings), has_directory=has_directory, begins=True)


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("runner.runs_at_once=1", "[runner] runs_at_once"),
        ("states.keep=all", "[states] keep"),
        ("trajectory.sparse_freq=1", "[trajectory] sparse_freq"),
        ("database.archive_discarded=false", "[database]"),
    ],
)
def test_what_concerns_a_run_directory_needs_one(walk: Path, setting: str, name: str) -> None:
    assert warnings(walk, setting) == [f"{name} has no effect without --out: nothing is written"]
    assert warnings(walk, setting, has_directory=True) == []


@pytest.mark.parametrize("key", ["nthreads", "block_length"])
@pytest.mark.parametrize("kind", ["process", "dask", "launch"])
def test_what_is_for_this_process_is_not_for_workers(walk: Path, kind: str, key: str) -> None:
    expected = [f"[runner] {key} has no effect: [runner] type is '{kind}'"]
    assert warnings(walk, f"runner.type={kind}", f"runner.{key}=3") == expected
    assert warnings(walk, f"runner.{key}=3") == []
    assert warnings(walk, f"runner.type={kind}") == []


def test_launches_have_no_batches(walk: Path) -> None:
    [warning] = warnings(walk, "runner.type=launch", "runner.batch=2")
    assert warning == "[runner] batch has no effect: [runner] type is 'launch'"
    assert warnings(walk, "runner.type=process", "runner.batch=2") == []


@pytest.mark.parametrize(
    ("file", "kind", "aside"),
    [
        ("type = 'dask'\nnworkers = 3\nbatch = 2", "inprocess", ["batch", "nworkers"]),
        ("type = 'process'\nblock_timeout = 9\nnworkers = 3", "launch", ["block_timeout", "nworkers"]),
        ("type = 'launch'\nslots = 3", "process", ["slots"]),
    ],
)
def test_another_type_of_runner_for_once(walk: Path, file: str, kind: str, aside: list[str]) -> None:
    """What the file says of its own is set aside; what the command line says beside it is not."""
    walk.write_text(f"{INPUT}[runner]\n{file}\n")
    assert Config.load(walk, [f"runner.type={kind}"]).runner.type == kind
    assert warnings(walk, f"runner.type={kind}") == [
        f"[runner] {key} has no effect: [runner] type is '{kind}'" for key in aside
    ]
    with pytest.raises(pytams.SettingsError, match=rf"\[runner\] {aside[0]}"):
        Config.load(walk, [f"runner.type={kind}", f"runner.{aside[0]}=4"])


@pytest.mark.parametrize("key", ["pilot_runs", "rounds"])
def test_how_to_learn_is_nothing_without_learning(walk: Path, key: str) -> None:
    assert warnings(walk, f"score.{key}=5") == [f"[score] {key} has no effect without [score] learn = true"]
    assert warnings(walk, f"score.{key}=5", "score.learn=true") == []


def test_what_is_in_the_file_is_told_as_what_is_in_the_line(walk: Path) -> None:
    walk.write_text(INPUT + "[states]\nkeep = 'all'\n")
    assert warnings(walk) == ["[states] keep has no effect without --out: nothing is written"]
    assert warnings(walk, "states.keep=") == []


def test_threads_are_for_compiled_models(walk: Path) -> None:
    config = Config.load(walk, ["runner.nthreads=3"])
    [warning] = threads_without_effect(config, config.make_model())
    assert warning.startswith("[runner] nthreads has no effect: Walk is not compiled")
    config = Config.load(walk)
    assert threads_without_effect(config, config.make_model()) == []


def test_threads_are_used_by_an_sde_that_is_compiled(walk: Path) -> None:
    walk.with_name("walk.py").write_text("""
import pytams
class Walk(pytams.SDE):
    def __init__(self, compiled):
        super().__init__(
            lambda x, t, p: 0.0, lambda x, t, p: 1.0, lambda x, t, p: x, initial=0.0, compiled=compiled
        )
""")
    for is_compiled, n_warnings in (("true", 0), ("false", 1)):
        config = Config.load(walk, ["runner.nthreads=3", f"model.compiled={is_compiled}"])
        assert len(threads_without_effect(config, config.make_model())) == n_warnings


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytams", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


@pytest.mark.slow
def test_a_user_hears_of_it(walk: Path) -> None:
    done = command(walk.parent, "run", "input.toml", "-q", "--set", "runner.nthreads=3", "--set", "states.keep=all")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: [states] keep has no effect without --out: nothing is written",
        "warning: [runner] nthreads has no effect: Walk is not compiled; worker processes: type = 'process'",
    ]
    refused = command(walk.parent, "run", "input.toml", "--overwrite")
    assert refused.returncode == 2
    assert "pytams: --overwrite: there is nothing to move aside" in refused.stderr


@pytest.mark.slow
def test_what_cannot_change_is_refused_when_a_study_goes_on(walk: Path) -> None:
    assert command(walk.parent, "run", "input.toml", "--out", "x.tams").returncode == 0
    for setting, was in (("database.archive_discarded=false", "true"), ("trajectory.sparse_freq=2", "0")):
        refused = command(walk.parent, "resume", "x.tams", "--set", setting)
        assert refused.returncode == 2
        assert f"the study was made with {was}; this cannot change" in refused.stderr
    for kind in ("process", "inprocess"):  # of as many workers as were asked for, and of none
        again = command(walk.parent, "resume", "x.tams", "-q", "--runs", "2", "--set", f"runner.type={kind}",
                        *(["--set", "runner.nworkers=2"] if kind == "process" else []))  # fmt: skip
        assert (again.returncode, again.stderr) == (0, "")
    same = command(walk.parent, "resume", "x.tams", "-q", "--set", "trajectory.sparse_freq=0")
    assert (same.returncode, same.stderr) == (0, "")
    told = command(walk.parent, "resume", "x.tams", "-q", "--set", "score.rounds=3", "--set", "dask.minimum=1")
    assert (told.returncode, told.stderr.splitlines()) == (
        0,
        [
            "warning: [dask] has no effect: [runner] type is 'inprocess'",
            "warning: [score] has no effect: how a score is learned is said when a study is begun",
        ],
    )
