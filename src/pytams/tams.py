"""What a user calls: TAMS of a model, with its settings checked, and the study that it makes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.driver import Decided, Driver
from pytams.core.errors import SettingsError
from pytams.core.observers import Observers
from pytams.core.ports import NoEngine, NoJournal
from pytams.core.segments import Problem
from pytams.core.selection import Variant
from pytams.core.settings import RunArguments, Settings
from pytams.core.streams import draw_seed
from pytams.engine.local import InProcess
from pytams.engine.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from pytams.core.driver import Event
    from pytams.core.ports import Engine, Journal, Steppable
    from pytams.core.segments import Progress
    from pytams.core.splitting import Splitting
    from pytams.storage.options import Storage

_logger = logging.getLogger("pytams")


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
    variant
        Makes the choices of the algorithm: see `pytams.core.selection`. None: TAMS's.

    Raises
    ------
    SettingsError
        If a setting is impossible; it names the setting.
    """

    def __init__(
        self,
        model: Steppable,
        *,
        end_time: float,
        step_size: float,
        target_score: float,
        n_trajectories: int,
        n_discard: int = 1,
        max_branchings: int | None = None,
        variant: Variant | None = None,
    ) -> None:
        if isinstance(model, type) or not callable(getattr(model, "make_stepper", None)):
            hint = "; make an instance of it first" if isinstance(model, type) else ""
            raise SettingsError("model", f"expected a pytams.Model, got {model!r}{hint}")
        model.validate()
        self.model = model
        self.variant = variant or Variant()
        self.settings = Settings.checked(
            {
                "end_time": end_time,
                "step_size": step_size,
                "target_score": target_score,
                "n_trajectories": n_trajectories,
                "n_discard": n_discard,
                "max_branchings": max_branchings,
                "variant": self.variant.name,
            }
        )

    def study(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
        journal: Journal | None = None,
        observers: Sequence[object] = (),
    ) -> Study:
        """Prepare independent runs; nothing is computed before the study is iterated.

        Parameters
        ----------
        n_runs
            K, the number of independent runs. An error bar needs at least two.
        seed
            0 <= seed < 2**63. Drawn if not given: the result has it.
        first_run
            Number of the first run. Run r of a seed is the same run in whatever study it is part of.
        engine
            Makes the engine that advances the segments.
        out
            A run directory, which is made, or gone on with if it holds this study; `pytams.Storage` says how it is
            written.
        journal
            Instead of `out`: a journal of your own.
        observers
            Objects with any of the methods of `pytams.Observer`.

        Raises
        ------
        SettingsError
            If a setting is impossible.
        RunDirectoryError
            If `out` holds another study, or is in use.
        """
        arguments = RunArguments.checked({"n_runs": n_runs, "seed": seed, "first_run": first_run})
        if out is not None:
            if journal is not None:
                raise SettingsError("journal", "give either a journal or out")
            return self._recorded_study(arguments, engine, out, observers)
        runs = range(arguments.first_run, arguments.first_run + arguments.n_runs)
        seed = draw_seed() if arguments.seed is None else arguments.seed
        _logger.info("runs %d to %d, seed %d, %s", runs[0], runs[-1], seed, self.settings)
        problem = Problem.of(self.model, self.settings, seed, traced=journal is not None)
        return Study(self, problem, runs, engine, journal or NoJournal(), observers)

    def _recorded_study(
        self,
        arguments: RunArguments,
        engine: Callable[[Problem], Engine],
        out: str | Path | Storage,
        observers: Sequence[object],
    ) -> Study:
        from pytams.storage.journal import RunJournal  # noqa: PLC0415 - reading and writing files: heavy imports
        from pytams.storage.opening import make_or_open  # noqa: PLC0415 - likewise
        from pytams.storage.options import Storage  # noqa: PLC0415 - likewise

        storage = out if isinstance(out, Storage) else Storage(path=Path(out))
        storage = Storage.checked({name: getattr(storage, name) for name in Storage.names()})
        directory = make_or_open(self.model, self.settings, arguments, storage)
        info = directory.info
        problem = Problem.of(self.model, info.settings, info.seed, traced=True, sparse_freq=info.sparse_freq)
        journal = RunJournal(
            directory, checkpoint_interval=storage.checkpoint_interval, runs_at_once=storage.runs_at_once
        )
        return Study(self, problem, range(info.n_runs), engine, journal, observers)

    def run(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
        journal: Journal | None = None,
        observers: Sequence[object] = (),
    ) -> Result:
        """Run to the end. The parameters are those of `study`."""
        with self.study(
            n_runs, seed, first_run=first_run, engine=engine, out=out, journal=journal, observers=observers
        ) as study:
            for _ in study:
                pass
            return study.result()


class Study:
    """Independent runs under way: settings, a model, an engine, and a journal.

    Iterating advances it and yields the study itself after every block, so that a loop can watch, and stop it by
    leaving. Iterating again goes on. A context manager: leaving it records everything and closes the engine.
    """

    def __init__(
        self,
        tams: TAMS,
        problem: Problem,
        runs: Sequence[int],
        make_engine: Callable[[Problem], Engine],
        journal: Journal,
        observers: Sequence[object],
    ) -> None:
        self.settings = tams.settings
        self.runs: list[int] = []
        """Numbers of the runs that are driven here."""
        self._problem, self._asked = problem, runs
        self._journal = journal
        self._observers = Observers(observers)
        self._claimed = journal.claim(runs)
        try:
            self._engine: Engine = make_engine(problem) if self._claimed else NoEngine()
        except BaseException:
            journal.close()
            raise
        self._start_is_checked = False
        self._driver = Driver(tams.settings, problem.seed, tams.variant, self._engine, journal, self._check_start)
        self.runs += self._claimed

    # --- how it goes --------------------------------------------------------------------------------------------

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return len(self._driver.finished)

    @property
    def note(self) -> str:
        """What the engine has to say before it starts, such as where its dashboard is."""
        return self._engine.note

    @property
    def n_steps(self) -> int:
        """Model steps computed so far, in this session."""
        return self._driver.n_steps

    @property
    def steps_per_second(self) -> float:
        """Model steps a second, the mean since it was begun or resumed."""
        return self._driver.activity.steps_per_second

    @property
    def target_score(self) -> float:
        """The score to reach."""
        return self.settings.target_score

    @property
    def splittings(self) -> dict[int, Splitting]:
        """The state machine of each run that has begun, by number: to look at."""
        return self._driver.splittings

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        return sum(splitting.progress for splitting in self._driver.splittings.values()) / max(1, len(self.runs))

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(splitting.n_running for splitting in self._driver.splittings.values())

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        if not self._driver.splittings:
            return -float("inf")
        levels = (splitting.level for splitting in self._driver.splittings.values() if not splitting.finished)
        return min(levels, default=self.target_score)

    # --- going on -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Study]:
        while True:
            yield from self._advance()
            if not self._claimed and not self._claim():
                return
            claimed, self._claimed = self._claimed, []
            self._tell(self._driver.begin(claimed))

    def _advance(self) -> Iterator[Study]:
        while not self._driver.is_done:
            self._tell(self._driver.advance())
            self._observers.call("on_block", self)
            yield self

    def _claim(self) -> bool:
        """Take on more runs, if there are any."""
        self._claimed = self._journal.claim(self._asked)
        self.runs += self._claimed
        return bool(self._claimed)

    def _tell(self, events: Sequence[Event]) -> None:
        """Tell the observers what happened."""
        if not self._observers:
            return
        for event in events:
            if isinstance(event, Decided):
                self._observers.call("on_iteration", event.run, event.iteration)
            else:
                self._observers.call("on_finished", event.run, self._run_result(event.run))

    def _check_start(self, progress: Progress) -> None:
        """Refuse a fixed start that is at the target: there is nothing to estimate. A random one may happen to be."""
        score = progress.scores[0]
        if score < self.target_score or self._start_is_checked:
            return
        self._start_is_checked = True
        if self._problem.model.has_fixed_start(self._problem.seed):
            raise SettingsError(
                "target_score",
                f"{self.target_score:g} is already reached at t = 0, where the score is {score:g}; "
                "set a higher target, or another initial state",
            )

    # --- what comes of it ---------------------------------------------------------------------------------------

    def result(self) -> Result:
        """Sum up the finished runs; RuntimeError if none is."""
        finished = [run for run in self.runs if run in self._driver.finished]
        if not finished:
            raise RuntimeError("no run is finished: iterate the study first")
        return Result(
            model=self._problem.model.name,
            settings=self.settings,
            seed=self._problem.seed,
            runs=tuple(self._run_result(run) for run in sorted(finished)),
            n_unfinished=len(self.runs) - len(finished),
            wall_time=self._driver.wall_time,
            source=Replay(self._problem),
        )

    def _run_result(self, run: int) -> RunResult:
        return RunResult.of(run, self._driver.splittings[run])

    def close(self) -> None:
        """Record everything, and let go of what the engine holds: workers, threads, states. `result` stays."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._driver.close(can_checkpoint=kind is None)
