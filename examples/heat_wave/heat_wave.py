"""A hot season: the score is a mean over time, and the event is known at the end only."""

from __future__ import annotations

from typing import Any

import numpy as np

import pytams


class HotSeason(pytams.Model):
    """How much warmer than usual a day is, and the sum of that since the season began; a step is a day.

    The score is how far the mean of the season, as it is to be expected now, is above the target, in units of the
    spread of what is still to come. The season is hot if that is 0 at the end.

    Parameters
    ----------
    target
        How much warmer than usual the season is to be on average, in K.
    days
        Of the season: the end time of the study.
    memory
        Days in which anomalies decay by a factor e.
    deviation
        Standard deviation of a day, in K.
    """

    vectorized = True
    noise_shape = ()
    title, state_names = "A hot season", ("anomaly", "sum of anomalies")
    units = {"time": "days", "anomaly": "K", "sum of anomalies": "K"}  # noqa: RUF012 - read only

    def __init__(self, target: float = 6.5, days: int = 90, memory: float = 5.0, deviation: float = 4.0) -> None:
        self.target, self.days, self.deviation = target, days, deviation
        self.decay = np.exp(-1.0 / memory)
        self.kick = deviation * np.sqrt(1.0 - self.decay**2)
        self.to_come = self.decay * (1.0 - self.decay ** np.arange(days, -1, -1.0)) / (1.0 - self.decay)
        effects = self.kick * (1.0 + self.to_come[1:])  # of each day's weather on the sum
        self.spread = np.sqrt(np.append(np.cumsum(effects[::-1] ** 2)[::-1], 1.0)) / days

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([self.deviation * rng.standard_normal(), 0.0])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        anomaly = self.decay * state[:, 0] + self.kick * noise
        return np.stack([anomaly, state[:, 1] + anomaly], axis=1)

    def score(self, state: Any, t: Any) -> Any:
        day = np.rint(t).astype(int)
        expected = (state[:, 1] + state[:, 0] * self.to_come[day]) / self.days
        return (expected - self.target) / self.spread[day]

    def reached(self, state: Any, t: Any) -> Any:
        return (np.rint(t) == self.days) & (state[:, 1] >= self.target * self.days)
