"""Run directories of every format that was ever on main load, show, resume and replay.

``assets/format1.tams`` was written by the code before the house was rebuilt, in three sessions; one of its three runs
is finished. ``assets/format1.json`` has what the finished study gave then.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pytams
from pytams.cli.watch import WatchedStudy
from pytams.models.loading import make_model
from pytams.storage.manifest import FORMAT

ASSETS = Path(__file__).parent / "assets"
EXPECTED = json.loads((ASSETS / "format1.json").read_text())


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(ASSETS))
    shutil.copytree(ASSETS / "format1.tams", tmp_path / "format1.tams")
    return tmp_path / "format1.tams"


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ASSETS}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "pytams", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_it_loads(directory: Path) -> None:
    with pytams.load(directory) as saved:
        assert [run.estimate.hex() for run in saved.result.runs] == EXPECTED["estimates"][:1]
        assert saved.result.n_unfinished == 2
        assert saved.result.settings.variant == "tams"
        for run, levels in enumerate(EXPECTED["levels"]):
            found = [iteration.level.hex() for iteration in saved.splittings[run].iterations]
            assert found == levels[: len(found)]
            assert found


@pytest.mark.slow
def test_it_is_shown_and_watched(directory: Path) -> None:
    shown = command("show", directory)
    assert "1 of 3 runs finished" in shown.stdout, shown.stderr
    study = WatchedStudy(directory)
    assert (study.n_finished, list(study.unfinished)) == (1, [1, 2])
    for run, watched in study.unfinished.items():
        assert watched.level.hex() in EXPECTED["levels"][run]
        assert watched.driver is None
    assert study.lowest_level == min(run.level for run in study.unfinished.values())
    assert math.exp(study.log_estimate[0]) == pytest.approx(float.fromhex(EXPECTED["estimates"][0]) / 3)


def test_it_is_replayed(directory: Path) -> None:
    with pytams.load(directory) as saved:
        for trajectory in saved.trajectories(1) + saved.discarded(1):
            states = np.array(trajectory.replay())
            np.testing.assert_array_equal(states, trajectory.scores)  # the score is the state


def test_it_is_resumed_and_extended(directory: Path) -> None:
    resumed = command("resume", directory, "--runs", "4", "--json")
    assert resumed.returncode == 0, resumed.stderr
    found = json.loads(resumed.stdout)
    assert [estimate.hex() for estimate in found["estimates"][:3]] == EXPECTED["estimates"]
    assert json.loads((directory / "study.json").read_text())["format"] == FORMAT
    with pytams.load(directory) as saved:
        assert [run.n_steps for run in saved.result.runs][:3] == EXPECTED["n_steps"]
        assert len(saved.result.runs) == 4


def test_gone_on_with_in_python_it_says_what_its_model_is_made_of(directory: Path) -> None:
    model = make_model(f"{ASSETS / 'format1_model.py'}:Well", {}, Path())
    with pytams.load(directory) as saved:
        settings = saved.directory.info.settings
        n_runs, seed = saved.directory.info.n_runs, saved.directory.info.seed
    names = "end_time", "step_size", "target_score", "n_trajectories", "n_discard", "max_branchings"
    tams = pytams.TAMS(model, **{name: getattr(settings, name) for name in names})
    assert [x.hex() for x in tams.run(n_runs, seed, out=directory).estimates] == EXPECTED["estimates"]
    content = json.loads((directory / "study.json").read_text())
    assert content["model"]["made_of"] == {"epsilon": "0.05"}
    assert content["seed"] == seed


@pytest.mark.slow
def test_other_arguments_are_refused(directory: Path) -> None:
    """What a study was made with is known, also if what its model is made of is not; defaults too."""
    before = (directory / "study.json").read_bytes()
    resumed = command("resume", directory, "--runs", "4", "--set", "model.epsilon=0.1")
    assert resumed.returncode == 1
    assert "model.epsilon is 0.1, but the study was made with 0.05" in resumed.stderr
    assert (directory / "study.json").read_bytes() == before


@pytest.mark.slow
def test_from_then_on_it_says_what_its_model_is_made_of(directory: Path) -> None:
    assert command("resume", directory).returncode == 0
    content = json.loads((directory / "study.json").read_text())
    assert content["format"] == FORMAT
    assert content["model"]["made_of"] == {"epsilon": "0.05"}
    assert "format1_model.py" in content["model"]["sources"]
    assert command("resume", directory, "--runs", "4").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["made_of", "sources"])
def test_what_a_model_is_made_of_is_there(directory: Path, name: str) -> None:
    assert command("resume", directory).returncode == 0
    content = json.loads((directory / "study.json").read_text())
    content["model"][name] = None
    (directory / "study.json").write_text(json.dumps(content))
    with pytest.raises(
        pytams.RunDirectoryError, match=rf"study\.json is not what was written: model\.{name}: missing"
    ):
        pytams.load(directory)
