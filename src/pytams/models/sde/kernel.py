"""The compiled loop: many segments, each advanced step by step until it ends or its block is over.

`drift`, `diffusion`, `score`, `stopped`, `increment`, `predict`, `correct` and `make_step` are globals here, put in
by `specialised` for one model: Numba then compiles them into the loop.

Random bits are NumPy's to the last one: Philox4x64-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405), and normals
by the Ziggurat method (Marsaglia & Tsang 2000, doi 10.18637/jss.v005.i08) with NumPy's tables, which Numba carries.
"""

from __future__ import annotations

import hashlib
import math
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic, overload
from numba.np.random._constants import fi_double, ki_double, wi_double, ziggurat_nor_inv_r, ziggurat_nor_r

from pytams.core.streams import BRANCH, CHUNK, MEMBER, POSITION, PURPOSE, SEED, Purpose
from pytams.models.described import described
from pytams.models.sde.naming import named
from pytams.models.sde.schemes import SCHEMES, increment
from pytams.models.uses import globals_of

if TYPE_CHECKING:
    from pytams.models.sde.equation import Equation

# A stream: counter (4 words), key (2), the last four words drawn, and how many of those are used.
_COUNTER, _KEY, _BUFFER, USED, STREAM_SIZE = 0, 4, 6, 10, 11
_NOISE = int(Purpose.NOISE)

RUNNING, ENDED, NOT_FINITE = 0, 1, 2
"""What became of a segment in a block."""


@intrinsic
def _high_word(typing_context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - Numba's signature
    """High 64 bits of the product of two 64-bit words."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - Numba's signature
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


@njit
def _refill(stream: Any) -> None:
    """Count on, and draw four words: ten rounds of Philox."""
    stream[0] += np.uint64(1)  # 2**64 blocks of a stream are never used up
    c0, c1, c2, c3 = stream[0], stream[1], stream[2], stream[3]
    k0, k1 = stream[4], stream[5]
    m0, m1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    for _ in range(10):
        c0, c1, c2, c3 = _high_word(m1, c2) ^ c1 ^ k0, m1 * c2, _high_word(m0, c0) ^ c3 ^ k1, m0 * c0
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    stream[6], stream[7], stream[8], stream[9] = c0, c1, c2, c3
    stream[USED] = np.uint64(0)


@njit
def _word(stream: Any) -> Any:
    if stream[USED] == np.uint64(4):
        _refill(stream)
    word = stream[np.uint64(_BUFFER) + stream[USED]]
    stream[USED] += np.uint64(1)
    return word


@njit
def _uniform(stream: Any) -> Any:
    return float(np.int64(_word(stream) >> np.uint64(11))) * (1.0 / 9007199254740992.0)


@njit
def normal(stream: Any) -> Any:
    """Draw a standard normal number."""
    while True:
        word = _word(stream)
        layer = np.int64(word & np.uint64(0xFF))
        word >>= np.uint64(8)
        negative = word & np.uint64(1)
        magnitude = (word >> np.uint64(1)) & np.uint64(0x000FFFFFFFFFFFFF)
        x = float(np.int64(magnitude)) * wi_double[layer]
        if negative:
            x = -x
        if magnitude < ki_double[layer]:
            return x
        if layer == 0:
            while True:
                tail = -ziggurat_nor_inv_r * math.log1p(-_uniform(stream))
                height = -math.log1p(-_uniform(stream))
                if height + height > tail * tail:
                    if (magnitude >> np.uint64(8)) & np.uint64(1):
                        return -(ziggurat_nor_r + tail)
                    return ziggurat_nor_r + tail
        low, high = fi_double[layer], fi_double[layer - 1]
        if (high - low) * _uniform(stream) + low < math.exp(-0.5 * x * x):
            return x


@njit
def open_chunk(stream: Any, chunk: int) -> None:
    """Go to the start of a chunk of the segment's noise: the counter of `pytams.core.streams`."""
    stream[_COUNTER + POSITION] = np.uint64(0)
    stream[_COUNTER + CHUNK] = np.uint64(chunk)
    stream[USED] = np.uint64(4)


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
    seed: Any,
    chunk_length: int,
    block_length: int,
    n_steps: int,
    step_size: float,
    target: float,
    traced: bool,
    sparse_freq: int,
    parameters: Any,
) -> None:
    """Advance members by a block each, in place, and write down their records, and the states to be stored.

    A block is over, too, when a member's room for these is used up. `states` is of shape ``(members, dimension)``,
    `record_states` of shape ``(members, room, dimension)``, what else is said of records ``(members, room)``, `trace`
    ``(members, steps)`` and the rest ``(members,)``; `names` are (run * 2**32 + slot, branch).
    """
    p = make_parameters(*parameters)
    n_members = states.shape[0]
    room = record_steps.shape[1]
    stream = np.empty(STREAM_SIZE, np.uint64)
    noise = np.empty(dimension)
    x, x_next = np.empty(dimension), np.empty(dimension)
    for i in range(n_members):
        stream[_COUNTER + MEMBER], stream[_COUNTER + BRANCH] = names[i, 0], names[i, 1]
        stream[_KEY + SEED], stream[_KEY + PURPOSE] = seed, np.uint64(_NOISE)
        x[:] = states[i]
        step, top, value, n_found, outcome = steps[i], best[i], best[i], 0, RUNNING
        chunk, position = divmod(step - start_steps[i], chunk_length)
        open_chunk(stream, chunk)
        for _ in range(position * dimension):
            normal(stream)
        first, last = step, min(n_steps, step + block_length)
        while step < last and outcome == RUNNING and n_found < room:
            if position == chunk_length:
                chunk, position = chunk + 1, 0
                open_chunk(stream, chunk)
            for j in range(dimension):
                noise[j] = normal(stream)
            make_step(x, noise, step * step_size, step_size, p, x_next)
            for j in range(dimension):
                x[j] = x_next[j]
            position += 1
            step += 1
            value = as_number(score(x, step * step_size, p))
            if traced:
                trace[i, step - first - 1] = value
            if value > top or (sparse_freq > 0 and step % sparse_freq == 0):
                top = max(top, value)
                record_steps[i, n_found], record_scores[i, n_found] = step, value
                record_states[i, n_found] = x
                n_found += 1
            if not math.isfinite(value):
                outcome = NOT_FINITE
            elif value >= target or step >= n_steps or stopped(x, step * step_size, p):
                outcome = ENDED
        states[i], scores[i] = x, value
        steps[i], best[i], n_records[i], outcomes[i] = step, top, n_found, outcome


def specialised(equation: Equation) -> Any:
    """Make the loop for one model, or find the one that was made for its like.

    Numba keeps compiled functions on disk by file and qualified name, and does not look at what globals they see; so
    the name gets a fingerprint of the model's functions.
    """
    scheme, names = SCHEMES[equation.scheme], type(equation.parameters)._fields
    formulas = [*equation.functions.values(), increment, scheme.predict, scheme.correct]
    fingerprint = _fingerprint([*formulas, equation.noise_shape, names, _NAMES])
    if fingerprint not in _loops:
        _loops[fingerprint] = _specialise(equation, fingerprint)
    return _loops[fingerprint]


_loops: dict[str, Any] = {}
_NAMES = "functions have names of their own"
"""Loops on disk from before that are not used: see `naming`."""


def _specialise(equation: Equation, name: str) -> Any:
    scalar = equation.noise_shape == ()
    functions = {key: _as_ours(f, name) for key, f in equation.functions.items() if f is not None}
    if scalar:
        inside: dict[str, Any] = {key: _first_component(f, f"{key}_{name}") for key, f in functions.items()}
        inside |= {key: _as_tuple(inside[key], f"{key}_{name}") for key in ("drift", "diffusion")}
    else:
        inside = {key: njit(f) for key, f in functions.items()}
    inside.setdefault("stopped", _never)
    inside |= {"make_parameters": type(equation.parameters), "dimension": 1 if scalar else equation.noise_shape[0]}
    scheme = SCHEMES[equation.scheme]
    inside["increment"] = njit(error_model="numpy")(increment)
    inside["predict"] = njit(error_model="numpy")(scheme.predict)
    if scheme.correct is not None:
        inside["correct"] = njit(error_model="numpy")(scheme.correct)
    stages = predicted if scheme.correct is None else corrected
    inside["make_step"] = njit(error_model="numpy")(named(stages, name, inside))
    return njit(cache=True, nogil=True, error_model="numpy")(named(advance, name, inside))


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
