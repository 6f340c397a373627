"""Learning the committor u(x, t to go) = P(the event happens within that time | state x) from a pilot's transitions.

For a model that goes on as its state says, and not t. The method is an analogue chain (Lucente, Rolland, Herbert &
Bouchet 2022, arXiv 2110.05050): u for one interval more is read off the nearest starts, from u at the ends of their
transitions. It is read by a line through them (Platzer et al. 2021, J. Atmos. Sci. 78, 2117), since they lie to one
side where they get fewer: their mean is off, time and again. What is near is said by a metric that is learned along:
the mean outer product of gradients of log u. What comes out is distilled into a sum of a few hundred softsign
features, smooth and quick.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from pytams.core.errors import CannotLearnError
from pytams.models.learned.committor import Committor, importance_of, random_features, slopes, softsigns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams.models.learned.transitions import Transitions

    Array = NDArray[np.float64]

_MOST = 20_000
"""Transitions, at most."""
_NEAR_START, _NEAR_END = 25, 8
"""Neighbours that are read from: of a start, and of an end."""
_AT_ONCE = 1000
"""Points whose neighbours are looked at together."""
_RIDGE = 1e-4
_ROUNDS = 3
_MOST_SLICES = 50
"""That are kept, about."""
_FLOOR = 1e-2
"""Eigenvalues of the metric are not smaller than this share of the largest."""
_APART = 1e-6
"""Equal states, as of a chain on integers, are moved apart by so much: each then has neighbours of its own."""


def learned_by_chain(
    transitions: Transitions, interval: float, n_slices: int, probability: float, rng: np.random.Generator
) -> Committor:
    """Learn log u.

    Parameters
    ----------
    transitions
        Of the pilot: at least a few hundred whole ones, and some with a hit.
    interval
        D.
    n_slices
        J: times to go up to J D are learned, and a few dozen of them kept.
    probability
        The pilot's estimate p: a tenth of it is where u is cut off, since nothing below matters.
    rng
        Chooses transitions and features.

    Raises
    ------
    CannotLearnError
        If there are too few transitions, or none has a hit.
    """
    whole = transitions.only(transitions.whole)
    chosen = whole.chosen(_MOST, rng)
    if len(chosen.hits) < 4 * _NEAR_START or not chosen.hits.any():
        n, n_hits = len(whole.hits), int(whole.hits.sum())
        raise CannotLearnError(f"the pilot has {n} transitions, {n_hits} with a hit: too few to learn from")
    center, scale = chosen.starts.mean(axis=0), chosen.starts.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    x, y = (chosen.starts - center) / scale, (chosen.ends - center) / scale
    y = np.where(chosen.hits[:, None], 0.0, y)
    varies = np.ptp(x, axis=0) > 0.0
    x, y = (part + varies * _APART * rng.standard_normal(part.shape) for part in (x, y))
    delta = probability / 10.0
    stride = math.ceil(n_slices / _MOST_SLICES)
    directions, biases = random_features(x, rng)
    half = len(biases) // 2
    weights, metric, outer = directions, np.eye(x.shape[1]), np.eye(x.shape[1])
    for _ in range(_ROUNDS):
        u = _chain(x @ metric, y @ metric, chosen, math.ceil(n_slices / stride), stride, delta)
        log_u = np.log(np.maximum(u, delta))
        weights = np.hstack([metric @ directions[:, :half], directions[:, half:]])  # half of them where it counts
        coefficients = _distilled(x, log_u, weights, biases)
        outer = slopes(x, weights, biases, coefficients[1:])
        metric = _metric(outer)
    importance = importance_of(outer)
    return Committor(
        center, scale, weights, biases, coefficients, stride * interval, math.log(delta), importance, is_odds=False
    )


def _chain(x: Array, y: Array, chosen: Transitions, n_slices: int, stride: int, delta: float) -> Array:
    """Compute u at the starts, for each slice of so many intervals to go, from 0 on: (slices + 1, starts)."""
    hits = chosen.hits
    tree = cKDTree(x)
    at_start = _analogues(tree, x, _NEAR_START)
    ends = np.flatnonzero(~(hits | chosen.stops))  # where it has stopped, u = 0
    at_end = _analogues(tree, y[ends], _NEAR_END)
    u = np.full((n_slices + 1, len(hits)), delta)
    now, after = u[0], hits.astype(np.float64)
    for j in range(1, n_slices + 1):
        for _ in range(stride):
            after[ends] = np.clip(at_end @ now, 0.0, 1.0)  # a line may lead out
            now = np.clip(at_start @ after, 0.0, 1.0)
        u[j] = now
    return u


def _analogues(tree: cKDTree, points: Array, k: int) -> csr_matrix:
    """Make what reads a function at points off its values at the k nearest starts: (points, starts)."""
    k = min(k, tree.n)
    neighbours = np.empty((len(points), k), np.int64)
    weights = np.empty((len(points), k))
    for first in range(0, len(points), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        neighbours[some] = tree.query(points[some], k)[1].reshape(-1, k)
        weights[some] = on_a_line(tree.data[neighbours[some]] - points[some, None])
    rows = np.arange(0, weights.size + 1, k)
    return csr_matrix((weights.ravel(), neighbours.ravel(), rows), shape=(len(points), tree.n))


def on_a_line(offsets: Array) -> Array:
    """Weigh neighbours, given where they are from here, (points, k, d): what a line through them has here.

    Its slopes are shrunk, by ridge regression, the more so the fewer neighbours a slope is told by, and the farther
    off these all are.
    """
    _, k, d = offsets.shape
    mean = offsets.mean(axis=1)
    centered = offsets - mean[:, None]
    spread = centered.transpose(0, 2, 1) @ centered / k
    ridge = np.mean(np.sum(offsets**2, axis=2), axis=1) / k + 1e-300  # inside, d / k of the mean eigenvalue
    slopes_of_mean = np.linalg.solve(spread + ridge[:, None, None] * np.eye(d), mean[:, :, None])
    weights: Array = (1.0 - (centered @ slopes_of_mean)[:, :, 0]) / k
    return weights


def _distilled(x: Array, log_u: Array, weights: Array, biases: Array) -> Array:
    """Fit log u of all slices by ridge regression: (slices + 1, softsigns + 1)."""
    phi = softsigns(x, weights, biases)
    gram = phi.T @ phi / len(x)
    factor = cho_factor(gram + _RIDGE * np.eye(len(gram)))
    return np.ascontiguousarray(cho_solve(factor, phi.T @ log_u.T / len(x)).T)


def _metric(outer: Array) -> Array:
    """Find the square root of the mean outer product of gradients of log u: what log u depends on counts."""
    values, vectors = np.linalg.eigh(outer)
    values = np.maximum(values / max(values[-1], 1e-300), _FLOOR)
    root: Array = (vectors * np.sqrt(values)) @ vectors.T
    return root
