"""The compiled loop: segments, each advanced step by step until it ends or its block is over.

`drift`, `diffusion`, `score`, `stopped`, `increment`, `predict`, `correct`, `make_step`, `make_parameters` and
`segment` are globals here, put in by `specialised` for one model: Numba then compiles them into the loop.
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.core.dispatcher import Dispatcher
from numba.extending import overload
from numba.np.unsafe.ndarray import to_fixed_tuple

from pytams.core.streams import Purpose
from pytams.models.described import described
from pytams.models.sde.naming import OURS, named
from pytams.models.sde.philox import STREAM_SIZE, normal, open_chunk, open_stream
from pytams.models.sde.schemes import SCHEMES, increment
from pytams.models.uses import globals_of

if TYPE_CHECKING:
    from pytams.models.sde.equation import Equation

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
    score of each step if there is room for any.

    Returns
    -------
    tuple
        The step it is at, what became of it, how many records were found, the largest score, and the last one.
    """
    p = make_parameters(parameters)
    room, traced = len(record_steps), len(trace) > 0
    stream, noise, x_next = np.empty(STREAM_SIZE, np.uint64), np.empty(dimension), np.empty(dimension)
    first, top, value, n_found, outcome = step, best, best, 0, RUNNING
    chunk, position = divmod(step - start_step, chunk_length)
    open_stream(stream, seed, _NOISE, member, branch, chunk)
    for _ in range(position * dimension):
        normal(stream)
    while step < last and outcome == RUNNING and n_found < room:
        if position == chunk_length:
            chunk, position = chunk + 1, 0
            open_chunk(stream, chunk)
        for j in range(dimension):
            noise[j] = normal(stream)
        make_step(x, noise, step * step_size, step_size, p, x_next)
        copy(x_next, x)
        position += 1
        step += 1
        value = float(as_number(score(x, step * step_size, p)))
        if traced:
            trace[step - first - 1] = value
        if value > top or (sparse_freq > 0 and step % sparse_freq == 0):
            top = max(top, value)
            record_steps[n_found], record_scores[n_found] = step, value
            copy(x, record_states[n_found])
            n_found += 1
        if not math.isfinite(value):
            outcome = NOT_FINITE
        elif value >= target or step >= n_steps or stopped(x, step * step_size, p):
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


class Loops(NamedTuple):
    """The compiled functions of a model."""

    segment: Any
    advance: Any


def specialised(equation: Equation) -> Loops:
    """Make the loops for one model, or find those that were made for its like.

    Numba keeps compiled functions on disk by file and qualified name, and does not look at what globals they see; so
    the name gets a fingerprint of the model's functions.
    """
    scheme, names = SCHEMES[equation.scheme], type(equation.parameters)._fields
    formulas = [*equation.functions.values(), increment, scheme.predict, scheme.correct]
    fingerprint = _fingerprint([*formulas, equation.noise_shape, names, OURS])
    if fingerprint not in _loops:
        _loops[fingerprint] = _specialise(equation, fingerprint)
    return _loops[fingerprint]


_loops: dict[str, Loops] = {}


def _specialise(equation: Equation, name: str) -> Loops:
    scalar = equation.noise_shape == ()
    functions = {key: _as_ours(f, name) for key, f in equation.functions.items() if f is not None}
    if scalar:
        inside: dict[str, Any] = {key: _first_component(f, f"{key}_{name}") for key, f in functions.items()}
        inside |= {key: _as_tuple(inside[key], f"{key}_{name}") for key in ("drift", "diffusion")}
    else:
        inside = {key: njit(f) for key, f in functions.items()}
    inside.setdefault("stopped", _never)
    inside["make_parameters"] = njit(_maker(type(equation.parameters)))
    inside["dimension"] = 1 if scalar else equation.noise_shape[0]
    scheme = SCHEMES[equation.scheme]
    inside["increment"] = njit(error_model="numpy")(increment)
    inside["predict"] = njit(error_model="numpy")(scheme.predict)
    if scheme.correct is not None:
        inside["correct"] = njit(error_model="numpy")(scheme.correct)
    stages = predicted if scheme.correct is None else corrected
    inside["make_step"] = njit(error_model="numpy")(named(stages, name, inside))
    compiled = partial(njit, cache=True, nogil=True, error_model="numpy")
    inside["segment"] = compiled(SEGMENT)(named(segment, name, inside))
    return Loops(inside["segment"], compiled()(named(advance, name, inside)))


def _maker(kind: Any) -> Any:
    """Make what makes a named tuple of an array."""
    n = len(kind._fields)
    return (lambda values: kind(*to_fixed_tuple(values, n))) if n else (lambda _: kind())


@njit
def _never(x: Any, t: float, p: Any) -> bool:  # noqa: ARG001 - the signature of `stopped`
    return False


def _as_ours(function: Any, fingerprint: str) -> FunctionType:
    """Copy a user's function into this module: what is on disk then loads, wherever it is defined next time."""
    copy = named(function, fingerprint)
    copy.__module__ = __name__
    return copy


def _first_component(function: FunctionType, name: str) -> Any:
    inner = njit(function)
    return njit(named(lambda x, t, p: inner(x[0], t, p), f"first_{name}"))


def _as_tuple(function: Any, name: str) -> Any:
    return njit(named(lambda x, t, p: (function(x, t, p),), f"tuple_{name}"))


def _fingerprint(values: list[Any]) -> str:
    """Hash what functions do: their code, and the values of the globals and closures that they use."""
    seen: set[int] = set()

    def describe(value: Any) -> str:
        if isinstance(value, Dispatcher):
            value = value.py_func
        if isinstance(value, ModuleType):
            return f"module {value.__name__} {getattr(value, '__version__', '')}"
        if isinstance(value, FunctionType):
            if id(value) in seen:
                return "seen before"
            seen.add(id(value))
            code = value.__code__
            used = globals_of(value, _is_followed)
            where = "here" if any(value is ours for ours in values) else value.__module__  # see `_as_ours`
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = [
                where,
                describe(code),
                *(f"{name} {describe(v)}" for name, v in used.items()),
                *map(describe, cells),
            ]
            return " ".join([*parts, described(value.__defaults__)])
        if isinstance(value, CodeType):
            return " ".join([value.co_code.hex(), *value.co_names, *map(describe, value.co_consts)])
        return described(value)

    return hashlib.sha256("\n".join(map(describe, values)).encode()).hexdigest()[:16]


def _is_followed(value: Any) -> bool:
    """Whether compiled functions, and numbers, may come out of a value: a module, but of those that Numba knows."""
    return isinstance(value, ModuleType) and value.__name__.partition(".")[0] not in {"numpy", "math", "numba"}
