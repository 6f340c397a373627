"""A variant is one small file: here two, each unbiased."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pytams
from exact import Walk, walk_probability
from pytams.core.selection import survivor_slots

if TYPE_CHECKING:
    from collections.abc import Sequence


class Systematic(pytams.Variant):
    """Ancestors by systematic resampling: each survivor gets nearly the same number of branches."""

    name = "systematic"

    def ancestors(self, rng: np.random.Generator, n_killed: int, n_survivors: int) -> list[int]:
        places = (np.arange(n_killed) + rng.random()) / n_killed * n_survivors
        shuffled = rng.permutation(n_survivors)
        return [int(shuffled[int(place)]) for place in places]


class EvenLevels(pytams.Variant):
    """Levels on a grid: the l-th smallest maximum, rounded up to an even number."""

    name = "even levels"

    def level(self, ended: Sequence[tuple[float, int]], n_discard: int) -> float | None:
        level = super().level(ended, n_discard)
        return None if level is None else 2.0 * math.ceil(level / 2.0)


def walk(variant: pytams.Variant | None = None) -> pytams.TAMS:
    return pytams.TAMS(
        Walk(), end_time=20, step_size=1, target_score=5, n_trajectories=20, n_discard=4, variant=variant
    )


@pytest.mark.parametrize("variant", [Systematic(), EvenLevels()], ids=lambda variant: variant.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_another_rule_is_unbiased(variant: pytams.Variant, seed: int) -> None:
    result = walk(variant).run(800, seed=seed)
    assert abs(result.probability - walk_probability(5, 20)) < 4 * result.standard_error
    assert result.runs[:20] != walk().run(20, seed=seed).runs
    assert result.settings.variant == variant.name


def test_a_variant_is_recorded_and_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run"
    result = walk(EvenLevels()).run(3, seed=1, out=path)
    assert walk(EvenLevels()).run(3, out=path).runs == result.runs
    with pytest.raises(pytams.SettingsError, match="variant: .* was made with 'even levels', not 'tams'"):
        walk().run(3, out=path)
    with pytest.raises(pytams.RunDirectoryError, match="variant even levels: open it in Python"):
        pytams.load(path)
    with pytams.load(path, EvenLevels()) as saved:
        assert saved.result.runs == result.runs


def test_survivors_by_number() -> None:
    killed = [1, 2, 5]
    survivors = [slot for slot in range(8) if slot not in killed]
    assert survivor_slots(killed, list(range(5))) == survivors
