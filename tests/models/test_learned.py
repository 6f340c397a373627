"""Committors of chains whose committor is known, and learned scores on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.core.streams import Streams
from pytams.models.learned.chain import learned_by_chain, on_a_line
from pytams.models.learned.committor import Committor
from pytams.models.learned.odds import learned_by_odds
from pytams.models.learned.transitions import Transitions


def score_of(committor: Committor, end_time: float, target: float) -> pytams.LearnedScore:
    return pytams.LearnedScore(
        committor=committor,
        end_time=end_time,
        step_size=1.0,
        target_score=target,
        level=target,
        names=("x",),
        model="chain 0",
        log_estimate=-4.0,
        log_u_start=-4.0,
        paths=np.zeros((2, 3, 1)),
        taught_by=frozenset({(1, 0), (1, 1)}),
    )


def transitions_of(x: Any, y: Any, hits: Any, *, times: Any = 0.0, outcomes: Any = None) -> Transitions:
    whole = np.ones(len(x), dtype=bool)
    outcomes = hits if outcomes is None else outcomes
    return Transitions(x[:, None], np.broadcast_to(times, len(x)), x, y[:, None], whole, hits, ~whole, outcomes)


def committors(steps: int) -> tuple[Any, list[Any]]:
    """Of y = 0.8 x + 0.6 noise, with the event y >= 2: the committor on a grid, for each number of steps to go."""
    grid = np.linspace(-6.0, 2.0, 1601)
    density = np.exp(-0.5 * ((grid - 0.8 * grid[:, None]) / 0.6) ** 2) / (0.6 * math.sqrt(2.0 * math.pi))
    density[:, [0, -1]] /= 2.0
    kernel = density * (grid[1] - grid[0])
    u = [np.zeros(len(grid))]
    for _ in range(steps):
        u.append(kernel @ u[-1] + (1.0 - kernel.sum(axis=1)))
    return grid, u


def test_a_line_is_read_where_neighbours_are_to_one_side_and_not_drawn_out_far() -> None:
    offsets = np.random.default_rng(1).uniform(0.0, 1.0, (1, 25, 2))
    values = 3.0 + offsets @ np.array([1.0, -2.0])
    for here, distance in ((0.5, 0.05), (0.3, 0.1), (0.0, 0.3)):  # from the middle of them to their corner
        weights = on_a_line(offsets - here)
        assert weights.sum() == pytest.approx(1.0)
        found, known = np.sum(weights * values, axis=1)[0], 3.0 - here
        assert abs(found - known) < distance, here
    for far in (10.0, 1e6):
        weights = on_a_line(offsets - far)
        assert np.abs(weights).sum() < 4.0
    assert np.abs(on_a_line(np.ones((1, 8, 2)) + 1e-6 * offsets[:, :8])).sum() < 4.0  # all in one place, elsewhere


def test_a_feature_that_does_not_vary_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 2.0, 2000)
    y = 0.8 * x + 0.6 * rng.standard_normal(len(x))
    plain = transitions_of(x, y, y >= 2.0)
    beside = [np.column_stack([part, np.full(len(x), 5.0)]) for part in (plain.starts, plain.ends)]
    more = plain._replace(starts=beside[0], ends=beside[1])
    found = learned_by_chain(more, 1.0, 12, 0.02, Streams(0).learning())
    assert found.importance.tolist() == [1.0, 0.0]
    later = more._replace(times=rng.uniform(0.0, 12.0, len(x)))
    assert learned_by_odds(later, 12.0, 0.02, Streams(0).learning()).importance.tolist() == [1.0, 0.0]


def test_all_of_a_channel_that_is_seldom_taken_is_learned_from() -> None:
    """Though as high as many others, at the same time, it is elsewhere."""
    rng = np.random.default_rng(1)
    elsewhere = np.arange(50_000) % 500 == 0
    x = np.column_stack([rng.uniform(0.0, 1.0, 50_000), rng.normal(0.0, 0.1, 50_000) + 3.0 * elsewhere])
    no = np.zeros(len(x), dtype=bool)
    transitions = Transitions(x, x[:, 0], x[:, 0], x, ~no, no, no, no)
    chosen = transitions.chosen(5000, rng)
    assert 4000 < len(chosen.hits) <= 5000
    assert np.sum(chosen.starts[:, 1] > 2.0) == 100
    counts, _ = np.histogram(chosen.levels, 10, (0.0, 1.0))
    assert counts.min() > 0.5 * counts.max()


@pytest.mark.slow
def test_a_chain_is_learned() -> None:
    """Beside its transfer operator on a grid."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 2.0, 20_000)
    y = 0.8 * x + 0.6 * rng.standard_normal(len(x))
    found = learned_by_chain(transitions_of(x, y, y >= 2.0), 1.0, 12, 0.02, Streams(0).learning())
    score = score_of(found, 12.0, 2.0)
    grid, u = committors(12)
    for n in (3, 12):
        at = (grid > -1.5) & (grid < 1.8) & (u[n] > 0.01)  # below 0.002 it is cut off
        assert np.abs(score.log_u(grid[at, None], 12.0 - n) - np.log(u[n][at])).mean() < 0.15


def test_a_chain_is_learned_from_outcomes() -> None:
    """From whether trajectories reached the event at last, the same."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 2.0, 20_000)
    times = rng.integers(0, 12, len(x)).astype(float)
    y, outcomes = x.copy(), np.zeros(len(x), dtype=bool)
    for step in range(12):
        going = times <= step
        y[going] = np.where(outcomes[going], y[going], (0.8 * y + 0.6 * rng.standard_normal(len(y)))[going])
        outcomes |= going & (y >= 2.0)
    transitions = transitions_of(x, y, outcomes, times=times, outcomes=outcomes)
    score = score_of(learned_by_odds(transitions, 12.0, 0.02, Streams(0).learning()), 12.0, 2.0)
    grid, u = committors(12)
    for n in (3, 12):
        at = (grid > -1.5) & (grid < 1.8) & (u[n] > 0.01)
        odds = np.log(u[n][at] / (1.0 - u[n][at]))
        exact = (odds - np.sqrt(odds * odds + 4.0)) / 2.0
        assert np.abs(score.log_u(grid[at, None], 12.0 - n) - exact).mean() < 0.15


def test_a_chain_on_integers_is_learned() -> None:
    """Of the reflected walk: many transitions begin at the same place, and none of them counts for all."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, 20_000).astype(np.float64)
    y = np.maximum(0.0, x + np.where(rng.random(len(x)) < 0.3, 1.0, -1.0))
    transitions = transitions_of(x, y, y == 6)
    score = score_of(learned_by_chain(transitions, 1.0, 20, 0.018, Streams(0).learning()), 20.0, 6.0)
    matrix = np.zeros((7, 7))
    for i in range(6):
        matrix[i, i + 1] += 0.3
        matrix[i, max(0, i - 1)] += 0.7
    matrix[6, 6] = 1.0
    for n in (8, 20):
        exact = np.linalg.matrix_power(matrix, n)[:6, 6]
        seen = exact > 0.01
        error = score.log_u(np.arange(6.0)[seen, None], 20.0 - n) - np.log(exact[seen])
        assert np.abs(error).max() < 0.25


def small_score() -> pytams.LearnedScore:
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 2.0, 500)
    y = 0.8 * x + 0.6 * rng.standard_normal(len(x))
    return score_of(learned_by_chain(transitions_of(x, y, y >= 2.0), 1.0, 4, 0.02, Streams(0).learning()), 4.0, 2.0)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    score, path = small_score(), tmp_path / "score.npz"
    score.save(path)
    again = pytams.LearnedScore.load(path)
    x = np.linspace(-3.0, 1.9, 50)[:, None]
    np.testing.assert_array_equal(score(x, 1.3), again(x, 1.3))
    assert (again.names, again.level, again.model) == (("x",), 2.0, "chain 0")
    assert again.taught_by == {(1, 0), (1, 1)}
    assert not again.committor.is_odds


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("weights", np.zeros((2, 200)), "weights: not of the shape"),
        ("coefficients", np.zeros((1, 201)), "coefficients: not of the shape"),
        ("floor", 1.0, "its floor is 1"),
        ("names", np.array([{"x": 1}], dtype=object), "is no learned score"),
        ("taught_by", None, "taught_by"),
        ("paths", np.zeros((2, 3)), "paths: not of the shape"),
    ],
)
def test_a_damaged_one_is_refused(name: str, value: Any, said: str, tmp_path: Path) -> None:
    score, path = small_score(), tmp_path / "score.npz"
    score.save(path)
    with np.load(path) as arrays:
        content = {key: arrays[key] for key in arrays.files if key != name}
    np.savez(path, **content, **({} if value is None else {name: value}))
    with pytest.raises(pytams.StoreError, match=said):
        pytams.LearnedScore.load(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(pytams.StoreError, match="is no learned score"):
        pytams.LearnedScore.load(path)
