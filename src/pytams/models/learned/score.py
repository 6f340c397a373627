"""A learned score: arrays, evaluated in NumPy and in compiled loops to the same bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import StoreError
from pytams.models.learned.fit import Committor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_META = ("end_time", "target_score", "taught_by")
_CERTAIN = -1e-9
"""log u is not more: a learned score stays below the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedScore:
    """target - log u / log u_min: an estimate of the committor u as a score below a user's target.

    Any function of state and time is a score without bias, however well it was learned, as long as the study that it
    is used in has other runs than the one that it was learned from.
    """

    committor: Committor
    end_time: float
    """T: at time t there is T - t to go."""
    target_score: float
    """The user's: where her score is this or more, the event has happened, whatever was learned."""
    taught_by: frozenset[tuple[int, int]]
    """Seed and number of the runs that it was learned from, of all pilots: it must not be used with these."""

    def __call__(self, features: Array, t: Any) -> Array:
        """Score states that are not the event, by their features.

        Parameters
        ----------
        features
            Of shape (members, features).
        t
            Time, a number or of shape (members,).
        """
        log_u = np.minimum(np.maximum(self.log_u(features, t), self.committor.floor), _CERTAIN)
        return self.target_score - log_u / self.committor.floor

    def log_u(self, features: Array, t: Any) -> Array:
        """Estimate the log of the committor: of shape (members,). The order of operations is that of `compiled`."""
        c = self.committor
        last = len(c.coefficients) - 1
        to_go = np.minimum(np.maximum((self.end_time - np.asarray(t)) / c.interval, 0.0), float(last))
        slices = np.minimum(to_go.astype(np.int64), last - 1)
        share = np.broadcast_to(to_go - slices, len(features))[:, None]
        before, after = (np.broadcast_to(c.coefficients[i], (len(features), c.coefficients.shape[1]))
                         for i in (slices, slices + 1))  # fmt: skip
        h = np.broadcast_to(c.biases, (len(features), len(c.biases)))
        for k in range(len(c.weights)):
            h = h + ((features[:, k] - c.center[k]) / c.scale[k])[:, None] * c.weights[k]
        terms = (before + share * (after - before)) * np.hstack([h / (1.0 + np.abs(h)), np.ones((len(h), 1))])
        sums: Array = np.cumsum(terms, axis=1)[:, -1]  # from the first to the last, for one member as for many
        return sums

    def compiled(self, her_score: Callable[..., Any], *, is_scalar: bool) -> Callable[..., Any]:
        """Make the score of a compiled equation: hers where the event has happened, else what was learned."""
        from numba import njit  # noqa: PLC0415 - an extra, and it takes a second

        c = self.committor
        center, scale, weights, biases, coefficients = c.center, c.scale, c.weights, c.biases, c.coefficients
        interval, floor, last, n = c.interval, c.floor, len(c.coefficients) - 1, len(c.biases)
        end_time, target, d = self.end_time, self.target_score, len(c.weights)
        her = njit(error_model="numpy")(her_score)

        @njit(error_model="numpy")  # type: ignore[untyped-decorator] # Numba's
        def log_u(z: Any, t: Any) -> Any:
            to_go = min(max((end_time - t) / interval, 0.0), float(last))
            j = min(int(to_go), last - 1)
            share = to_go - j
            total = 0.0
            for f in range(n):
                h = biases[f]
                for k in range(d):
                    h = h + z[k] * weights[k, f]
                before, after = coefficients[j, f], coefficients[j + 1, f]
                term = (before + share * (after - before)) * (h / (1.0 + abs(h)))
                total = term if f == 0 else total + term
            before, after = coefficients[j, n], coefficients[j + 1, n]
            return total + (before + share * (after - before))

        if is_scalar:

            def learned(x: Any, t: Any, p: Any) -> Any:
                if her(x, t, p) >= target:
                    return target
                z = ((x - center[0]) / scale[0],)
                return target - min(max(log_u(z, t), floor), _CERTAIN) / floor

        else:

            def learned(x: Any, t: Any, p: Any) -> Any:
                if her(x, t, p) >= target:
                    return target
                z = np.empty(d)
                for k in range(d):
                    z[k] = (x[k] - center[k]) / scale[k]
                return target - min(max(log_u(z, t), floor), _CERTAIN) / floor

        return learned

    # --- on disk ------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it as arrays, an ``.npz`` file without pickled objects."""
        meta = {
            "end_time": self.end_time,
            "target_score": self.target_score,
            "taught_by": np.array(sorted(self.taught_by), dtype=np.int64).reshape(-1, 2),
        }
        arrays: dict[str, Any] = self.committor._asdict() | meta
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> LearnedScore:
        """Read one.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                named = {name: arrays[name] for name in (*Committor._fields, *_META)}
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{path} is no learned score: {error}") from error
        numbers = {"interval": float(named["interval"]), "floor": float(named["floor"])}
        committor = Committor(**({name: named[name] for name in Committor._fields} | numbers))
        if not math.isfinite(committor.floor) or committor.floor >= 0.0:
            raise StoreError(f"{path} is no learned score: its floor is {committor.floor:g}")
        return cls(
            committor=committor,
            end_time=float(named["end_time"]),
            target_score=float(named["target_score"]),
            taught_by=frozenset((seed, run) for seed, run in named["taught_by"].tolist()),
        )
