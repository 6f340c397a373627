"""Two queues in tandem: jumps, whole numbers, and a score that ties all the time."""

from __future__ import annotations

from typing import Any

import numpy as np

import pytams


class TandemQueue(pytams.Model):
    """Customers arrive, are served by the first server, then by the second, and leave; a step is one event.

    It starts with one customer, who has just come, and ends when nobody is left. The score is how many there are.

    Parameters
    ----------
    arrivals, first, second
        Rates.
    """

    vectorized = True
    noise_shape = ()
    title, state_names = "Two queues in tandem", ("first queue", "second queue")
    units = {"score": "customers", "time": "events"}  # noqa: RUF012 - read only

    def __init__(self, arrivals: float = 0.1, first: float = 0.5, second: float = 0.4) -> None:
        rates = np.array([arrivals, first, second])
        self.shares = np.cumsum(rates / rates.sum())

    def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
        return rng.random(n)

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([1, 0])

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        a, b = state[:, 0], state[:, 1]
        arrives = noise < self.shares[0]
        moves = ~arrives & (noise < self.shares[1]) & (a > 0)  # a server without a customer does nothing
        leaves = (noise >= self.shares[1]) & (b > 0)
        return np.stack([a + arrives - moves, b + moves - leaves], axis=1)

    def score(self, state: Any, t: Any) -> Any:
        return state.sum(axis=1)

    def stopped(self, state: Any, t: Any) -> Any:
        return state.sum(axis=1) == 0


class SecondQueue(TandemQueue):
    """The same queues, where only the second one counts, from one customer in it until it is empty."""

    title = "Second of two queues in tandem"

    def __init__(self, arrivals: float = 3.0, first: float = 2.0, second: float = 6.0) -> None:
        super().__init__(arrivals, first, second)

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.array([0, 1])

    def score(self, state: Any, t: Any) -> Any:
        return state[:, 1]

    def stopped(self, state: Any, t: Any) -> Any:
        return state[:, 1] == 0
