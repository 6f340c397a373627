"""A study under way: a model, an engine, a journal and observers, put together."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from functools import partial
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from pytams.analysis.result import Result
from pytams.analysis.runs import RunResult
from pytams.core.compact import RunOutcome
from pytams.core.driver import Driver, lowest_level
from pytams.core.ports import MakesWholeRuns, NoEngine, TakesWholeRuns, caveat_of
from pytams.core.selection import Variant
from pytams.core.verification import check_partings, have_parted, start_check
from pytams.engine.replay import Replay
from pytams.models.learned.model import taught_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from pytams.core.driver import Event
    from pytams.core.observers import Observers
    from pytams.core.ports import Engine, Journal
    from pytams.core.segments import Problem
    from pytams.core.settings import Settings
    from pytams.core.splitting import Splitting

_logger = logging.getLogger("pytams")

_WAIT_SECONDS = 1.0
"""Between looks at runs that others drive."""


class Study:
    """Independent runs under way: settings, a model, an engine, and a journal.

    Iterating advances it and yields the study itself after every block, so that a loop can watch, and stop it by
    leaving. Iterating again goes on. A context manager: leaving it records everything and closes the engine.
    """

    def __init__(
        self,
        settings: Settings,
        variant: Variant,
        problem: Problem,
        runs: Sequence[int],
        make_engine: Callable[[Problem], Engine],
        journal: Journal,
        observers: Observers,
        *,
        verify: bool,
    ) -> None:
        self.settings = settings
        self.runs: list[int] = []
        """Numbers of the runs that are driven here."""
        self._problem, self._asked = problem, runs
        self._journal, self._observers, self._verify = journal, observers, verify
        _logger.info("%d runs, seed %d, %s", len(runs), problem.seed, settings)
        self._claimed = journal.claim(runs)
        try:
            self._engine: Engine = make_engine(problem) if self._claimed else NoEngine()
        except BaseException:
            journal.close()
            raise
        self._awaited: Mapping[int, str] = {}
        self._whole, self._verified = dict[int, RunOutcome](), list[int]()
        self._is_plain = type(variant) is Variant and not observers
        self._driver = Driver(
            settings,
            problem.seed,
            variant,
            self._engine,
            journal,
            start_check(problem),
            partial(check_partings, settings=settings) if verify else None,
        )
        self.runs += self._claimed

    # --- how it goes --------------------------------------------------------------------------------------------

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return len(self._driver.finished) + len(self._whole)

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
        """The state machine of each run that was begun, by number: to look at. Whole runs have none: `finish`."""
        return self._driver.splittings

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        going = sum(splitting.progress for splitting in self._driver.splittings.values())
        return (going + len(self._whole)) / max(1, len(self.runs))

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(splitting.n_running for splitting in self._driver.splittings.values())

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        return self.target_score if self._whole else lowest_level(self.splittings.values(), self.target_score)

    # --- going on -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Study]:
        return self._go_on(by_runs=False)

    def by_runs(self) -> Iterator[Study]:
        """Go on as by iterating; but an unwatched compiled SDE makes whole runs, if they are short: the same results.

        Then the study itself is yielded after each of them, and now and then.
        """
        return self._go_on(by_runs=self._is_plain)

    def finish(self) -> None:
        """Go on to the end: see `by_runs`."""
        for _ in self.by_runs():
            pass

    def _go_on(self, *, by_runs: bool) -> Iterator[Study]:
        while True:
            yield from self._advance()
            if self._claimed or self._claim():
                if by_runs:
                    yield from self._make_whole()
                if self._claimed:
                    self._begin()
            elif awaited := self._journal.awaited(self._asked):
                yield from self._wait(awaited)
            else:
                return

    def _make_whole(self) -> Iterator[Study]:
        """Make whole runs of those that are claimed, as far as it goes; the rest stays claimed."""
        engine, journal = self._engine, self._journal
        if not (isinstance(engine, MakesWholeRuns) and isinstance(journal, TakesWholeRuns)):
            return
        if not journal.are_new(self._claimed):
            return
        self._claim_more()
        try:
            with closing(engine.whole_runs(self.settings, list(self._claimed))) as outcomes:
                yield from self._taken(journal, self._driver.timed.each(outcomes))
        finally:
            self._driver.record()

    def _taken(self, journal: TakesWholeRuns, outcomes: Iterable[RunOutcome | None]) -> Iterator[Study]:
        """Take whole runs, once it is plain that the seed has an effect; the study is yielded meanwhile."""
        n, held, since = len(self._claimed), list[RunOutcome](), perf_counter()
        may_be_taken = not self._verify
        for outcome in outcomes:
            if outcome is not None:
                held.append(outcome)
                since = perf_counter()
                partings = (one.partings for one in held)
                may_be_taken = may_be_taken or have_parted(partings, are_all=len(held) == n)
            if may_be_taken and held:
                self._driver.take(held, journal)
                self._whole |= {one.run: replace(one, recorded=None) for one in held}
                self._claimed = [run for run in self._claimed if run not in self._whole]
                held = []
            yield self
            if perf_counter() - since > journal.patience:
                return

    def _check_model(self) -> None:
        store, known, self._verified = self._problem.store, self._verified, self._claimed
        if self._verify and (store is None or store.reproducible) and known != self._claimed:
            self._driver.verify(self._claimed)

    def _begin(self) -> None:
        self._claim_more()
        claimed, self._claimed = self._claimed, []
        self._tell(self._driver.begin(claimed))

    def _claim_more(self) -> None:
        """Take on those that were not begun, too, once the model is known to fit those that were."""
        self._check_model()
        more = self._journal.claim(self._asked)
        self._claimed = [*self._claimed, *more]
        self.runs += more

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
        machines, target = self._driver.splittings, self.target_score
        self._observers.tell(events, lambda run: RunResult.of(RunOutcome.of(machines[run]), target))

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
            runs=tuple(RunResult.of(outcome, self.target_score) for _, outcome in sorted(finished.items())),
            n_unfinished=n_unfinished,
            wall_time=self._driver.wall_time,
            source=Replay(replace(self._problem, every=1)),
            caveat=caveat_of(self._problem.model),
            taught_by=taught_by(self._problem.model),
        )

    @property
    def unfinished_elsewhere(self) -> Mapping[int, str]:
        """Runs of the study that are neither driven here nor finished, by number, and who drives them."""
        return self._journal.elsewhere().unfinished

    def _outcome(self) -> tuple[dict[int, RunOutcome], int]:
        """Find the finished runs of the study, by number, and how many are not finished."""
        elsewhere = self._journal.elsewhere()
        machines = {run: self._driver.splittings[run] for run in self._driver.finished} | dict(elsewhere.finished)
        n_unfinished = len(self.runs) - self.n_finished + len(elsewhere.unfinished)
        return self._whole | {run: RunOutcome.of(machine) for run, machine in machines.items()}, n_unfinished

    def close(self) -> None:
        """Record everything, and let go of what the engine holds: workers, threads, states. `result` stays."""
        self._close(can_checkpoint=True)

    def _close(self, *, can_checkpoint: bool) -> None:
        self._tell(self._driver.close(can_checkpoint=can_checkpoint))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close(can_checkpoint=kind is None)
