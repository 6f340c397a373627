"""What a pilot study has seen of a model: transitions, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Truths = NDArray[np.bool_]

_LEVELS, _TIMES = 15, 6
"""Transitions are chosen evenly over so many bins of level and of time."""


class Transitions(NamedTuple):
    """What happened within an interval of time D, time and again."""

    starts: Array
    """Features at the start: (transitions, features)."""
    times: Array
    """Time there."""
    levels: Array
    """-log P(the score gets higher than there)."""
    ends: Array
    """Features after D; anything where the event has happened before, or the trajectory has ended."""
    whole: Truths
    """Whether the interval is whole, or ends with the event or the trajectory."""
    hits: Truths
    """Whether the event has happened within it."""
    stops: Truths
    """Whether the trajectory has ended within it by the model's own condition, without the event."""
    outcomes: Truths
    """Whether the event has happened at last, before the end time."""

    def only(self, kept: NDArray[np.bool_]) -> Transitions:
        """Give those for which this is true."""
        return Transitions._make(column[kept] for column in self)

    def chosen(self, most: int, rng: np.random.Generator) -> Transitions:
        """Choose so many at most, evenly over levels and times: then few are in the well where the pilot begins."""
        n = len(self.hits)
        if n <= most:
            return self
        cell = _bins(self.levels, _LEVELS) * _TIMES + _bins(self.times, _TIMES)
        order = rng.permutation(n)
        cells, counts = np.unique(cell, return_counts=True)
        share = _share(counts, most)
        rank = np.empty(n, dtype=int)
        by_cell = order[np.argsort(cell[order], kind="stable")]
        firsts = np.cumsum([0, *counts[:-1]])
        rank[by_cell] = np.arange(n) - np.repeat(firsts, counts)
        return self.only(rank < share[np.searchsorted(cells, cell)])


def _bins(values: Array, n: int) -> NDArray[np.int64]:
    low, high = float(values.min()), float(values.max())
    return np.clip(((values - low) / max(high - low, 1e-300) * n).astype(np.int64), 0, n - 1)


def _share(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Give each cell the same, and what small ones leave to the others."""
    share = most // len(counts)
    while np.minimum(counts, share + 1).sum() <= most and share < counts.max():
        share = max(share + 1, int(share * 1.05))
    return np.minimum(counts, share)
