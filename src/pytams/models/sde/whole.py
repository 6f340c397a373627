"""Whole runs of TAMS in machine code: what `pytams.core.splitting` does, one segment after the other.

That is the definition; here is the same for runs that nobody watches, to the same bits. It is compiled once for all
models, and calls the `pytams.models.sde.kernel.segment` of the one that it is given.
"""

from __future__ import annotations

import logging
import math
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from pytams.core.partings import TOLERANCE
from pytams.core.streams import Purpose
from pytams.models.sde.ensemble import (
    BRANCH,
    FIRST,
    GENERATION,
    N_COLUMNS,
    N_RECORDS,
    NOT_SAID,
    ROOT,
    SOURCE,
    SOURCE_BRANCH,
    STEP,
    Records,
    begin,
    compare,
    first_above,
    longer,
    new_log,
    note,
    pop,
    push,
    sort,
    survivor,
    with_room,
    with_scores,
)
from pytams.models.sde.kernel import ENDED, RUNNING, SEGMENT, copy
from pytams.models.sde.naming import OURS, named
from pytams.models.sde.philox import STREAM_SIZE, below, open_stream

_logger = logging.getLogger("pytams")

_STEPS_AT_ONCE = 2**16
"""Steps after which it is seen whether to stop."""
_RECORDS_AT_ONCE = 4096
_ANCESTORS = int(Purpose.ANCESTORS)


class Rules(NamedTuple):
    """What a segment is advanced by."""

    run: Any
    seed: Any
    n_steps: Any
    chunk_length: Any
    step_size: Any
    target: Any
    parameters: Any
    stop: Any
    """Of shape ``(1,)``: true as soon as the run is to be left."""
    most_numbers: Any
    """Leave it, too, if there are more to record, in scores and states; 0: nothing is recorded."""


@njit
def _advance(segment: Any, rules: Any, members: Any, i: int, score: float, x: Any, records: Any, log: Any) -> Any:
    """Advance the member in slot i to its end; tell its maximum, and how many steps it took.

    These are -1 if the run is to be left, or a score is no number.
    """
    name, start, top = np.uint64(rules.run << 32 | i), members[i, STEP], score
    outcome = RUNNING
    while outcome == RUNNING:
        if rules.stop[0] or (log.is_kept and log.n[0] + len(x) * log.n[1] > rules.most_numbers):
            return records, log, top, -1
        step = members[i, STEP]
        room = min(rules.n_steps - step, _RECORDS_AT_ONCE)
        records = with_room(records, room, members, i)
        free = slice(records.n[0], records.n[0] + room)
        last = min(rules.n_steps, step + _STEPS_AT_ONCE)
        n_traced = log.n[0] + (last - step if log.is_kept else 0)
        log = with_scores(log, n_traced + len(members) if log.is_kept else 0)
        members[i, STEP], outcome, n_found, top, _ = segment(
            x,
            name,
            np.uint64(members[i, BRANCH]),
            rules.seed,
            start,
            step,
            last,
            top,
            rules.n_steps,
            rules.chunk_length,
            0,
            rules.step_size,
            rules.target,
            rules.parameters,
            records.steps[free],
            records.scores[free],
            records.states[free],
            log.scores[log.n[0] : n_traced],
        )
        if log.is_kept:
            log.n[0] += members[i, STEP] - step
        members[i, N_RECORDS] += n_found
        records.n[0] += n_found
    return records, log, top, members[i, STEP] - start if outcome == ENDED else -1


@njit
def _initial(
    segment: Any, rules: Any, states: Any, has_ended: Any, members: Any, maxima: Any, records: Any, log: Any
) -> Any:
    """Advance the initial ensemble, whose maxima are its first scores; say how many steps it took, or -1."""
    x, n_steps = np.empty(states.shape[1]), 0
    for i in range(len(members)):
        members[i, SOURCE] = members[i, ROOT] = i
        copy(states[i], x)
        records = begin(members, i, 0, maxima[i], x, records)
        if log.is_kept:
            log.scores[log.n[0]] = maxima[i]
            log.n[0] += 1
        if not has_ended[i]:
            records, log, maxima[i], n_more = _advance(segment, rules, members, i, maxima[i], x, records, log)
            if n_more < 0:
                return records, log, -1
            n_steps += n_more
        if log.is_kept:
            log = note(log, members, i, maxima[i], records, 0)
    return records, log, n_steps


@njit
def _kill(
    lowest: Any, slots: Any, members: Any, maxima: Any, n_discard: int, target: float, killed: Any, scratch: Any
) -> Any:
    """Take the lowest, and those that tie, off the heap, and forget their records.

    Say how many they are, none if the level is at the target; and the level.
    """
    n = len(maxima)
    for k in range(n_discard):
        killed[k] = pop(lowest, slots, n - k)
    n_killed, level = n_discard, maxima[killed[n_discard - 1]]
    if level >= target:
        return 0, level
    while n_killed < n and lowest[0] <= level:
        killed[n_killed] = pop(lowest, slots, n - n_killed)
        n_killed += 1
    sort(killed[:n_killed], scratch)
    for k in range(n_killed):
        members[killed[k], N_RECORDS] = 0
    return n_killed, level


@njit
def _restart(
    segment: Any,
    rules: Any,
    members: Any,
    maxima: Any,
    records: Any,
    log: Any,
    pairs: Any,
    x: Any,
    i: int,
    ancestor: int,
    level: float,
    tolerance: float,
    generation: int,
    key: Any,
    scores: Any,
) -> Any:
    """Restart slot i from an ancestor, and write down how; say how many steps it took, or -1, and when it parted."""
    shared = first_above(records.scores, members[ancestor, FIRST], members[ancestor, N_RECORDS], level)
    at = members[ancestor, FIRST] + shared
    step, score = records.steps[at], records.scores[at]
    copy(records.states[at], x)
    is_over = step == members[ancestor, STEP]
    key[2], key[3] = ancestor, members[ancestor, BRANCH]
    key[4], key[5] = members[ancestor, SOURCE], members[ancestor, SOURCE_BRANCH]
    key[6], scores[1] = ~step if is_over else step, score
    members[i, BRANCH] += 1
    members[i, ROOT], members[i, GENERATION], maxima[i] = members[ancestor, ROOT], generation, score
    records = begin(members, i, step, score, x, records)
    if is_over:
        members[i, SOURCE], members[i, SOURCE_BRANCH] = key[4], key[5]
        return records, log, 0, NOT_SAID
    members[i, SOURCE], members[i, SOURCE_BRANCH] = i, members[i, BRANCH]
    records, log, maxima[i], n_steps = _advance(segment, rules, members, i, score, x, records, log)
    after = compare(pairs, members, records, i, ancestor, shared, tolerance) if n_steps >= 0 else NOT_SAID
    if log.is_kept:
        log = note(log, members, i, maxima[i], records, 1)
    return records, log, n_steps, after


def _whole(segment: Any, rules: Any, n_discard: int, cap: int, states: Any, scores: Any, has_ended: Any) -> Any:
    """Make a run, from initial states of shape ``(n, dimension)``, with their scores, and whether they end there.

    Returns
    -------
    tuple
        The number of steps, -1 if the run was left, or a score is no number; members and their maxima, by slot; how
        pairs part; what `pytams.core.compact.Iterations.of_columns` takes of iterations and branchings; and a `Log`.
    """
    n, dimension = states.shape
    members, maxima = np.zeros((n, N_COLUMNS), np.int64), scores.copy()
    room = 16 * n
    records = Records(np.empty(room, np.int64), np.empty(room), np.empty((room, dimension)), np.zeros(1, np.int64))
    log = new_log(rules.most_numbers > 0, room, dimension)
    pairs, starts_after, after = np.zeros((2, 3), np.int64), np.full(n, NOT_SAID), np.empty((n, 1), np.int64)
    ends, highest = np.empty((n, 1), np.int64), np.empty((n, 1))
    keys, scores_there = np.empty((n, 7), np.int64), np.empty((n, 2))
    lowest, slots = np.empty(n), np.empty(n, np.int64)  # a heap of all members
    scratch, killed, numbers = (np.empty(n), np.empty(n, np.int64)), np.empty(n, np.int64), np.empty(n, np.int64)
    stream, x = np.empty(STREAM_SIZE, np.uint64), np.empty(dimension)
    n_iterations, n_branchings, n_killed, top, tolerance = 0, 0, 0, -math.inf, math.nan

    records, log, n_steps = _initial(segment, rules, states, has_ended, members, maxima, records, log)
    for i in range(n if n_steps >= 0 else 0):
        if i > 0:
            tolerance = TOLERANCE * (rules.target - scores[i])
            starts_after[i] = compare(pairs, members, records, i, i - 1, 0, tolerance)
        push(lowest, slots, i, maxima[i], i)
        top = max(top, maxima[i])

    while n_steps >= 0 and n_killed < n and n_branchings < cap:
        n_killed, level = _kill(lowest, slots, members, maxima, n_discard, rules.target, killed, scratch)
        if n_killed == 0:
            break
        if n_iterations == 0:
            tolerance = TOLERANCE * (rules.target - level)
        if n_killed < n:
            open_stream(stream, rules.seed, _ANCESTORS, rules.run << 32, n_iterations, 0)
            below(stream, n - n_killed, numbers[:n_killed])
        ends, highest = longer(ends, n_iterations + 1), longer(highest, n_iterations + 1)
        ends[n_iterations, 0], highest[n_iterations, 0] = n_branchings + n_killed, top
        keys, scores_there = longer(keys, n_branchings + n_killed), longer(scores_there, n_branchings + n_killed)
        after = longer(after, n_branchings + n_killed)
        n_iterations += 1
        for k in range(n_killed):
            i, key, at_key = killed[k], keys[n_branchings + k], scores_there[n_branchings + k]
            key[:] = 0
            after[n_branchings + k, 0] = NOT_SAID
            key[0], key[1], at_key[0], at_key[1] = i, members[i, BRANCH], maxima[i], math.nan
            if n_killed == n:
                continue
            ancestor = survivor(killed[:n_killed], numbers[k])
            records, log, n_more, after[n_branchings + k, 0] = _restart(
                segment,
                rules,
                members,
                maxima,
                records,
                log,
                pairs,
                x,
                i,
                ancestor,
                level,
                tolerance,
                n_iterations,
                key,
                at_key,
            )
            if n_more < 0:
                n_steps = -1
                break
            n_steps += n_more
            top = max(top, maxima[i])
            push(lowest, slots, n - n_killed + k, maxima[i], i)
        n_branchings += n_killed

    iterations = ends[:n_iterations, 0], highest[:n_iterations, 0]
    counted = pairs, starts_after, after[:n_branchings, 0]
    return n_steps, members, maxima, counted, iterations, (keys[:n_branchings], scores_there[:n_branchings]), log


RULES = types.NamedTuple(
    (
        types.int64,
        types.uint64,
        types.int64,
        types.int64,
        types.float64,
        types.float64,
        types.float64[::1],
        types.boolean[::1],
        types.int64,
    ),
    Rules,
)
_start = perf_counter()
whole: Any = njit(
    (
        types.FunctionType(SEGMENT),
        RULES,
        types.int64,
        types.int64,
        types.float64[:, ::1],
        types.float64[::1],
        types.boolean[::1],
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)(named(_whole, OURS))
if whole.stats.cache_misses:
    _logger.warning("compiled whole runs in %.1f s; later ones find it on disk", perf_counter() - _start)
