"""A simulator whose score was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.errors import SettingsError
from pytams.models.learned.identity import WithLearnedScore
from pytams.models.simulator.stepper import Simulators

if TYPE_CHECKING:
    from pytams.core.ports import Stepper
    from pytams.core.segments import Problem
    from pytams.models.learned.score import LearnedScore
    from pytams.models.simulator.simulator import Simulator


class ImprovedSimulator(WithLearnedScore):
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
        self.hers: Simulator = hers
        self.learned, self.autonomous = learned, hers.autonomous
        self.caveat, self.stores_records = hers.caveat, hers.stores_records

    def has_fixed_start(self, seed: int) -> bool:
        """Whether every trajectory starts from the same state."""
        return self.hers.has_fixed_start(seed)

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:  # noqa: ARG002 - as the simulator's
        """Make what advances segments, scored by what was learned."""
        self.hers._check_attributes()  # noqa: SLF001 - it stands for it
        return Simulators(problem, self.hers._live, self.learned)  # noqa: SLF001 - likewise
