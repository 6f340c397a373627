"""Values and functions as text: the same in every process, another for what does something else.

What Python can pickle is described by what a pickle of it would hold. Functions and classes of the user's own are
described by their code, and by what they use of others; those of libraries by their names.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import inspect
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import singledispatch
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from pytams.core.states import bits_of
from pytams.models.sources import is_own, modules_found, source_hashes
from pytams.models.uses import (
    closure_of,
    content_of,
    files_of_class,
    globals_of,
    imports_of,
    is_own_class,
    is_own_module,
)

_MOST_CHARACTERS = 200
_PYTHON = ".".join(platform.python_version_tuple()[:2])
_CODE = re.compile(r"code of Python (\S+) [0-9a-f]+")
_NOT_COMPARED = re.compile(r" \(not compared: (.*)\)$", re.DOTALL)
_SHORT = {
    type(None), bool, int, float, complex, str, bytes, bytearray, range, EllipsisType, Decimal, Fraction, date,
    timedelta,
}  # fmt: skip
"""What says all of itself, and nothing else, in its `repr`."""


def described(value: Any, named: Iterable[type] = ()) -> str:
    """Say what a value is: long texts by their hash; at the end, what of it cannot be compared.

    Some classes may only be named: those that are described elsewhere.
    """
    text, walk = _walked(value, named)
    return f"{text} (not compared: {', '.join(sorted(walk.unknown))})" if walk.unknown else text


def files_of(value: Any) -> list[Path]:
    """Find the files of the user's own that the functions, classes and modules in a value are written in."""
    return list(_walked(value)[1].files)


def not_compared(text: str) -> str | None:
    """Say what a description could not describe; None if it is whole."""
    found = _NOT_COMPARED.search(text)
    return found[1] if found else None


def are_alike(then: str, now: str) -> bool:
    """Whether two descriptions are equal; code of another version of Python cannot be compared."""
    if {*_CODE.findall(then)} != {*_CODE.findall(now)}:
        then, now = _CODE.sub("code", then), _CODE.sub("code", now)
    return then == now


def _walked(value: Any, named: Iterable[type] = ()) -> tuple[str, _Walk]:
    walk = _Walk(named)
    try:
        return walk.text(value), walk
    except RecursionError:
        return walk.cannot_say(value), walk


class _Walk:
    """One walk through a value and what it consists of."""

    def __init__(self, named: Iterable[type]) -> None:
        self.unknown: set[str] = set()
        """Types of what cannot be described."""
        self.files: dict[Path, None] = {}
        """What functions, classes and modules on the way are written in."""
        self._around: dict[int, int] = {}
        self._said: dict[int, tuple[Any, str]] = {id(cls): (cls, cls.__qualname__) for cls in named}

    def text(self, value: Any) -> str:
        """Say what a value is; what contains itself is not followed for ever."""
        if type(value) in _SHORT:
            return _shortened(repr(value))
        key = id(value)
        if key in self._around:
            distance = len(self._around) - self._around[key]
            return "itself" if distance == 1 else f"itself, {distance} around"
        if key not in self._said:
            self._around[key] = len(self._around)
            text = _text(value, self) if _is_plain(value) else _object(value, self)
            self._said[key] = value, _shortened(text)  # with the value: its id stays its own
            del self._around[key]
        return self._said[key][1]

    def visit(self, file: Path) -> None:
        """Take note of a file, if it is one of the user's own."""
        if is_own(file) and file.is_file():
            self.files[file.resolve()] = None

    def cannot_say(self, value: Any) -> str:
        """Take note of what cannot be described."""
        name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        self.unknown.add(name)
        return f"a {name}"


def _shortened(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    kind = f"code of Python {_PYTHON} " if _CODE.search(text) else ""
    return f"{text[:_MOST_CHARACTERS]}... ({kind}{_hash(text.encode(errors='backslashreplace'))})"


def _is_plain(value: Any) -> bool:
    """Whether a list, a dict, ... is one and no more; what is derived from it is an object like others."""
    kind = type(value)
    return not issubclass(kind, list | tuple | dict) or kind in {list, tuple, dict}


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '') or ''} {getattr(value, '__qualname__', value.__name__)}".strip()


def _hash(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


# --- values -----------------------------------------------------------------------------------------------------


def _object(value: Any, walk: _Walk) -> str:
    """Say what any object is: its class, and what a pickle of it would hold."""
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if type(value).__module__.startswith("numba.") and wrapped is not None:
        return walk.text(wrapped)
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        hasattr(value, "__getnewargs_ex__")  # what is lazy (of xarray) is settled by the first look at it
        reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):
            return _global(value, reduced) if wrapped is None else walk.text(wrapped)
        make, arguments, *rest = reduced
        content = [list(part) if isinstance(part, Iterator) else part for part in rest]
    except RecursionError:
        raise
    except Exception:  # of locks, files, generators, ...: whatever a class says of it
        return walk.cannot_say(value)
    is_new = make is copyreg.__newobj__  # type: ignore[attr-defined] # what plain objects have
    parts = [] if is_new or make is type(value) else [make]
    arguments = arguments[is_new:]  # the first one is the class
    parts += [arguments] if arguments else []
    parts += [part for part in content if part is not None]
    return " ".join(map(walk.text, [type(value), *parts]))


def _global(value: Any, name: str) -> str:
    """Name what is the only one of its kind."""
    module = getattr(value, "__module__", None) or type(value).__module__
    found = functools.reduce(getattr, name.split("."), sys.modules[module])
    if found is not value:
        raise TypeError
    return f"{module} {name}"


@singledispatch
def _text(value: Any, walk: _Walk) -> str:
    return _object(value, walk)


@_text.register
def _(value: PurePath, _walk: _Walk) -> str:
    return str(value)


@_text.register
def _(value: np.generic, walk: _Walk) -> str:
    if value.dtype.kind in "biuSU" or value.dtype in (np.float64, np.complex128):
        return walk.text(value.item())
    return walk.text(np.asarray(value)) if value.dtype.kind in "VO" else f"{value.dtype} {value}"


@_text.register(np.ndarray)
def _(value: Any, walk: _Walk) -> str:
    if isinstance(value, np.ma.MaskedArray):
        return f"masked {walk.text([np.asarray(value.data), np.ma.getmaskarray(value), value.fill_value])}"
    if type(value) not in {np.ndarray, np.memmap}:
        return f"{walk.text(type(value))} {walk.text([value.view(np.ndarray), getattr(value, '__dict__', None)])}"
    if value.dtype.names:
        return f"array of {value.dtype} {walk.text({name: value[name] for name in value.dtype.names})}"
    if value.dtype.kind in "OT":
        return walk.text(value.tolist())
    return f"array of {value.dtype}, shape {value.shape}, {_hash(bits_of(value))}"


@_text.register(list | tuple)
def _(value: Any, walk: _Walk) -> str:
    return f"[{', '.join(map(walk.text, value))}]"


@_text.register(set | frozenset)
def _(value: Any, walk: _Walk) -> str:
    return f"{{{', '.join(sorted(map(walk.text, value)))}}}"


@_text.register(dict | MappingProxyType)
def _(value: Any, walk: _Walk) -> str:
    """Say what is in it, sorted: in another order it is the same data."""
    return f"{{{', '.join(sorted(f'{walk.text(key)}: {walk.text(inner)}' for key, inner in value.items()))}}}"


@_text.register
def _(value: Enum, walk: _Walk) -> str:
    return f"{walk.text(type(value))} {value.name} {walk.text(value.value)}"


@_text.register
def _(value: functools.partial, walk: _Walk) -> str:  # type: ignore[type-arg] # of anything
    return f"partial {walk.text([value.func, value.args, value.keywords])}"


# --- functions, classes and modules -----------------------------------------------------------------------------


@_text.register
def _(value: ModuleType, walk: _Walk) -> str:
    if not is_own_module(value):
        return value.__name__
    file = Path(str(value.__file__))
    walk.visit(file)
    return f"module {walk.text(source_hashes([file]))}"


@_text.register
def _(value: type, walk: _Walk) -> str:
    if not is_own_class(value):
        return _name(value)
    for file in [file for cls in value.__mro__ if is_own_class(cls) for file in files_of_class(cls)]:
        walk.visit(file)
    content = [content_of(cls) if is_own_class(cls) else _name(cls) for cls in value.__mro__]
    return f"{value.__qualname__}, {_code(content, walk)}"


@_text.register
def _(value: FunctionType, walk: _Walk) -> str:
    """Say what a function does: its code, and the values of the globals and closures that it uses."""
    code = value.__code__
    cells = closure_of(value)
    wrapped = getattr(value, "__wrapped__", None)
    if not is_own(Path(code.co_filename)):
        parts = [part for part in (cells, wrapped) if part]
        return " ".join([_name(value), *map(walk.text, parts)])
    imported = modules_found(sorted(imports_of(code)), Path(code.co_filename).parent)
    for file in [Path(code.co_filename), *imported]:
        walk.visit(file)
    defaults = value.__defaults__, value.__kwdefaults__
    content = [code, globals_of(value), cells, defaults, vars(value), source_hashes(imported)]
    return f"{value.__qualname__}, {_code(content, walk)}"


@_text.register
def _(value: CodeType, walk: _Walk) -> str:
    counts = value.co_flags, value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount
    names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
    return walk.text([value.co_code, value.co_exceptiontable, value.co_consts, counts, names])


@_text.register
def _(value: MethodType, walk: _Walk) -> str:
    return f"{walk.text(value.__func__)} of {walk.text(value.__self__)}"


@_text.register(staticmethod | classmethod)
def _(value: Any, walk: _Walk) -> str:
    return f"{type(value).__name__} {walk.text(value.__func__)}"


@_text.register
def _(value: property, walk: _Walk) -> str:
    return f"property {walk.text([value.fget, value.fset, value.fdel])}"


@_text.register(functools.cached_property)
def _(value: Any, walk: _Walk) -> str:
    return f"cached property {walk.text(value.func)}"


@_text.register
def _(value: BuiltinFunctionType, walk: _Walk) -> str:
    where = value.__self__
    return _name(value) if isinstance(where, ModuleType | None) else f"{_name(value)} of {walk.text(where)}"


@_text.register
def _(value: np.random.RandomState, walk: _Walk) -> str:
    if value is getattr(np.random.rand, "__self__", None):  # NumPy's own, with another seed in every process
        return "numpy.random"
    return _object(value, walk)


@_text.register
def _(value: np.ufunc, walk: _Walk) -> str:
    if type(value) is not np.ufunc:  # of Numba
        return _object(value, walk)
    return walk.cannot_say(value) if value.__name__.endswith("(vectorized)") else _name(value)  # numpy.frompyfunc


def _code(content: list[Any], walk: _Walk) -> str:
    return f"code of Python {_PYTHON} {_hash(walk.text(content).encode(errors='backslashreplace'))}"
