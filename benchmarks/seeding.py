"""What it costs to seed OpenMM at each step, instead of where a branch starts: `python benchmarks/seeding.py`.

The double well and butane of examples/molecules, in process: studies seeded in the one way and in the other, in turn;
medians. Needs OpenMM: `pip install --group simulators`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import pytams

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "molecules"))
from molecules import Butane, DoubleWell, Molecule

REPEATS = 3


class ByStep(Molecule):
    """Seeded at each step."""

    seeding = "step"

    def step(self, seed: int | None, t: float, dt: float) -> None:
        assert seed is not None
        self.branch(seed)
        super().step(None, t, dt)


class DoubleWellByStep(ByStep, DoubleWell):
    """The double well, seeded at each step."""


class ButaneByStep(ByStep, Butane):
    """Butane, seeded at each step."""


def seconds_a_step(model: Molecule, step_size: float, target_score: float, seed: int) -> float:
    """Time a step of a study that branches."""
    tams = pytams.TAMS(model, end_time=10.0, step_size=step_size, target_score=target_score, n_trajectories=4)
    start = perf_counter()
    result = tams.run(1, seed, verify=False)
    return (perf_counter() - start) / result.n_steps


def main() -> None:
    print("microseconds a step (10 or 25 of the integrator), with all that a study does")
    for platform in ("Reference", "CPU"):
        pairs: tuple[tuple[str, Molecule, Molecule, float, float], ...] = (
            ("double well", DoubleWell(platform=platform), DoubleWellByStep(platform=platform), 0.1, 0.5),
            ("butane", Butane(platform=platform), ButaneByStep(platform=platform), 0.05, 60.0),
        )
        for name, by_branch, by_step, step_size, target_score in pairs:
            times = [
                [seconds_a_step(model, step_size, target_score, seed) for model in (by_branch, by_step)]
                for seed in range(REPEATS)
            ]
            branch, step = (1e6 * median(column) for column in zip(*times, strict=True))
            print(f"{platform:<10} {name:<12} branch {branch:7.1f}   step {step:7.1f}   {step / branch:5.1f} times")


if __name__ == "__main__":
    main()
