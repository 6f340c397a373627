"""What one run found."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from pytams.analysis import estimators, logs
from pytams.core.partings import Partings
from pytams.core.splitting import all_starts, log_estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.core.compact import Finals, Iterations, RunOutcome
    from pytams.core.segments import Final, SegmentKey, Start


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult:
    """One run: a finished one, or what there is of it so far."""

    run: int
    estimate: float
    """W / N times the number of trajectories that reached the target; 0 if that is below the smallest float."""
    log_estimate: float
    """Its log, whatever its size; -inf if nothing reached the target."""
    log_weight: float
    """log W, -inf for an extinct run."""
    n_reached: int
    n_branchings: int
    """Trajectories killed and restarted."""
    n_steps: int
    """Model steps computed."""
    iterations: Iterations
    members: Finals
    """The final ensemble, by slot (the last one, if the run is extinct)."""
    target_score: float
    partings: Partings = field(default_factory=Partings)
    """When its branches parted from their parents, and how many never did."""
    finished: bool = True
    """If not, the estimate counts who has reached the target so far, and members may still run."""

    @classmethod
    def of(cls, outcome: RunOutcome, target_score: float, *, finished: bool = True) -> Self:
        """Look at a run."""
        n = len(outcome.members)
        return cls(
            run=outcome.run,
            estimate=math.exp(outcome.log_weight) * outcome.n_reached / n,
            log_estimate=log_estimate(outcome.log_weight, outcome.n_reached, n),
            log_weight=outcome.log_weight,
            n_reached=outcome.n_reached,
            n_branchings=outcome.n_branchings,
            n_steps=outcome.n_steps,
            iterations=outcome.iterations,
            members=outcome.members,
            target_score=target_score,
            partings=outcome.partings,
            finished=finished,
        )

    def __repr__(self) -> str:
        estimate = logs.text(self.log_estimate, ".3e")
        so_far = "" if self.finished else " so far"
        done = f"{len(self.iterations)} iterations, {self.n_steps} steps{so_far}"
        return f"<RunResult {self.run}: estimate {estimate}{so_far}, {done}>"

    @property
    def level(self) -> float:
        """The last level, -inf before the first iteration."""
        return max(self.iterations.levels, default=-math.inf)

    @property
    def n(self) -> int:
        """N, the size of the ensemble."""
        return len(self.members)

    @property
    def weight(self) -> float:
        """What each trajectory of the final ensemble stands for: W / N, 0 for an extinct run or below all floats."""
        return math.exp(self.log_weight) / self.n

    @property
    def reached(self) -> list[Final]:
        """The trajectories of the final ensemble that reached the target."""
        return [final for final in self.members if final.maximum >= self.target_score]

    @property
    def families(self) -> Counter[int]:
        """How many of the final ensemble descend from each initial trajectory, by its slot; no others."""
        return Counter(final.root for final in self.members)

    @property
    def starts(self) -> dict[SegmentKey, Start]:
        """Every segment that was simulated."""
        return all_starts(self.run, self.n, self.iterations)

    @property
    def extinct(self) -> bool:
        """Whether all trajectories were killed at once: the estimate is 0, and counts."""
        return self.log_weight == -math.inf

    @property
    def variance(self) -> float:
        """Variance of the estimate, from this run's genealogy; NaN if it is extinct or nothing was reached.

        0 below the smallest float, for estimates below about 1e-162: `relative_variance` is right at any size.
        """
        return self.relative_variance * self.estimate**2

    @cached_property
    def relative_variance(self) -> float:
        """Variance of the estimate over its square, likewise."""
        if not self.n_reached:
            return math.nan
        return self.variance_of([1.0] * self.n_reached) / (self.n_reached / self.n) ** 2

    def variance_of(self, values: Sequence[float] | NDArray[np.float64]) -> float:
        """Variance of W / N times the sum of values of the trajectories that `reached`, over W**2: see `variance`."""
        roots = [final.root for final in self.reached]
        return estimators.genealogical_variance(self.n, self._log_pair_factors[-1], values, roots)

    @cached_property
    def _log_pair_factors(self) -> list[float]:
        return estimators.log_pair_factors(self.n, self.iterations.n_killed)

    def exceedance(self, z: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """P(max of the score > z) for each z up to the target; 0 where that is below the smallest float."""
        log_weights, above = self._in_force(z)
        return np.array([math.exp(log_weight) for log_weight in log_weights.tolist()]) * above / self.n

    def log_exceedance(self, z: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of `exceedance`, whatever its size."""
        log_weights, above = self._in_force(z)
        log_shares = np.array([log_estimate(0.0, i, self.n) for i in range(self.n + 1)])
        return np.asarray(log_weights + log_shares[above])

    def _in_force(self, z: Sequence[float] | NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return estimators.in_force(
            self.n,
            self.iterations.levels,
            self.iterations.log_weights,
            self.iterations.killed_maxima,
            [final.maximum for final in self.members],
            z,
        )

    def exceedance_variance(self, z: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of each of `exceedance(z)`, from the genealogy alone; 0 below the smallest float."""
        return self.relative_exceedance_variance(z) * self.exceedance(z) ** 2

    def relative_exceedance_variance(self, z: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of each of `exceedance(z)` over its square, likewise."""
        levels = self.iterations.levels
        roots = list(range(self.n))
        variances = np.full(len(z), math.nan)
        n_done = 0
        for i in np.argsort(z).tolist():
            k = bisect_right(levels, z[i])
            for iteration in self.iterations[n_done:k]:
                of_ancestors = [roots[ancestor.slot] for ancestor in iteration.ancestors]
                for key, root in zip(iteration.killed, of_ancestors, strict=False):  # extinction has no ancestors
                    roots[key.slot] = root
            n_done = k
            above = self._above(z[i], k)
            if any(above):
                variance = estimators.genealogical_variance(self.n, self._log_pair_factors[k], above, roots)
                variances[i] = variance / (sum(above) / self.n) ** 2
        return variances

    def _above(self, z: float, k: int) -> list[float]:
        """Of each slot after k iterations, the last ones at a level <= z: 1 if its maximum is above z, else 0."""
        if k == len(self.iterations):
            return [float(final.maximum > z) for final in self.members]
        above = [1.0] * self.n
        for key, maximum in zip(self.iterations[k].killed, self.iterations[k].killed_maxima, strict=True):
            above[key.slot] = float(maximum > z)
        return above
