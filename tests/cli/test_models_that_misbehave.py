"""Models that print, leave, and change the working directory: none of it reaches the results. Real processes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DoubleWell2DSingle

NOISY = """
import ctypes, os, sys
import numpy as np
import pytams

def noise(where):
    print("printed in", where)
    os.write(1, f"written in {where}\\n".encode())
    ctypes.CDLL(None).puts(f"put in {where}".encode())  # C flushes it when the process ends
    os.chdir("/")

noise("import")

class Noisy(pytams.Model):
    noise_shape = (2,)
    def __init__(self):
        noise("constructor")
    def initial_state(self, rng):
        return np.array([-1.0, 0.0])
    def step(self, x, xi, t, dt):
        if t == 0.0:
            noise("step")
        return x + np.array([x[0] - x[0] ** 3, -2 * x[1]]) * dt + np.sqrt(0.1 * dt) * xi
    def score(self, x, t):
        return x[0]
    def potential(self, x):
        noise("potential")
        return x[:, 0] ** 4 / 4 - x[:, 0] ** 2 / 2 + x[:, 1] ** 2
"""
INPUT = """
[tams]
ntrajectories = 6
seed = 1
[trajectory]
end_time = 2
step_size = 0.05
targetscore = 0.1
[model]
class = "noisy.py:Noisy"
"""
PLACES = ["import", "constructor", "step"]
WAYS = ["printed", "written", "put"]


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytams", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "noisy.py").write_text(NOISY)
    (tmp_path / "models" / "input.toml").write_text(INPUT)
    return tmp_path


@pytest.mark.slow
def test_what_a_model_prints_is_no_result(noisy: Path) -> None:
    workers = ["--set", "runner.type=process", "--set", "runner.nworkers=2"]
    done = command("run", "models/input.toml", "--runs", "2", "--json", *workers, cwd=noisy)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_runs"] == 2
    for way in WAYS:
        for place in PLACES:
            assert f"{way} in {place}" in done.stderr


@pytest.mark.slow
def test_where_a_model_goes_nothing_follows(noisy: Path) -> None:
    logged = ["--set", "tams.logfile=run.log", "--set", "tams.loglevel=INFO"]
    done = command("run", "models/input.toml", "--out", "dw.tams", "--runs", "2", "--json", *logged, cwd=noisy)
    assert done.returncode == 0, done.stderr
    estimates = json.loads(done.stdout)["estimates"]
    assert " in " not in done.stderr
    log = (noisy / "run.log").read_text()
    assert all(f"{way} in {place}" in log for way in WAYS for place in PLACES)
    done = command("resume", "dw.tams", "--runs", "3", "--json", cwd=noisy)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["estimates"][:2] == estimates
    done = command("plot", "dw.tams", "--kind", "paths", cwd=noisy)
    assert (done.returncode, done.stdout) == (0, "wrote dw-paths.png\n"), done.stderr
    assert "printed in potential" in done.stderr
    assert {path.name for path in noisy.iterdir()} == {"models", "dw.tams", "run.log", "dw-paths.png"}


def test_a_run_directory_stays_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python, too."""

    class Wanders(DoubleWell2DSingle):
        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            os.chdir("/")
            return super().step(state, noise, t, dt)

    monkeypatch.chdir(tmp_path)
    tams = pytams.TAMS(Wanders(), end_time=1, step_size=0.1, target_score=0.7, n_trajectories=4)
    for out in ("a.tams", pytams.Storage(path=Path("b.tams"))):
        os.chdir(tmp_path)
        tams.run(2, seed=1, out=out)
    for name in ("a.tams", "b.tams"):
        with pytams.load(tmp_path / name) as saved:
            assert len(saved.result.runs) == 2


LEAVES = """
import sys
from noisy import Noisy

class Leaves(Noisy):
    def __init__(self, where):
        self.where = where
        if where == "constructor":
            sys.exit(3)
    def step(self, x, xi, t, dt):
        if t > 0.45 and self.where == "step":
            sys.exit()
        return super().step(x, xi, t, dt)
"""


@pytest.mark.slow
def test_a_model_that_leaves_is_an_error_that_says_where(noisy: Path) -> None:
    (noisy / "models" / "leaves.py").write_text(LEAVES)
    for where, code, message in [
        ("constructor", 2, "[model]: leaves.py:Leaves raised SystemExit: 3"),
        ("step", 1, "Leaves.step raised SystemExit at run 0, slot 0, step 10 (t = 0.5)"),
    ]:
        options = ["--set", "model.class=leaves.py:Leaves", "--set", f"model.where={where}"]
        done = command("run", "models/input.toml", *options, cwd=noisy)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_a_model_prints_goes_nowhere_if_all_is_closed(noisy: Path) -> None:
    """And not into the file that got the number of standard output."""
    arguments = [sys.executable, "-m", "pytams", "run", "models/input.toml", "--out", "dw.tams"]
    done = subprocess.run(["sh", "-c", f"exec {shlex.join(arguments)} 0<&- >&- 2>&-"], cwd=noisy, check=False)
    assert done.returncode == 0
    files = [path for path in noisy.rglob("dw.tams/**/*") if path.is_file()]
    assert len(files) >= 3
    assert not any(b"in step" in path.read_bytes() for path in files)


@pytest.mark.slow
def test_an_output_that_nobody_reads(noisy: Path) -> None:
    """A closed pipe is left quietly; a full disk is said."""
    for arguments in (["run", "models/input.toml", "--out", "dw.tams", "--json"], ["show", "dw.tams", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "pytams", *arguments]
        closed = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=noisy, check=False)
        os.close(writer)
        assert closed.returncode == 1
        assert "Error" not in closed.stderr
        assert "pytams:" not in closed.stderr
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=noisy, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "pytams: standard output cannot be written: No space left on device\n(--debug shows where)\n"
    )


STILL = """
import numpy as np
import pytams

class Still(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return -1.0 + 0.05 * rng.standard_normal()
    def step(self, x, xi, t, dt):
        return x * (1.0 - 0.2 * dt)
    def score(self, x, t):
        return x
"""


@pytest.mark.slow
def test_a_seed_without_effect_is_an_error_and_the_way_out_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "still.py").write_text(STILL)
    settings = INPUT.replace("noisy.py:Noisy", "still.py:Still").replace("ntrajectories = 6", "ntrajectories = 12")
    (tmp_path / "input.toml").write_text(settings)
    done = command("run", "input.toml", "--out", "still.tams", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert " branches repeated their parents to the bit" in done.stderr
    assert (
        "([tams] verify = false goes on without this check, at your own risk; in Python, verify=False.)"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    done = command("resume", "still.tams", "--json", "--set", "tams.verify=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    health = json.loads(done.stdout)["health"]
    assert "branches repeat their parents to the bit: the seed has no effect" in health["reason"]
    shown = command("show", "still.tams", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["result"]["health"] == health
