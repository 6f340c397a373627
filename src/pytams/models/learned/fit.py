"""Learning the committor u(x, t to go) = P(the event happens within that time | state x) from a pilot's transitions.

The method is an analogue chain (Lucente, Rolland, Herbert & Bouchet 2022, arXiv 2110.05050): u for one interval more
is the average, over the nearest starts, of u at the ends of their transitions. Averages obey a maximum principle, so
that the recursion cannot explode. What is near is said by a metric that is learned along: the mean outer product of
gradients of log u. What comes out is distilled into a sum of a few hundred softsign features, smooth and quick.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from pytams.core.errors import CannotLearnError
from pytams.core.streams import Streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MOST = 20_000
"""Transitions, at most."""
_NEAR_START, _NEAR_END = 25, 4
"""Neighbours that are averaged over: of a start, and of an end."""
_FEATURES = 200
_RIDGE = 1e-4
_ROUNDS = 3
_FLOOR = 1e-2
"""Eigenvalues of the metric are not smaller than this share of the largest."""
_APART = 1e-6
"""Equal states, as of a chain on integers, are moved apart by so much: each then has neighbours of its own."""
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
    """Features after D; anything where the event has happened before."""
    hits: NDArray[np.bool_]
    """Whether the event has happened."""


class Committor(NamedTuple):
    """log u as a sum of softsign features, for each slice of time to go."""

    center: Array
    scale: Array
    """Features are standardised by these."""
    weights: Array
    """(features, softsigns)."""
    biases: Array
    """(softsigns,)."""
    coefficients: Array
    """(slices + 1, softsigns + 1): the constant last. Slice j is for j intervals to go."""
    interval: float
    """D."""
    floor: float
    """log u is not trusted below this."""


def fit(transitions: Transitions, interval: float, n_slices: int, probability: float, seed: int = 0) -> Committor:
    """Learn log u.

    Parameters
    ----------
    transitions
        Of the pilot: at least a few hundred, and some with a hit.
    interval
        D.
    n_slices
        J: times to go up to J D are learned.
    probability
        The pilot's estimate p: a tenth of it is where u is cut off, since nothing below matters.
    seed
        Of the choice of transitions and of features.

    Raises
    ------
    CannotLearnError
        If there are too few transitions, or none has a hit.
    """
    rng = Streams(seed).learning()
    chosen = _chosen(transitions, rng)
    if len(chosen.hits) < 4 * _NEAR_START or not chosen.hits.any():
        n_hits = int(transitions.hits.sum())
        raise CannotLearnError(
            f"the pilot has {len(transitions.hits)} transitions, {n_hits} with a hit: too few to learn from"
        )
    center, scale = chosen.starts.mean(axis=0), chosen.starts.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    x, y = (chosen.starts - center) / scale, (chosen.ends - center) / scale
    y = np.where(chosen.hits[:, None], 0.0, y)
    x, y = (part + _APART * rng.standard_normal(part.shape) for part in (x, y))
    delta = probability / 10.0
    weights, biases = _random_features(x.shape[1], rng)
    metric = np.eye(x.shape[1])
    for _ in range(_ROUNDS):
        log_u = np.log(np.maximum(_chain(x @ metric, y @ metric, chosen.hits, n_slices, delta), delta))
        coefficients = _distilled(x, log_u, weights, biases)
        metric = _metric(x, weights, biases, coefficients[1:])
    return Committor(center, scale, weights, biases, coefficients, interval, math.log(delta))


def _chosen(transitions: Transitions, rng: np.random.Generator) -> Transitions:
    """Choose transitions evenly over levels and times, so that few are in the well where the pilot begins."""
    n = len(transitions.hits)
    if n <= _MOST:
        return transitions
    level = _bins(transitions.levels, _LEVELS)
    time = _bins(transitions.times, _TIMES)
    cell = level * _TIMES + time
    order = rng.permutation(n)
    cells, counts = np.unique(cell, return_counts=True)
    share = _share(counts, _MOST)
    rank = np.empty(n, dtype=int)
    by_cell = order[np.argsort(cell[order], kind="stable")]
    firsts = np.cumsum([0, *counts[:-1]])
    rank[by_cell] = np.arange(n) - np.repeat(firsts, counts)
    keep = rank < share[np.searchsorted(cells, cell)]
    starts, times, levels, ends, hits = transitions
    return Transitions(starts[keep], times[keep], levels[keep], ends[keep], hits[keep])


def _bins(values: Array, n: int) -> NDArray[np.int64]:
    low, high = float(values.min()), float(values.max())
    return np.clip(((values - low) / max(high - low, 1e-300) * n).astype(np.int64), 0, n - 1)


def _share(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Give each cell the same, and what small ones leave to the others."""
    share = most // len(counts)
    while np.minimum(counts, share + 1).sum() <= most and share < counts.max():
        share = max(share + 1, int(share * 1.05))
    return np.minimum(counts, share)


def _chain(x: Array, y: Array, hits: NDArray[np.bool_], n_slices: int, delta: float) -> Array:
    """Compute u at the starts, for 0 to J intervals to go: (slices + 1, starts)."""
    n = len(hits)
    tree = cKDTree(x)
    near = min(_NEAR_START, n)
    average = _averages(tree.query(x, near)[1], n)
    ends = np.flatnonzero(~hits)
    of_ends = _averages(tree.query(y[ends], min(_NEAR_END, n))[1], n)
    u = np.full((n_slices + 1, n), delta)
    for j in range(1, n_slices + 1):
        at_ends = hits.astype(np.float64)
        at_ends[ends] = of_ends @ u[j - 1]
        u[j] = average @ at_ends
    return u


def _averages(neighbours: Any, n: int) -> csr_matrix:
    rows, k = neighbours.shape
    return csr_matrix(
        (np.full(rows * k, 1.0 / k), neighbours.ravel(), np.arange(0, rows * k + 1, k)), shape=(rows, n)
    )


def _random_features(d: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw directions and places of softsigns, with widths from a third of the data's to three times."""
    directions = rng.standard_normal((d, _FEATURES))
    directions /= np.linalg.norm(directions, axis=0)
    steepness = np.exp(rng.uniform(math.log(1.0 / 3.0), math.log(3.0), _FEATURES))
    return directions * steepness, rng.uniform(-2.5, 2.5, _FEATURES) * steepness


def _softsigns(x: Array, weights: Array, biases: Array) -> Array:
    h = x @ weights + biases
    return np.hstack([h / (1.0 + np.abs(h)), np.ones((len(x), 1))])


def _distilled(x: Array, log_u: Array, weights: Array, biases: Array) -> Array:
    """Fit log u of all slices by ridge regression: (slices + 1, softsigns + 1)."""
    phi = _softsigns(x, weights, biases)
    gram = phi.T @ phi / len(x)
    factor = cho_factor(gram + _RIDGE * np.eye(len(gram)))
    return np.ascontiguousarray(cho_solve(factor, phi.T @ log_u.T / len(x)).T)


def _metric(x: Array, weights: Array, biases: Array, coefficients: Array) -> Array:
    """Find the square root of the mean outer product of gradients of log u: what log u depends on counts."""
    slope = 1.0 / (1.0 + np.abs(x @ weights + biases)) ** 2
    outer = np.zeros((x.shape[1], x.shape[1]))
    for row in coefficients[:, :-1]:
        gradient = (slope * row) @ weights.T
        outer += gradient.T @ gradient / len(x)
    values, vectors = np.linalg.eigh(outer)
    values = np.maximum(values / max(values[-1], 1e-300), _FLOOR)
    root: Array = (vectors * np.sqrt(values)) @ vectors.T
    return root
