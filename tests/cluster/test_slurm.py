"""A study on a real Slurm cluster, from the command line: the serial answer to the bit, though jobs are cancelled."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm

import programs

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing())),
]

MODEL = """
import time
import numpy as np
import pytams

class Well(pytams.Model):
    noise_shape = (2,)

    def initial_state(self, rng):
        return np.array([-1.0, 0.0])

    def step(self, x, noise, t, dt):
        time.sleep(0.002)
        return x + np.array([x[0] - x[0] * x[0] * x[0], -2 * x[1]]) * dt + 0.316 * dt**0.5 * noise

    def score(self, x, t):
        return x[0]
"""

INPUT = """
[tams]
ntrajectories = 16
ndiscard = 2
seed = 5
nruns = 1
loglevel = "INFO"

[trajectory]
end_time = 4.0
step_size = 0.02
targetscore = 0.2

[runner]
type = "dask"
nworkers = 3
block_seconds = 0.2

[dask]
backend = "slurm"
queue = "main"
cores = 1
memory = "1GB"
walltime = "00:10:00"
interface = "lo"

[model]
class = "well.py:Well"
"""


def test_study_on_slurm_with_jobs_cancelled(tmp_path: Path) -> None:
    (tmp_path / "well.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    pytams = [sys.executable, "-m", "pytams"]
    serial = subprocess.run(
        [*pytams, "run", "input.toml", "--set", "runner.type=inprocess", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "slurm").mkdir()
    with slurm.cluster(tmp_path / "slurm") as environment:
        study = subprocess.Popen(
            [*pytams, "run", "input.toml", "--json", "--out", "run.tams"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        cancelled: list[list[str]] = []
        while study.poll() is None:
            running = slurm.jobs(environment)
            if len(cancelled) < 2 and len(running) >= 2:
                time.sleep(1)
                cancelled.append(slurm.jobs(environment)[: 1 if not cancelled else None])  # first one job, then all
                subprocess.run(["scancel", *cancelled[-1]], env=environment, check=True)
            time.sleep(0.2)
        stdout, stderr = study.communicate()
        assert study.returncode == 0, stderr
        assert len(cancelled) == 2
        assert len(cancelled[1]) >= 2
        deadline = time.monotonic() + 20
        while slurm.jobs(environment):  # the cluster ends with the study
            assert time.monotonic() < deadline
            time.sleep(0.2)
    ours, theirs = json.loads(stdout), json.loads(serial.stdout)
    assert ours | {"wall_time": 0} == theirs | {"wall_time": 0}
    assert "Dask dashboard" in stderr


PROGRAM = """
[tams]
ntrajectories = 8
seed = 5
nruns = 2

[trajectory]
end_time = 2.0
step_size = 0.1
targetscore = 0.7

[model]
type = "program"
command = [
    "./dw", "--restart", "{restart}", "--seed", "{seed}", "--steps", "{steps}",
    "--inner", "{inner}", "--out", "{next}",
]
initial = "init.bin"
initial_score = 0.0
inner_step = 0.01
steps_per_launch = 5
score = { format = "text" }

[launch]
command = "srun --exact --overlap -n {ranks} -c 1 --kill-on-bad-exit"
backoff = 0.2

[runner]
type = "launch"
"""


def test_one_driver_in_an_allocation_cancelled_and_resubmitted(tmp_path: Path) -> None:
    """Steps of srun, as many at once as there are tasks; the answer is that without Slurm."""
    folder = programs.built()
    for name in ("dw", "init.bin"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "input.toml").write_text(PROGRAM)
    pytams = [sys.executable, "-m", "pytams"]
    alone = [*pytams, "run", "input.toml", "--json", "--set", "launch.command=", "--set", "runner.type=inprocess"]
    wanted = json.loads(subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    (tmp_path / "slurm").mkdir()
    with slurm.cluster(tmp_path / "slurm") as environment:

        def submit(*command: str) -> str:
            words = ["sbatch", "--parsable", "--ntasks=4", "--output=job-%j.out", "--wrap", shlex.join(command)]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
            return done.stdout.strip()

        job = submit(*pytams, "run", "input.toml", "--out", "run.tams")
        deadline = time.monotonic() + 120
        while not list((tmp_path / "run.tams").glob("segments/*")):
            assert time.monotonic() < deadline, (tmp_path / f"job-{job}.out").read_text()
            time.sleep(0.2)
        subprocess.run(["scancel", job], env=environment, check=True)
        while slurm.jobs(environment, "PENDING,RUNNING,COMPLETING"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        again = submit(*pytams, "resume", "run.tams", "--json")
        deadline = time.monotonic() + 300
        while slurm.jobs(environment, "PENDING,RUNNING,COMPLETING"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        found = json.loads((tmp_path / f"job-{again}.out").read_text().splitlines()[-1])
    assert found["estimates"] == wanted["estimates"]
    assert found["n_steps"] == wanted["n_steps"]
    assert "/dw --restart" not in programs.running()
