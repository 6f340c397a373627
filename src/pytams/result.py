"""What a study found: numbers to read, print and save."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytams.estimator import mean_and_error, student_interval

if TYPE_CHECKING:
    from pytams.splitting import Iteration


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for: the settings of the algorithm, which the result is a function of."""

    end_time: float
    step_size: float
    target_score: float
    n_trajectories: int
    n_discard: int
    max_branchings: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One finished run."""

    run: int
    estimate: float
    """W / N times the number of trajectories that reached the target."""
    log_weight: float
    """log W, -inf for an extinct run."""
    n_reached: int
    n_branchings: int
    """Trajectories killed and restarted."""
    n_steps: int
    """Model steps computed."""
    iterations: tuple[Iteration, ...]

    @property
    def extinct(self) -> bool:
        """Whether all trajectories were killed at once: the estimate is 0, and counts."""
        return self.log_weight == -math.inf


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
    """

    model: str
    settings: Settings
    seed: int
    runs: tuple[RunResult, ...]
    n_unfinished: int
    wall_time: float

    @cached_property
    def estimates(self) -> tuple[float, ...]:
        """The estimate of each run."""
        return tuple(run.estimate for run in self.runs)

    @cached_property
    def _mean_and_error(self) -> tuple[float, float]:
        return mean_and_error(self.estimates)

    @property
    def probability(self) -> float:
        """P(max over 0 <= t <= end_time of the score >= target): the mean over runs."""
        return self._mean_and_error[0]

    @property
    def standard_error(self) -> float:
        """Standard error of the probability from the spread over runs; NaN for a single run."""
        return self._mean_and_error[1]

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the probability (Student, cut at 0 and 1); NaN for a single run."""
        return student_interval(*self._mean_and_error, len(self.runs))

    @property
    def relative_error(self) -> float:
        """Standard error over probability; NaN if the probability is 0."""
        return self.standard_error / self.probability if self.probability else math.nan

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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON: what is not a number is None."""
        settings = {name: getattr(self.settings, name) for name in self.settings.__slots__}
        low, high = self.interval
        return {
            "model": self.model,
            "settings": settings,
            "seed": self.seed,
            "probability": self.probability,
            "standard_error": _or_none(self.standard_error),
            "interval": [_or_none(low), _or_none(high)],
            "estimates": list(self.estimates),
            "n_runs": len(self.runs),
            "n_unfinished": self.n_unfinished,
            "n_extinct": self.n_extinct,
            "n_iterations": self.n_iterations,
            "n_steps": self.n_steps,
            "wall_time": self.wall_time,
        }

    def _rows(self) -> list[tuple[str, str]]:
        """Names and values, as people read them."""
        settings, n = self.settings, len(self.runs)
        if n > 1:
            low, high = self.interval
            error = f"{self.standard_error:.2g}"
            error += f" ({self.relative_error:.1%})" if self.probability else ""
            interval = f"{low:.3e} to {high:.3e}"
        else:
            error = interval = "needs two runs or more"
        runs = f"{n} finished, {self.n_extinct} extinct"
        if self.n_unfinished:
            runs += f", {self.n_unfinished} unfinished and left out (the finished ones tend to be short: biased)"
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
            ("cost", f"{self.n_steps:,} model steps, {self.wall_time:.2f} s"),
            ("seed", str(self.seed)),
        ]

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<table>{rows}</table>"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
