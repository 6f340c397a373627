"""Draws the figures of docs/theory.md: `python benchmarks/theory.py [NAME ...]`, all of them if none is named.

Each is made of real studies whose exact values are known, in a minute or two on an idle core, compiling included.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numba import njit
from scipy.special import ndtr

import pytams
from theory_others import SEED, committor, draw_others, relative_variance

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from exact import (
    DOUBLE_WELL_2D,
    Climb,
    Walk,
    double_well_2d,
    ornstein_uhlenbeck,
    walk_probability,
)

FOLDER = Path(__file__).parents[1] / "docs" / "theory"


def study(model: Any, end_time: float, target: float, n: int, n_discard: int, **settings: Any) -> pytams.TAMS:
    step_size = settings.pop("step_size", 0.01)
    return pytams.TAMS(
        model,
        end_time=end_time,
        step_size=step_size,
        target_score=target,
        n_trajectories=n,
        n_discard=n_discard,
        **settings,
    )


def figure_with(n_axes: int, height: float = 3.2) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6 * n_axes, height), layout="constrained")
    return figure, figure.subplots(1, n_axes)


# --- ties and extinction --------------------------------------------------------------------------------------------


@njit  # type: ignore[untyped-decorator] # Numba's
def without_ties(rng: Any, n: int, target: int, n_steps: int) -> float:
    """Kill one at a time, ties or not, and restart where an ancestor is first as high: the walk of `Walk`."""
    paths, maxima = np.zeros((n, n_steps + 1), np.int64), np.zeros(n, np.int64)
    for i in range(n):
        maxima[i] = _walk_on(rng, paths[i], 0, target)
    weight, killed = 1.0, maxima.argmin()
    for _ in range(100 * n):
        if maxima[killed] >= target:
            break
        ancestor = (killed + rng.integers(1, n)) % n
        step = np.argmax(paths[ancestor] >= maxima[killed])
        paths[killed, : step + 1] = paths[ancestor, : step + 1]
        maxima[killed] = _walk_on(rng, paths[killed], step, target)
        weight *= 1 - 1 / n
        killed = maxima.argmin()
    return weight * (maxima >= target).mean()  # type: ignore[no-any-return] # a float


@njit  # type: ignore[untyped-decorator] # likewise
def _walk_on(rng: Any, path: Any, step: int, target: int) -> int:
    while step + 1 < path.size and path[step] < target:
        path[step + 1] = max(0, path[step] + (1 if rng.random() < 0.3 else -1))
        step += 1
    path[step + 1 :] = -1
    return path.max()  # type: ignore[no-any-return] # an integer


def draw_ties() -> Figure:
    """Draw the mean over many small studies of the reflected walk, whose levels all tie."""
    exact, sizes, n_runs = walk_probability(6, 20), (4, 8, 16, 32), 1000
    rng = np.random.Generator(np.random.Philox(SEED))
    found: dict[str, list[list[float]]] = {
        "ties killed together": [],
        "extinct runs left out": [],
        "one killed, ties or not": [],
    }
    for n in sizes:
        ours = [run.estimate for run in study(Walk(), 20, 6, n, 1, step_size=1).run(n_runs, SEED + n).runs]
        found["ties killed together"].append(ours)
        found["extinct runs left out"].append([estimate for estimate in ours if estimate > 0])
        found["one killed, ties or not"].append([without_ties(rng, n, 6, 20) for _ in range(n_runs)])
    figure, axes = figure_with(1)
    for label, estimates in found.items():
        means = [np.mean(one) / exact for one in estimates]
        errors = [2 * np.std(one) / math.sqrt(len(one)) / exact for one in estimates]
        axes.errorbar(sizes, means, errors, marker="o", capsize=3, label=label)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="N", ylabel="mean estimate / exact value", xticks=sizes)
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.set_yticks([0.125, 0.25, 0.5, 1, 2], ["1/8", "1/4", "1/2", "1", "2"])
    axes.legend(frameon=False)
    return figure


# --- variance -------------------------------------------------------------------------------------------------------


class SmallJumps(Climb):
    """`Climb` in jumps of a fifth, ten times as many: little more than the level is known of who has passed it."""

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([rng.exponential(0.2), 1.0])

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return np.where(rng.random(n) < 0.9, rng.exponential(0.2, size=n), 0.0)


def draw_variance() -> Figure:
    """Draw the relative variance of a run against N, beside -log(p) / N."""
    figure, axes = figure_with(1, height=4.2)
    sizes, n_runs = (25, 50, 100, 200), 100
    for label, model, end_time, target, step_size, p in (
        ("double well, T = 10", double_well_2d(), 10, 0.95, 0.01, DOUBLE_WELL_2D[10]),
        ("double well, T = 4", double_well_2d(), 4, 0.95, 0.01, DOUBLE_WELL_2D[4]),
        ("small jumps, whose score is ideal", SmallJumps(), 200, 8.0, 1.0, math.exp(-4.0)),
    ):  # fmt: skip
        results = [study(model, end_time, target, n, 1, step_size=step_size).run(n_runs, SEED) for n in sizes]
        values, *bars = zip(*(relative_variance(result.estimates, p) for result in results), strict=True)
        points = axes.errorbar(sizes, values, bars, fmt="o", capsize=3, label=label)
        axes.plot(sizes, [-math.log(p) / n for n in sizes], color=points[0].get_color(), linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="N", ylabel="relative variance of a run")
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", frameon=False, title="lines: $-\\log p\\,/\\,N$")
    return figure


# --- error bars -----------------------------------------------------------------------------------------------------


def draw_errors() -> Figure:
    """Draw intervals of studies, and the error that single runs say, of the double well within T = 4."""
    exact, n_studies, n_runs = DOUBLE_WELL_2D[4], 60, 16
    tams = study(double_well_2d(), 4, 0.95, 50, 5)
    figure, (left, right) = figure_with(2)
    missed = 0
    for i in range(n_studies):
        result = tams.run(n_runs, SEED, first_run=n_runs * i)
        low, high = result.interval
        misses = not low <= exact <= high
        missed += misses
        left.plot([i, i], [low, high], color="C3" if misses else "C0", linewidth=1.2)
    left.axhline(exact, color="black", linewidth=0.8)
    left.set(
        yscale="log", xlabel="study", ylabel="95 % interval", title=f"{n_studies - missed} of {n_studies} have it"
    )
    for n in (50, 200):
        tams = study(double_well_2d(), 4, 0.95, n, n // 10)
        singles = [tams.run(1, SEED, first_run=i) for i in range(100)]
        spread = float(np.std([single.probability for single in singles], ddof=1))
        ratio = np.sort([single.standard_error / spread for single in singles])
        right.plot(ratio, np.linspace(0, 1, len(ratio)), label=f"N = {n}")
    right.axvline(1.0, color="black", linewidth=0.8)
    right.set(xscale="log", xlim=(0.05, 20), xlabel="error that a run says / spread of runs", ylabel="share of runs")
    right.legend(frameon=False)
    return figure


# --- what splitting gains, and what a score does --------------------------------------------------------------------


@njit  # type: ignore[untyped-decorator] # Numba's
def usual(x: float, y: float) -> float:
    return 0.5 - 0.5 * math.exp(-8.0 * ((x + 1.0) ** 2 + y * y)) + 0.5 * math.exp(-8.0 * ((x - 1.0) ** 2 + y * y))


@njit  # type: ignore[untyped-decorator] # likewise
def guided_by(guide: float, x: float, y: float) -> float:
    """Leave the event as it is, and let another score guide up to it."""
    score = usual(x, y)
    return score if score >= 0.95 else min(guide, 0.94)


SCORES: dict[str, Any] = {
    "usual": lambda x, t, p: usual(x[0], x[1]),
    "x": lambda x, t, p: guided_by((x[0] + 1.0) / 2.0, x[0], x[1]),
    "usual,\nin six steps": lambda x, t, p: guided_by(math.floor(6.0 * usual(x[0], x[1])) / 6.0, x[0], x[1]),
    "x plus 2 y": lambda x, t, p: guided_by((x[0] + 1.0) / 2.0 + x[1], x[0], x[1]),
}


def well(score: Any) -> pytams.SDE:
    """Give the double well another score."""
    return pytams.SDE(
        lambda x, t, p: (x[0] - x[0] * x[0] * x[0], -2.0 * x[1]),
        lambda x, t, p: (p.sigma, p.sigma),
        score,
        initial=(-1.0, 0.0),
        sigma=math.sqrt(0.1),
    )


def steps_saved(model: Any, end_time: float, target: float, exact: float, n_runs: int) -> tuple[float, float, float]:
    """Give the steps of Monte Carlo, which stops at the event, over those of splitting, and how far bars reach."""
    result = study(model, end_time, target, 100, 5).run(n_runs, SEED)
    plain = study(model, end_time, target, 100, 5, max_branchings=0).run(n_runs, SEED)
    variance, below, above = relative_variance(result.estimates, exact)
    cost = (1.0 - exact) / exact * plain.n_steps / 100 / result.n_steps
    saved = cost / variance
    return saved, saved - cost / (variance + above), cost / (variance - below) - saved


def draw_gain() -> Figure:
    """Draw what splitting saves against the probability, with scores that are good and with one that says nothing."""
    figure, axes = figure_with(1, height=4.2)
    guided_by_y = well(lambda x, t, p: guided_by(0.5 + x[1], x[0], x[1]))
    stationary = {deviations: by_start(deviations, 500)[0].sum() for deviations in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)}
    studies: dict[str, tuple[int, list[tuple[Any, float, float, float]]]] = {
        "double well, T = 2 to 10": (100, [(double_well_2d(), t, 0.95, p) for t, p in DOUBLE_WELL_2D.items()]),
        "Ornstein-Uhlenbeck, 0.5 to 5 deviations": (
            100,
            [(ornstein_uhlenbeck(), 5, level, p) for level, p in stationary.items()],
        ),
        "double well, T = 4 to 10, guided by y": (
            400,
            [(guided_by_y, t, 0.95, p) for t, p in DOUBLE_WELL_2D.items() if t > 2],
        ),
    }
    for label, (n_runs, cases) in studies.items():
        saved, *bars = zip(*(steps_saved(*case, n_runs) for case in cases), strict=True)
        axes.errorbar([case[-1] for case in cases], saved, bars, marker="o", capsize=3, label=label)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="probability", ylabel="steps of Monte Carlo / of splitting")
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def draw_score() -> Figure:
    """Draw the same event with several scores: the mean is the same, the spread is not."""
    exact, n = DOUBLE_WELL_2D[10], 100
    figure, (left, right) = figure_with(2)
    for place, score in enumerate(SCORES.values()):
        result = study(well(score), 10, 0.95, n, 1).run(200, SEED + place)
        left.errorbar(place, result.probability, 2 * result.standard_error, marker="o", capsize=4, color="C0")
        value, *bar = relative_variance(result.estimates, exact)
        right.bar(place, value, yerr=[[side] for side in bar], capsize=4, color="C0")
    left.axhline(exact, color="black", linewidth=0.8)
    right.axhline(-math.log(exact) / n, color="black", linewidth=0.8)
    left.set(ylabel="mean of 200 runs", ylim=(0.85 * exact, 1.15 * exact))
    right.set(ylabel="relative variance of a run")
    for axes in (left, right):
        axes.set_xticks(range(len(SCORES)), list(SCORES))
    return figure


def by_start(deviations: float, n_steps: int) -> tuple[Any, Any]:
    """Give parts of P(max of the stationary chain >= so many deviations), and P(the start is as high as theirs)."""
    deviation = math.sqrt(0.5)
    edge = deviations * deviation
    x, within = committor(edge, n_steps, 0.01)
    rarity = ndtr(-np.append(edge, x - (edge - x[0])) / deviation)  # x is the middle of a cell
    return np.append(rarity[0], np.diff(rarity) * within[-1]), rarity


def draw_starts() -> Figure:
    """Draw runs of a stationary process that must reach 5 deviations soon, and from where others reach 6 later."""
    deviations, n_steps = 5, 50
    exact = by_start(deviations, n_steps)[0].sum()
    split = pytams.SDE(
        lambda x, t, p: -x,
        lambda x, t, p: 1.0,
        lambda x, t, p: x / p.deviation,
        initial=lambda normals: math.sqrt(0.5) * normals,
        start_shape=(),
        deviation=math.sqrt(0.5),
    )
    figure, (left, right) = figure_with(2)
    for label, model in (("the start is drawn", ornstein_uhlenbeck()), ("the start is split, too", split)):
        result = study(model, 0.01 * n_steps, deviations, 100, 5).run(200, SEED)
        estimates = np.sort(np.array(result.estimates)) / exact
        (line,) = left.step(estimates, np.linspace(0, 1, len(estimates)), label=label)
        left.axvline(float(estimates.mean()), color=line.get_color(), linestyle=":")
    left.axvline(1.0, color="black", linewidth=0.8)
    left.set(xscale="log", xlabel="estimate of a run / exact value", ylabel="share of runs")
    left.legend(frameon=False, title="dotted: the mean", loc="upper left")
    for deviations, n_steps in ((5, 50), (5, 500), (6, 500)):
        parts, rarity = by_start(deviations, n_steps)
        label = f"{deviations} deviations, T = {0.01 * n_steps:g}"
        right.plot(rarity, np.cumsum(parts) / parts.sum(), label=label)
    right.axvline(1e-2, color="black", linewidth=0.8)
    right.set(
        xscale="log",
        xlim=(1.0, 1e-8),
        yscale="log",
        ylim=(0.01, 1.0),
        xlabel="starts rarer than",
        ylabel="their share of p",
    )
    right.legend(frameon=False, title="line: 1 / N")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "ties": draw_ties,
    "variance": draw_variance,
    "errors": draw_errors,
    "gain": draw_gain,
    "score": draw_score,
    "starts": draw_starts,
    "others": draw_others,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FIGURES:
        path = FOLDER / f"{name}.png"
        FIGURES[name]().savefig(path, dpi=90)
        print(f"{path.relative_to(FOLDER.parents[1])}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
