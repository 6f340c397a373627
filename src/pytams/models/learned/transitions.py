"""What a pilot study has seen of a model: transitions, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Truths = NDArray[np.bool_]

_LEVELS, _TIMES, _PLACES = 15, 6, 10
"""Transitions are chosen evenly over so many bins of level and of time, and places in each bin of level."""


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

    @classmethod
    def of(cls, several: Iterable[Transitions]) -> Transitions:
        """Put together what several studies have seen."""
        return cls._make(np.concatenate(column) for column in zip(*several, strict=True))

    def only(self, kept: NDArray[np.bool_]) -> Transitions:
        """Give those for which this is true."""
        return Transitions._make(column[kept] for column in self)

    def chosen(self, most: int, rng: np.random.Generator) -> Transitions:
        """Choose so many at most, evenly: few where the pilot begins, and all of a channel that is seldom taken."""
        n = len(self.hits)
        if n <= most:
            return self
        level = _bins(self.levels, _LEVELS)
        scale = self.starts.std(axis=0)
        x = self.starts / np.where(scale > 0.0, scale, 1.0)
        place = np.empty(n, np.int64)
        for i in range(_LEVELS):
            here = np.flatnonzero(level == i)
            place[here] = _places(x[here], _PLACES)
        cell = (level * _TIMES + _bins(self.times, _TIMES)) * _PLACES + place
        order = rng.permutation(n)
        cells, counts = np.unique(cell, return_counts=True)
        share = _share(counts, most)
        rank = np.empty(n, dtype=int)
        by_cell = order[np.argsort(cell[order], kind="stable")]
        firsts = np.cumsum([0, *counts[:-1]])
        rank[by_cell] = np.arange(n) - np.repeat(firsts, counts)
        return self.only(rank < share[np.searchsorted(cells, cell)])


def _places(x: Array, n: int) -> NDArray[np.int64]:
    """Tell which of n points, each the farthest from those before, is the nearest."""
    place = np.zeros(len(x), np.int64)
    nearest = np.full(len(x), np.inf)
    for i in range(n if len(x) else 0):
        center = x[0] if i == 0 else x[np.argmax(nearest)]
        distance = np.sum((x - center) ** 2, axis=1)
        place[distance < nearest] = i
        nearest = np.minimum(nearest, distance)
    return place


def _bins(values: Array, n: int) -> NDArray[np.int64]:
    low, high = float(values.min()), float(values.max())
    return np.clip(((values - low) / max(high - low, 1e-300) * n).astype(np.int64), 0, n - 1)


def _share(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Give each cell the same, and what small ones leave to the others."""
    share = most // len(counts)
    while np.minimum(counts, share + 1).sum() <= most and share < counts.max():
        share = max(share + 1, int(share * 1.05))
    return np.minimum(counts, share)
