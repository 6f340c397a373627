"""Objects that every worker makes again, by the same constructor with the same arguments."""

from __future__ import annotations

import copy
from abc import ABCMeta
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError
from pytams.models.described import described
from pytams.models.made import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from typing import Self


class _Kind(ABCMeta):
    """Takes note of what an object is when it has been made."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made._as_made = _attributes(made)  # noqa: SLF001 - it has just been made, here
        return made


def _attributes(made: MadeAgain) -> dict[str, str]:
    ours = {"autonomous", "_arguments", "_as_made", "_changes", "_is_described", "_live", "_made_with"}
    made._is_described = True  # noqa: SLF001 - an attribute may be, or hold, the object itself
    try:
        return {name: described(value) for name, value in vars(made).items() if name not in ours}
    finally:
        made._is_described = False  # noqa: SLF001 - likewise


class MadeAgain(Made, metaclass=_Kind):
    """Is sent as what it was made with, not as what it holds."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _as_made: dict[str, str]
    _is_described = False
    _changes: Set[str] = frozenset()
    """Attributes that it has changed itself while it was open."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Take note of the arguments: every worker makes one with the same."""
        made = super().__new__(cls, *args, **kwargs)
        try:
            made._arguments = copy.deepcopy((args, kwargs))  # a constructor may change what it is given
        except Exception:
            made._arguments = args, kwargs
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Send what it was made with, not what it holds."""
        if not self._is_described:
            self._check_attributes()
        args, kwargs = self._arguments
        return _made_again, (type(self), args, kwargs)

    def _may_change(self) -> bool:
        """Whether it is at work, and may change its own attributes."""
        return False

    def _check_attributes(self) -> None:
        """Refuse what workers would not have: attributes that were set from outside after it was made."""
        changed = [] if self._may_change() else sorted(self._changed() - self._changes)
        if changed:
            raise SettingsError(
                "model",
                f"{', '.join(changed)} of {self.name} changed after it was made: every worker makes one with the "
                "same arguments, so give this as an argument of its constructor",
            )

    def _changed(self) -> set[str]:
        now = _attributes(self)
        return {name for name in {*self._as_made, *now} if self._as_made.get(name) != now.get(name)}

    def _note_what_it_changes(self) -> None:
        self._changes = self._changed()


def _made_again(cls: type[MadeAgain], args: tuple[Any, ...], kwargs: dict[str, Any]) -> MadeAgain:
    return cls(*args, **kwargs)
