"""A variant is one small file: here two, each unbiased."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@pytest.mark.slow
@pytest.mark.parametrize("variant", [Systematic(), EvenLevels()], ids=lambda variant: variant.name)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
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


class Nameless(EvenLevels):
    """Without a name of its own it would be taken for another."""


class TamsByAnotherRule(pytams.Variant):
    def level(self, ended: Sequence[tuple[float, int]], n_discard: int) -> float | None:
        return None


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (TamsByAnotherRule(), "TamsByAnotherRule is called 'tams', like what it is made from: give it a `name`"),
        (Nameless(), "Nameless is called 'even levels', like what it is made from: give it a `name`"),
        (EvenLevels, "expected a pytams.Variant, got .*EvenLevels'>; make an instance of it first"),
        ("tams", "expected a pytams.Variant, got 'tams'"),
    ],
)
def test_a_variant_is_an_instance_with_a_name_of_its_own(variant: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(pytams.SettingsError, match=f"^variant: {message}"):
        walk(variant)
    walk().run(1, seed=1, out=tmp_path / "run")
    with pytest.raises(pytams.SettingsError, match=f"^variant: {message}"):
        pytams.load(tmp_path / "run", variant)


class Wrong(pytams.Variant):
    """Chooses something impossible, or not."""

    name = "wrong"

    def __init__(self, **choices: Any) -> None:
        self.choices = choices

    def level(self, ended: Sequence[tuple[float, int]], n_discard: int) -> float | None:
        level = super().level(ended, n_discard)
        return None if level is None else self.choices.get("level", level)

    def n_killed(self, ended: Sequence[tuple[float, int]], level: float) -> int:
        n_killed: int = self.choices.get("n_killed", super().n_killed(ended, level))
        return n_killed

    def ancestors(self, rng: np.random.Generator, n_killed: int, n_survivors: int) -> list[int]:
        ancestors = super().ancestors(rng, n_killed, n_survivors)
        first: int | None = self.choices.get("ancestor")
        return ancestors[self.choices.get("n_missing", 0) :] if first is None else [first, *ancestors[1:]]

    def branch_record(self, scores: Sequence[float], level: float) -> int:
        record: int = self.choices.get("record", super().branch_record(scores, level))
        return record


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"level": -1.0}, "level returned -1.0 which is below all maxima: it must kill somebody"),
        ({"level": math.nan}, "level returned nan"),
        ({"n_killed": 0}, "n_killed returned 0 at level .* those whose maximum is not above it, 1 to "),
        ({"n_killed": -1}, "n_killed returned -1"),
        ({"n_killed": 21}, "n_killed returned 21"),
        ({"ancestor": 20}, r"ancestors returned \[20.* numbers of survivors, each 0 to "),
        ({"ancestor": -1}, r"ancestors returned \[-1"),
        ({"n_missing": 1}, "ancestors returned .* numbers of survivors"),
        ({"record": -1}, "branch_record returned -1 .* above level"),
        ({"record": 0}, "branch_record returned 0 .* above level"),
        ({"record": 99}, "branch_record returned 99 .* above level"),
    ],
)
def test_an_impossible_choice_is_named(choices: dict[str, Any], message: str) -> None:
    assert walk(Wrong()).run(2, seed=1).runs == walk().run(2, seed=1).runs
    with pytest.raises(pytams.SettingsError, match=f"^variant: wrong.{message}"):
        walk(Wrong(**choices)).run(1, seed=1)
