"""What a user calls: TAMS of a model, with its settings checked, and the study that it makes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.driver import Decided, Driver, lowest_level
from pytams.core.errors import SettingsError
from pytams.core.observers import Observers
from pytams.core.ports import NoEngine, NoJournal
from pytams.core.segments import Problem
from pytams.core.selection import Variant
from pytams.core.settings import RunArguments, Settings
from pytams.core.streams import draw_seed
from pytams.core.verification import start_check
from pytams.engine.local import InProcess
from pytams.engine.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from pytams.core.driver import Event
    from pytams.core.ports import Engine, Journal, Steppable
    from pytams.core.splitting import Splitting
    from pytams.storage.options import Storage

_logger = logging.getLogger("pytams")

_WAIT_SECONDS = 1.0
"""Between looks at runs that others drive."""


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
        verify: bool = True,
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
        verify
            Whether a part of the study is computed again, to the bit, before anything is built on it: of what `out`
            holds, or of the first steps, twice. It costs 1 % of a run at most.

        Raises
        ------
        SettingsError
            If a setting is impossible.
        RunDirectoryError
            If `out` holds another study, or is in use.
        """
        arguments = RunArguments.checked({"n_runs": n_runs, "seed": seed, "first_run": first_run})
        following = Observers(observers)
        if out is not None:
            if journal is not None:
                raise SettingsError("journal", "give either a journal or out")
            from pytams.storage.opening import open_study  # noqa: PLC0415 - files and ledgers: heavy imports

            problem, runs, journal = open_study(self.model, self.settings, self.variant, arguments, out)
            return Study(self, problem, runs, engine, journal, following, verify=verify)
        seed = draw_seed() if arguments.seed is None else arguments.seed
        problem = Problem.of(self.model, self.settings, seed, traced=journal is not None)
        return Study(self, problem, arguments.runs, engine, journal or NoJournal(), following, verify=verify)

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
        verify: bool = True,
    ) -> Result:
        """Run to the end. The parameters are those of `study`."""
        with self.study(
            n_runs,
            seed,
            first_run=first_run,
            engine=engine,
            out=out,
            journal=journal,
            observers=observers,
            verify=verify,
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
        observers: Observers,
        *,
        verify: bool,
    ) -> None:
        self.settings = tams.settings
        self.runs: list[int] = []
        """Numbers of the runs that are driven here."""
        self._problem, self._asked = problem, runs
        self._journal, self._observers, self._verify = journal, observers, verify
        self._claimed = journal.claim(runs)
        try:
            self._engine: Engine = make_engine(problem) if self._claimed else NoEngine()
        except BaseException:
            journal.close()
            raise
        self._awaited: Mapping[int, str] = {}
        self._driver = Driver(tams.settings, problem.seed, tams.variant, self._engine, journal, start_check(problem))
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
        return lowest_level(self._driver.splittings.values(), self.target_score)

    # --- going on -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Study]:
        while True:
            yield from self._advance()
            if self._claimed or self._claim():
                self._begin()
            elif awaited := self._journal.awaited(self._asked):
                yield from self._wait(awaited)
            else:
                return

    def _begin(self) -> None:
        if self._verify:
            self._driver.verify(self._claimed)
        claimed, self._claimed = self._claimed, []
        self._tell(self._driver.begin(claimed))

    def _wait(self, awaited: Mapping[int, str]) -> Iterator[Study]:
        """Wait a little for runs that others drive."""
        if awaited != self._awaited:
            runs = ", ".join(f"run {run} (driven by {who})" for run, who in awaited.items())
            _logger.warning("waiting for %s", runs)
            self._awaited = awaited
        yield self
        sleep(_WAIT_SECONDS)

    def _advance(self) -> Iterator[Study]:
        while not self._driver.is_done:
            self._tell(self._driver.advance())
            self._observers.call("on_block", self)
            yield self

    def _claim(self) -> bool:
        """Take on more runs, if there are any; one that had none to begin with has no engine."""
        self._claimed = self._journal.claim(self._asked) if self.runs else []
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

    # --- what comes of it ---------------------------------------------------------------------------------------

    def result(self) -> Result:
        """Sum up the finished runs of the study, those that others have driven too; RuntimeError if there is none."""
        finished, n_unfinished = self._outcome()
        if not finished:
            raise RuntimeError("no run is finished: iterate the study first")
        return Result(
            model=self._problem.model.name,
            settings=self.settings,
            seed=self._problem.seed,
            runs=tuple(RunResult.of(run, splitting) for run, splitting in sorted(finished.items())),
            n_unfinished=n_unfinished,
            wall_time=self._driver.wall_time,
            source=Replay(self._problem),
        )

    def _outcome(self) -> tuple[dict[int, Splitting], int]:
        """Find the finished runs of the study, by number, and how many are not finished."""
        elsewhere = self._journal.elsewhere()
        finished = {run: self._driver.splittings[run] for run in self._driver.finished}
        n_unfinished = len(self.runs) - len(finished) + len(elsewhere.unfinished)
        return finished | dict(elsewhere.finished), n_unfinished

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
