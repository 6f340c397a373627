"""A simulator whose score was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.errors import SettingsError
from pytams.models.described import described
from pytams.models.fingerprint import source_files
from pytams.models.simulator.stepper import Simulators

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem
    from pytams.models.learned.score import LearnedScore
    from pytams.models.simulator.simulator import Simulator


class ImprovedSimulator:
    """Scores by what was learned; whether the event has happened is asked of the simulator itself.

    Raises
    ------
    SettingsError
        If it does not say what to look at, or scores many steps at once.
    """

    def __init__(self, hers: Simulator, learned: LearnedScore) -> None:
        if not hers.defines("features"):
            text = f"{hers.name} defines no features(t): the numbers that a learned score looks at"
            raise SettingsError("features", text)
        if hers.defines("steps"):
            raise SettingsError("model", f"{hers.name} defines steps, which scores many at once by itself")
        self.hers, self.learned, self.autonomous = hers, learned, hers.autonomous
        self.name, self.caveat, self.stores_records = hers.name, hers.caveat, hers.stores_records

    @property
    def made_of(self) -> dict[str, str]:
        """What the simulator is made of, and the score."""
        return self.hers.made_of | {"score": described(self.learned)}

    @property
    def made_of_files(self) -> list[Path]:
        """The simulator's source files."""
        return source_files(self.hers)

    def validate(self) -> None:
        """Make sure that it can be used."""
        self.hers.validate()

    def has_fixed_start(self, seed: int) -> bool:
        """Whether every trajectory starts from the same state."""
        return self.hers.has_fixed_start(seed)

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:  # noqa: ARG002 - as the simulator's
        """Make what advances segments, scored by what was learned."""
        self.hers._check_attributes()  # noqa: SLF001 - it stands for it
        return Simulators(problem, self.hers._live, self.learned)  # noqa: SLF001 - likewise
