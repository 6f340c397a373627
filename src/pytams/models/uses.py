"""What functions and classes of the user's own use: names that they look up, modules that they import."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from pytams.models.sources import is_own

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_PYTHONS_OWN = {
    "__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__conditional_annotations__",
    "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__",
    "__slotnames__",
}  # fmt: skip
"""What Python itself adds to a class; the defaults of a dataclass are in its `__init__`."""

_WRITTEN = ("<string>", "<attrs generated ")
"""Where the methods that a dataclass, a named tuple, ... gets of its decorator say that they are."""


def is_own_class(cls: type) -> bool:
    """Whether a class is the user's own: of a file that is, or of none."""
    if cls.__module__ == "__main__":
        return True
    if cls.__module__.partition(".")[0] in {*sys.stdlib_module_names, "pytams"}:
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is None or is_own(Path(file))


def is_own_module(value: Any) -> bool:
    """Whether a value is a module of the user's own that is in a file."""
    file = getattr(value, "__file__", None) if isinstance(value, ModuleType) else None
    return file is not None and is_own(Path(file)) and Path(file).is_file()


def is_in_no_file(cls: type) -> bool:
    """Whether a class is the user's own, and of a notebook or typed at a prompt."""
    return is_own_class(cls) and _file_of(cls) is None


def files_of_class(cls: type) -> list[Path]:
    """Find the files that a class is written in: its own, and those of what wraps its methods."""
    methods = [path for path in _methods(cls) if is_own(path) and path.is_file()]
    return [path.resolve() for path in [_file_of(cls), *methods] if path is not None]


def content_of(cls: type) -> dict[str, Any]:
    """Find what a class statement defines."""
    return {name: value for name, value in vars(cls).items() if name not in _PYTHONS_OWN}


def globals_of(function: FunctionType, is_followed: Callable[[Any], bool] = is_own_module) -> dict[str, Any]:
    """Find the globals that a function uses: of a module that is followed, what it takes of it, ``helper.f``."""
    found: dict[str, Any] = {}
    for chain in _chains(function.__code__):
        if chain[0] in function.__globals__:
            value, n = function.__globals__[chain[0]], 1
            while n < len(chain) and is_followed(value) and hasattr(value, chain[n]):
                value, n = getattr(value, chain[n]), n + 1
            found[".".join(chain[:n])] = value
    return found


def closure_of(function: FunctionType) -> dict[str, Any]:
    """Find what a function uses of those around it."""
    return dict(zip(function.__code__.co_freevars, map(_content, function.__closure__ or ()), strict=True))


def imports_of(code: CodeType) -> set[str]:
    """Names of the modules that a function, or one inside it, imports when it is called."""
    names = {operation.argval for operation in dis.get_instructions(code) if operation.opname == "IMPORT_NAME"}
    return names.union(*(imports_of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _file_of(cls: type) -> Path | None:
    if any(is_own(path) and not path.is_file() for path in _methods(cls)):
        return None
    try:
        path = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None
    return Path(path) if path else None


def _methods(cls: type) -> list[Path]:
    """Find where the methods of a class say that they are written, but for those that a decorator writes."""
    functions = [value for value in map(_unwrapped, vars(cls).values()) if isinstance(value, FunctionType)]
    files = [(function.__name__, function.__code__.co_filename) for function in functions]
    return [Path(file) for name, file in files if not (file.startswith(_WRITTEN) and name.startswith("__"))]


def _unwrapped(method: Any) -> Any:
    if isinstance(method, staticmethod | classmethod):
        return method.__func__
    return method.fget if isinstance(method, property) else method


@cache  # every stepper of a compiled equation asks, and code never changes
def _chains(code: CodeType) -> list[list[str]]:
    """Find what a function, or one inside it, looks up: ``["helper", "f"]``."""
    found: list[list[str]] = []
    chain: list[str] = []
    for operation in dis.get_instructions(code):
        if operation.opname in _ATTRIBUTE and chain:
            chain.append(operation.argval)
        elif operation.opname != "EXTENDED_ARG":
            if chain:
                found.append(chain)
            chain = [operation.argval] if operation.opname in _GLOBAL else []
    inner = (_chains(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return [*found, *(chain for chains in inner for chain in chains)]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None
