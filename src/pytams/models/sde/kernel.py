"""The compiled loop: segments, each advanced step by step until it ends or its block is over.

What is None below, `n_normals` and what follows it are put in by `pytams.models.sde.specialised` for one model: Numba
then compiles them into the loop.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from pytams.core.streams import Purpose
from pytams.models.sde.philox import STREAM_SIZE, normal, open_chunk, open_stream, skip
from pytams.models.sde.schemes import increment

_NOISE = int(Purpose.NOISE)

RUNNING, ENDED, NOT_FINITE = 0, 1, 2
"""What became of a segment in a block."""


def as_number(value: Any) -> Any:
    """Make a number of an array without dimensions, as `numpy.where` returns one."""
    return value


@overload(as_number)
def _as_number(value: Any) -> Any:
    if isinstance(value, types.Array):

        def element(value: Any) -> Any:
            return value[()]

        return element
    return as_number


@njit
def copy(a: Any, b: Any) -> None:
    """Copy a to b; assigned, it would take seconds to compile what says that shapes differ."""
    for j in range(len(a)):
        b[j] = a[j]


# The stages of `schemes.step`, in loops over components that write into arrays that are there: compiled, `step` makes
# a new array of every sum and product, and takes many times as long.


def predicted(x: Any, noise: Any, t: float, dt: float, p: Any, x_next: Any) -> None:
    """Write the next state, of a scheme with one stage."""
    a, b = drift(x, t, p), diffusion(x, t, p)
    for j in range(dimension):
        x_next[j] = predict(x[j], a[j], b[j], dt, increment(noise[j], dt))


def corrected(x: Any, noise: Any, t: float, dt: float, p: Any, x_next: Any) -> None:
    """Write the next state, of a scheme with two stages."""
    a, b = drift(x, t, p), diffusion(x, t, p)
    for j in range(dimension):
        x_next[j] = predict(x[j], a[j], b[j], dt, increment(noise[j], dt))
    a_end, b_end = drift(x_next, t + dt, p), diffusion(x_next, t + dt, p)
    for j in range(dimension):
        x_next[j] = correct(x[j], a[j], b[j], a_end[j], b_end[j], dt, increment(noise[j], dt))


drift: Any = None
diffusion: Any = None
score: Any = None
stopped: Any = None
predict: Any = None
correct: Any = None
make_step: Any = None
make_parameters: Any = None
dimension = 1
n_normals, spin_up = 0, 0
"""Of a random start: what it is made of, and the steps before t = 0: see `pytams.models.plain.spun_up`."""
make_start: Any = None
before_start: Any = None
"""The compiled `past`."""
memory, fresh, shares = 0.0, 0.0, np.ones(1)


def past(x: Any, latent: Any, step: int, scaled: Any) -> None:
    """Advance the normals that a random start is made of, and make that which is to be expected."""
    for j in range(n_normals):
        x[dimension + j] = memory * x[dimension + j] + fresh * normal(latent)
        scaled[j] = x[dimension + j] * shares[spin_up - 1 - step]
    copy(make_start(scaled), x)


def segment(
    x: Any,
    member: Any,
    branch: Any,
    seed: Any,
    start_step: int,
    step: int,
    last: int,
    best: float,
    n_steps: int,
    chunk_length: int,
    sparse_freq: int,
    step_size: float,
    target: float,
    parameters: Any,
    record_steps: Any,
    record_scores: Any,
    record_states: Any,
    trace: Any,
) -> Any:
    """Advance one segment in place up to step `last`, and write down its records, and the states to be stored.

    It stops earlier where it ends, or where the room for these is used up. `x` is of shape ``(dimension,)``,
    `record_states` of shape ``(room, dimension)``, what else is said of records ``(room,)``, and `trace` gets the
    score of each step if there is room for any. After the state come the normals that a random start is made of.

    Returns
    -------
    tuple
        The step it is at, what became of it, how many records were found, the largest score, and the last one.
    """
    p = make_parameters(parameters)
    room, traced = len(record_steps), len(trace) > 0
    stream, latent = np.empty(STREAM_SIZE, np.uint64), np.empty(STREAM_SIZE, np.uint64)
    here, noise, x_next, scaled = x[:dimension], np.empty(dimension), np.empty(dimension), np.empty(n_normals)
    first, top, value, n_found, outcome = step, best, best, 0, RUNNING
    chunk, position = divmod(step - start_step, chunk_length)
    open_stream(stream, seed, _NOISE, member, branch, chunk)
    n_drawn, is_latent = 0, False
    while step < last and outcome == RUNNING and n_found < room:
        if position == chunk_length:
            chunk, position = chunk + 1, 0
            open_chunk(stream, chunk)
            n_drawn, is_latent = 0, False
        if n_normals > 0 and step < spin_up:
            if not is_latent:  # the normals of a chunk are drawn after all its other noise
                open_stream(latent, seed, _NOISE, member, branch, chunk)
                skip(latent, chunk_length * dimension + position * n_normals)
                is_latent = True
            before_start(x, latent, step, scaled)
        else:
            skip(stream, (position - n_drawn) * dimension)
            for j in range(dimension):
                noise[j] = normal(stream)
            make_step(here, noise, (step - spin_up) * step_size, step_size, p, x_next)
            copy(x_next, here)
            n_drawn = position + 1
        position += 1
        step += 1
        t = max(step - spin_up, 0) * step_size
        value = 1.0 * as_number(score(here, t, p))
        if n_normals > 0 and step < spin_up and value >= target:
            value = np.nextafter(target, -np.inf)  # nothing is the event there
        if traced:
            trace[step - first - 1] = value
        if value > top or (sparse_freq > 0 and step % sparse_freq == 0):
            top = max(top, value)
            record_steps[n_found], record_scores[n_found] = step, value
            copy(x, record_states[n_found])
            n_found += 1
        if not math.isfinite(value):
            outcome = NOT_FINITE
        elif value >= target or step >= n_steps or (step >= spin_up and stopped(here, t, p)):
            outcome = ENDED
    return step, outcome, n_found, top, value


def advance(
    states: Any,
    start_steps: Any,
    steps: Any,
    best: Any,
    names: Any,
    scores: Any,
    outcomes: Any,
    n_records: Any,
    record_steps: Any,
    record_scores: Any,
    record_states: Any,
    trace: Any,
    first: int,
    stride: int,
    block_length: int,
    seed: Any,
    n_steps: int,
    chunk_length: int,
    sparse_freq: int,
    step_size: float,
    target: float,
    parameters: Any,
) -> None:
    """Advance every `stride`-th member from the first on by a block each, in place.

    `states` is of shape ``(members, dimension)``, `record_states` of shape ``(members, room, dimension)``, what else
    is said of records ``(members, room)``, `trace` ``(members, steps)`` and the rest ``(members,)``; `names` are
    (run * 2**32 + slot, branch).
    """
    for i in range(first, len(states), stride):
        steps[i], outcomes[i], n_records[i], best[i], scores[i] = segment(
            states[i],
            names[i, 0],
            names[i, 1],
            seed,
            start_steps[i],
            steps[i],
            min(n_steps, steps[i] + block_length),
            best[i],
            n_steps,
            chunk_length,
            sparse_freq,
            step_size,
            target,
            parameters,
            record_steps[i],
            record_scores[i],
            record_states[i],
            trace[i],
        )


SEGMENT = types.Tuple((types.int64, types.int64, types.int64, types.float64, types.float64))(
    types.float64[::1],
    types.uint64,
    types.uint64,
    types.uint64,
    types.int64,
    types.int64,
    types.int64,
    types.float64,
    types.int64,
    types.int64,
    types.int64,
    types.float64,
    types.float64,
    types.float64[::1],
    types.int64[::1],
    types.float64[::1],
    types.float64[:, ::1],
    types.float64[::1],
)
"""Types of `segment`, the same for all models."""
