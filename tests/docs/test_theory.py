"""The theory page: no figure is missing or left over, each says how it is drawn; what others do is right, too."""

from __future__ import annotations

import math
import re
import sys

import numpy as np
import pytest
from scipy.special import ndtri

from exact import ORNSTEIN_UHLENBECK
from pages import PAGES, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import theory
import theory_others as others

PAGE = PAGES["docs/theory.md"]
PICTURES = re.findall(r"!\[[^\]]+\]\(theory/(\w+)\.png\)", PAGE)


def test_the_script_the_folder_and_the_page_have_the_same_figures() -> None:
    assert sorted(PICTURES) == sorted(theory.FIGURES) == sorted(path.stem for path in theory.FOLDER.iterdir())


@pytest.mark.parametrize("name", PICTURES)
def test_the_command_is_in_the_caption(name: str) -> None:
    caption = PAGE.split(f"(theory/{name}.png)\n\n")[1].split("\n\n")[0]
    assert f"`python benchmarks/theory.py {name}`" in caption


def test_every_picture_has_a_command() -> None:
    for picture in re.findall(r"!\[[^\]]+\]\([^)]+\)", PAGE):
        caption = PAGE.split(picture)[1].split("\n\n")[1]
        before = PAGE.split(picture)[0].rstrip().rpartition("\n\n")[2]
        assert re.search(r"`(python benchmarks/|make )", before + caption), picture


def test_every_command_is_of_a_script() -> None:
    scripts = re.findall(r"`python (benchmarks/\w+\.py)", PAGE)
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


def test_every_reference_is_cited_and_every_citation_has_one() -> None:
    text, _, references = PAGE.partition("## References")
    listed = [int(number) for number in re.findall(r"^(\d+)\. ", references, re.M)]
    cited = {int(number) for group in re.findall(r" \[(\d+(?:, \d+)*)\]", text) for number in group.split(", ")}
    assert listed == list(range(1, len(listed) + 1))
    assert cited == set(listed)
    assert all("](https://" in line for line in re.findall(r"^\d+\. .*", references, re.M))


@pytest.mark.slow
@pytest.mark.parametrize("deviations", [3, 5])
def test_the_parts_of_starts_add_up_to_the_exact_value(deviations: int) -> None:
    parts, _ = theory.by_start(deviations, 500)
    assert parts.sum() == pytest.approx(ORNSTEIN_UHLENBECK[deviations], rel=1e-3)


@pytest.mark.slow
def test_tilted_clones_and_pushes_are_unbiased() -> None:
    target = float(-ndtri(1e-3)) * others.SPREAD
    tilt = target / others.SPREAD**2
    x, within = others.committor(2.8, others.N_STEPS, others.DT)
    crossed = float(np.interp(0.0, x[::-1], within[-1][::-1]))
    for exact, found in (
        (1e-3, others.trajectories(target, k=tilt)),
        (1e-3, others.trajectories(target, control=(tilt * others.EFFECT)[:, None])),
        (crossed, others.trajectories(2.8, crossing=True, k=2.0)),
        (crossed, others.trajectories(2.8, crossing=True, control=others.by_committor(x, within))),
    ):
        error = np.std(found.estimates, ddof=1) / math.sqrt(len(found.estimates))
        assert error < 0.1 * exact
        assert abs(np.mean(found.estimates) - exact) < 4 * error
