"""Who descends from whom: what a family tree of trajectories is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.analysis.runs import RunResult


def lineages_of(run: RunResult, slots: Sequence[int]) -> NDArray[np.int64]:
    """Give the slot that final trajectories were in: a row before each iteration, and one at the end.

    Relatives are side by side: in a family tree, no line crosses another.
    """
    lineages = np.empty((len(run.iterations) + 1, len(slots)), dtype=np.int64)
    lineages[-1] = slots
    for k in range(len(run.iterations) - 1, -1, -1):
        iteration = run.iterations[k]
        came_from = np.arange(run.n)
        for killed, ancestor in zip(iteration.killed, iteration.ancestors, strict=False):  # extinction has none
            came_from[killed.slot] = ancestor.slot
        lineages[k] = came_from[lineages[k + 1]]
    return lineages[:, np.lexsort(lineages[::-1])]


def middle_of_equals(row: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each entry: the mean position of those that equal it."""
    _, inverse = np.unique(row, return_inverse=True)
    positions = np.bincount(inverse, np.arange(len(row))) / np.bincount(inverse)
    middle: NDArray[np.float64] = positions[inverse]
    return middle
