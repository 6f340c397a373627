"""A study under way: a model, an engine, a journal and observers, put together."""

from __future__ import annotations

import logging
import math
from collections import deque
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from pytams.analysis.runs import RunResult
from pytams.core.compact import RunOutcome
from pytams.core.driver import Driver, lowest_level
from pytams.core.nothing import NoEngine
from pytams.core.selection import Variant
from pytams.core.verification import check_partings, start_check
from pytams.tams.outcome import listed, result_of, running_estimate
from pytams.tams.progress import shown
from pytams.tams.views import study_html, study_line
from pytams.tams.whole import WholeRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from pytams.analysis.result import Result
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
        self.settings, self.target_score = settings, settings.target_score
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
        self._verified, self._awaited = list[int](), dict[int, str]()
        self._making: Generator[None] = (None for _ in ())  # whole runs
        self._is_plain = type(variant) is Variant and not observers
        check = partial(check_partings, settings=settings) if verify else None
        self._driver = Driver(settings, problem.seed, variant, self._engine, journal, start_check(problem), check)
        self._whole = WholeRuns(self._driver, self._engine, journal, settings, verify=verify)
        self.runs += self._claimed

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return len(self._driver.finished) + len(self._whole.finished)

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
    def splittings(self) -> dict[int, Splitting]:
        """The state machine of each run that was begun, by number: to look at. Whole runs have none: `finish`."""
        return self._driver.splittings

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        going = sum(splitting.progress for splitting in self._driver.splittings.values())
        return (going + len(self._whole.finished)) / max(1, len(self.runs))

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(splitting.n_running for splitting in self._driver.splittings.values())

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        if self._whole.finished and len(self._whole.finished) == len(self.runs):
            return self.target_score
        return -math.inf if self._claimed else lowest_level(self.splittings.values(), self.target_score)

    @property
    def log_estimate(self) -> tuple[float, float]:
        """Log of the mean of what the runs estimate so far, -inf before anything reaches the target; its error."""
        return running_estimate(self.settings, self._driver.splittings.values(), self._whole.finished.values())

    def __iter__(self) -> Iterator[Study]:
        return self._go_on(by_runs=False)

    def by_runs(self) -> Iterator[Study]:
        """Go on as by iterating; but compiled SDEs, if nothing observes them, make whole runs: the same results."""
        return self._go_on(by_runs=self._is_plain)

    def finish(self, *, progress: bool = False) -> None:
        """Go on to the end, as `by_runs`, and show how it goes, if wanted: on standard error, or in a notebook."""
        deque(shown(self, self.by_runs()) if progress else self.by_runs(), maxlen=0)

    def _go_on(self, *, by_runs: bool) -> Iterator[Study]:
        while True:
            yield from self._advance()
            if self._claimed or self._claim():
                if by_runs:
                    yield from self._make_whole()
                if self._claimed:
                    self._begin()
            elif awaited := self._journal.awaited(self._asked):
                if awaited != self._awaited:
                    _logger.warning("waiting for %s", listed(awaited))
                self._awaited = awaited
                yield self
                sleep(_WAIT_SECONDS)
            else:
                return

    def _make_whole(self) -> Iterator[Study]:
        """Make whole runs of those that are claimed, as far as it goes; the rest stays claimed."""
        self._claim_more()
        if new := self._whole.new(self._claimed):
            self._making = self._whole.make(new)
            for _ in self._making:
                self._claimed = [run for run in self._claimed if run not in self._whole.finished]
                yield self

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

    def result(self) -> Result:
        """Sum up the finished runs of the study, those that others have driven too; RuntimeError if there is none."""
        here = {run: RunOutcome.of(self._driver.splittings[run]) for run in self._driver.finished}
        here |= self._whole.finished
        n_unfinished, wall_time = len(self.runs) - len(here), self._driver.activity.wall_time
        return result_of(self._problem, self.settings, here, n_unfinished, wall_time, self._journal.elsewhere())

    @property
    def unfinished_elsewhere(self) -> Mapping[int, str]:
        """Runs of the study that are neither driven here nor finished, by number, and who drives them."""
        return self._journal.elsewhere().unfinished

    def close(self, *, can_checkpoint: bool = True) -> None:
        """Record everything, and let go of what the engine holds: workers, threads, states. `result` stays.

        Parameters
        ----------
        can_checkpoint
            Whether running segments are recorded, too: not if the study was left in the middle of a step.
        """
        self._making.close()
        self._tell(self._driver.close(can_checkpoint=can_checkpoint))

    def __repr__(self) -> str:
        return study_line(self, self._problem)

    def _repr_html_(self) -> str:
        return study_html(self, self._problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(can_checkpoint=kind is None)
