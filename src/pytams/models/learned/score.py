"""A learned score: arrays, evaluated in NumPy and in compiled loops to the same bits."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import SettingsError
from pytams.models.described import described
from pytams.models.learned import files
from pytams.models.learned.committor import Committor
from pytams.models.sde.naming import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_TRUSTED = 5.0
"""u(start) is within this factor of the pilot's estimate, or it was learned badly."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LearnedScore:
    """An estimate of the committor u, as a score below a user's target: level - span log u / log u_min.

    Any function of state and time is a score without bias, however well it was learned, as long as the study that it
    is used in has other runs than the one that it was learned from.
    """

    committor: Committor
    end_time: float
    """T: at time t there is T - t to go."""
    step_size: float
    """dt of the pilot."""
    target_score: float
    """The user's: where her score is this or more, the event has happened, whatever was learned."""
    level: float
    """Her score that u is the probability of reaching: the target, or the highest that the pilot got to. From there
    on her own score counts."""
    names: tuple[str, ...]
    """Of the features."""
    model: str
    """Name of the model that was learned from, and a hash of what it was made of."""
    log_estimate: float
    """The pilot's log P(her score reaches the level)."""
    log_u_start: float
    """What was learned of the same: the mean over the starts."""
    taught_by: frozenset[tuple[int, int]]
    """Seed and number of the runs that it was learned from, of all pilots: it must not be used with these."""
    paths: Array
    """Some of the pilot's paths, for pictures: (paths, points, features), NaN after the end of one."""
    features: Callable[..., Any] | None = None
    """What it looks at, if that was said to `learn_score`. It is not saved: say it again when it is loaded."""

    def __repr__(self) -> str:
        runs = f"{len(self.taught_by)} runs"
        return f"<LearnedScore of {len(self.names)} features, from {runs}, for the target {self.target_score:g}>"

    @property
    def is_trusted(self) -> bool:
        """Whether u(start) is near the pilot's estimate: else the fit has smoothed too much, or failed."""
        return abs(self.log_u_start - self.log_estimate) <= math.log(_TRUSTED)

    @property
    def importance(self) -> dict[str, float]:
        """How much the score depends on each feature, by its mean squared slope: shares, the largest first."""
        shares = zip(self.names, self.committor.importance.tolist(), strict=True)
        return dict(sorted(shares, key=lambda named: -named[1]))

    @property
    def means(self) -> Array:
        """Of the features, over the pilot."""
        return self.committor.center[: len(self.names)]

    def log10_u(self, features: Array, t: Any) -> Array:
        """Estimate log10 of the committor, as far down as it is trusted."""
        return np.clip(self.log_u(features, t), self.committor.floor, 0.0) / math.log(10.0)

    def __call__(self, features: Array, t: Any) -> Array:
        """Score states below the level, by their features.

        Parameters
        ----------
        features
            Of shape (members, features).
        t
            Time, a number or of shape (members,).
        """
        log_u = np.minimum(np.maximum(self.log_u(features, t), self.committor.floor), 0.0)
        scores: Array = np.minimum(self.level - self._span * (log_u / self.committor.floor), self._below)
        return scores

    @property
    def _span(self) -> float:
        """How far down scores go: not so little that neighbouring ones are the same number."""
        return max(1.0, abs(self.level))

    @property
    def _below(self) -> float:
        """The largest score below the level."""
        return math.nextafter(self.level, -math.inf)

    def beside(self, hers: float, features: Array, t: float) -> float:
        """Score one state, by its features and the user's own score: hers from the level on."""
        if hers >= self.level:
            return min(hers, self.target_score)
        return float(self(features[None], t)[0])

    def log_u(self, features: Array, t: Any) -> Array:
        """Estimate the log of the committor: of shape (members,). The order of operations is that of `compiled`.

        Learned as log-odds eta, it is (eta - sqrt(eta^2 + 4)) / 2: near log u where u is small, below 0 everywhere,
        and computed to the same bits by every library.
        """
        c = self.committor
        n = len(self.names)
        if features.shape[1] != n:
            raise SettingsError("features", f"there are {features.shape[1]}, and the score was learned from {n}")
        left = np.broadcast_to(np.maximum(self.end_time - np.asarray(t), 0.0), len(features))
        looked_at = np.column_stack([features, left]) if c.is_odds else features
        last = len(c.coefficients) - 1
        to_go = np.minimum(left / c.interval, float(last))
        slices = np.minimum(to_go.astype(np.int64), last - 1)
        share = (to_go - slices)[:, None]
        before, after = c.coefficients[slices], c.coefficients[slices + 1]
        h = np.broadcast_to(c.biases, (len(features), len(c.biases)))
        for k in range(len(c.weights)):
            h = h + ((looked_at[:, k] - c.center[k]) / c.scale[k])[:, None] * c.weights[k]
        terms = (before + share * (after - before)) * np.hstack([h / (1.0 + np.abs(h)), np.ones((len(h), 1))])
        sums: Array = np.cumsum(terms, axis=1)[:, -1]  # from the first to the last, for one member as for many
        return (sums - np.sqrt(sums * sums + 4.0)) / 2.0 if c.is_odds else sums

    def compiled(self, her_score: Callable[..., Any], look: Callable[..., Any]) -> Callable[..., Any]:
        """Make the score of a compiled equation: hers from the level on, else what was learned.

        Parameters
        ----------
        her_score
            A function of state, time and parameters.
        look
            Likewise: gives the features, something to be indexed.
        """
        from numba import njit  # noqa: PLC0415 - an extra, and it takes a second

        c = self.committor
        center, scale, weights, biases, coefficients = c.center, c.scale, c.weights, c.biases, c.coefficients
        interval, floor, last, n = c.interval, c.floor, len(c.coefficients) - 1, len(c.biases)
        end_time, level, target, is_odds = self.end_time, self.level, self.target_score, c.is_odds
        d, of_all, span, below = len(self.names), len(c.weights), self._span, self._below
        fingerprint = hashlib.sha256("\n".join(map(described, (self, her_score, look))).encode()).hexdigest()[:16]
        her, look = (njit(error_model="numpy")(named(function, fingerprint)) for function in (her_score, look))

        def estimate(z: Any, left: Any) -> Any:
            to_go = min(left / interval, float(last))
            j = min(int(to_go), last - 1)
            share = to_go - j
            total = 0.0
            for f in range(n):
                h = biases[f]
                for k in range(of_all):
                    h = h + z[k] * weights[k, f]
                before, after = coefficients[j, f], coefficients[j + 1, f]
                term = (before + share * (after - before)) * (h / (1.0 + abs(h)))
                total = term if f == 0 else total + term
            before, after = coefficients[j, n], coefficients[j + 1, n]
            total = total + (before + share * (after - before))
            return (total - np.sqrt(total * total + 4.0)) / 2.0 if is_odds else total

        log_u = njit(error_model="numpy")(named(estimate, fingerprint))

        def learned(x: Any, t: Any, p: Any) -> Any:
            hers = her(x, t, p)
            if not hers < level:  # NaN, too: that is an error
                return hers if np.isnan(hers) else min(hers, target)
            left = max(end_time - t, 0.0)
            found = look(x, t, p)
            z = np.empty(of_all)
            for k in range(d):
                z[k] = (found[k] - center[k]) / scale[k]
            if is_odds:
                z[d] = (left - center[d]) / scale[d]
            return min(level - span * (min(max(log_u(z, left), floor), 0.0) / floor), below)

        return learned

    def that_starts(self, features: Array) -> LearnedScore:
        """Give the same, knowing what it says of the starts of trajectories."""
        log_u = np.clip(self.log_u(features, 0.0), self.committor.floor, 0.0)
        return replace(self, log_u_start=float(np.log(np.mean(np.exp(log_u)))))

    def for_end_time(self, end_time: float) -> LearnedScore:
        """Give the same for another T: what counts is the time to go."""
        return replace(self, end_time=end_time)

    def save(self, path: str | Path) -> None:
        """Write it as arrays, an ``.npz`` file without pickled objects."""
        with Path(path).open("wb") as file:
            self.write(file)

    def write(self, file: IO[bytes]) -> None:
        """Write the same to an open file."""
        np.savez(file, **files.as_arrays(self))

    @classmethod
    def load(cls, path: str | Path, features: Callable[..., Any] | None = None) -> LearnedScore:
        """Read one.

        Parameters
        ----------
        path
            Of the file.
        features
            What it looks at, if that was said when it was learned and is no attribute of the model.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        """
        return cls(features=features, **files.read(Path(path)))
