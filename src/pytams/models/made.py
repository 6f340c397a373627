"""What a model was made with: noted when it is made, so that it can be compared, and made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytams.models.fingerprint import arguments_made_with, code_without_file, constructor

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Made:
    """Base of models that users subclass: takes note of the arguments of their constructors."""

    _made_with: dict[str, str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Take note of the arguments: a study is refused with a model of others."""
        model = super().__new__(cls)
        if cls.__init__ is object.__init__:
            constructor(cls).bind(*args, **kwargs)  # Python says no more that there are too many
        model._made_with = arguments_made_with(cls, args, kwargs)
        return model

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return type(self).__name__

    @property
    def made_of_files(self) -> list[Path]:
        """Files that it consists of, beside its code."""
        return []

    @property
    def made_of(self) -> dict[str, str]:
        """The arguments of its constructor, described, by name; and the code of a class that is in no file."""
        return self._made_with | code_without_file(self)
