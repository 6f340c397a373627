"""pyTAMS's estimate beside ours, on its own double well: `python benchmarks/their_estimator.py`, some minutes.

For each l, the number of its workers: our runs; the same runs with the factor that pyTAMS 1.0.0 puts on them when all
trajectories have arrived; and what its rule gives, by a plain implementation of it. With `--theirs PYTHON`, that of
an environment with pytams 1.0.0, also what the package itself gives with most workers (a minute a run).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

import pytams

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from exact import DOUBLE_WELL_2D, double_well_2d

END_TIME, STEP_SIZE, TARGET, N = 10, 0.01, 0.95, 50
N_STEPS = round(END_TIME / STEP_SIZE)
EXACT = DOUBLE_WELL_2D[END_TIME]
WORKERS = (1, 2, 8)
PORTION = 500
"""Runs that are made at once: more would be reported as slow."""


def ours(n_discard: int, n_runs: int) -> list[pytams.RunResult]:
    tams = pytams.TAMS(
        double_well_2d(),
        end_time=END_TIME,
        step_size=STEP_SIZE,
        target_score=TARGET,
        n_trajectories=N,
        n_discard=n_discard,
    )
    return [
        run
        for first in range(0, n_runs, PORTION)
        for run in tams.run(min(PORTION, n_runs - first), seed=2026 + n_discard, first_run=first).runs
    ]


def with_one_more_factor(run: pytams.RunResult, n_discard: int) -> float:
    """Take off the lowest of the last ensemble, too, with ties."""
    maxima = sorted(final.maximum for final in run.members)
    n_killed = sum(maximum <= maxima[n_discard - 1] for maximum in maxima)
    return run.estimate * (1 - n_killed / len(maxima))


@njit  # type: ignore[untyped-decorator] # Numba's
def advance(rng: Any, x: Any, score: Any, step: int) -> int:
    """Go on from a step until the target or the end, and return the last step."""
    while step < N_STEPS and score[step] < TARGET:
        a, b = x[step]
        kick = math.sqrt(0.1 * STEP_SIZE)
        a, b = (
            a + (a - a * a * a) * STEP_SIZE + kick * rng.standard_normal(),
            b - 2.0 * b * STEP_SIZE + kick * rng.standard_normal(),
        )
        step += 1
        x[step, 0], x[step, 1] = a, b
        to_a, to_b = (a + 1.0) ** 2 + b * b, (a - 1.0) ** 2 + b * b
        score[step] = 0.5 - 0.5 * math.exp(-8.0 * to_a) + 0.5 * math.exp(-8.0 * to_b)
    return step


@njit  # type: ignore[untyped-decorator] # likewise
def their_rule(rng: Any, n_workers: int) -> float:
    """Estimate as pyTAMS 1.0.0 does.

    As many as there are workers are discarded, and who ties with the last of them; each restarts where its ancestor
    was first above *its own* maximum, with the ancestor's noise for one step; and the weight is multiplied once more
    when all have arrived.
    """
    x, score = np.zeros((N, N_STEPS + 1, 2)), np.zeros((N, N_STEPS + 1))
    last, maximum = np.zeros(N, np.int64), np.zeros(N)
    for i in range(N):
        x[i, 0, 0] = -1.0
        score[i, 0] = 0.5 * math.exp(-32.0)
        last[i] = advance(rng, x[i], score[i], 0)
        maximum[i] = score[i, : last[i] + 1].max()
    weight = 1.0
    while True:
        order, n_killed = np.argsort(maximum), n_workers
        while maximum[order[n_killed]] == maximum[order[n_killed - 1]]:
            n_killed += 1
        weight *= 1 - n_killed / N
        if maximum[order[0]] >= TARGET:
            return weight
        for i in order[:n_killed]:
            ancestor = order[rng.integers(n_killed, N)]
            step = 0
            while score[ancestor, step] <= maximum[i]:
                step += 1
            step = min(step + 1, last[ancestor])
            x[i, : step + 1], score[i, : step + 1] = x[ancestor, : step + 1], score[ancestor, : step + 1]
            last[i] = advance(rng, x[i], score[i], step)
            maximum[i] = score[i, : last[i] + 1].max()


PACKAGE = """
import json, sys
import numpy as np
import pytams.tams
from pytams.fmodel import ForwardModelBaseClass
from pytams.taskrunner import BaseRunner

n_workers, n_runs = map(int, sys.argv[1:])

class DoubleWell(ForwardModelBaseClass):
    def _init_model(self, m_id, params):
        self.x, self.rng = np.array([-1.0, 0.0]), np.random.default_rng()
    def _advance(self, step, time, dt, noise, need_end_state):
        a, b = self.x
        self.x = self.x + dt * np.array([a - a**3, -2.0 * b]) + np.sqrt(0.1 * dt) * noise
        return dt
    def get_current_state(self):
        return self.x
    def set_current_state(self, state):
        self.x = state
    def score(self):
        a, b = self.x
        return 0.5 - 0.5 * np.exp(-8.0 * ((a + 1)**2 + b**2)) + 0.5 * np.exp(-8.0 * ((a - 1)**2 + b**2))
    def make_noise(self):
        return self.rng.standard_normal(2)

class Serial(BaseRunner):
    "So many workers in name: the numbers are the same, and no processes are started."
    def __init__(self, params, worker, n_workers):
        self.worker, self.number, self.tasks = worker, n_workers, []
    def __enter__(self):
        return self
    def __exit__(self, *args):
        pass
    def make_promise(self, task):
        self.tasks.append(task)
    def execute_promises(self):
        tasks, self.tasks = self.tasks, []
        return [self.worker(*task) for task in tasks]
    def n_workers(self):
        return self.number

pytams.tams.get_runner_type = lambda params: Serial
with open("input.toml", "w") as file:
    file.write('''
[tams]
ntrajectories = 50
nsplititer = 100000
loglevel = "ERROR"
[trajectory]
end_time = 10.0
step_size = 0.01
targetscore = 0.95
[runner]
type = "asyncio"
nworker_iter = %d
''' % n_workers)
for _ in range(n_runs):
    print(json.dumps(pytams.tams.TAMS(DoubleWell, ["-i", "input.toml"]).compute_probability()), flush=True)
"""


def package(python: Path, n_workers: int, n_runs: int) -> list[float]:
    """Run the package itself, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        line = [str(python.absolute()), "-I", "-c", PACKAGE, str(n_workers), str(n_runs)]
        done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def say(what: str, estimates: list[float]) -> None:
    mean = float(np.mean(estimates))
    error = float(np.std(estimates, ddof=1)) / math.sqrt(len(estimates))
    z = (mean - EXACT) / error
    over = f"{mean / EXACT:.3f} +- {error / EXACT:.3f}"
    print(f"{what:28} {len(estimates):6} runs   {mean:.3e}   over the exact value: {over}   z = {z:+.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--theirs", type=Path, metavar="PYTHON")
    parser.add_argument("--theirs-runs", type=int, default=16)
    arguments = parser.parse_args()
    print(f"2-D double well, T = {END_TIME}, N = {N}: the exact value is {EXACT:.3e}")
    rng = np.random.Generator(np.random.Philox(2026))
    for n_workers in WORKERS:
        print(f"l = {n_workers}")
        runs = ours(n_workers, arguments.runs)
        say("pytams-splitting", [run.estimate for run in runs])
        say("these runs, one factor more", [with_one_more_factor(run, n_workers) for run in runs])
        say("pyTAMS's rule", [their_rule(rng, n_workers) for _ in range(arguments.runs)])
        if arguments.theirs and n_workers == WORKERS[-1]:  # with fewer, so few runs would not show it
            say("pyTAMS 1.0.0", package(arguments.theirs, n_workers, arguments.theirs_runs))


if __name__ == "__main__":
    main()
