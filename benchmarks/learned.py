"""What a learned score gains over the user's own: relative variance of a run, steps, and work, over several pilots.

For each pilot `pytams.improve` learns in two rounds, checks, and chooses; then a study is made with what it has
chosen. Work is relative variance times steps of a run; `counted` counts the steps of pilot and checks, too, for a
study of 300 runs, of the simulator for as many runs as give an error of 10 %; `kept` is how often the user's score
was kept, `worse` how often what was chosen was worse by a tenth. The simulator takes no time here, and a millisecond
a step at the end, where steps of both scores are timed: wall time to 10 % is `counted` times that ratio.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

import pytams
from pytams.analysis.work import Work
from speed import diffusion, drift, score

score_of_event = njit(score)
STUDY = 300
"""Runs of a study that the learning is counted for."""
BETA = 6.67


def from_x(x: Any, t: Any, p: Any) -> Any:
    """Score the double well by its first coordinate alone; the event is that of the other score."""
    event = score_of_event(x, t, p)
    return event if event >= 0.95 else min(x[0], 0.94)


def wide_drift(x: Any, t: Any, p: Any) -> Any:
    """Of the double well, and of ten Ornstein-Uhlenbeck processes."""
    y = -1.0 * x
    y[0], y[1] = x[0] - x[0] * x[0] * x[0], -2.0 * x[1]
    return y


def constant(x: Any, t: Any, p: Any) -> Any:
    """Diffuse alike everywhere."""
    return p.sigma + 0.0 * x


def bichannel_drift(x: Any, t: Any, p: Any) -> Any:
    """Minus the gradient of the three-hole potential (Metzner, Schuette & Vanden-Eijnden 2006)."""
    a, b = x[0], x[1]
    low, high = b - 1.0 / 3.0, b - 5.0 / 3.0
    e1, e2 = 3.0 * np.exp(-a * a - low * low), 3.0 * np.exp(-a * a - high * high)
    e3, e4 = 5.0 * np.exp(-(a - 1.0) * (a - 1.0) - b * b), 5.0 * np.exp(-(a + 1.0) * (a + 1.0) - b * b)
    along = -2.0 * a * e1 + 2.0 * a * e2 + 2.0 * (a - 1.0) * e3 + 2.0 * (a + 1.0) * e4 + 0.8 * a * a * a
    across = -2.0 * low * e1 + 2.0 * high * e2 + 2.0 * b * (e3 + e4) + 0.8 * low * low * low
    return -along, -across


def from_a(x: Any, t: Any, p: Any) -> Any:
    """Score by the distance from the first minimum, over 2."""
    return 0.5 * np.sqrt((x[0] + 1.05) * (x[0] + 1.05) + (x[1] + 0.04) * (x[1] + 0.04))


def field_drift(x: Any, t: Any, p: Any) -> Any:
    """Of Allen-Cahn on a ring of sites."""
    y = np.empty_like(x)
    n = len(x)
    for i in range(n):
        y[i] = p.coupling * (x[(i + 1) % n] - 2.0 * x[i] + x[i - 1]) + x[i] - x[i] * x[i] * x[i]
    return y


def mean(x: Any, t: Any, p: Any) -> Any:
    """Score a field by its mean."""
    return np.sum(x) / len(x)


def of_field(x: Any, t: Any, p: Any) -> Any:
    """Look at a field by its mean, how much of it is on the other side, its walls, and its largest wave."""
    n = len(x)
    total, square, walls, other, along, across = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        total += x[i]
        square += x[i] * x[i]
        walls += (x[i] - x[i - 1]) * (x[i] - x[i - 1])
        other += x[i] / (1.0 + abs(2.0 * x[i]))
        along += x[i] * np.cos(2.0 * np.pi * i / n)
        across += x[i] * np.sin(2.0 * np.pi * i / n)
    return total / n, square / n, walls / n, other / n, np.sqrt(along * along + across * across) / n


class Case(NamedTuple):
    """A problem."""

    model: Callable[[], Any]
    end_time: float
    step_size: float
    target: float
    exact: float | None = None
    n_trajectories: int = 100
    n_discard: int = 5
    error: float | None = None
    """Of the study that the learning is counted for; None: it has `STUDY` runs."""


def well(her_score: Any = score, n_more: int = 0) -> pytams.SDE:
    """Make the double well, with coordinates more that do not matter."""
    start = [-1.0, *[0.0] * (1 + n_more)]
    of = (wide_drift, constant) if n_more else (drift, diffusion)
    return pytams.SDE(*of, her_score, initial=start, sigma=math.sqrt(0.1))


def bichannel() -> pytams.SDE:
    """Make the three-hole potential."""
    return pytams.SDE(bichannel_drift, diffusion, from_a, initial=(-1.05, -0.04), sigma=math.sqrt(2.0 / BETA))


def field() -> pytams.SDE:
    """Make the field of 64 sites."""
    return pytams.SDE(field_drift, constant, mean, initial=[-1.0] * 64, features=of_field, sigma=1.2, coupling=10.0)


class Told(pytams.Simulator):
    """The double well as a simulator that takes a millisecond a step."""

    autonomous = True

    def __init__(self, seconds: float = 1e-3) -> None:
        self.seconds = seconds
        self.x = self.y = math.nan

    def start(self, rng: np.random.Generator) -> None:
        """Start in the left well."""
        self.x, self.y = -1.0, 0.0

    def load(self, state: Any) -> None:
        """Take a state."""
        self.x, self.y = state.tolist()

    def save(self) -> Any:
        """Give it."""
        return np.array([self.x, self.y])

    def step(self, seed: int | None, t: float, dt: float) -> None:
        """Step, and work for a while."""
        end = time.perf_counter() + self.seconds
        rng = np.random.Generator(np.random.SFC64(seed))
        kick = math.sqrt(0.1 * dt)
        x, y = self.x, self.y
        self.x = x + (x - x * x * x) * dt + kick * rng.standard_normal()
        self.y = y - 2.0 * y * dt + kick * rng.standard_normal()
        while time.perf_counter() < end:
            pass

    def score(self) -> float:
        """Score as the double well does."""
        return float(score((self.x, self.y), 0.0, None))

    def features(self, t: float) -> Any:
        """Look at the state."""
        return self.x, self.y


CASES = {
    "its score": Case(well, 3.0, 0.01, 0.95, 1.213e-4),
    "from x": Case(lambda: well(from_x), 3.0, 0.01, 0.95, 1.213e-4),
    "10 more": Case(lambda: well(n_more=10), 3.0, 0.01, 0.95, 1.213e-4),
    "bichannel": Case(bichannel, 20.0, 0.01, 0.95),
    "Allen-Cahn": Case(field, 10.0, 0.02, 0.5),
    "simulator": Case(lambda: Told(0.0), 3.0, 0.01, 0.95, 1.213e-4, 20, 2, error=0.1),
}


def tams_of(case: Case) -> pytams.TAMS:
    """Pose the problem."""
    model = case.model()
    model.autonomous = True
    return pytams.TAMS(
        model,
        end_time=case.end_time,
        step_size=case.step_size,
        target_score=case.target,
        n_trajectories=case.n_trajectories,
        n_discard=case.n_discard,
    )


def measure(name: str, n_pilots: int, n_runs: int, n_own: int) -> str:
    """Measure a case: a line of the table."""
    case = CASES[name]
    tams = tams_of(case)
    her_result = tams.run(n_own, seed=100)
    hers = Work.of(her_result.runs)
    ours, shares, estimates = [], [], list(her_result.estimates)
    n_kept, n_worse = 0, 0
    for seed in range(1, n_pilots + 1):
        improvement = pytams.improve(tams, seed=1000 + seed)
        n_kept += improvement.score is None
        result = improvement.tams.run(n_runs, seed=1000 + seed)
        ours.append(Work.of(result.runs))
        n_worse += ours[-1].value > 1.1 * hers.value and improvement.score is not None
        learning = sum(work.steps * work.n_runs for work in improvement.gain.works)
        study = (ours[-1].relative_variance or math.nan) / case.error**2 if case.error else STUDY
        shares.append(1.0 + learning / (study * ours[-1].steps))
        estimates += result.estimates
    variance = float(np.mean([work.relative_variance or math.nan for work in ours]))
    value = float(np.mean([work.value for work in ours]))
    counted = float(np.mean([work.value * share for work, share in zip(ours, shares, strict=True)]))
    known = case.exact or float(np.mean(estimates))
    own = her_result.probability / known
    steps = float(np.mean([work.steps for work in ours])) / hers.steps
    return (
        f"{name:<12}{hers.ideal:>7.3f}{hers.relative_variance:>8.3f}{variance:>9.3f}{own:>7.3f}{steps:>7.2f}"
        f"{hers.value / value:>7.2f}{hers.value / counted:>9.2f}{n_kept:>6}{n_worse:>7}"
    )


def bake_off(name: str, n_pilots: int, n_runs: int) -> str:
    """Compare the two methods, one round each, from the same pilots: relative variances and works."""
    found: dict[bool, list[Work]] = {True: [], False: []}
    for seed in range(1, n_pilots + 1):
        for promises, works in found.items():
            tams = tams_of(CASES[name])
            tams.model.autonomous = promises  # type: ignore[attr-defined] # an SDE's
            score = pytams.learn_score(tams.run(4, seed=2000 + seed))
            works.append(Work.of(tams.with_score(score).run(n_runs, seed=3000 + seed).runs))
    text = f"{name:<12}"
    for works in found.values():
        variance = np.mean([work.relative_variance or math.nan for work in works])
        text += f"{variance:>9.3f}{np.mean([work.value for work in works]):>12,.0f}"
    return text


def simulator() -> str:
    """Compare times of a step of a simulator of a millisecond, with its own score and with a learned one."""
    case = CASES["simulator"]
    quick, slow = tams_of(case), tams_of(case._replace(model=Told))
    learned = pytams.learn_score(quick.run(4, seed=1))
    seconds = []
    for tams in (slow, slow.with_score(learned)):
        begin = time.perf_counter()
        result = tams.run(1, seed=3)
        seconds.append((time.perf_counter() - begin) / result.n_steps)
    ours = f"{1e3 * seconds[1]:.3f} ms with a learned one ({seconds[0] / seconds[1]:.3f})"
    return f"a step of a simulator of 1 ms: {1e3 * seconds[0]:.3f} ms with its own score, {ours}"


def main() -> None:
    """Measure all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=5)
    parser.add_argument("--runs", type=int, default=60, help="of each study with a learned score")
    parser.add_argument("--own-runs", type=int, default=1000, help="of the study with the user's score")
    parser.add_argument("--only", choices=CASES, action="append")
    arguments = parser.parse_args()
    print(
        f"{'case':<12}{'ideal':>7}{'hers':>8}{'learned':>9}{'hers/p':>7}{'steps':>7}{'work':>7}{'counted':>9}"
        f"{'kept':>6}{'worse':>7}"
    )
    for name in arguments.only or CASES:
        print(measure(name, arguments.pilots, arguments.runs, arguments.own_runs), flush=True)
    if arguments.only is None:
        print(simulator())
    print(f"\n{'one round':<12}{'chain':>9}{'work':>12}{'outcomes':>9}{'work':>12}")
    for name in arguments.only or CASES:
        print(bake_off(name, arguments.pilots, arguments.runs), flush=True)


if __name__ == "__main__":
    main()
