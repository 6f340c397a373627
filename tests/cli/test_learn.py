"""Learning a score from the command line: in one directory, to the same bits after any interruption."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pytams
from pytams.cli.main import main

MODEL = """
import numpy as np
import pytams

class Well(pytams.Model):
    vectorized, noise_shape, autonomous = True, (2,), True

    def initial_state(self, rng):
        return np.array([-1.0, 0.0])

    def step(self, state, noise, t, dt):
        x, y = state[:, 0], state[:, 1]
        return state + np.stack([x - x**3, -2.0 * y], axis=1) * dt + np.sqrt(0.1 * dt) * noise

    def score(self, state, t):
        x, y = state[:, 0], state[:, 1]
        to_a, to_b = (x + 1.0) ** 2 + y * y, (x - 1.0) ** 2 + y * y
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)
"""
NEARLY_IDEAL = """
import numpy as np
import pytams

class Well(pytams.Model):
    vectorized, noise_shape, autonomous = True, (), True

    def initial_state(self, rng):
        return np.array(0.0)

    def step(self, state, noise, t, dt):
        return state - state * dt + np.sqrt(dt) * noise

    def score(self, state, t):
        return state
"""
INPUT = """
[tams]
ntrajectories = 60
ndiscard = 6
nruns = 4
seed = 3
[trajectory]
end_time = 3.0
step_size = 0.05
targetscore = 0.9
[model]
class = "well.py:Well"
[score]
learn = true
pilot_runs = 2
rounds = 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "well.py").write_text(MODEL)
    (tmp_path / "in.toml").write_text(INPUT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytams_(*words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["pytams", *words])
    code = 0
    try:
        main()
    except SystemExit as error:
        code = int(error.code or 0)
    return code, *capfd.readouterr()


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: pytams_(*words, monkeypatch=monkeypatch, capfd=capfd)


def runs_in(path: Path) -> Any:
    with pytams.load(path) as saved:
        return saved.result.runs


@pytest.mark.slow
def test_all_in_one_directory(folder: Path, call: Any) -> None:
    code, out, err = call("run", "in.toml", "--out", "one.tams")
    assert code == 0, err
    assert "learned from 2 other runs" in out
    assert "round 1 *     4" in out
    assert [line for line in err.splitlines() if line.endswith(":")] == [
        "pilot, with its own score:",
        "round 1, with a learned score:",
        "study, with the learned score:",
    ]
    code, in_memory, err = call("run", "in.toml", "--json")
    assert code == 0, err
    told, saved = json.loads(in_memory), pytams.load(folder / "one.tams")
    assert told["estimates"] == list(saved.result.estimates)
    assert told["learning"]["best"] == 1
    assert told["learning"]["study"]["gain"] > 0.0
    code, shown, _ = call("show", "one.tams")
    assert shown.splitlines()[-5:] == out.splitlines()[-5:]
    assert json.loads(call("show", "one.tams", "--json")[1])["learning"] == told["learning"]
    shutil.move("one.tams", "moved.tams")
    code, out, err = call("resume", "moved.tams", "--runs", "5")
    assert code == 0, err
    assert "5 finished" in out
    assert runs_in(folder / "moved.tams")[:4] == saved.result.runs
    assert call("run", "in.toml", "--out", "moved.tams")[0] == 2  # it holds a study
    assert call("plot", "moved.tams", "--kind", "score")[0] == 0
    assert (folder / "moved-score.png").stat().st_size > 10_000
    assert call("plot", "moved.tams", "--kind", "score", "--feature", "x[1]", "--feature", "x[0]")[0] == 0
    for wrong, said in {
        ("--kind", "score", "--feature", "z"): "--feature: no feature is called 'z'; there are x[0], x[1]",
        ("--feature", "x[0]"): "--feature: one or two, of the picture of a learned score",
    }.items():
        code, _, err = call("plot", "moved.tams", *wrong)
        assert (code, said in err) == (2, True), err
    assert call("report", "moved.tams")[0] == 0
    assert "The score that was learned, over the two features" in (folder / "moved.html").read_text()


@pytest.mark.slow
def test_show_says_as_much_as_the_study_did_where_nothing_is_learned(folder: Path, call: Any) -> None:
    """The score of this process is nearly the best there is."""
    (folder / "well.py").write_text(NEARLY_IDEAL)
    (folder / "in.toml").write_text(INPUT.replace("targetscore = 0.9", "targetscore = 2.5"))
    code, out, err = call("run", "in.toml", "--out", "one.tams", "--set", "score.pilot_runs=4", "--runs", "2")
    assert code == 0, err
    assert out.splitlines()[-1].startswith("no more     the score is nearly ideal")
    assert call("show", "one.tams")[1].splitlines()[-3:] == out.splitlines()[-3:]


@pytest.mark.slow
def test_improve_a_study(folder: Path, call: Any) -> None:
    assert call("run", "in.toml", "--out", "pilot.tams", "--set", "score.learn=false")[0] == 0
    code, _, err = call("plot", "pilot.tams", "--kind", "score")
    assert (code, "--kind: the score of pilot.tams is your own: there is no picture of it" in err) == (2, True), err
    code, out, err = call("improve", "pilot.tams", "--out", "better.tams", "--rounds", "1", "--seed", "11")
    assert code == 0, err
    assert "pilot         4" in out
    assert "learned from 4 other runs, 0 to 3 of seed 3" in out
    assert "pilot         4" in call("show", "better.tams")[1]
    code, _, err = call("improve", "pilot.tams", "--out", "better.tams")
    assert (code, "holds a study already; go on with it: pytams resume better.tams" in err) == (2, True)
    code, _, err = call("improve", "pilot.tams", "--out", "other.tams", "--seed", "3", "--rounds", "1")
    assert (code, (folder / "other.tams").exists()) == (2, False)
    assert "runs of seed 3 teach the score, and must not estimate: take another one" in err
    (folder / "well.py").write_text(MODEL + "\nchanged = True\n")
    code, _, err = call("improve", "pilot.tams", "--out", "third.tams")
    assert code == 1
    assert "the source of Well has changed" in err


@pytest.mark.slow
def test_improve_an_improved_study_and_resume(folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pilot's score is kept with the rounds: what is resumed is what it would have been."""
    monkeypatch.setattr("pytams.tams.improving._NEARLY_IDEAL", 0.0)
    assert call("run", "in.toml", "--out", "pilot.tams")[0] == 0
    code, _, err = call("improve", "pilot.tams", "--out", "whole.tams", "--rounds", "1", "--seed", "9", "--runs", "2")
    assert code == 0, err
    (folder / "part.tams").mkdir()
    shutil.copytree(folder / "whole.tams" / "learning", folder / "part.tams" / "learning")
    code, _, err = call("resume", "part.tams")
    assert code == 0, err
    assert runs_in(folder / "part.tams") == runs_in(folder / "whole.tams")
    shutil.rmtree(folder / "part.tams")
    (folder / "part.tams" / "learning").mkdir(parents=True)
    for name in ("plan.json", "score.npz"):
        shutil.copy(folder / "whole.tams" / "learning" / name, folder / "part.tams" / "learning" / name)
    code, _, err = call("resume", "part.tams")
    assert (code, "nothing has been computed yet: give the command again that has begun it" in err) == (1, True)
    code, _, err = call("improve", "pilot.tams", "--out", "part.tams", "--rounds", "1", "--runs", "2")
    assert code == 0, err
    assert runs_in(folder / "part.tams") == runs_in(folder / "whole.tams")


@pytest.mark.slow
def test_the_pilot_teaches_the_second_score_too(folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what is resumed before that was learned looks for it where it was."""
    for name in ("_NEARLY_IDEAL", "_GOOD_ENOUGH"):
        monkeypatch.setattr(f"pytams.tams.improving.{name}", 0.0)
    pilot, part = folder / "pilot.tams", folder / "part.tams"
    assert call("run", "in.toml", "--out", "pilot.tams", "--set", "score.learn=false")[0] == 0
    code, _, err = call("improve", "pilot.tams", "--out", "whole.tams", "--rounds", "2", "--seed", "9")
    assert code == 0, err
    assert len(pytams.load("whole.tams/learning/round2").result.taught_by) == 12
    part.mkdir()
    shutil.copytree(folder / "whole.tams" / "learning", part / "learning")
    shutil.rmtree(part / "learning" / "round2")
    pilot.rename(folder / "elsewhere")
    code, _, err = call("resume", "part.tams")
    assert code == 2
    assert "pilot: its runs teach the next score, too: they must be where they were, and as they were" in err
    (folder / "elsewhere").rename(pilot)
    code, _, err = call("resume", "part.tams")
    assert code == 0, err
    assert runs_in(part) == runs_in(folder / "whole.tams")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["score.npz", "learning/round1/score.npz"])
def test_a_score_that_was_changed_is_refused(damage: str, folder: Path, call: Any) -> None:
    assert call("run", "in.toml", "--out", "one.tams")[0] == 0
    other = pytams.LearnedScore.load(folder / "one.tams" / damage)
    dataclasses.replace(other, level=0.2).save(folder / "one.tams" / damage)
    if damage != "score.npz":
        (folder / "one.tams" / "study.json").unlink()
    code, _, err = call("resume", "one.tams", "--runs", "5")
    assert code == 1
    assert "is of another model: model.score is" in err or "holds another" in err, err


@pytest.mark.slow
def test_while_it_is_being_learned(folder: Path, call: Any) -> None:
    """Everybody says so; and who watches, watches the round."""
    assert call("run", "in.toml", "--out", "one.tams")[0] == 0
    shutil.move(folder / "one.tams" / "learning", folder / "learning")
    shutil.rmtree(folder / "one.tams")
    shutil.rmtree(folder / "learning" / "round1")
    (folder / "one.tams").mkdir()
    shutil.move(folder / "learning", folder / "one.tams" / "learning")
    code, _, err = call("report", "one.tams")
    assert code == 1
    assert "one.tams: its score is still being learned, by what is in one.tams/learning; pytams resume goes on" in err
    code, out, err = call("show", "one.tams")
    assert code == 0, err
    assert "one.tams: its score is being learned; pytams resume goes on" in out
    assert "the pilot's own: none has been checked yet" in out
    code, out, err = call("watch", "one.tams", "--interval", "0.1")
    assert code == 0, err
    assert "pilot *       2" in out
    code, out, err = call("resume", "one.tams")
    assert code == 0, err
    assert "round 1 *     4" in out


@pytest.mark.slow
def test_a_plan_that_was_changed_is_refused(folder: Path, call: Any) -> None:
    assert call("run", "in.toml", "--out", "one.tams")[0] == 0
    plan = folder / "one.tams" / "learning" / "plan.json"
    (folder / "one.tams" / "study.json").unlink()
    plan.write_text(plan.read_text().replace("n_runs", "n_ruins"))
    code, _, err = call("resume", "one.tams")
    assert code == 1
    assert "plan.json is not what was written: " in err
    plan.unlink()
    plan.symlink_to(folder / "in.toml")
    code, _, err = call("resume", "one.tams")
    assert code == 1
    assert "plan.json" in err
    assert "nothing is read from it" in err


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(folder: Path) -> None:
    slow = INPUT.replace("[tams]", "[database]\ncheckpoint_interval = 0.2\n[tams]")
    (folder / "in.toml").write_text(slow)
    command = [sys.executable, "-m", "pytams"]
    subprocess.run([*command, "run", "in.toml", "--out", "whole.tams"], cwd=folder, check=True, capture_output=True)
    n_kills = 0
    for attempt in range(40):
        words = ["run", "in.toml", "--out", "killed.tams"] if attempt == 0 else ["resume", "killed.tams"]
        process = subprocess.Popen([*command, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.2 * 1.1**attempt)  # so that it ends on a slow machine, too
        process.send_signal(signal.SIGKILL if attempt % 2 else signal.SIGTERM)
        _, err = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        n_kills += 1
        if not (folder / "killed.tams" / "learning" / "round0" / "study.json").exists():
            shutil.rmtree(folder / "killed.tams", ignore_errors=True)
            subprocess.run([*command, "run", "in.toml", "--out", "killed.tams", "--set", "tams.walltime=0.01"],
                           cwd=folder, check=False, capture_output=True)  # fmt: skip
    assert process.returncode == 0, err
    assert n_kills > 2
    assert runs_in(folder / "killed.tams") == runs_in(folder / "whole.tams")
