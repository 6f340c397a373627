"""Every code block of the README and of the site is run, or says why it is not."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from pages import PAGES, ROOT, Session, blocks
from pytams.cli.config import Config

LANGUAGES = {"", "bash", "console", "python", "text", "toml", "{toctree}"}
COMMANDS = "apptainer|cd|conda|git|make|openssl|pip|pytams|pytest|python3?|rattler-build|sbatch|srun"
WELL = """
import math
import numpy as np
import pytams


class Well(pytams.Model):
    vectorized, noise_shape, state_names = True, (2,), ("x", "y")

    def initial_state(self, rng):
        return np.array([-1.0, 0.0])

    def step(self, state, noise, t, dt):
        x, y = state[:, 0], state[:, 1]
        return state + np.stack([x - x**3, -2 * y], axis=1) * dt + np.sqrt(0.1 * dt) * noise

    def score(self, state, t):
        return state[:, 0]


model = Well()
tams = pytams.TAMS(model, end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20)
"""
WALK = """
class Walk(pytams.Model):
    vectorized, noise_shape = True, ()

    def initial_state(self, rng):
        return np.array(0.0)

    def step(self, state, noise, t, dt):
        return state + np.sign(noise) * dt

    def score(self, state, t):
        return state


model = Walk()
tams = pytams.TAMS(model, end_time=50, step_size=1, target_score=12, n_trajectories=20)
"""
BMI = """
class MyBmi:
    pass


score = seed = str
"""
SMALL = """
pytams() {
    command pytams "$@" || return
    if [ "$1" = new ]; then
        sed -i 's/^ntrajectories = .*/ntrajectories = 20/; s/^nruns = .*/nruns = 2/' "${!#}/input.toml"
    fi
}
"""
"""A study that is begun from a template is a small one."""
THERE = f"""{SMALL}
if [ ! -e there ]; then
    pytams new there > /dev/null
    cp there/* . && cp input.toml INPUT.toml
fi
"""
RESULT = """
z = np.linspace(0.0, 0.8, 5)
tams.run(4, seed=1, out="dw.tams")
potential = None
"""
PYTHON = {
    "docs/models.md": WELL + BMI,
    "docs/results.md": WELL + RESULT,
    "docs/extending.md": WELL + WALK,
    "docs/runs.md": "import pytams",
}
"""What has been done in Python before a page is read."""
GALLERY = f"""
pytams() {{
    if [ "$1" = run ]; then
        set -- "$@" --runs 2 --set tams.ntrajectories=20 --set tams.ndiscard=2
    fi
    command pytams "$@"
}}
ln -sfn "{ROOT}/examples" examples
mkdir -p docs/gallery
"""
"""A study of the gallery is a small one, and its picture stays here."""
SHELL = {page: GALLERY for page in PAGES if page.startswith("examples/")}
SHELL |= {"README.md": SMALL, "docs/programs.md": SMALL, "docs/cluster.md": THERE, "docs/runs.md": THERE}
"""What is done in each shell."""
QUICK = {
    "docs/architecture.md", "docs/extending.md", "docs/ledger.md", "docs/learned.md", "docs/security.md",
    "docs/settings.md", "docs/validation.md", "docs/validation_gallery.md",
    "docs/validation_learned.md",
}  # fmt: skip
"""Pages that take less than a second."""


@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in PAGES]
)
def test_what_a_page_says_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "make " in PAGES[page] and "--program" in PAGES[page] and shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    monkeypatch.chdir(tmp_path)
    Session(page, tmp_path, PYTHON.get(page, ""), SHELL.get(page, "")).run()
    plt.close("all")


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page: str) -> None:
    assert PAGES[page].count("\n```") == 2 * len(blocks(page))
    for block in blocks(page):
        assert block.language in LANGUAGES, block.line
        if block.language == "":
            assert not re.search(rf"^(\$ |#!|import |({COMMANDS}) )", block.text, re.M), f"bash? line {block.line}"
        if block.language == "python":
            compile(block.text, page, "exec")
        if block.language == "bash":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)


def test_few_blocks_are_not_run() -> None:
    reasons = [block.not_run for page in PAGES for block in blocks(page) if block.not_run]
    elsewhere = [reason for reason in reasons if re.fullmatch("needs (Slurm|Apptainer|conda)", reason)]
    here = [reason for reason in reasons if reason not in elsewhere]
    assert all(re.match("it takes minutes; ", reason) for reason in here)
    assert len(here) <= 4
    assert len(elsewhere) <= 8


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "toml" for block in blocks(page))])
def test_input_files_are_read(page: str, tmp_path: Path) -> None:
    """What is a part of an input file is completed."""
    for block in blocks(page):
        if block.language == "toml":
            table = tomllib.loads(block.text)
            if set(table) != {"trusted_databases"}:  # a user's settings file
                program = {
                    "type": "program",
                    "command": ["./dw", "{next}"],
                    "initial": "init.bin",
                    "score": {"format": "text"},
                }
                rest = {
                    "tams": {"ntrajectories": 50},
                    "trajectory": {"end_time": 10.0, "step_size": 0.1, "targetscore": 0.9},
                    "model": program if "launch" in table else {"class": "well.py:Well"},
                }
                Config(rest | table, tmp_path)
