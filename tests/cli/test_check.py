"""``pytams check`` finds what would make a study wrong, and says what a trajectory takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytams import States

INPUT = """
[tams]
ntrajectories = 30
nruns = 4
seed = 1
[trajectory]
end_time = 5.0
step_size = 0.01
targetscore = 0.9
[model]
class = "model.py:Well"
"""

WELL = """
import os
import numpy as np
import pytams

MEMORY = {"n": 0}

class Well(pytams.Simulator):
    def start(self, rng):
        self.x, self.n = -1.0, 0

    def load(self, state):
        self.x, self.n = float(state[0]), int(state[1])

    def save(self):
        return np.array([self.x, self.n])

    def step(self, seed, t, dt):
        self.n += 1
        self.move(np.random.default_rng(seed).standard_normal(), dt)

    def move(self, noise, dt):
        self.x += (self.x - self.x * self.x * self.x) * dt + (0.1 * dt) ** 0.5 * noise

    def score(self):
        return self.x
"""

BRANCHING = """
class Well(Well):
    seeding = "branch"

    def branch(self, seed):
        self.bits = np.random.SFC64(seed)
        self.use(getattr(self, "loaded", None))

    def use(self, loaded):
        if loaded is not None:
            self.bits.state = loaded

    def start(self, rng):
        super().start(rng)
        self.loaded = None

    def load(self, state):
        super().load(state["x"])
        state = {"bit_generator": "SFC64", "state": {"state": state["words"]}, "has_uint32": 0, "uinteger": 0}
        self.bits = np.random.SFC64(0)
        self.bits.state = self.loaded = state

    def save(self):
        return {"x": super().save(), "words": self.bits.state["state"]["state"]}

    def step(self, seed, t, dt):
        self.n += 1
        self.move(np.random.Generator(self.bits).standard_normal(), dt)
"""

WRONG = {
    "a global generator": (
        "    def step(self, seed, t, dt):\n        self.move(np.random.standard_normal(), dt)\n",
        "NO   the same seed gives the same bits",
    ),
    "a forgotten re-initialisation": (
        "    n = 0\n    def load(self, state):\n        self.x = float(state[0])\n"
        "    def move(self, noise, dt):\n        super().move(noise, dt)\n        self.x += 1e-3 * self.n\n",
        "NO   also if another trajectory was computed in between",
    ),
    "a global of the module": (
        "    def step(self, seed, t, dt):\n        super().step(seed, t, dt)\n"
        "        MEMORY['n'] = self.n if self.n == 1 else MEMORY['n'] + 1\n        self.x += 1e-3 * MEMORY['n']\n",
        "NO   in another process, it goes on to the same bits",
    ),
    "a file in the working directory": (
        "    def step(self, seed, t, dt):\n        super().step(seed, t, dt)\n"
        "        open('restart.dat', 'a').write('x')\n",
        "NO   it leaves nothing in the working directory: it left restart.dat",
    ),
    "a save that changes the state": (
        "    def save(self):\n        self.x += 1e-6\n        return super().save()\n",
        "NO   to save it changes nothing",
    ),
}


def check(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "input.toml").write_text(INPUT)
    (folder / "model.py").write_text(code)
    command = [sys.executable, "-m", "pytams", "check", "input.toml", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("code", [WELL, WELL + BRANCHING.replace("self.use(", "str(")], ids=["by step", "by branch"])
def test_a_model_that_is_fit(tmp_path: Path, code: str) -> None:
    done = check(tmp_path, code)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line[:5] for line in lines[:9]] == ["yes  "] * 9
    assert lines[9].startswith("a step ")
    assert lines[10].startswith("the first ensembles, 120 trajectories of 500 steps: ")
    assert "an event of probability 1e-06, with branches half as long: about " in lines[12]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [
        "input.toml",
        "model.py",
    ]


FOLDERS = f"""{WELL}
class Well(Well):
    def open(self, place):
        self.place = place

    def load(self, state):
        super().load(np.load(state / "x.npy"))

    def save(self):
        (self.place.scratch / "saved").mkdir(exist_ok=True)
        np.save(self.place.scratch / "saved" / "x.npy", super().save())
        return self.place.scratch / "saved"
"""


@pytest.mark.slow
def test_states_in_folders(tmp_path: Path) -> None:
    done = check(tmp_path, FOLDERS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("yes  ") == 9
    assert "a state 144 B" in done.stdout
    sizes = [
        re.search(r"and ([\d.]+ [kM]B) \+- ([\d.]+ [kM]B) of states", check(tmp_path, FOLDERS, *more).stdout)
        for more in ((), ("--set", "states.every=20"))
    ]
    (mean, error), (fewer, _) = (
        [States(max_size=text).most_bytes for text in size.groups()] for size in sizes if size
    )
    assert 0.0 < error < 0.15 * mean
    assert fewer < 0.5 * mean


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found(tmp_path: Path, wrong: str) -> None:
    methods, message = WRONG[wrong]
    done = check(tmp_path, f"{WELL}\nclass Well(Well):\n{methods}")
    assert done.returncode == 1
    assert message in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_generator_that_is_loaded_after_it_was_seeded_is_found(tmp_path: Path) -> None:
    done = check(tmp_path, WELL + BRANCHING)
    assert done.returncode == 1
    assert "NO   two branches from one state part: the seed has no effect" in done.stdout


@pytest.mark.slow
def test_a_model_that_ends_its_process(tmp_path: Path) -> None:
    done = check(tmp_path, f"{WELL}\nclass Well(Well):\n    def score(self):\n        os._exit(3)\n")
    assert done.returncode == 1
    assert "pytams: the model ended its process" in done.stderr


ENDS = f"{WELL}\nclass Well(Well):\n    def ended(self, t):\n        return t > 0.095\n"


@pytest.mark.slow
def test_a_trajectory_that_ends_too_soon(tmp_path: Path) -> None:
    done = check(tmp_path, ENDS, "--steps", "30")
    assert done.returncode == 2
    assert "--steps: the first trajectory ends after 10 steps: check fewer" in done.stderr
