"""The yardstick: a hand-written TAMS of the 2-D double well, all in one Numba function.

Nothing is general and nothing is kept but scores and states in arrays: what a program that does only this would cost.
"""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np
from numba import njit

EPSILON, STEP_SIZE, TARGET = 0.1, 0.01, 0.95


@njit(cache=True, error_model="numpy")
def score(x: float, y: float) -> float:
    to_a, to_b = (x + 1.0) ** 2 + y * y, (x - 1.0) ** 2 + y * y
    return 0.5 - 0.5 * math.exp(-8.0 * to_a) + 0.5 * math.exp(-8.0 * to_b)


@njit(cache=True, error_model="numpy")
def tams(n: int, n_discard: int, n_steps: int, seed: int) -> tuple[float, int]:
    """Run once: the estimate and the number of model steps."""
    np.random.seed(seed)
    xs, ys, scores = np.empty((n, n_steps + 1)), np.empty((n, n_steps + 1)), np.empty((n, n_steps + 1))
    last = np.zeros(n, np.int64)  # where each trajectory ended
    maxima = np.empty(n)
    branch_steps = np.zeros(n, np.int64)
    todo = np.ones(n, np.bool_)
    kick = math.sqrt(EPSILON * STEP_SIZE)
    xs[:, 0], ys[:, 0], scores[:, 0] = -1.0, 0.0, score(-1.0, 0.0)
    weight, total = 1.0, 0
    while True:
        for i in range(n):
            if not todo[i]:
                continue
            todo[i] = False
            k = branch_steps[i]
            x, y = xs[i, k], ys[i, k]
            best = -np.inf
            for j in range(k + 1):
                best = max(best, scores[i, j])
            while k < n_steps and scores[i, k] < TARGET:
                x += (x - x * x * x) * STEP_SIZE + kick * np.random.standard_normal()
                y += -2.0 * y * STEP_SIZE + kick * np.random.standard_normal()
                k += 1
                total += 1
                xs[i, k], ys[i, k], scores[i, k] = x, y, score(x, y)
                best = max(best, scores[i, k])
            last[i], maxima[i] = k, best
        level = np.sort(maxima)[n_discard - 1]
        if level >= TARGET:
            return weight * np.sum(maxima >= TARGET) / n, total
        alive = np.flatnonzero(maxima > level)
        if alive.size == 0:
            return 0.0, total
        weight *= alive.size / n
        for i in range(n):
            if maxima[i] <= level:
                j = alive[np.random.randint(alive.size)]
                k = 0
                while scores[j, k] <= level:
                    k += 1
                xs[i, : k + 1], ys[i, : k + 1], scores[i, : k + 1] = (
                    xs[j, : k + 1],
                    ys[j, : k + 1],
                    scores[j, : k + 1],
                )
                branch_steps[i] = k
                todo[i] = True


def main() -> None:
    """Show that it computes the right thing, and what it costs."""
    tams(50, 2, 1000, 0)
    start = perf_counter()
    runs = [tams(50, 2, 1000, seed) for seed in range(200)]
    seconds = perf_counter() - start
    estimates = np.array([estimate for estimate, _ in runs])
    steps = sum(n for _, n in runs)
    error = estimates.std(ddof=1) / math.sqrt(len(runs))
    print(f"P = {estimates.mean():.3e} +- {error:.1e} (exact 7.596e-3)")
    print(f"{1e3 * seconds / len(runs):.1f} ms and {steps / len(runs):,.0f} steps a run, ", end="")
    print(f"{1e9 * seconds / steps:.0f} ns a step")


if __name__ == "__main__":
    main()
