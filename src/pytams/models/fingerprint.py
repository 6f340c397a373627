"""What a model is made of, as text that can be compared: today's with that of the study it was used in."""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
import re
from dataclasses import fields, is_dataclass
from functools import singledispatch
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.sources import is_own, source_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_CHARACTERS = 200
_PYTHON = ".".join(platform.python_version_tuple()[:2])
_CODE = re.compile(r"code of Python (\S+) [0-9a-f]+")


def arguments_made_with(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
    """Describe what a class is called with, defaults included, by parameter; empty if it is called otherwise."""
    try:
        bound = constructor(cls).bind(*args, **kwargs)
    except TypeError:  # as when it is unpickled: what was described comes with its other attributes
        return {}
    bound.apply_defaults()
    found: dict[str, str] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found |= {key: described(inner) for key, inner in value.items()}
        else:
            found[name] = described(value)
    return found


def constructor(cls: type) -> inspect.Signature:
    """Find what a class is called with."""
    if cls.__init__ is object.__init__:  # type: ignore[misc] # any class
        return inspect.Signature()
    signature = inspect.signature(cls.__init__)  # type: ignore[misc] # any class
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def source_files(model: Any) -> list[Path]:
    """Find the files that a model's classes and functions are written in, if they are the user's."""
    ours = {"pytams", "builtins", "abc", "typing"}
    found = [_file_of(cls) for cls in type(model).__mro__ if cls.__module__.partition(".")[0] not in ours]
    return list(dict.fromkeys(path for path in found if path is not None))


def code_without_file(model: Any) -> str:
    """Describe the methods of a class that is in no file (of a notebook, or typed at a prompt); else empty."""
    cls = type(model)
    if _file_of(cls) is not None:
        return ""
    return described({name: value for name, value in vars(cls).items() if not name.startswith("__")})


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which arguments differ: ``epsilon is 0.2, but was 0.1``."""
    return [
        f"{name} is {now.get(name, 'not given')}, but the study was made with {then.get(name, 'none')}"
        for name in {**then, **now}
        if not _are_alike(then.get(name), now.get(name))
    ]


def source_changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which source files differ."""
    return [
        f"{name} {'is new' if name not in then else 'is gone' if name not in now else 'has changed'}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]


def _are_alike(then: str | None, now: str | None) -> bool:
    """Whether two descriptions are equal; code of another version of Python cannot be compared."""
    if then is None or now is None:
        return then == now
    if {*_CODE.findall(then)} != {*_CODE.findall(now)}:
        then, now = _CODE.sub("code", then), _CODE.sub("code", now)
    return then == now


def described(value: Any) -> str:
    """Say what a value is, the same in every process: long texts by their hash."""
    text = _describe(value, [])
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}... ({_hash(text.encode())})"


def _describe(value: Any, seen: list[Any]) -> str:
    """Say what a value is; what contains itself is not followed for ever."""
    value = getattr(value, "py_func", value)  # what Numba has compiled
    if any(value is other for other in seen):
        return "itself"
    return _text(value, [*seen, value])


@singledispatch
def _text(value: Any, seen: list[Any]) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if is_dataclass(value):
        return f"{name} {_describe({field.name: getattr(value, field.name) for field in fields(value)}, seen)}"
    return f"a {name}"


@_text.register(type(None) | bool | int | float | complex | str | bytes | PurePath)
def _(value: Any, _seen: list[Any]) -> str:
    return str(value) if isinstance(value, PurePath) else repr(value)


@_text.register
def _(value: np.generic, _seen: list[Any]) -> str:
    return repr(value.item())


@_text.register(np.ndarray)
def _(value: Any, seen: list[Any]) -> str:
    if value.dtype.kind == "O":
        return _describe(value.tolist(), seen)
    return f"array of {value.dtype}, shape {value.shape}, {_hash(np.ascontiguousarray(value).tobytes())}"


@_text.register(list | tuple)
def _(value: Any, seen: list[Any]) -> str:
    return f"[{', '.join(_describe(inner, seen) for inner in value)}]"


@_text.register(set | frozenset)
def _(value: Any, seen: list[Any]) -> str:
    return f"{{{', '.join(sorted(_describe(inner, seen) for inner in value))}}}"


@_text.register(dict)
def _(value: Any, seen: list[Any]) -> str:
    return f"{{{', '.join(f'{_describe(k, seen)}: {_describe(inner, seen)}' for k, inner in value.items())}}}"


@_text.register(ModuleType | type | BuiltinFunctionType | np.ufunc)
def _(value: Any, _seen: list[Any]) -> str:
    return f"{getattr(value, '__module__', '')} {getattr(value, '__qualname__', value.__name__)}".strip()


@_text.register
def _(value: CodeType, seen: list[Any]) -> str:
    return " ".join([value.co_code.hex(), *(_describe(constant, seen) for constant in value.co_consts)])


@_text.register(functools.partial)
def _(value: Any, seen: list[Any]) -> str:
    return f"partial {_describe([value.func, value.args, value.keywords], seen)}"


@_text.register(MethodType | staticmethod | classmethod)
def _(value: Any, seen: list[Any]) -> str:
    return _describe(value.__func__, seen)


@_text.register
def _(value: FunctionType, seen: list[Any]) -> str:
    """Say what a function does: its code, and the values of the globals and closures that it uses."""
    code = value.__code__
    if not is_own(Path(code.co_filename)):
        return f"{value.__module__} {value.__qualname__}"
    used = [value.__globals__[name] for name in sorted(_names(code)) if name in value.__globals__]
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    content = _describe([code, used, cells, value.__defaults__, value.__kwdefaults__], seen)
    return f"{value.__qualname__}, code of Python {_PYTHON} {_hash(content.encode())}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _names(code: CodeType) -> set[str]:
    """Names that a function, or one inside it, looks up."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _file_of(cls: type) -> Path | None:
    """Find the file that a class is written in; None if it is in none (of a notebook, or typed at a prompt)."""
    methods = [Path(value.__code__.co_filename) for value in vars(cls).values() if isinstance(value, FunctionType)]
    own = [path for path in methods if is_own(path)]  # what wraps a method may be of a library
    if own:
        return own[0].resolve() if own[0].is_file() else None
    try:
        path = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None
    return Path(path).resolve() if path else None


def sources_of(model: Any) -> dict[str, str]:
    """Hash the files that a model is written in, and those they import."""
    return source_hashes(source_files(model))
