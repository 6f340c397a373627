"""The ensemble of a whole run in machine code: members, their records, who is lowest, and how pairs part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from pytams.models.sde.kernel import copy

BRANCH, SOURCE, SOURCE_BRANCH, ROOT, GENERATION, STEP, FIRST, N_RECORDS, N_COLUMNS = range(9)
"""What is known of a member: columns of an array with a row for each slot. Its source, (slot, branch), is the segment
that holds its last state; its first record is where its stretch of all records begins."""


class Records(NamedTuple):
    """Records of all members, a stretch for each."""

    steps: Any
    scores: Any
    states: Any
    n: Any
    """How many there are, those of members that are gone, too: of shape ``(1,)``."""


class Log(NamedTuple):
    """What is recorded of every segment that was advanced, in this order, one after the other; or nothing."""

    is_kept: Any
    scores: Any
    """At every step."""
    steps: Any
    """Of records."""
    states: Any
    """At records."""
    maxima: Any
    bounds: Any
    """After each segment: how many scores there are, and how many records; and its last step."""
    n: Any
    """How many scores, records and segments there are: of shape ``(3,)``."""


NOT_SAID, NEVER = -2, -1
"""What `compare` says of pairs that cannot be told apart, and of those that never part."""


@njit
def push(scores: Any, slots: Any, n: int, score: float, slot: int) -> None:
    """Add an entry to a heap of n, the lowest score first."""
    i = n
    while i > 0 and scores[(i - 1) // 2] > score:
        scores[i], slots[i] = scores[(i - 1) // 2], slots[(i - 1) // 2]
        i = (i - 1) // 2
    scores[i], slots[i] = score, slot


@njit
def pop(scores: Any, slots: Any, n: int) -> Any:
    """Take the slot with the lowest score from a heap of n."""
    lowest, score, slot = slots[0], scores[n - 1], slots[n - 1]
    i = 0
    while 2 * i + 1 < n - 1:
        child = 2 * i + 1
        if child + 1 < n - 1 and scores[child + 1] < scores[child]:
            child += 1
        if scores[child] >= score:
            break
        scores[i], slots[i] = scores[child], slots[child]
        i = child
    scores[i], slots[i] = score, slot
    return lowest


@njit
def longer(array: Any, n: int) -> Any:
    """Copy an array to one of twice as many rows if it has no room for n."""
    if n <= len(array):
        return array
    longer = np.empty((max(n, 2 * len(array)), array.shape[1]), array.dtype)
    for i in range(len(array)):
        copy(array[i], longer[i])
    return longer


@njit
def longer_row(array: Any, n: int) -> Any:
    """Copy a row of numbers to one of twice the length if it has no room for n."""
    if n <= len(array):
        return array
    longer = np.empty(max(n, 2 * len(array)), array.dtype)
    copy(array, longer[: len(array)])
    return longer


@njit
def new_log(is_kept: bool, room: int, dimension: int) -> Any:
    """Make one that is empty."""
    room = room if is_kept else 0
    steps, states, maxima = np.empty(room, np.int64), np.empty((room, dimension)), np.empty(room)
    bounds, n = np.empty((room, 3), np.int64), np.zeros(3, np.int64)
    return Log(is_kept, np.empty(64 * room), steps, states, maxima, bounds, n)


@njit
def with_scores(log: Any, n: int) -> Any:
    """Make room for so many scores in all."""
    scores = longer_row(log.scores, n)
    return Log(log.is_kept, scores, log.steps, log.states, log.maxima, log.bounds, log.n)


@njit
def note(log: Any, members: Any, i: int, top: float, records: Any, skipped: int) -> Any:
    """Note that the member in slot i has ended, and its records but for the first ones."""
    first, n = members[i, FIRST] + skipped, members[i, N_RECORDS] - skipped
    steps, states = longer_row(log.steps, log.n[1] + n), longer(log.states, log.n[1] + n)
    for j in range(n):
        steps[log.n[1] + j] = records.steps[first + j]
        copy(records.states[first + j], states[log.n[1] + j])
    log.n[1] += n
    k = log.n[2]
    bounds, maxima = longer(log.bounds, k + 1), longer_row(log.maxima, k + 1)
    bounds[k, 0], bounds[k, 1], bounds[k, 2] = log.n[0], log.n[1], members[i, STEP]
    maxima[k] = top
    log.n[2] += 1
    return Log(log.is_kept, log.scores, steps, states, maxima, bounds, log.n)


@njit
def sort(slots: Any, scratch: Any) -> None:
    """Sort slots, by a heap."""
    keys, values = scratch
    for i in range(len(slots)):
        push(keys, values, i, float(slots[i]), slots[i])
    for i in range(len(slots)):
        slots[i] = pop(keys, values, len(slots) - i)


@njit
def first_above(values: Any, first: int, n: int, value: float) -> int:
    """Find the first of n ascending values, from one on, that is above a value: its number among these."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if values[first + middle] > value:
            high = middle
        else:
            low = middle + 1
    return low


@njit
def survivor(killed: Any, number: int) -> int:
    """Find the slot of a survivor by its number: `pytams.core.selection.survivor_slots`."""
    low, high = 0, len(killed)
    while low < high:
        middle = (low + high) // 2
        if killed[middle] - middle > number:
            high = middle
        else:
            low = middle + 1
    return number + low


@njit
def with_room(records: Any, room: int, members: Any, last: int) -> Any:
    """Make room for more records, of the member in slot `last`; those of members that are gone give way."""
    if records.n[0] + room <= len(records.steps):
        return records
    n_live, n_slots, n = 0, len(members), 0
    for i in range(n_slots):
        n_live += members[i, N_RECORDS]
    size = 2 * (n_live + room)
    steps, scores, states = np.empty(size, np.int64), np.empty(size), np.empty((size, records.states.shape[1]))
    for k in range(1, n_slots + 1):
        i = (last + k) % n_slots
        first, members[i, FIRST] = members[i, FIRST], n
        for j in range(first, first + members[i, N_RECORDS]):
            steps[n], scores[n] = records.steps[j], records.scores[j]
            copy(records.states[j], states[n])
            n += 1
    records.n[0] = n
    return Records(steps, scores, states, records.n)


@njit
def begin(members: Any, i: int, step: int, score: float, x: Any, records: Any) -> Any:
    """Put a new member into slot i, with its first record."""
    records = with_room(records, 1, members, i)
    n = records.n[0]
    records.steps[n], records.scores[n] = step, score
    copy(x, records.states[n])
    records.n[0] += 1
    members[i, STEP], members[i, FIRST], members[i, N_RECORDS] = step, n, 1
    return records


@njit
def compare(pairs: Any, members: Any, records: Any, i: int, companion: int, shared: int, tolerance: float) -> Any:
    """Compare a trajectory with its companion, and say after how many steps they part.

    As `pytams.core.partings.Companions` does; `pairs` counts, of shape ``(2, 3)``: of initial trajectories, and of
    branches.
    """
    kind = 1 if members[i, GENERATION] > 0 else 0
    own, other = members[i, FIRST], members[companion, FIRST] + shared
    n, n_other = members[i, N_RECORDS], members[companion, N_RECORDS] - shared
    k, is_same = 0, True
    while k < n and k < n_other and records.steps[own + k] == records.steps[other + k]:
        difference = records.scores[own + k] - records.scores[other + k]
        if difference != 0.0:
            if abs(difference) > tolerance:
                break
            is_same = False
        k += 1
    n_shared = max(0, k - 1)
    is_end = k == n and k == n_other and members[i, STEP] == members[companion, STEP]
    if kind == 1 and is_end and n_shared == 0:
        return NOT_SAID
    pairs[kind, 0] += 1
    if is_end and is_same:
        pairs[kind, 1] += 1
        pairs[kind, 2] += n_shared
    start_alike = k > 0 and records.scores[own] == records.scores[other]
    if kind == 0 and not (start_alike and (n_shared > 0 or not is_end)):
        return NOT_SAID
    if is_end:
        return NEVER
    if n_shared == 0:
        return 0
    own_step = records.steps[own + k] if k < n else members[i, STEP]
    other_step = records.steps[other + k] if k < n_other else members[companion, STEP]
    return min(own_step, other_step) - records.steps[own]
