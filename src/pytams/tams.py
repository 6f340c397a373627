"""What a user calls: TAMS of a model, with its settings checked."""

from __future__ import annotations

import logging
import math
import operator
from numbers import Real
from typing import TYPE_CHECKING

from pytams import _random
from pytams.engine import Engine, InProcess
from pytams.errors import SettingsError
from pytams.model import Model
from pytams.result import Result
from pytams.runresult import Settings
from pytams.study import Study
from pytams.trajectory import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytams.rundir import Storage

_logger = logging.getLogger("pytams")

_MAX_32 = 2**32
"""Runs and slots are 32-bit numbers in the keys of the streams."""


class TAMS:
    """Trajectory-adaptive multilevel splitting of a model.

    Estimates the probability that the score reaches the target within the end time (Lestang et al. 2018,
    doi 10.1088/1742-5468/aab856).

    Parameters
    ----------
    model
        The stochastic model and its score.
    end_time
        T, in the model's unit of time; a multiple of `step_size`.
    step_size
        dt, in the same unit.
    target_score
        The event is score >= target_score.
    n_trajectories
        N, the size of the ensemble, at least 2. The relative error of a run is about ``sqrt(-log(p) / N)`` at best.
    n_discard
        l, 1 <= l < N: at least the l lowest trajectories are killed in an iteration (more if they tie).
    max_branchings
        No iteration starts once this many trajectories have been killed: the estimate stays unbiased, but a run that
        was cut short often reads 0. None: no limit.

    Raises
    ------
    SettingsError
        If a setting is impossible; it names the setting.
    """

    def __init__(
        self,
        model: Model,
        *,
        end_time: float,
        step_size: float,
        target_score: float,
        n_trajectories: int,
        n_discard: int = 1,
        max_branchings: int | None = None,
    ) -> None:
        self.model = _checked_model(model)
        self.settings = Settings(
            end_time=_positive("end_time", end_time),
            step_size=_positive("step_size", step_size),
            target_score=_finite("target_score", target_score),
            n_trajectories=_whole("n_trajectories", n_trajectories, at_least=2, below=_MAX_32),
            n_discard=_whole("n_discard", n_discard, at_least=1),
            max_branchings=(None if max_branchings is None else _whole("max_branchings", max_branchings, at_least=0)),
        )
        if n_discard >= n_trajectories:
            raise SettingsError(
                "n_discard", f"{n_discard} of {n_trajectories} trajectories leaves none to restart from; "
                "it must be below n_trajectories"
            )  # fmt: skip
        self.n_steps = round(end_time / step_size)
        if self.n_steps < 1 or not math.isclose(self.n_steps * step_size, end_time, rel_tol=1e-9):
            raise SettingsError(
                "end_time", f"{end_time:g} is not a multiple of step_size = {step_size:g}; "
                f"the nearest one is {max(1, self.n_steps) * step_size:g}"
            )  # fmt: skip

    def study(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
    ) -> Study:
        """Prepare independent runs; nothing is computed before the study is iterated.

        Parameters
        ----------
        n_runs
            K, the number of independent runs. An error bar needs at least two.
        seed
            0 <= seed < 2**63. Drawn, and told by the result, if not given.
        first_run
            Number of the first run. Run r of a seed is the same run in whatever study it is part of.
        engine
            Makes the engine that advances the segments.
        out
            A run directory, which is made, or gone on with if it holds this study; `Storage` says how it is written.

        Raises
        ------
        SettingsError
            If a setting is impossible.
        RunDirectoryError
            If `out` holds another study, or is in use.
        """
        if out is not None:
            from pytams.durable import durable_study  # noqa: PLC0415 - reading and writing files takes heavy imports

            return durable_study(
                self.settings,
                self.problem,
                _whole("n_runs", n_runs, at_least=1, below=_MAX_32),
                seed,
                first_run=first_run,
                engine=engine,
                out=out,
            )
        first = _whole("first_run", first_run, at_least=0)
        last = first + _whole("n_runs", n_runs, at_least=1)
        if last > _MAX_32:
            raise SettingsError("n_runs", f"run numbers end at {_MAX_32 - 1}")
        problem = self.problem(_random.draw_seed() if seed is None else seed)
        _logger.info("runs %d to %d, seed %d, %s", first, last - 1, problem.seed, self.settings)
        return Study(problem, self.settings, range(first, last), engine)

    def problem(self, seed: int) -> Problem:
        """Put together what an engine needs to know."""
        return Problem(
            model=self.model,
            n_steps=self.n_steps,
            step_size=self.settings.step_size,
            target_score=self.settings.target_score,
            seed=_whole("seed", seed, at_least=0, below=_random.MAX_SEED + 1),
        )

    def run(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
    ) -> Result:
        """Run to the end. The parameters are those of `study`."""
        with self.study(n_runs, seed, first_run=first_run, engine=engine, out=out) as study:
            for _ in study:
                pass
            return study.result()


# --- settings ---------------------------------------------------------------------------------------------------


def _checked_model(model: Model) -> Model:
    if not isinstance(model, Model):
        hint = "; make an instance of it first" if isinstance(model, type) else ""
        raise SettingsError("model", f"expected a pytams.Model, got {model!r}{hint}")
    shape = getattr(model, "noise_shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise SettingsError(
            "model", f"{type(model).__name__}.noise_shape must be the shape of one step's noise, "
            f"a tuple such as () or (2,), not {shape!r}"
        )  # fmt: skip
    return model


def _finite(name: str, value: float) -> float:
    if not isinstance(value, Real) or not math.isfinite(value):
        raise SettingsError(name, f"{value!r} is not a finite number")
    return float(value)


def _positive(name: str, value: float) -> float:
    if _finite(name, value) <= 0:
        raise SettingsError(name, f"{value!r} must be positive")
    return float(value)


def _whole(name: str, value: int, *, at_least: int, below: int | None = None) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise SettingsError(name, f"{value!r} is not a whole number") from None
    if number < at_least:
        raise SettingsError(name, f"{number} is too small; it must be at least {at_least}")
    if below is not None and number >= below:
        raise SettingsError(name, f"{number} is too large; it must be below {below}")
    return number
