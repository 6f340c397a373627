"""The model that users write, with what advances it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytams.models.fingerprint import arguments_made_with, code_without_file, constructor
from pytams.models.plain.batch import Batch
from pytams.models.plain.functions import Functions
from pytams.models.plain.single import Singles

if TYPE_CHECKING:
    from typing import Self

    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem


class Model(Functions):  # noqa: D101 - its docstring is the one of what it adds a method to
    __doc__ = Functions.__doc__

    _made_with: dict[str, str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Take note of the arguments: a study is refused with a model of others."""
        model = super().__new__(cls)
        if cls.__init__ is object.__init__:
            constructor(cls).bind(*args, **kwargs)  # Python says no more that there are too many
        model._made_with = arguments_made_with(cls, args, kwargs)
        return model

    @property
    def made_of(self) -> dict[str, str]:
        """The arguments of its constructor, described, by name; and the code of a class that is in no file."""
        return self._made_with | code_without_file(self)

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:  # noqa: ARG002 - NumPy has its own
        """Make what advances segments of this model: many at once if it is vectorised, else one by one."""
        return Batch(problem, self) if self.vectorized else Singles(problem, self)
