"""Models by reference: ``path/to/file.py:ClassName`` or ``package.module:ClassName``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError
from pytams.core.settings import choices, close, nearest
from pytams.models.answers import RAISED
from pytams.models.fingerprint import constructor

if TYPE_CHECKING:
    from types import ModuleType

    from pytams.core.ports import Steppable


_PREFIX = "pytams_model_"
_sources: dict[str, str] = {}
"""Hash of what each file held when `import_file` executed it, by the name of its module."""


def model_file(model: Steppable) -> Path | None:
    """Find the file that `import_file` imported a model from; None if it came by another way."""
    module = type(model).__module__
    return Path(str(sys.modules[module].__file__)) if module.startswith(_PREFIX) else None


def make_model(reference: str, arguments: dict[str, Any], folder: Path) -> Steppable:
    """Import a model's class and make the model.

    Parameters
    ----------
    reference
        ``path/to/file.py:ClassName`` or ``package.module:ClassName``.
    arguments
        What the constructor gets, by name.
    folder
        What a path is relative to.

    Raises
    ------
    SettingsError
        Names what is missing or unknown.
    """
    model_class = find_class(reference, folder)
    check_arguments(model_class, arguments)
    try:
        return model_class(**arguments)
    except RAISED as error:
        raise SettingsError("arguments", f"{reference} raised {type(error).__name__}: {error}") from error


def find_class(reference: str, folder: Path) -> type[Steppable]:
    """Import ``path/to/file.py:ClassName`` or ``package.module:ClassName``."""
    where, colon, class_name = reference.rpartition(":")
    if not colon or not where or not class_name:
        raise SettingsError(
            "reference", f"{reference!r} is neither path/to/file.py:ClassName nor package.module:ClassName"
        )
    module = import_file(folder / where) if where.endswith(".py") else _import_module(where)
    found = getattr(module, class_name, None)
    if found is None:
        models = [name for name, value in vars(module).items() if _is_model(value) and not _is_ours(value)]
        hint = f"; it has {choices(class_name, models)}" if models else ""
        raise SettingsError("reference", f"{where} has no {class_name}{hint}")
    if not _is_model(found):
        raise SettingsError("reference", f"{reference} is not a subclass of pytams.Model")
    missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    if missing:
        raise SettingsError("reference", f"{reference} does not define {missing}")
    model_class: type[Steppable] = found
    return model_class


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and callable(getattr(value, "make_stepper", None))


def _is_ours(value: Any) -> bool:
    return str(value.__module__).startswith("pytams.")


def import_file(path: Path) -> ModuleType:
    """Import a file as a module of its own name, so that two models called model.py do not meet.

    The name follows from the path, so that workers find the same one. It is executed once, and again only if it was
    changed in the meantime.
    """
    path = path.resolve()
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        problem = "there is no file" if isinstance(error, FileNotFoundError) else "cannot be read:"
        beside = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        found = close(path.name, beside)
        hint = f"; did you mean {found}?" if found else ""
        raise SettingsError("reference", f"{problem} {path}{hint}") from None
    name = f"{_PREFIX}{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name in sys.modules and _sources.get(name) == sha256:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # a model may import its neighbours
    try:
        spec.loader.exec_module(module)
    except RAISED as error:
        del sys.modules[name]
        raise SettingsError("reference", f"importing {path} raised {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    _sources[name] = sha256
    return module


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SettingsError("reference", f"there is no module {error.name}; is it installed?") from error
    except RAISED as error:
        raise SettingsError("reference", f"importing {name} raised {type(error).__name__}: {error}") from error


def check_arguments(model_class: type[Steppable], arguments: dict[str, Any]) -> None:
    """Name the key that the model's constructor does not know, or misses."""
    parameters = constructor(model_class).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for key in arguments:
        if key not in known:
            hint = nearest(key, known, otherwise="it takes")
            raise SettingsError(f"arguments.{key}", f"{model_class.__name__} has no such parameter; {hint}")
    for parameter in parameters:
        if parameter.default is inspect.Parameter.empty and parameter.name not in arguments:
            raise SettingsError(f"arguments.{parameter.name}", f"missing: {model_class.__name__} needs it")
