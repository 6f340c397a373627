"""Estimates beside exact values: writes docs/validation.md and the pictures in it. Run by `make validation`.

`--draw` draws the table of probabilities that the page has.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from test_estimators import COVERAGE, coverage

import pytams
from exact import (
    DOUBLE_WELL_1D,
    DOUBLE_WELL_2D,
    ORNSTEIN_UHLENBECK,
    SPIN_UP,
    Walk,
    double_well_1d,
    double_well_2d,
    ornstein_uhlenbeck,
    ornstein_uhlenbeck_spun_up,
    walk_probability,
)
from pytams import plot
from pytams.analysis import estimators

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "validation.md"
SEED = 2026
HEAD = """# Validation

`make validation` writes this page (half an hour), and those of [learned scores](validation_learned.md) and of
[the gallery](validation_gallery.md). The exact values are probabilities of the
Euler-Maruyama chain itself, monitored at its own steps, by a transfer operator on a fine grid, good to about 1e-3;
for the walk they are exact. z is the distance between estimate and exact value in standard errors: two in three
should lie within 1, and one in twenty beyond 2. {summary}
"""


class Settings(NamedTuple):
    """What is asked for."""

    n_trajectories: int
    n_discard: int
    n_runs: int

    def __str__(self) -> str:
        return f"N = {self.n_trajectories}, l = {self.n_discard}, {self.n_runs} runs"


SETTINGS = [Settings(200, 1, 64), Settings(500, 50, 32)]


class Case(NamedTuple):
    """A model whose probability is known."""

    model: Callable[[], pytams.Model]
    end_time: float
    target: float
    exact: float
    step_size: float = 0.01


def ou_case(deviations: int) -> Case:
    """From 5 standard deviations on with a spin-up: see "Random starts" in docs/models.md."""
    exact = OU[deviations]
    if deviations < 5:
        return Case(ornstein_uhlenbeck, 5, deviations, exact)
    return Case(partial(ornstein_uhlenbeck_spun_up, deviations - 0.1), 5 + SPIN_UP, deviations, exact)


OU = ORNSTEIN_UHLENBECK | {7: 2.011e-10, 8: 1.215e-13}
CASES = {
    **{f"2-D double well, T = {t}": Case(double_well_2d, t, 0.95, p) for t, p in DOUBLE_WELL_2D.items()},
    **{f"1-D double well, T = {t}": Case(double_well_1d, t, 0.95, p) for t, p in DOUBLE_WELL_1D.items()},
    **{f"Ornstein-Uhlenbeck, {a} sigma": ou_case(a) for a in OU},
    "reflected walk, 6 within 20 steps": Case(Walk, 20, 6, walk_probability(6, 20), 1.0),
    "Ornstein-Uhlenbeck, up to 8 sigma": Case(ornstein_uhlenbeck, 5, 8, OU[8]),
}
NAMES = [name for name in CASES if "up to" not in name]


def run(name: str, settings: Settings) -> pytams.Result:
    case = CASES[name]
    tams = pytams.TAMS(
        case.model(),
        end_time=case.end_time,
        step_size=case.step_size,
        target_score=case.target,
        n_trajectories=settings.n_trajectories,
        n_discard=settings.n_discard,
    )
    return tams.run(settings.n_runs, seed_of(name))


estimate = cache(run)


def seed_of(name: str) -> int:
    """Give every case noise of its own: studies of one seed start alike."""
    return SEED + list(CASES).index(name)


def z_score(name: str, settings: Settings) -> float:
    result = estimate(name, settings)
    return (result.probability - CASES[name].exact) / result.standard_error


def probabilities(settings: Settings) -> Iterator[list[str]]:
    for name in NAMES:
        exact, result = CASES[name].exact, estimate(name, settings)
        low, high = result.interval
        yield [
            name,
            f"{exact:.4g}",
            f"{result.probability:.4g}",
            f"{result.relative_error:.1%}",
            f"{z_score(name, settings):+.2f}",
            "yes" if low <= exact <= high else "no",
            result.health.word,
        ]


def return_times(settings: Settings) -> Iterator[list[str]]:
    for deviations, probability in OU.items():
        result = estimate(f"Ornstein-Uhlenbeck, {deviations} sigma", settings)
        found, long, short = (estimators.return_time(p, 5.0) for p in (result.probability, *result.interval))
        exact = estimators.return_time(probability, 5.0)
        inside = "yes" if short <= exact <= long else "no"
        yield [str(deviations), f"{exact:.4g}", f"{found:.4g}", f"{short:.4g} to {long:.4g}", inside]


def draw_curves() -> None:
    """Draw return times over the exact ones: of the studies of the table, and of the curve that one study gives."""
    exact = estimators.return_time(np.array([*OU.values()]), 5.0)
    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    for settings, ax in zip(SETTINGS, figure.subplots(1, 2, sharey=True), strict=True):
        curve = estimate("Ornstein-Uhlenbeck, up to 8 sigma", settings).return_times(
            [*[*OU][:-1], np.nextafter(8, 0)]
        )
        ax.fill_between([*OU], curve.low / exact, curve.high / exact, color=plot.BLUE, alpha=0.2, linewidth=0)
        ax.plot([*OU], curve.value / exact, color=plot.BLUE, label="one study")
        results = [estimate(f"Ornstein-Uhlenbeck, {a} sigma", settings) for a in OU]
        bounds = np.array([(result.probability, *result.interval) for result in results]).T
        found, long, short = estimators.return_time(bounds, 5.0) / exact
        widths = [found - short, long - found]
        ax.errorbar([*OU], found, widths, fmt="s", color=plot.GREY, markersize=4, label="a study a level")
        ax.axhline(1.0, color=plot.ORANGE, linestyle="--", label="exact")
        ax.set(xlabel="standard deviations", ylabel="return time over the exact one", title=str(settings))
        ax.grid(alpha=0.25)
        plot.with_legend(ax)
    figure.savefig(DOCS / "return-times.png", dpi=100)


def draw_probabilities() -> Figure:
    """Draw the tables of probabilities that the page has: estimates over exact values, with two standard errors."""
    tables = PAGE.read_text(encoding="utf-8").split("\n## ")[1].split("seeds from")[1:]
    row = re.compile(r"^\| (.+?) \| (\S+) \| (\S+) \| (\S+)% \|", re.M)
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    ax = figure.subplots()
    for shift, settings, colour, text in zip((-0.15, 0.15), SETTINGS, (plot.BLUE, plot.GREY), tables, strict=True):
        names, *numbers = zip(*row.findall(text), strict=True)
        exact, found, percent = np.array(numbers, dtype=float)
        ratios, heights = found / exact, np.arange(len(names)) + shift
        ax.errorbar(ratios, heights, xerr=0.02 * percent * ratios, fmt="o", color=colour, label=str(settings))
    ax.axvline(1.0, color=plot.ORANGE, linestyle="--", label="exact")
    ax.set(xlabel="estimate over exact value, +- 2 standard errors")
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def intervals() -> Iterator[list[str]]:
    for name in COVERAGE:
        *_, n, n_discard = COVERAGE[name]
        ours, plain = coverage(name)
        yield [name, str(n), str(n_discard), f"{ours:.1%}", f"{plain:.1%}"]


def single_runs() -> Iterator[list[str]]:
    for end_time, n, n_discard in [(10, 200, 1), (10, 200, 20), (10, 50, 1), (4, 100, 1), (2, 400, 1)]:
        runs = run(f"2-D double well, T = {end_time}", Settings(n, n_discard, 500)).runs
        variances = np.array([0.0 if math.isnan(one.variance) else one.variance for one in runs])
        ratios = variances / np.var([one.estimate for one in runs], ddof=1)
        roots = np.median([len(one.families) for one in runs])
        yield [
            str(end_time),
            str(n),
            str(n_discard),
            f"{ratios.mean():.2f}",
            f"{np.median(ratios):.2f}",
            f"{roots:g}",
        ]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head)]
    for row in rows:
        print(*row, sep=" | ", flush=True)
        lines.append(row)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write() -> None:
    parts = ["\n## Probabilities\n"]
    head = ["model", "exact", "estimate", "relative error", "z", "in the 95 % interval", "health"]
    parts += [
        f"\n{settings}, seeds from {SEED} on:\n\n{table(head, probabilities(settings))}" for settings in SETTINGS
    ]
    parts.append(
        "\n![estimates over exact values](validation.png)\n\n`benchmarks/validation.py --draw` draws them.\n"
    )
    parts.append("\n## Return times\n\nOf a stationary Ornstein-Uhlenbeck path exceeding so many sigma (T = 5).\n")
    head = ["sigma", "exact", "estimate", "95 % interval", "inside"]
    parts += [f"\n{settings}:\n\n{table(head, return_times(settings))}" for settings in SETTINGS]
    draw_curves()
    parts.append(f"""
![return times](return-times.png)

Each level of the table is a study of its own, with a spin-up that the splitting can work on from 5 sigma on. The
curves are from one study each, up to 8 sigma, that starts from the stationary law: unbiased, too, but typically 5 to
15 % low in probability beyond 5 sigma, and their intervals do not show it, because starts that high are hardly ever
drawn: see "Random starts" in [models.md](models.md#random-starts).

## Coverage of the interval

Share of 300 independent studies of 16 runs whose 95 % interval covers the exact value (300 studies know a coverage of
95 % to 1.3 %): `Result.interval`, symmetric in the logarithm with Student's quantile, beside 1.96 standard errors.

{table(["model", "N", "l", "`Result.interval`", "plain normal"], intervals())}
## The error of a single run

The variance that one run estimates of its own estimate, over the variance of 500 estimates (known to 6 % or more);
2-D double well.

{table(["T", "N", "l", "mean", "median", "initial trajectories with descendants (median)"], single_runs())}
It is right on average, and too low in most runs if few initial trajectories have descendants: then `health` says
*weak* or *collapsed*.
""")
    scores = [abs(z_score(name, settings)) for name in NAMES for settings in SETTINGS]
    within = [sum(score < limit for score in scores) for limit in (1, 2, 3)]
    summary = (
        f"Here {within[0]} of {len(scores)}\nlie within 1, {within[1]} within 2, {within[2]} within 3, and the "
        f"largest is {max(scores):.1f}."
    )
    PAGE.write_text("".join([HEAD.format(summary=summary), *parts]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", action="store_true", help="only draw the table that the page has")
    if not parser.parse_args().draw:
        write()
    draw_probabilities().savefig(DOCS / "validation.png", dpi=100)


if __name__ == "__main__":
    main()
