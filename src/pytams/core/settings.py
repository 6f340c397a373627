"""Settings and their checks: Python's arguments, TOML files and ``study.json`` all go through `Checked`.

What a setting may be stands in its type, once. Pydantic does the checking, imported when something is checked first.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, Self, TypeAlias, TypeVar, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Lt

from pytams.core.errors import Name, SettingsError
from pytams.core.streams import MAX_32, MAX_SEED

Positive: TypeAlias = Annotated[float, Gt(0)]
Count: TypeAlias = Annotated[int, Ge(1)]
NotNegative: TypeAlias = Annotated[int, Ge(0)]
RunCount: TypeAlias = Annotated[int, Ge(1), Lt(MAX_32)]
Seed: TypeAlias = Annotated[int, Ge(0), Lt(MAX_SEED + 1)]


SECRET = object()
"""Says, in the type of a setting, that no message may show what was given."""

Kind = TypeVar("Kind", bound="Checked")


class Checked:
    """Base of settings, which are checked whenever some are made: by `checked`, of what a file says, or directly.

    Raises
    ------
    SettingsError
        Names every value that is missing or impossible.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        found, wrong = _validated(type(self), {name: getattr(self, name) for name in self.names()})
        if wrong:
            raise joined(wrong)
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type] # classes are hashable
            if not _is_checked(hint):
                object.__setattr__(self, name, getattr(found, name))
        self.check_together()

    def check_together(self) -> None:
        """Raise a `SettingsError` if values that are possible are not so together."""

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Make one of values by name; a `SettingsError` names those that are unknown, missing or impossible."""
        made, wrong = cls.check(values)
        if made is None:
            raise joined(wrong)
        return made

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> tuple[Self | None, list[SettingsError]]:
        """Make one of values; None, and an error for each value that is wrong, if it can't be made."""
        found, wrong = _validated(cls, values)
        if wrong:
            return None, wrong
        try:
            return _built(cls, found), []
        except SettingsError as error:
            return None, [error]

    @classmethod
    def names(cls) -> list[str]:
        """Names of the settings."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type] # every subclass is a dataclass

    def to_dict(self) -> dict[str, Any]:
        """Give names and values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return] # every subclass is a dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Checked):
    """What was asked for: the settings of the algorithm, which the result is a function of.

    Checked when it is made; `TAMS` says what each means.
    """

    end_time: Positive
    step_size: Positive
    target_score: float
    n_trajectories: Annotated[int, Ge(2), Lt(MAX_32)]
    n_discard: Count = 1
    max_branchings: NotNegative | None = None
    variant: str = "tams"
    """Name of the splitting variant: see `pytams.core.selection`."""
    spin_up: NotNegative = 0
    """Steps before t = 0, in which a random start comes about: said by the model."""

    def check_together(self) -> None:
        """Leave survivors, and make whole steps."""
        if self.n_discard >= self.n_trajectories:
            raise SettingsError(
                "n_discard",
                f"{self.n_discard} of {self.n_trajectories} trajectories leaves none to restart from; "
                "it must be below ",
                Name("n_trajectories"),
            )
        n_steps = self.n_steps if math.isfinite(self.end_time / self.step_size) else 0
        if n_steps < 1 or not math.isclose(n_steps * self.step_size, self.end_time, rel_tol=1e-9):
            raise SettingsError(
                "end_time",
                f"{self.end_time:g} is not a multiple of ",
                Name("step_size"),
                f" = {self.step_size:g}; the nearest one is {max(1, n_steps) * self.step_size:g}",
            )

    @property
    def n_steps(self) -> int:
        """Steps of a trajectory that reaches the end time."""
        return round(self.end_time / self.step_size)

    def times(self, steps: Any) -> Any:
        """Say at which time a step, or each of several, is; below 0 in a spin-up."""
        return (steps - self.spin_up) * self.step_size

    @property
    def cap(self) -> float:
        """Branchings at most: infinity if there is no limit. 0 is a limit."""
        return math.inf if self.max_branchings is None else self.max_branchings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArguments(Checked):
    """Which runs of a study, and their seed."""

    n_runs: RunCount = 1
    seed: Seed | None = None
    first_run: NotNegative = 0

    def check_together(self) -> None:
        """Keep numbers of runs below 2**32."""
        if self.first_run + self.n_runs > MAX_32:
            raise SettingsError("n_runs", f"run numbers end at {MAX_32 - 1}")

    @property
    def runs(self) -> range:
        """Numbers of the runs."""
        return range(self.first_run, self.first_run + self.n_runs)


def joined(errors: Iterable[SettingsError]) -> SettingsError:
    """Make one error of several."""
    first, *rest = errors
    return SettingsError(*first.args, others=(*first.others, *rest)) if rest else first


def nearest(name: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """Say which name may have been meant, or all that there are."""
    known = list(known)
    found = close(name, known)
    return f"did you mean {found}?" if found else f"{otherwise} {', '.join(known) or 'none'}"


def choices(name: str, known: Iterable[str]) -> str:
    """List what there is to choose from, and say which of it may have been meant."""
    known = list(known)
    found = close(name, known)
    return ", ".join(known) + (f"; did you mean {found}?" if found else "")


def close(name: str, known: Iterable[str], least: float = 0.5) -> str | None:
    """Find the name that is most like another, capitals or not; None if none is like it at all."""
    names = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=least)
    return names[found[0]] if found else None


@cache
def _schema(kind: type[Checked]) -> Any:
    """Make the Pydantic model of a class of settings: its fields, with their types, and nothing else."""
    from pydantic import ConfigDict, create_model  # noqa: PLC0415 - as below

    hints = get_type_hints(kind, include_extras=True)
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    types: dict[str, Any] = {
        field.name: (
            _schema(hint) if _is_checked(hint := hints[field.name]) else hint,
            ... if field.default is MISSING and field.default_factory is MISSING else None,
        )
        for field in fields(kind)  # type: ignore[arg-type] # every subclass is a dataclass
    }
    return create_model(kind.__name__, __config__=config, **types)


def _validated(kind: type[Checked], values: Mapping[str, Any]) -> tuple[Any, list[SettingsError]]:
    """Let Pydantic compare values with their types, and say in our words what it finds."""
    from pydantic import ValidationError  # noqa: PLC0415 - keeps `import pytams` quick

    try:
        return _schema(kind).model_validate({name: _plain(value) for name, value in values.items()}), []  # type: ignore[arg-type] # classes are hashable
    except ValidationError as error:
        return None, [_explained(kind, details) for details in error.errors(include_url=False)]


def _plain(value: Any) -> Any:
    if isinstance(value, Checked):
        return value.to_dict()
    return value.item() if isinstance(value, np.generic) else value


def _built(kind: type[Kind], found: Any, outer: str = "") -> Kind:
    """Make settings of what Pydantic has checked; what was not given has its default."""
    hints = _hints(kind)  # type: ignore[arg-type] # classes are hashable
    values = {name: getattr(found, name) for name in found.model_fields_set}
    inner = {name: value for name, value in values.items() if _is_checked(hints[name])}
    values |= {name: _built(hints[name], value, f"{outer}{name}.") for name, value in inner.items()}
    try:
        return kind(**values)
    except SettingsError as error:
        raise error.renamed({}, lambda name: outer + name) from None


@cache
def _hints(kind: type[Checked]) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_checked(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Checked)


_PROBLEMS = {
    "missing": "missing",
    "greater_than_equal": "{value} is too small; it must be at least {ge}",
    "less_than": "{value} is too large; it must be below {lt}",
    "int_type": "{value!r} is not a whole number",
    "int_from_float": "{value!r} is not a whole number",
    "float_type": "{value!r} is not a finite number",
    "finite_number": "{value!r} is not a finite number",
    "string_type": "{value!r} is not a text",
    "bool_type": "{value!r} is neither true nor false",
    "dict_type": "{value!r} is not a table of keys and values",
    "model_type": "{value!r} is not a table of keys and values",
}
"""Our words for what Pydantic finds."""


def _explained(kind: type[Checked], details: Any) -> SettingsError:
    """Say in our words what Pydantic found."""
    name = ".".join(map(str, details["loc"]))
    place = [*map(str, details["loc"])]
    while len(place) > 1 and _is_checked(inner := _hints(kind).get(place[0], object)):  # type: ignore[arg-type] # classes
        kind = inner
        del place[0]
    problem, context = details["type"], details.get("ctx", {})
    hint = get_type_hints(kind, include_extras=True).get(place[0])
    if SECRET in getattr(hint, "__metadata__", ()):
        return SettingsError(name, f"{details['msg'][0].lower()}{details['msg'][1:]}")
    if problem == "extra_forbidden":
        return SettingsError(name, f"unknown key; {nearest(place[0], kind.names())}")
    if problem == "literal_error":
        value, known = details["input"], re.findall("'(.*?)'", context["expected"])
        return SettingsError(name, f"{value!r} is not one of {choices(str(value), known)}")
    if problem == "greater_than":
        bound = f"above {context['gt']:g}" if context["gt"] else "positive"
        return SettingsError(name, f"{details['input']!r} must be {bound}")
    if problem in _PROBLEMS:
        return SettingsError(name, _PROBLEMS[problem].format(value=details["input"], **context))
    return SettingsError(name, f"{details['input']!r}: {details['msg'][0].lower()}{details['msg'][1:]}")
