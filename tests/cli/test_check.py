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
    "its process": (
        "    def step(self, seed, t, dt):\n        super().step(seed, t, dt)\n        self.x += 1e-9 * os.getpid()\n",
        "NO   in another process, it goes on to the same bits: does it depend on its process",
    ),
    "a constructor that draws": (
        "    def __init__(self):\n        self.strength = np.random.random()\n"
        "    def move(self, noise, dt):\n        super().move(noise, self.strength * dt)\n",
        "NO   so does the model, made a second time: does its constructor draw random numbers",
    ),
    "a module that draws": (
        "    strength = np.random.random()\n"
        "    def move(self, noise, dt):\n        super().move(noise, self.strength * dt)\n",
        "is something of its module drawn at random where that is imported?",
    ),
    "a start at the target": (
        "    def score(self):\n        return 2.0 + self.x\n",
        "NO   it starts below the target (1, of 0.9): there is nothing to estimate: set a higher target",
    ),
    "an end at the start": (
        "    def ended(self, t):\n        return True\n",
        "NO   it goes on from where it starts: its own stop condition holds at t = 0",
    ),
    "no module": (
        "    import nowhere_to_be_found\n",
        "NO   the model can be imported and made: [model] class: importing ",
    ),
    "a constructor that raises": (
        "    def __init__(self):\n        raise ValueError('no data')\n",
        "NO   the model can be imported and made: [model]: model.py:Well raised ValueError: no data",
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
    assert [line[:5] for line in lines[:13]] == ["yes  "] * 13
    assert lines[2] in {"yes  it starts below the target (-1, of 0.9)", "yes  it starts at random (-1 once, of 0.9)"}
    assert re.fullmatch(
        r"the score sets \S+ records in 40 steps; the best trajectory made 0\.\d+ of the way to the target, "
        r"and no step more than 0\.0\d+",
        lines[13],
    )
    assert lines[14].startswith("a step ")
    assert lines[15].startswith("the first ensembles, 120 trajectories of 500 steps: ")
    assert re.fullmatch(
        r"an event of probability 1e-06, with branches half as long: about .* of one worker "
        r"\(\S+ core hours\), [\d.]+ MB on disk",
        lines[17],
    )
    assert len(lines) == 18
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
    assert done.stdout.count("yes  ") == 13
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


ERRORS = {
    "a score that is no number": (
        "    def score(self):\n        return float('nan')\n",
        "Well.score returned nan at run 0, slot 0, step 0 (t = 0); scores must be finite numbers",
    ),
    "a score of another shape": (
        "    def score(self):\n        return np.zeros(2)\n",
        "Well.score returned shape (2,) at run 0, slot 0, step 0",
    ),
    "a module that workers cannot import": (
        "    if parent_process() is not None:\n        raise OSError('only here')\n",
        "pytams: in a worker process, importing ",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ERRORS)
def test_what_raises_is_said(tmp_path: Path, wrong: str) -> None:
    methods, message = ERRORS[wrong]
    done = check(tmp_path, f"from multiprocessing import parent_process\n{WELL}\nclass Well(Well):\n{methods}")
    assert done.returncode == 1
    assert message in done.stderr, done.stdout + done.stderr


MODEL = """
import numpy as np
import pytams

class Well(pytams.Model):
    noise_shape = ()
    vectorized = True

    def initial_state(self, rng):
        return -1.0

    def step(self, x, noise, t, dt):
        return self.drifted(x, dt) + (0.1 * dt) ** 0.5 * noise

    def drifted(self, x, dt):
        return x + (x - x * x * x) * dt

    def score(self, x, t):
        return x
"""


@pytest.mark.slow
def test_what_cannot_be_sent(tmp_path: Path) -> None:
    done = check(
        tmp_path, f"import threading\n{MODEL}\n    def __init__(self):\n        self.lock = threading.Lock()\n"
    )
    assert done.returncode == 1
    assert "Well cannot be sent to workers (TypeError: cannot pickle" in done.stderr


@pytest.mark.slow
def test_a_batch_that_is_mixed(tmp_path: Path) -> None:
    done = check(tmp_path, MODEL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "yes  in a batch with others it gives the same bits" in done.stdout
    done = check(tmp_path, MODEL + "\n    def drifted(self, x, dt):\n        return x - np.mean(x) * dt\n")
    assert done.returncode == 1
    assert "NO   in a batch with others it gives the same bits: a member's step or score must not" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("0.5 * (x > -0.9)", "and no step more than 0.56: a score that rises in a few jumps has few levels"),
        ("0.0 * x", "note in 40 steps the score has not risen above its start once: if it never does, all "),
    ],
)
def test_how_the_score_rises(tmp_path: Path, score: str, said: str) -> None:
    """It is said, and no error: what a short trajectory does not do a long one may."""
    done = check(tmp_path, f"{MODEL}\n    def score(self, x, t):\n        return {score}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


@pytest.mark.slow
def test_a_random_start_may_be_at_the_target(tmp_path: Path) -> None:
    start = "-1.0 + 0.1 * rng.random() + 3.0 * (rng.random() < 0.3)"
    done = check(tmp_path, f"{MODEL}\n    def initial_state(self, rng):\n        return {start}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "yes  it starts at random (" in done.stdout
