"""The gallery's estimates beside its reference numbers: writes docs/validation_gallery.md and the picture in it.

Run by `make validation`; a quarter of an hour on an idle core. The reference numbers are made anew by
examples/references.py, without pytams.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import pytams
from pytams import plot

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
sys.path[:0] = [str(EXAMPLES), *(str(readme.parent) for readme in EXAMPLES.glob("*/README.md"))]
import references  # noqa: E402 - in the examples
from allen_cahn import AllenCahn  # noqa: E402 - likewise
from bichannel import Bichannel, share_of_upper  # noqa: E402 - likewise
from fibre_bundle import FibreBundle  # noqa: E402 - likewise
from first_passage import Excursion  # noqa: E402 - likewise
from heat_wave import HotSeason  # noqa: E402 - likewise
from lorenz96 import Lorenz96  # noqa: E402 - likewise
from overturning import Overturning  # noqa: E402 - likewise
from tandem_queue import SecondQueue, TandemQueue  # noqa: E402 - likewise

PAGE, PICTURE = ROOT / "docs" / "validation_gallery.md", ROOT / "docs" / "validation-gallery.png"
SEED, N_RUNS, N_STUDIES = 2026, 8, 40


class Found(NamedTuple):
    """What a study says: an estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def probability(result: pytams.Result) -> Found:
    return Found(result.probability, *result.interval)


def upper(result: pytams.Result) -> Found:
    share = share_of_upper(result)
    return Found(float(share.value), float(share.low), float(share.high))


class Case(NamedTuple):
    """An example with settings, and what it is compared with."""

    model: Callable[[], Any]
    reference: Callable[[], references.Reference]
    settings: dict[str, Any]
    found: Callable[[pytams.Result], Found] = probability
    n_studies: int = N_STUDIES


def tams(end_time: float, step_size: float, target: float, n: int, n_discard: int) -> dict[str, Any]:
    return {
        "end_time": end_time,
        "step_size": step_size,
        "target_score": target,
        "n_trajectories": n,
        "n_discard": n_discard,
    }


def first_passage() -> references.Reference:
    """Give the probability that the exact mean first passage time implies; excursions were counted, with an error."""
    model, (time, _) = Excursion(), references.first_passage()
    value = 1.0 / (model.excursions_a_time * time.value)
    return references.Reference(value, value / math.sqrt(model.n_excursions))


COLD, WARM = tams(100.0, 0.02, 0.9, 100, 5), tams(20.0, 0.02, 0.9, 100, 5)
CASES = {
    "overturning, f = 0.05": Case(
        lambda: Overturning(noise=0.05),
        lambda: references.overturning(copies=400_000),
        tams(100.0, 0.1, 1.0, 100, 5),
    ),
    "bichannel, cold": Case(Bichannel, lambda: references.bichannel()[0], COLD),
    "bichannel, warm, T = 20": Case(lambda: Bichannel(beta=1.67), lambda: references.bichannel(1.67, 20.0)[0], WARM),
    "share of the upper channel": Case(
        lambda: Bichannel(beta=1.67), lambda: references.bichannel(1.67, 20.0)[1], WARM, upper
    ),
    "allen_cahn, 24 sites, warm": Case(
        lambda: AllenCahn(length=6.0, beta=5.0, sites=24),
        lambda: references.allen_cahn(copies=40_000),
        tams(10.0, 0.025, 0.0, 100, 10),
    ),
    "lorenz96": Case(Lorenz96, references.lorenz96, tams(20.0, 0.05, 10.6, 100, 10), n_studies=8),
    "tandem_queue": Case(TandemQueue, references.tandem_queue, tams(1000, 1, 25, 200, 1)),
    "fibre_bundle": Case(FibreBundle, references.fibre_bundle, tams(0.07, 0.001, 1.0, 100, 5)),
    "first_passage": Case(Excursion, first_passage, tams(100.0, 0.01, 0.9, 100, 5)),
    "heat_wave": Case(HotSeason, references.heat_wave, tams(90, 1, 0.0, 100, 5)),
    "tandem_queue, the second": Case(SecondQueue, references.second_queue, tams(1000, 1, 14, 100, 1)),
}


class Row(NamedTuple):
    """A measured case."""

    reference: references.Reference
    found: list[Found]
    is_good: list[bool]
    steps: float
    saving: float
    seconds: float

    @property
    def mean(self) -> float:
        return float(np.mean([one.value for one in self.found]))

    @property
    def error(self) -> float:
        return float(np.std([one.value for one in self.found], ddof=1) / math.sqrt(len(self.found)))

    @property
    def z(self) -> float:
        return (self.mean - self.reference.value) / math.hypot(self.error, self.reference.error)

    @property
    def is_covered(self) -> list[bool]:
        return [one.low <= self.reference.value <= one.high for one in self.found]


def measure(case: Case, seed: int) -> Row:
    """Make independent studies, each with a seed of its own."""
    problem, began = pytams.TAMS(case.model(), **case.settings), perf_counter()
    results = [problem.run(N_RUNS, seed + i) for i in range(case.n_studies)]
    seconds = (perf_counter() - began) / case.n_studies
    steps = sum(result.n_steps for result in results) / case.n_studies
    saving = float(np.median([result.saving for result in results]))
    is_good = [result.health.word == "good" for result in results]
    return Row(case.reference(), [case.found(result) for result in results], is_good, steps, saving, seconds)


def with_error(value: float, error: float) -> str:
    """Write two digits of the error."""
    return f"{value:.4g} +- {error:.2g}" if error else f"{value:.4g}"


def line(name: str, row: Row) -> str:
    settings = CASES[name].settings
    cells = [
        name,
        f"{settings['n_trajectories']}, {settings['n_discard']}",
        with_error(*row.reference),
        with_error(row.mean, row.error),
        f"{row.z:+.2f}",
        f"{sum(row.is_covered)} of {len(row.found)}",
        str(sum(row.is_good)),
        f"{row.steps:.2g}",
        f"{row.saving:.2g}",
        f"{row.seconds:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def draw(rows: dict[str, Row]) -> Figure:
    """Draw each study's estimate over the reference number, their mean, and what the reference number leaves open."""
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    ax = figure.subplots()
    for place, row in enumerate(rows.values()):
        value, error = row.reference
        estimates = np.array([one.value for one in row.found]) / value
        heights = place + np.linspace(-0.28, 0.28, len(estimates))
        ax.plot(estimates, heights, ".", color=plot.GREY, alpha=0.6, label=None if place else "a study")
        ax.errorbar(
            row.mean / value,
            place,
            xerr=2.0 * row.error / value,
            fmt="o",
            color=plot.BLUE,
            capsize=4,
            label=None if place else "their mean, +- 2 standard errors",
        )
        ax.fill_betweenx(
            [place - 0.4, place + 0.4],
            1.0 - 2.0 * error / value,
            1.0 + 2.0 * error / value,
            color=plot.ORANGE,
            alpha=0.3,
            linewidth=0,
        )
    ax.axvline(1.0, color=plot.ORANGE, linestyle="--", label="the reference number, +- 2 of its own")
    ax.set(xscale="log", xlabel="estimate over the reference number")
    ticks = (0.25, 0.5, 1.0, 2.0, 4.0)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def page(rows: dict[str, Row]) -> str:
    """Write the page, with what the table says in words."""
    scores = [abs(row.z) for row in rows.values()]
    within = [sum(score < limit for score in scores) for limit in (1, 2, 3)]
    exact = [row for row in rows.values() if not row.reference.error]
    studies = [pair for row in exact for pair in zip(row.is_good, row.is_covered, strict=True)]
    good, other = ([covered for is_good, covered in studies if is_good is which] for which in (True, False))
    table = "\n".join(line(name, row) for name, row in rows.items())
    head = ["example", "N, l", "reference", "estimate", "z", "in the interval", "good", "steps", "saving", "seconds"]
    return f"""# Validation of the gallery

`python benchmarks/validation_gallery.py` writes this page and draws its picture (a quarter of an hour; a part of
`make validation`). Of each example of the [gallery](gallery.md), {N_STUDIES} independent studies of {N_RUNS} runs
each (of lorenz96, {CASES["lorenz96"].n_studies}) are compared with its reference number, which
[examples/references.py](../examples/references.py) makes without pytams: exact, or of plain trajectories, with an
error of its own. z is the distance between the mean of all studies and the reference number over the error of both,
from how much the studies differ. Here {within[0]} of {len(scores)} lie within 1, {within[1]} within 2,
{within[2]} within 3, and the largest is {max(scores):.1f}.

| {" | ".join(head)} |
|{"---|" * len(head)}
{table}

![estimates over reference numbers](validation-gallery.png)

*In the interval*: of how many studies the 95 % interval has the reference number; *good*: of how many the health is
*good*. Where the number is exact, {sum(good)} of {len(good)} good studies have it ({np.mean(good):.0%}), and
{sum(other)} of the {len(other)} others ({np.mean(other):.0%}): 8 runs whose trajectories descend from few do not know
how much they differ, and the health says so. *Steps* and *seconds* (of a core that had other work as well) are of a
study; *saving* is the median `result.saving`, over plain Monte Carlo. Settings are those of the examples'
READMEs, with N and l of the table. *first_passage* is the probability that the exact mean first passage time implies.
*lorenz96* is perturbed at branches alone, so that its estimate is an approximation.
"""


def main() -> None:
    """Measure all, and write and draw what came out."""
    rows = {}
    for i, (name, case) in enumerate(CASES.items()):
        rows[name] = measure(case, SEED + 1000 * i)
        print(line(name, rows[name]), flush=True)
    draw(rows).savefig(PICTURE, dpi=100)
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
