"""The model that users write, with what advances it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.models.plain.batch import Batch
from pytams.models.plain.functions import Functions
from pytams.models.plain.single import Singles
from pytams.models.plain.spun_up import SpunUp

if TYPE_CHECKING:
    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem


class Model(Functions):  # noqa: D101 - its docstring is the one of what it adds a method to
    __doc__ = Functions.__doc__

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:  # noqa: ARG002 - NumPy has its own
        """Make what advances segments of this model: many at once if it is vectorised, else one by one."""
        model = self if self.start_shape is None else SpunUp(self, problem)
        return Batch(problem, model) if self.vectorized else Singles(problem, model)
