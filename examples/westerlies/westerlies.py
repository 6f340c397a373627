"""The westerlies over a ridge: a quasi-geostrophic atmosphere of two layers, computed by qgs.

20 variables, deterministic and chaotic (Reinhold and Pierrehumbert 1982): errors double in five days. How likely are
easterlies of 5 m/s within 11 days? ``pip install "qgs>=1.0" "sparse>=0.17,<0.19"``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from qgs.functions.tendencies import create_tendencies
from qgs.integrators.integrate import integrate_runge_kutta
from qgs.params.params import QgParams

import pytams

START = (
    *(0.091, -0.082, 0.056, -0.003, -0.001, -0.003, 0.045, 0.0, -0.006, 0.107),  # streamfunction
    *(0.092, -0.014, 0.059, 0.006, 0.007, 0.006, 0.017, -0.007, 0.012, 0.031),  # temperature
)
"""A state on the attractor, near its mean. A spin-up would end elsewhere on another machine: it is chaotic, too."""


@cache
def atmosphere() -> tuple[Any, float]:
    """Make what gives dx/dt, and the factor from x[0] to m/s: 10 s, so once a process."""
    parameters = QgParams()
    parameters.set_atmospheric_channel_fourier_modes(2, 2)
    parameters.set_params({"phi0_npi": np.deg2rad(50.0) / np.pi, "hd": 0.1})
    parameters.ground_params.set_orography(0.2, 1)
    parameters.atemperature_params.set_thetas(0.2, 0)
    tendency, _ = create_tendencies(parameters)
    scale = parameters.scale_params
    return tendency, float(np.sqrt(2.0) * scale.L * scale.f0)


class Westerlies(pytams.Simulator):
    """A simulator of one trajectory; its score is the wind from the east in the middle of the channel, in m/s.

    Time is in units of 1/f0 = 2.7 hours.

    Parameters
    ----------
    size
        Standard deviation of what is added to each variable before each step: 0.005 is 1.2 m/s, where the wind in the
        middle of the channel varies by 4.
    time_step
        Of the integrator.
    """

    def __init__(self, size: float = 5e-3, time_step: float = 0.2) -> None:
        self.size, self.time_step = size, time_step

    def open(self, place: Any) -> None:
        self.tendency, self.factor = atmosphere()

    def start(self, rng: np.random.Generator) -> None:
        self.x = np.array(START)

    def load(self, state: Any) -> None:
        self.x = state

    def save(self) -> Any:
        return self.x

    def perturb(self, rng: np.random.Generator) -> None:
        self.x = self.x + self.size * rng.standard_normal(self.x.shape)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        # From 0, whatever t is: nothing depends on it, and the times between 0 and dt are then always the same.
        _, self.x = integrate_runge_kutta(self.tendency, 0.0, dt, self.time_step, ic=self.x, write_steps=0)

    def score(self) -> float:
        return -self.factor * float(self.x[0])


def direct(model: Westerlies, *, end_time: float, step_size: float, copies: int, seed: int) -> Any:
    """Give the largest score of each of so many trajectories, perturbed and looked at as a study's: no splitting."""
    tendency, factor = atmosphere()
    rng = np.random.default_rng(seed)
    x = np.tile(START, (copies, 1))
    best = -factor * x[:, 0]
    for _ in range(round(end_time / step_size)):
        x = x + model.size * rng.standard_normal(x.shape)
        _, x = integrate_runge_kutta(tendency, 0.0, step_size, model.time_step, ic=x, write_steps=0)
        best = np.maximum(best, -factor * x[:, 0])
    return best


def main() -> None:
    """Simulate 40,000 trajectories, and say how many come to easterlies of so many m/s."""
    best = np.concatenate(
        [direct(Westerlies(), end_time=100.0, step_size=2.0, copies=4000, seed=seed) for seed in range(10)]
    )
    for target in (0.0, 5.0, 10.0):
        p = np.mean(best >= target)
        print(f"{target:4} m/s: {p:.3e} +- {np.sqrt(p * (1.0 - p) / len(best)):.1e}")


if __name__ == "__main__":
    main()
