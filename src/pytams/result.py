"""What a study found: numbers to read, print and save."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams import estimator
from pytams.ensemble import dataset, evenly
from pytams.errors import ModelError, PytamsError
from pytams.health import Health, judge
from pytams.trajectory import chain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.ensemble import Source
    from pytams.runresult import RunResult, Settings


class Curve(NamedTuple):
    """Values at levels, with their error and 95 % interval; each of shape ``(len(z),)``."""

    z: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean over reactive trajectories with its error and 95 % interval: numbers, or arrays of one shape."""

    value: Any
    error: Any
    low: Any
    high: Any


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of independent runs of TAMS.

    Parameters
    ----------
    model
        Name of the model.
    settings
        The settings of the algorithm.
    seed
        Seed of all runs: with the model and the settings it determines every bit of the runs.
    runs
        The finished runs.
    n_unfinished
        Runs that were asked for and are not finished.
    wall_time
        Seconds spent.
    source
        Where `ensemble` gets the trajectories from.
    """

    model: str
    settings: Settings
    seed: int
    runs: tuple[RunResult, ...]
    n_unfinished: int
    wall_time: float
    source: Source | None = field(default=None, repr=False, compare=False)

    @cached_property
    def estimates(self) -> tuple[float, ...]:
        """The estimate of each run."""
        return tuple(run.estimate for run in self.runs)

    @cached_property
    def _mean_and_error(self) -> tuple[float, float]:
        mean, error = estimator.mean_and_error(self.estimates)
        if len(self.runs) == 1:
            error = math.sqrt(max(0.0, variance)) if math.isfinite(variance := self.runs[0].variance) else math.nan
        return mean, error

    @property
    def probability(self) -> float:
        """P(max over 0 <= t <= end_time of the score >= target): the mean over runs."""
        return self._mean_and_error[0]

    @property
    def standard_error(self) -> float:
        """Standard error of the probability: from the spread over runs; for a single run, from its genealogy.

        See `estimator.genealogical_variance`. NaN if there is nothing to tell it from.
        """
        return self._mean_and_error[1]

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the probability, symmetric in its logarithm; NaN if nothing was reached.

        See `estimator.interval`: Student's quantile over runs, the normal one for a single run.
        """
        n = len(self.runs)
        return estimator.interval(*self._mean_and_error, n if n > 1 else None)

    @property
    def relative_error(self) -> float:
        """Standard error over probability; NaN if the probability is 0."""
        return self.standard_error / self.probability if self.probability else math.nan

    @property
    def ideal_relative_error(self) -> float:
        """Relative error with the best score there is: sqrt(-log(p) / N) a run."""
        ideal = estimator.ideal_relative_error(self.probability, self.settings.n_trajectories)
        return ideal / math.sqrt(len(self.runs))

    def runs_for(self, relative_error: float) -> int:
        """How many runs in all would give this relative error."""
        return estimator.runs_for(self.relative_error, relative_error, len(self.runs))

    @property
    def saving(self) -> float:
        """Cost of plain Monte Carlo at the same relative error, in units of this study's; NaN if that is unknown."""
        if not (self.probability > 0.0 and self.relative_error > 0.0):
            return math.nan
        steps = round(self.settings.end_time / self.settings.step_size)
        return estimator.saving(self.probability, self.relative_error, self.n_steps, steps)

    def exceedance(self, z: Sequence[float] | NDArray[np.float64]) -> Curve:
        """P(max of the score > z) for each z up to the target, from the same runs."""
        each = np.array([run.exceedance(z) for run in self.runs])
        n = len(each)
        mean = each.mean(axis=0)
        if n > 1:
            error = each.std(axis=0, ddof=1) / math.sqrt(n)
        else:
            error = np.sqrt(np.maximum(self.runs[0].exceedance_variance(z), 0.0))
        degrees = n if n > 1 else None
        bounds = [estimator.interval(m, e, degrees) for m, e in zip(mean.tolist(), error.tolist(), strict=True)]
        low, high = np.array(bounds).T
        return Curve(np.asarray(z, dtype=np.float64), mean, error, low, high)

    def return_times(self, z: Sequence[float] | NDArray[np.float64]) -> Curve:
        """Mean time between events score > z, in the model's unit, with interval: see `estimator.return_time`."""
        p, end_time = self.exceedance(z), self.settings.end_time
        value, low, high = (estimator.return_time(q, end_time) for q in (p.value, p.high, p.low))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = p.error * value**2 / end_time / (1.0 - p.value)  # |dr/dp| = r^2 / (T (1 - p))
        return Curve(p.z, value, error, low, high)

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
            Over `trajectory` (with coordinates `run`, `slot`, `branch`): `weight`, `maximum`, `reached`, `end_time`,
            `root`, `generation`. Over `trajectory` and `time`: `score`, and `state` (or ``state.<name>`` for each
            part of a dict). Past a trajectory's end they are NaN.

        Raises
        ------
        KeyError
            If the run is not finished.
        ImportError
            Without xarray: ``pip install pytams[xarray]``.
        ModelError, RunDirectoryError
            If the model gives other scores than it did, or cannot be had.
        """
        if self.source is None:
            raise PytamsError("this result was made without a source of its trajectories")
        runs = [found for found in self.runs if run in {None, found.run}]
        if not runs:
            raise KeyError(f"run {run} is not finished")
        finals = [(one, final) for one in runs for final in (one.reached if reached else one.members)]
        if n_most is not None:
            finals = [finals[i] for i in evenly(len(finals), n_most)]
        starts = {one.run: one.starts for one in runs}
        chains = [chain(starts[one.run], final.key) for one, final in finals]
        courses = self.source.courses(chains, states=states)
        for (_, final), course in zip(finals, courses, strict=True):
            if len(course.scores) != final.last_step + 1 or course.scores.max() != final.maximum:
                raise ModelError(
                    f"run {final.key.run}, slot {final.key.slot}, computed again, has other scores: is it the same "
                    "model, and a function of what it is given alone?"
                )
        return dataset(
            [final for _, final in finals],
            [one.weight / len(runs) for one, _ in finals],
            courses,
            step_size=self.settings.step_size,
            target_score=self.settings.target_score,
        )

    def expectation(self, functional: Callable[[Any], Any], *, states: bool = False) -> Estimate:
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
        >>> result.expectation(lambda e: (e.score > 0.5).sum("time"))  # doctest: +SKIP
        """
        ensemble = self.ensemble(reached=True, states=states)
        values = functional(ensemble)
        values = np.asarray(values.transpose("trajectory", ...) if hasattr(values, "dims") else values, dtype=float)
        if values.shape[:1] != (ensemble.sizes["trajectory"],):
            raise ValueError(
                f"the functional returned shape {values.shape}: it must have a value for each of "
                f"{ensemble.sizes['trajectory']} trajectories, along the first axis"
            )
        return self._mean_of_reached(values)

    @property
    def reaching_time(self) -> Estimate:
        """Mean time at which reactive trajectories reach the target."""
        steps = [final.last_step for run in self.runs for final in run.reached]
        return self._mean_of_reached(np.array(steps, dtype=float) * self.settings.step_size)

    def _mean_of_reached(self, values: NDArray[np.float64]) -> Estimate:
        """Weighted mean over the trajectories that reached the target, in the order of the runs."""
        if not len(values):
            return Estimate(math.nan, math.nan, math.nan, math.nan)
        n = len(self.runs)
        parts = np.split(values, np.cumsum([run.n_reached for run in self.runs])[:-1])
        sums = np.array([run.weight * part.sum(axis=0) for run, part in zip(self.runs, parts, strict=True)])
        mean, error = estimator.ratio(sums, self.estimates)
        if n == 1:
            variance = np.apply_along_axis(self.runs[0].variance_of, 0, values - mean)
            error = np.sqrt(np.maximum(variance, 0.0)) / self.probability
        half_width = estimator.quantile(n if n > 1 else None) * error
        found = (mean, error, mean - half_width, mean + half_width)
        return Estimate(*(value.item() if value.ndim == 0 else value for value in found))

    @cached_property
    def health(self) -> Health:
        """Whether the estimate can be trusted, why, and what to change."""
        alive = [run for run in self.runs if not run.extinct]
        families = [run.families for run in alive]
        mean, error = estimator.mean_and_error(self.estimates)
        return judge(
            n_runs=len(self.runs),
            n_reached=sum(run.n_reached for run in self.runs),
            roots=[len(family) for family in families],
            families=[max(family.values()) / run.n for family, run in zip(families, alive, strict=True)],
            n_extinct=self.n_extinct,
            n_stalled=sum(2 * len(i.killed) > run.n for run in self.runs for i in run.iterations),
            n_iterations=self.n_iterations,
            spread=error * math.sqrt(len(self.runs)) / mean if mean > 0.0 else math.nan,
        )

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

    def compare(self, reference: float) -> str:
        """Say how far the estimate is from a known probability."""
        off = (self.probability - reference) / self.standard_error if self.standard_error else math.nan
        return f"{reference:.4e}: the estimate is {off:+.1f} standard errors off"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON: what is not a number is None."""
        low, high = self.interval
        return {
            "model": self.model,
            "settings": self.settings.to_dict(),
            "seed": self.seed,
            "probability": self.probability,
            "standard_error": _or_none(self.standard_error),
            "interval": [_or_none(low), _or_none(high)],
            "estimates": list(self.estimates),
            "relative_error": _or_none(self.relative_error),
            "ideal_relative_error": _or_none(self.ideal_relative_error),
            "saving": _or_none(self.saving),
            "health": {name: _or_none(getattr(self.health, name)) for name in self.health.__slots__},
            "n_runs": len(self.runs),
            "n_unfinished": self.n_unfinished,
            "n_extinct": self.n_extinct,
            "n_iterations": self.n_iterations,
            "n_steps": self.n_steps,
            "wall_time": self.wall_time,
        }

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values, as people read them."""
        settings, n = self.settings, len(self.runs)
        low, high = self.interval
        error = interval = "unknown: nothing has reached the target"
        if math.isfinite(low):
            error = f"{self.standard_error:.2g} ({self.relative_error:.1%}, at best {self.ideal_relative_error:.1%})"
            error += ", from one run's genealogy" if n == 1 else ""
            interval = f"{low:.3e} to {high:.3e}"
        runs = f"{n} finished, {self.n_extinct} extinct"
        if self.n_unfinished:
            runs += f", {self.n_unfinished} unfinished and left out (the finished ones tend to be short: biased)"
        cost = f"{self.n_steps:,} model steps, {self.wall_time:.2f} s"
        if math.isfinite(self.saving):
            cost += f"; plain Monte Carlo: {self.saving:,.1f} times the steps"
        return [
            ("model", self.model),
            ("probability", f"{self.probability:.4e}"),
            ("standard error", error),
            ("95 % interval", interval),
            ("event", f"score >= {settings.target_score:g} within t <= {settings.end_time:g}"),
            (
                "ensemble",
                f"N = {settings.n_trajectories}, l = {settings.n_discard}, dt = {settings.step_size:g}",
            ),
            ("runs", runs),
            ("iterations", f"{self.n_iterations:,} ({self.n_iterations / n:.0f} a run)"),
            ("cost", cost),
            ("health", str(self.health)),
            ("seed", str(self.seed)),
        ]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self.rows
        )
        return f"<table>{rows}</table>"


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
