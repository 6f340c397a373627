"""The shell: runs of the algorithm, one engine, and what comes of them."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Iterator
from numbers import Real
from time import perf_counter
from typing import TYPE_CHECKING

from pytams import _random, _state
from pytams.engine import Engine, InProcess
from pytams.engine.checked import CheckedModel
from pytams.errors import SettingsError
from pytams.model import Model
from pytams.result import Result, RunResult, Settings
from pytams.splitting import Splitting
from pytams.trajectory import Problem, SegmentKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from pytams.trajectory import Progress

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
        """
        first = _whole("first_run", first_run, at_least=0)
        last = first + _whole("n_runs", n_runs, at_least=1)
        if last > _MAX_32:
            raise SettingsError("n_runs", f"run numbers end at {_MAX_32 - 1}")
        if seed is None:
            seed = _random.draw_seed()
        seed = _whole("seed", seed, at_least=0, below=_random.MAX_SEED + 1)
        problem = Problem(
            model=self.model,
            n_steps=self.n_steps,
            step_size=self.settings.step_size,
            target_score=self.settings.target_score,
            seed=seed,
        )
        _logger.info("runs %d to %d, seed %d, %s", first, last - 1, seed, self.settings)
        return Study(problem, self.settings, range(first, last), engine)

    def run(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
    ) -> Result:
        """Run to the end. The parameters are those of `study`."""
        with self.study(n_runs, seed, first_run=first_run, engine=engine) as study:
            for _ in study:
                pass
            return study.result()


class Study:
    """Independent runs under way, advanced by one engine.

    Iterating advances it and yields the study itself after every block, so that a loop can watch, and stop it by
    leaving. Iterating again goes on. A context manager: leaving it closes the engine.
    """

    def __init__(
        self, problem: Problem, settings: Settings, runs: range, make_engine: Callable[[Problem], Engine]
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._engine = make_engine(problem)
        self._started = False
        self._starts_checked = False
        self._finished: set[int] = set()
        self._wall_time = 0.0
        self.runs = runs
        """Numbers of the runs."""
        self._splittings = {
            run: Splitting(
                n_trajectories=settings.n_trajectories,
                n_discard=settings.n_discard,
                target_score=settings.target_score,
                max_branchings=settings.max_branchings,
                seed=problem.seed,
                run=run,
            )
            for run in runs
        }

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return len(self._finished)

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._engine.n_steps

    @property
    def target_score(self) -> float:
        """The score to reach."""
        return self._settings.target_score

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        return sum(map(self._progress_of, self._splittings.values())) / len(self.runs)

    def _progress_of(self, splitting: Splitting) -> float:
        if splitting.finished or not splitting.iterations:
            return float(splitting.finished)
        first = splitting.iterations[0].level
        return (splitting.level - first) / (self.target_score - first)

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(splitting.n_running for splitting in self._splittings.values())

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        levels = (splitting.level for splitting in self._splittings.values() if not splitting.finished)
        return min(levels, default=self._settings.target_score)

    def close(self) -> None:
        """Let go of what the engine holds: workers, threads, states. `result` stays."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Study]:
        if not self._started:
            for splitting in self._splittings.values():
                self._engine.start(splitting.initial_starts)
            self._started = True
        while self.n_finished < len(self.runs):
            start = perf_counter()
            self._advance()
            self._wall_time += perf_counter() - start
            yield self

    def _advance(self) -> None:
        for progress in self._engine.advance():
            if progress.ended and progress.step == 0:
                self._check_starts(progress)
            splitting = self._splittings[progress.key.run]
            for iteration in splitting.tell(progress):
                self._engine.start(start for start in iteration.starts if not start.ended)
                self._engine.drop(iteration.killed)
                self._engine.pass_level(progress.key.run, iteration.level)
            if splitting.finished:
                self._finished.add(progress.key.run)
                self._engine.drop(member.start.key for member in splitting.members)

    def _check_starts(self, progress: Progress) -> None:
        """Refuse a fixed start that is at the target: there is nothing to estimate. A random one may happen to be."""
        score, target = progress.scores[0], self._settings.target_score
        if self._starts_checked or score < target:
            return
        self._starts_checked = True
        model = CheckedModel(self._problem)
        first, second = (model.initial_state(SegmentKey(0, slot, 0)) for slot in (0, 1))
        if _state.equal(first, second):
            raise SettingsError(
                "target_score",
                f"{target:g} is already reached at t = 0, where the score is {score:g}; "
                "set a higher target, or another initial state",
            )

    def result(self) -> Result:
        """Sum up the finished runs.

        Raises
        ------
        RuntimeError
            If no run is finished.
        """
        finished = {run: s for run, s in self._splittings.items() if s.finished}
        if not finished:
            raise RuntimeError("no run is finished: iterate the study first")
        return Result(
            model=self._problem.model.name,
            settings=self._settings,
            seed=self._problem.seed,
            runs=tuple(_run_result(run, splitting) for run, splitting in finished.items()),
            n_unfinished=len(self.runs) - len(finished),
            wall_time=self._wall_time,
        )


def _run_result(run: int, splitting: Splitting) -> RunResult:
    return RunResult(
        run=run,
        estimate=splitting.estimate,
        log_weight=splitting.log_weight,
        n_reached=splitting.n_reached,
        n_branchings=splitting.n_branchings,
        n_steps=splitting.n_steps,
        iterations=tuple(splitting.iterations),
    )


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
