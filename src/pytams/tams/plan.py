"""How a score is to be learned."""

from __future__ import annotations

from dataclasses import dataclass

from pytams.core.settings import Checked, Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning(Checked):
    """How a score is learned: ``[score]``."""

    learn: bool = False
    pilot_runs: Count = 4
    """Runs of the pilot; each learned score is checked by as many, twice unless it is nearly ideal."""

    rounds: Count = 2
    """How many scores are learned at most, each from all runs before."""

    @property
    def check_runs(self) -> int:
        """Runs that check a learned score, and teach the next one, at most."""
        return 2 * self.pilot_runs
