"""What a model is made of, as text that can be compared: today's with that of the study it was used in."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytams.models.described import are_alike, described, files_of, not_compared
from pytams.models.sde.equation import Equation
from pytams.models.sources import is_own
from pytams.models.uses import content_of, files_of_class, globals_of, is_in_no_file, is_own_class

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """Find the files that a model is written in, if they are the user's.

    They are those of its classes and of an SDE's functions; and, where these are in no file, of what they use. Of
    what is installed, only a model itself: its base classes are told by versions, like all else that it imports.
    """
    ours = {"pytams", "builtins", "abc", "typing"}
    classes = [cls for cls in type(model).__mro__ if cls.__module__.partition(".")[0] not in ours]
    found = [path for cls in classes for path in files_of_class(cls) if cls is type(model) or is_own(path)]
    found += files_of([cls for cls in classes if is_in_no_file(cls)])
    equation = getattr(model, "equation", None)
    if isinstance(equation, Equation):
        found += files_of([equation.functions, equation.initial])
    return list(dict.fromkeys([*found, *getattr(model, "made_of_files", [])]))


def code_without_file(model: Any) -> dict[str, str]:
    """Describe a class that is in no file (of a notebook, or typed at a prompt), or derived from one; else empty.

    Each member and each global that methods use is described by itself: what differs is named.
    """
    classes = type(model).__mro__
    if not any(map(is_in_no_file, classes)):
        return {}
    own = [cls for cls in classes if is_own_class(cls)]
    parts: dict[str, list[Any]] = {}
    for cls in own:
        for name, value in content_of(cls).items():
            label = name if cls is type(model) else f"{cls.__qualname__}.{name}"
            is_code = isinstance(value, FunctionType) and is_own(Path(value.__code__.co_filename))
            parts.setdefault(f"the code of its class: {label}", []).append(_alone(value) if is_code else value)
            for used, held in globals_of(value).items() if is_code else ():
                values = parts.setdefault(f"its global {used}", [])
                if not any(held is other for other in values):
                    values.append(held)
    names = [cls.__qualname__ if cls in own else f"{cls.__module__}.{cls.__qualname__}" for cls in classes]
    return {"its classes": ", ".join(names)} | {
        name: "; ".join(dict.fromkeys(described(value, named=own) for value in values))
        for name, values in parts.items()  # there are several of one name only where modules or classes share it
    }


def _alone(function: FunctionType) -> FunctionType:
    """Copy a function, without its globals."""
    copy = FunctionType(function.__code__, {}, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
    vars(copy).update(vars(function))
    return copy


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which arguments differ: ``epsilon is 0.2, but was 0.1``."""
    return [
        f"{name} is {now.get(name, 'not given')}, but the study was made with {then.get(name, 'none')}"
        for name in {**then, **now}
        if name not in then or name not in now or not are_alike(then[name], now[name])
    ]


def source_changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which source files differ."""
    return [
        f"{name} {'is new' if name not in then else 'is gone' if name not in now else 'has changed'}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]


def warnings_of(name: str, made_of: Mapping[str, str]) -> list[str]:
    """Say which arguments of a model hold what cannot be compared from one session to the next."""
    found = [(argument, not_compared(text)) for argument, text in made_of.items()]
    return [
        f"model.{argument} of {name} holds what cannot be compared ({what}): "
        "when this study goes on, make sure yourself that it is the same"
        for argument, what in found
        if what is not None
    ]
