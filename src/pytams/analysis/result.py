"""What a study found: numbers to read, print and save."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis import estimators, expectations, summary, tables
from pytams.analysis.curves import Curve, check_levels, exceedance, return_times
from pytams.analysis.ensemble import discarded_ensemble, weighted_ensemble
from pytams.analysis.health import Health, judge_runs
from pytams.analysis.logs import number
from pytams.core.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.analysis.runs import RunResult
    from pytams.core.ports import Source
    from pytams.core.settings import Settings


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """The outcome of independent runs of TAMS.

    Parameters
    ----------
    model, labels, caveat
        Of the model: its name, what pictures call its numbers, why its estimates are approximations (empty: not so).
    settings, seed
        Of the algorithm; with the model they determine every bit of the runs.
    runs
        The finished runs; of a provisional result, all that have begun.
    n_unfinished, wall_time
        Runs that were asked for and are not finished; seconds spent.
    taught_by
        Seed and number of the runs that its score was learned from, if it was.
    source
        Where `ensemble` gets the trajectories from.
    """

    model: str
    settings: Settings
    seed: int
    runs: tuple[RunResult, ...]
    n_unfinished: int
    wall_time: float
    caveat: str = ""
    taught_by: frozenset[tuple[int, int]] = frozenset()
    labels: Labels = field(default_factory=Labels, compare=False)
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def is_provisional(self) -> bool:
        """Whether runs are in it that go on: what it says of the target will change."""
        return not all(run.finished for run in self.runs)

    @property
    def level(self) -> float:
        """Up to where all its runs have come: the target, or the lowest of their levels if it is provisional."""
        return min((run.level for run in self.runs if not run.finished), default=self.settings.target_score)

    @cached_property
    def estimates(self) -> tuple[float, ...]:
        """The estimate of each run."""
        return tuple(run.estimate for run in self.runs)

    @cached_property
    def _mean(self) -> estimators.LogMean:
        return estimators.mean_over_runs(
            [run.log_estimate for run in self.runs], lambda _: [run.relative_variance for run in self.runs]
        )

    @property
    def probability(self) -> float:
        """P(max over 0 <= t <= end_time of the score >= target): the mean over runs. 0 below the smallest float."""
        return float(np.mean(self.estimates))

    @property
    def log_probability(self) -> float:
        """Natural log of the probability, whatever its size; -inf if nothing has reached the target."""
        return float(self._mean.log_value)

    @property
    def relative_error(self) -> float:
        """Standard error over probability: see `estimators.mean_over_runs`. NaN if nothing tells it."""
        return float(self._mean.relative_error)

    @property
    def standard_error(self) -> float:
        """Standard error of the probability: see `relative_error`. 0 below the smallest float."""
        return self.relative_error * self.probability

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the probability: see `estimators.mean_over_runs`. NaN if there is no error."""
        low, high = self.log_interval
        return number(low), number(high)

    @property
    def log_interval(self) -> tuple[float, float]:
        """Natural logs of its ends."""
        return float(self._mean.log_low), float(self._mean.log_high)

    @property
    def ideal_relative_error(self) -> float:
        """Relative error with the best score there is: sqrt(-log(p) / N) a run."""
        return estimators.ideal_relative_error(self.log_probability, self.settings.n_trajectories * len(self.runs))

    def runs_for(self, relative_error: float) -> int:
        """How many runs in all would give this relative error."""
        return estimators.runs_for(self.relative_error, relative_error, len(self.runs))

    @property
    def saving(self) -> float:
        """Cost of plain Monte Carlo at the same relative error, in units of this study's; NaN if that is unknown."""
        return number(self.log_saving)

    @property
    def log_saving(self) -> float:
        """Natural log of the saving."""
        return estimators.log_saving(self.log_probability, self.relative_error, self.n_steps, self.settings.n_steps)

    def exceedance(self, z: Sequence[float] | NDArray[np.float64]) -> Curve:
        """P(max of the user's score > z) for each z up to `level`, from the same runs; see `check_levels`."""
        return exceedance(self.runs, check_levels(self, z))

    def return_times(self, z: Sequence[float] | NDArray[np.float64]) -> Curve:
        """Mean time between events score > z, in the model's unit, with interval: see `estimators.return_time`."""
        return return_times(self.runs, check_levels(self, z), self.settings.end_time)

    def ensemble(
        self, *, run: int | None = None, reached: bool = False, states: bool = False, n_most: int | None = None
    ) -> Any:
        """Give the final trajectories of the runs, and what each of them stands for.

        Weighted, they stand for all trajectories that get above the last level: for a functional f of trajectories
        that is 0 for those that miss the target, ``(weight * f).sum()`` estimates its expectation without bias; f = 1
        gives the probability. A trajectory is read from the run directory if there is one, and computed again if not.

        Parameters
        ----------
        run
            Only this one (weighted as if there were no other); None: all.
        reached
            Only the trajectories that reached the target: the reactive ones.
        states
            Whether the states are wanted, too. A run directory that has not stored all of them imports the model.
        n_most
            Give so many at most, chosen evenly, for pictures: their weights stay what they are in the whole.

        Returns
        -------
        xarray.Dataset
            Over `trajectory` (with coordinates `run`, `slot`, `branch`): `weight` and its natural log `log_weight`,
            `maximum`, `reached`, `end_time`, `root`, `generation`. Over `trajectory` and `time`: `score`, and `state`
            (or ``state.<name>`` for each part of a dict). Past a trajectory's end they are NaN.

        Raises
        ------
        KeyError
            If the run is not finished.
        ImportError
            Without xarray: ``pip install "pytams-splitting[xarray]"``.
        ModelError, RunDirectoryError
            If the model gives other scores than it did, or cannot be had.
        """
        return weighted_ensemble(
            self.source, self.runs, self.settings, run=run, reached=reached, states=states, n_most=n_most
        )

    def expectation(self, functional: Callable[[Any], Any], *, states: bool = False) -> expectations.Estimate:
        """Estimate the mean of a functional over reactive trajectories, those that reach the target.

        Parameters
        ----------
        functional
            Gets ``ensemble(reached=True)`` and returns a number or an array for each trajectory, along the first
            axis (or the dimension `trajectory`).
        states
            Whether it needs the states.

        Examples
        --------
        >>> steps = result.expectation(lambda e: (e.score > 0.5).sum("time"))
        """
        ensemble = self.ensemble(reached=True, states=states)
        return expectations.mean_over_reached(self.runs, expectations.values(functional, ensemble))

    @property
    def reaching_time(self) -> expectations.Estimate:
        """Mean time at which reactive trajectories reach the target."""
        return expectations.reaching_time(self.runs, self.settings)

    @cached_property
    def health(self) -> Health:
        """Whether the estimate can be trusted, why, and what to change."""
        return judge_runs(self.runs, self.settings, self.caveat, was_learned=bool(self.taught_by))

    @property
    def n_steps(self) -> int:
        """Model steps computed in all runs."""
        return sum(run.n_steps for run in self.runs)

    @property
    def n_iterations(self) -> int:
        """Splitting iterations in all runs."""
        return sum(len(run.iterations) for run in self.runs)

    @property
    def n_extinct(self) -> int:
        """Runs that went extinct."""
        return sum(run.extinct for run in self.runs)

    def __repr__(self) -> str:
        chance = summary.probability(self, ".3e") + (" so far" if self.is_provisional else "")
        return f"<Result of {self.model}: probability {chance}, {len(self.runs)} runs, seed {self.seed}>"

    rows, discarded = property(summary.rows), discarded_ensemble
    compare = summary.comparison
    to_dict, to_dataframe, to_xarray = summary.plain, tables.dataframe, tables.dataset
    __str__, _repr_html_ = summary.text, summary.html_table
