"""How a run goes: what its driver notes in the ledger, and what a watcher reads there."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.settings import Checked, NotNegative
from pytams.core.splitting import log_estimate
from pytams.storage.strict_json import strict_json

if TYPE_CHECKING:
    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Activity
    from pytams.core.splitting import Splitting


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus(Checked):
    """How a run went when its driver last noted it."""

    finished: bool
    """Whether its estimate is known."""
    level: float | None
    """The last level; None before the first iteration."""
    progress: float
    """How far the level has risen from the first to the target: 0 to 1."""
    log_estimate: float | None
    """Log of W / N times the number of trajectories that have reached the target so far; None if none has."""
    n_branchings: NotNegative
    n_running: NotNegative
    """Segments running."""
    n_busy: NotNegative
    """Workers of its driver that have something to do, for whatever run."""
    steps_per_second: float
    """Model steps of its driver's, for whatever run."""

    @classmethod
    def of(cls, splitting: Splitting, activity: Activity) -> Self:
        """Say how a run goes."""
        return cls(
            finished=splitting.finished,
            level=splitting.level if splitting.iterations else None,
            progress=splitting.progress,
            log_estimate=splitting.log_estimate if splitting.n_reached else None,
            n_branchings=splitting.n_branchings,
            n_running=splitting.n_running,
            n_busy=activity.n_busy,
            steps_per_second=activity.steps_per_second,
        )

    @classmethod
    def of_finished(cls, outcome: RunOutcome, n_trajectories: int, activity: Activity) -> Self:
        """Say how a run went."""
        levels = outcome.iterations.levels
        reached = log_estimate(outcome.log_weight, outcome.n_reached, n_trajectories)
        return cls(
            finished=True,
            level=levels[-1] if levels else None,
            progress=1.0,
            log_estimate=reached if outcome.n_reached else None,
            n_branchings=outcome.n_branchings,
            n_running=0,
            n_busy=activity.n_busy,
            steps_per_second=activity.steps_per_second,
        )

    def to_json(self) -> str:
        """Write it as the ledger has it."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str, ledger_name: str) -> Self:
        """Read it, also as earlier versions wrote it: with the estimate itself.

        Raises
        ------
        RunDirectoryError
            If it is not what a driver notes: the message names the key.
        """
        try:
            values = dict(strict_json(text))
            if "estimate" in values:
                estimate = values.pop("estimate")
                values["log_estimate"] = math.log(estimate) if estimate else None
            return cls.checked(values)
        except (SettingsError, TypeError, ValueError) as error:
            raise RunDirectoryError(f"{ledger_name}: its driver's note is not what was written: {error}") from error
