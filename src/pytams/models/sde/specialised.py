"""The compiled loops of one model: made of its functions, or found on disk."""

from __future__ import annotations

import hashlib
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.np.unsafe.ndarray import to_fixed_tuple

from pytams.models.described import described
from pytams.models.plain.functions import SPIN_UP
from pytams.models.plain.spun_up import past
from pytams.models.sde import kernel
from pytams.models.sde.naming import OURS, named
from pytams.models.sde.schemes import SCHEMES, increment
from pytams.models.uses import globals_of

if TYPE_CHECKING:
    from pytams.models.sde.equation import Equation


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
    start = () if equation.start_shape is None else (equation.initial, equation.start_shape, SPIN_UP)
    fingerprint = _fingerprint([*formulas, *start, equation.noise_shape, names, OURS])
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
    inside |= _spin_up(equation, name)
    inside["before_start"] = njit(error_model="numpy")(named(kernel.past, name, inside))
    scheme = SCHEMES[equation.scheme]
    inside["increment"] = njit(error_model="numpy")(increment)
    inside["predict"] = njit(error_model="numpy")(scheme.predict)
    if scheme.correct is not None:
        inside["correct"] = njit(error_model="numpy")(scheme.correct)
    stages = kernel.predicted if scheme.correct is None else kernel.corrected
    inside["make_step"] = njit(error_model="numpy")(named(stages, name, inside))
    compiled = partial(njit, cache=True, nogil=True, error_model="numpy")
    inside["segment"] = compiled(kernel.SEGMENT)(named(kernel.segment, name, inside))
    return Loops(inside["segment"], compiled()(named(kernel.advance, name, inside)))


def _spin_up(equation: Equation, name: str) -> dict[str, Any]:
    """Make what a random start needs; where there is none, it is not called, but has to be of the right types."""
    if equation.start_shape is None:
        return {"make_start": njit(named(lambda normals: normals, name))}
    initial = njit(_as_ours(equation.initial, name))
    if equation.start_shape == ():
        of_number = initial
        initial = njit(named(lambda normals: of_number(normals[0]), f"of_number_{name}"))
    if equation.noise_shape == ():
        number = initial
        initial = njit(named(lambda normals: (number(normals),), f"number_{name}"))
    memory, fresh, shares = past(SPIN_UP)
    return {
        "n_normals": equation.n_normals,
        "spin_up": SPIN_UP,
        "make_start": initial,
        "memory": memory,
        "fresh": fresh,
        "shares": shares,
    }


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
