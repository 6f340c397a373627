"""What Monte Carlo, tilted clones (GKTL) and importance sampling make of an Ornstein-Uhlenbeck process, beside TAMS.

For benchmarks/theory.py. dx = -x dt + dW from 0, for T = 10; the events are a large mean over time, and a high level
that is crossed at any time. Exact values are of the discrete chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numba import njit
from scipy.special import ndtr, ndtri

import pytams

SEED = 2026
DT, N_STEPS = 0.05, 200
EFFECT = 1.0 - (1.0 - DT) ** np.arange(N_STEPS - 1, -1, -1)
"""Of a push in each step on the integral of x."""
SPREAD = math.sqrt(DT * float((EFFECT**2).sum()))
"""Standard deviation of the integral."""
EVERY = 5
"""Steps between two resamplings of tilted clones."""
FLOOR, WIDTH, N_CELLS = -4.0, 0.01, 1000
"""Of the cells of x for which a control is given."""


class Found(NamedTuple):
    """Estimates of independent runs, and what a run costs, in trajectories."""

    estimates: Any
    cost: float


def relative_variance(estimates: Any, exact: float) -> tuple[float, float, float]:
    """Give Var / p^2 of runs, and how far below and above it the middle 68 % of its bootstrap reach."""
    estimates = np.array(estimates) / exact
    rng = np.random.Generator(np.random.Philox(SEED))
    again = estimates[rng.integers(0, len(estimates), (1000, len(estimates)))].var(axis=1, ddof=1)
    value = float(estimates.var(ddof=1))
    low, high = np.quantile(again, (0.16, 0.84))
    return value, max(value - float(low), 0.0), max(float(high) - value, 0.0)


def committor(edge: float, n_steps: int, step_size: float, n_points: int = 3000) -> tuple[Any, Any]:
    """Compute P(x gets to the edge within 0, 1, ... steps), by its transfer operator, and the points x."""
    width = (edge + 6.0 * math.sqrt(0.5)) / n_points
    x = edge - width * (np.arange(n_points) + 0.5)
    kernel = np.exp(-((x - (1.0 - step_size) * x[:, None]) ** 2) / (2.0 * step_size))
    kernel *= width / math.sqrt(2.0 * math.pi * step_size)
    reached = ndtr(-(edge - (1.0 - step_size) * x) / math.sqrt(step_size))
    within = [np.zeros(n_points)]
    for _ in range(n_steps):
        within.append(reached + kernel @ within[-1])
    return x, np.array(within)


def by_committor(x: Any, within: Any) -> Any:
    """Make the control d/dx log of the committor, for each step and cell."""
    logs = np.log(np.maximum(within[:0:-1], 1e-300))
    cells = FLOOR + WIDTH * (np.arange(N_CELLS) + 0.5)
    return np.array([np.interp(cells, x[::-1], np.gradient(log, x)[::-1]) for log in logs])


# --- Monte Carlo, tilted clones, importance sampling ----------------------------------------------------------------


@njit  # type: ignore[untyped-decorator] # Numba's
def estimate(rng: Any, n: int, target: float, crossing: bool, control: Any, k: float) -> float:
    """Estimate P(event) by n trajectories with a control in the drift, cloned and killed by weights exp(k dA).

    A is x if the event is that x crosses the target, and its integral otherwise. Without a control these are tilted
    clones, with k = 0 importance sampling, with neither Monte Carlo.
    """
    x, integral, log_ratio, before = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    log_mean = 0.0
    for step in range(N_STEPS):
        for i in range(n):
            if crossing and x[i] >= target:
                continue
            cell = min(max(int((x[i] - FLOOR) / WIDTH), 0), N_CELLS - 1)
            u, noise = control[step, cell], rng.standard_normal() * math.sqrt(DT)
            integral[i] += x[i] * DT
            x[i] += (u - x[i]) * DT + noise
            log_ratio[i] -= u * noise + 0.5 * u * u * DT
        if k > 0.0 and (step + 1) % EVERY == 0:
            weights = np.exp(k * ((x if crossing else integral) - before))
            log_mean += math.log(weights.mean())
            ancestors = np.searchsorted(np.cumsum(weights), (np.arange(n) + rng.random()) * weights.mean())
            x, integral, log_ratio = x[ancestors], integral[ancestors], log_ratio[ancestors]
            before = (x if crossing else integral).copy()
    reached = (x if crossing else integral) >= target
    return (np.exp(log_mean + log_ratio - k * before) * reached).mean()  # type: ignore[no-any-return] # a float


def trajectories(target: float, *, crossing: bool = False, control: Any = 0.0, k: float = 0.0) -> Found:
    """Make 200 runs of 500 trajectories."""
    rng, controls = np.random.Generator(np.random.Philox(SEED)), np.zeros((N_STEPS, N_CELLS)) + control
    return Found([estimate(rng, 500, target, crossing, controls, k) for _ in range(200)], 500.0)


def missed_variance(push: float, target: float) -> float:
    """Compute the variance that importance sampling with a constant push in the drift really has, times p^2 / n."""
    second = math.exp(push**2 * DT * N_STEPS) * ndtr(-(target + push * DT * EFFECT.sum()) / SPREAD)
    return float(second / ndtr(-target / SPREAD) ** 2 - 1.0)


# --- splitting ------------------------------------------------------------------------------------------------------


@njit  # type: ignore[untyped-decorator] # likewise
def left_at(t: float) -> int:
    return N_STEPS - round(t / DT)


def hope(x: Any, t: Any, p: Any) -> float:
    """Score the integral that is to be expected, as its distance from the target over the spread to come."""
    left = left_at(t)
    if left <= 1:
        return 9.0 if left == 0 and x[1] >= p.target else -9.0
    rest = (1.0 - DT) ** left
    spread = DT * (left - 2.0 * (1.0 - rest) / DT + (1.0 - rest * rest) / (1.0 - (1.0 - DT) * (1.0 - DT)))
    return min(float(x[1] + x[0] * (1.0 - rest) - p.target) / math.sqrt(spread), 5.0)


def so_far(x: Any, t: Any, p: Any) -> float:
    """Score the integral so far."""
    return 9.0 if left_at(t) == 0 and x[1] >= p.target else min(x[1] / p.target, 5.0)


def height(x: Any, t: Any, p: Any) -> float:
    """Score x; at the target it is 9."""
    return float(9.0 * x[0] / p.target)


def splitting(score: Callable[..., float], target: float) -> Found:
    """Make 100 runs of splitting; the state is x and its integral."""
    model = pytams.SDE(
        lambda x, t, p: (-x[0], x[0]), lambda x, t, p: (1.0, 0.0), score, initial=(0.0, 0.0), target=target
    )
    result = pytams.TAMS(
        model, end_time=DT * N_STEPS, step_size=DT, target_score=9.0, n_trajectories=200, n_discard=10
    ).run(100, SEED)
    return Found(result.estimates, result.n_steps / N_STEPS / 100)


# --- the figure -----------------------------------------------------------------------------------------------------


def draw(upper: Any, lower: Any, exact: Any, methods: dict[str, list[Found]]) -> None:
    """Draw variance times cost, and means over exact values; methods of one kind have one colour."""
    kinds: dict[str, list[str]] = {}
    for label, results in methods.items():
        kind = kinds.setdefault(label.partition(":")[0], [])
        style = {"color": f"C{len(kinds) - 1}", "fmt": ("o-", "s--", "^:")[len(kind)], "capsize": 3, "markersize": 4}
        kind.append(label)
        found = list(zip(exact, results, strict=True))
        bars = np.array([np.array(relative_variance(runs, p)) * cost for p, (runs, cost) in found]).T
        upper.errorbar(exact, bars[0], bars[1:], label=label, **style)
        means = [np.mean(runs) / p for p, (runs, _) in found]
        lower.errorbar(
            exact, means, [2.0 * np.std(runs) / p / math.sqrt(len(runs)) for p, (runs, _) in found], **style
        )
    upper.plot(exact, (1.0 - exact) / exact, color="black", linewidth=0.8, label="Monte Carlo (exact)")
    lower.axhline(1.0, color="black", linewidth=0.8)
    upper.set(xscale="log", yscale="log")
    lower.set(xscale="log", xlabel="probability", ylim=(0.0, 2.0))


def draw_mean(upper: Any, lower: Any) -> None:
    """Draw what comes out for a large integral, which is Gaussian: the best tilt and pushes are known."""
    exact = np.array([1e-2, 1e-4, 1e-6, 1e-8])
    targets = -ndtri(exact) * SPREAD
    tilts, pushes = targets / SPREAD**2, targets / (DT * EFFECT.sum())
    both = list(zip(targets, pushes, strict=True))
    methods = {
        "TAMS: mean so far": [splitting(so_far, target) for target in targets],
        "TAMS: committor": [splitting(hope, target) for target in targets],
        "GKTL: k for each target": [trajectories(target, k=k) for target, k in zip(targets, tilts, strict=True)],
        "GKTL: k for 1e-4": [trajectories(target, k=tilts[1]) for target in targets],
        "push: best": [trajectories(target, control=(target / SPREAD**2 * EFFECT)[:, None]) for target in targets],
        "push: constant": [trajectories(target, control=push) for target, push in both],
        "push: double": [trajectories(target, control=2.0 * push) for target, push in both],
    }
    draw(upper, lower, exact, methods)
    true = [missed_variance(2.0 * push, target) for target, push in both]
    upper.plot(exact, true, color="C2", linestyle=":", linewidth=0.8, label="push: double (exact)")
    upper.set(ylim=(1.0, 1e8), ylabel="relative variance x trajectories")
    lower.set(ylabel="mean / exact")


def draw_crossing(upper: Any, lower: Any) -> None:
    """Draw what comes out for a level that is crossed at any time; clones are tilted by x."""
    levels = [2.3, 3.0, 3.6, 4.2]
    tables = [committor(level, N_STEPS, DT) for level in levels]
    exact = np.array([np.interp(0.0, x[::-1], within[-1][::-1]) for x, within in tables])
    methods = {
        "TAMS: x": [splitting(height, level) for level in levels],
        "GKTL: k = 0.7 of the level": [trajectories(level, crossing=True, k=0.7 * level) for level in levels],
        "push: by the committor": [
            trajectories(level, crossing=True, control=by_committor(*table))
            for level, table in zip(levels, tables, strict=True)
        ],
        "push: constant, half the level": [
            trajectories(level, crossing=True, control=0.5 * level) for level in levels
        ],
    }
    draw(upper, lower, exact, methods)


def draw_others() -> Figure:
    """Draw variance times cost of TAMS and others, for two events of an Ornstein-Uhlenbeck process."""
    figure = Figure(figsize=(9.2, 7.5), layout="constrained")
    (left, right), (lower_left, lower_right) = figure.subplots(2, 2, sharex="col", height_ratios=(2, 1))
    draw_mean(left, lower_left)
    draw_crossing(right, lower_right)
    for axes, event in ((left, "large mean over time"), (right, "high level at any time")):
        axes.legend(
            frameon=False, fontsize="small", ncols=2, title=event, loc="lower center", bbox_to_anchor=(0.5, 1.0)
        )
    return figure
