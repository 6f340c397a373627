"""Estimates with learned scores, and from random starts, beside exact values: writes docs/validation_learned.md.

Run by `make validation`. `--only` measures some of the cases; the other rows of the page stay as they are.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pytams
from learned import CASES, tams_of

PAGE = Path(__file__).parents[1] / "docs" / "validation_learned.md"
N_RUNS, STUDY, N_STUDIES = 300, 8, 200
FEW = math.ceil(N_RUNS / STUDY)
EXACT_OU = {5: 2.582e-5, 6: 1.204e-7}
HEAD = f"""# Validation of learned scores and random starts

`make validation` writes this page. Of each case a score is learned by `pytams.improve` (but where it says *own
score*); then {N_RUNS} runs are compared with the exact value (z is the distance in standard errors), and
{N_STUDIES} studies of {STUDY} runs tell how often the 95 % interval has it (of the simulator, whose steps are Python,
{FEW}). Where no exact value is known, {N_RUNS} runs with the user's own score stand for it. `--only` measures
one case; what is not in the table has not been measured with this version.

| case | exact, or by the user's score | estimate | relative error | z | coverage |
|---|---|---|---|---|---|
"""


def pull(x: Any, t: Any, p: Any) -> Any:
    """Of dX = -X dt + dW."""
    return -x


def unit(x: Any, t: Any, p: Any) -> Any:
    """Diffuse alike everywhere."""
    return 1.0


def itself(x: Any, t: Any, p: Any) -> Any:
    """Score a number by itself."""
    return x


def of_normal(z: Any) -> Any:
    """Start from the stationary law."""
    return math.sqrt(0.5) * z


class Row(NamedTuple):
    """A case."""

    tams: Callable[[], pytams.TAMS]
    exact: float | None
    learns: bool = True
    n_studies: int = N_STUDIES


def stationary(deviations: int) -> pytams.TAMS:
    """Pose the problem of a stationary path that gets far out."""
    model = pytams.SDE(pull, unit, itself, initial=of_normal, start_shape=())
    model.autonomous = True
    return pytams.TAMS(
        model,
        end_time=5.0,
        step_size=0.01,
        target_score=deviations * math.sqrt(0.5),
        n_trajectories=100,
        n_discard=5,
    )


ROWS = {
    name: Row(
        partial(tams_of, case),
        case.exact,
        n_studies=FEW if case.exact is None or name == "simulator" else N_STUDIES,
    )
    for name, case in CASES.items()
} | {
    f"stationary, {deviations} sigma, {which}": Row(partial(stationary, deviations), exact, which == "learned")
    for deviations, exact in EXACT_OU.items()
    for which in ("own score", "learned")
}


def line(name: str, seed: int) -> str:
    """Measure a case: a row of the table."""
    row = ROWS[name]
    hers = row.tams()
    tams = pytams.improve(hers, seed=seed).tams if row.learns else hers
    every = tams.run(STUDY * row.n_studies, seed=seed)
    whole, *studies = (
        replace(every, runs=every.runs[first : first + n], source=None)
        for first, n in [(0, N_RUNS), *((STUDY * i, STUDY) for i in range(row.n_studies))]
    )
    exact, error = row.exact, 0.0
    if exact is None:
        by_hers = hers.run(N_RUNS, seed=seed + 1)
        exact, error = by_hers.probability, by_hers.standard_error
    z = (whole.probability - exact) / math.hypot(whole.standard_error, error)
    covered = np.mean([result.interval[0] <= exact <= result.interval[1] for result in studies])
    share = "" if row.exact is None else f"{covered:.1%}"
    shown = f"{exact:.4g}" if error == 0.0 else f"{exact:.3g} +- {error:.1g}"
    return f"| {name} | {shown} | {whole.probability:.4g} | {whole.relative_error:.1%} | {z:+.2f} | {share} |"


def written() -> dict[str, str]:
    """Read the rows that the page has, by name of the case."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    return {name: rows[name] for name in ROWS if name in rows}


def main() -> None:
    """Write the page, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=ROWS, action="append")
    for name in parser.parse_args().only or ROWS:
        found = line(name, 2026 + 10 * list(ROWS).index(name))
        print(found, flush=True)
        rows = written() | {name: found}
        PAGE.write_text(HEAD + "\n".join(rows[name] for name in ROWS if name in rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
