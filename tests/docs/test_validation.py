"""The pages of validation: what the tables say is drawn, nothing in them is far off, and it can be measured again."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest

from pages import PAGES, ROOT

sys.path[:0] = [str(ROOT / "benchmarks"), str(Path(__file__).parents[1] / "analysis")]
import validation  # noqa: E402 - in the benchmarks
import validation_gallery as gallery  # noqa: E402 - likewise

ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGES["docs/validation_gallery.md"].splitlines()
        if re.match(r"\| \w+.*\d", line)
    )
}
"""Of the gallery's page, by name."""


def number(cell: str) -> tuple[float, float]:
    value, _, error = cell.partition(" +- ")
    return float(value), float(error or 0.0)


def test_every_row_of_the_probabilities_is_drawn() -> None:
    axes = validation.draw_probabilities().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == validation.NAMES
    assert [len(drawn[0].get_xdata()) for drawn in axes.containers] == [len(validation.NAMES)] * 2


def test_no_example_of_the_gallery_is_far_off() -> None:
    assert list(ROWS) == list(gallery.CASES)
    for reference, estimate, z in (row[1:4] for row in ROWS.values()):
        (exact, error), (found, spread) = number(reference), number(estimate)
        assert (found - exact) / math.hypot(error, spread) == pytest.approx(float(z), rel=0.05, abs=0.02)
        assert abs(float(z)) < 3.0


@pytest.mark.slow
def test_an_example_of_the_gallery_is_measured_again() -> None:
    name = "bichannel, warm, T = 20"
    row = gallery.measure(gallery.CASES[name]._replace(n_studies=8), seed=1)
    (exact, _), (found, spread) = map(number, ROWS[name][1:3])
    assert row.reference.value == pytest.approx(exact, rel=1e-3)
    assert abs(row.mean - found) < 4 * math.hypot(row.error, spread)
    axes = gallery.draw({name: row}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [name]
