"""The one loop: what an engine reports goes to the state machines, what they decide goes to the engine.

And both to a journal. A study in memory has a journal that forgets; one that is resumed finds its past in a journal,
and makes the same decisions again; one that is read has an engine that computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pytams.core.ports import Activity, Due
from pytams.core.splitting import Splitting
from pytams.core.stopwatch import Stopwatch
from pytams.core.verification import check_recorded, check_twice

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.core.ports import Engine, Journal
    from pytams.core.segments import Point, Progress, Start
    from pytams.core.selection import Variant
    from pytams.core.settings import Settings
    from pytams.core.splitting import Iteration


class Decided(NamedTuple):
    """A run decided an iteration."""

    run: int
    iteration: Iteration


class Finished(NamedTuple):
    """A run came to its end."""

    run: int


Event: TypeAlias = Decided | Finished


class Driver:
    """Drives runs: state machines, one engine between them, and a journal.

    Parameters
    ----------
    settings, seed, variant
        What the runs are a function of, beside the model.
    engine
        Advances the segments; closed with the driver.
    journal
        Records what happens; closed with the driver.
    check_start
        Is given the first report of a trajectory that ends where it starts, before anything follows from it.
    check_partings
        Is given the state machines, after what was reported has been noted, until it says that it knows enough.
    """

    def __init__(
        self,
        settings: Settings,
        seed: int,
        variant: Variant,
        engine: Engine,
        journal: Journal,
        check_start: Callable[[Progress], None] | None = None,
        check_partings: Callable[[Collection[Splitting]], bool] | None = None,
    ) -> None:
        self._settings, self._seed, self._variant = settings, seed, variant
        self._engine, self._journal = engine, journal
        self._check_start, self._check_partings = check_start, check_partings
        self._known: list[Progress] = []
        self._events: list[Event] = []
        self._closed = self._broken = self._begun = False
        self.splittings: dict[int, Splitting] = {}
        """The state of each run, by number."""
        self.finished: set[int] = set()
        """Runs whose estimate is known."""
        self.timed = Stopwatch()  # all that works for the runs

    @property
    def n_steps(self) -> int:
        """Model steps computed so far, in this session."""
        return self._engine.n_steps

    @property
    def activity(self) -> Activity:
        """What there is to say of the driver."""
        wall_time = self._journal.wall_time + self.timed.seconds
        return Activity(self._engine.n_busy, self.n_steps / max(self.timed.seconds, 1e-9), wall_time)

    @property
    def is_done(self) -> bool:
        """Whether all runs that were begun are finished."""
        return len(self.finished) == len(self.splittings)

    def verify(self, runs: Sequence[int]) -> None:
        """Compute a part of the study again, to the bit, before these runs begin or go on.

        Raises
        ------
        ModelError
            If something else comes out.
        """
        with self.timed:
            witnesses = self._journal.witnesses(runs)
            if witnesses:
                check_recorded(self._engine, witnesses, self._settings)
            elif not self._begun:
                check_twice(self._engine, runs[0], self._settings)

    def begin(self, runs: Sequence[int]) -> list[Event]:
        """Start the initial ensembles of runs, and decide again what follows from what was recorded of them."""
        self._begun = True
        with self.timed, self.recording():
            for run in runs:
                splitting = Splitting(self._settings, self._seed, run, self._variant)
                self.splittings[run] = splitting
                self._start(splitting.initial_starts)
            self._report_known()
            if self.finished.intersection(runs):
                self._write()
        if not self.is_done:
            self._look_at_partings()
        return self._new_events()

    def advance(self) -> list[Event]:
        """Wait for the engine, do what follows from its reports, and write what is due."""
        with self.timed:
            self._take(self._engine.advance())
            due = self._journal.due()
            if due is Due.CHECKPOINT:
                self.checkpoint()
            elif due is Due.FLUSH or self.is_done:
                self._write()
            self._journal.beat(self.splittings, self.activity)
        self._look_at_partings()
        return self._new_events()

    def _look_at_partings(self) -> None:
        """Check the first branches; what has been recorded by then stays, whatever comes of it."""
        if self._check_partings is not None and self._check_partings(self.splittings.values()):
            self._check_partings = None

    def _new_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _take(self, reports: Iterable[Progress]) -> None:
        with self.recording():
            for progress in reports:
                self._journal.record(progress)
                self._report(progress)
            self._report_known()

    def _report_known(self) -> None:
        """Report to the state machines what was recorded of segments that they have just started."""
        while self._known:
            known, self._known = self._known, []
            for progress in known:
                self._report(progress)

    def _report(self, progress: Progress) -> None:
        """Pass a report on to the state machine, and do what it decides."""
        if progress.ended and progress.step == 0 and self._check_start is not None:
            self._check_start(progress)
        run = progress.key.run
        splitting = self.splittings[run]
        for iteration in splitting.report(progress):
            self._journal.decide(iteration)
            self._start(iteration.starts)
            self._engine.drop(iteration.killed)
            self._engine.pass_level(run, iteration.level)
            self._events.append(Decided(run, iteration))
        if splitting.finished and run not in self.finished:
            self.finished.add(run)
            self._engine.drop(member.start.key for member in splitting.members)
            self._events.append(Finished(run))

    def _start(self, starts: Sequence[Start]) -> None:
        """Start segments, and go on with those that were recorded."""
        self._journal.begin(starts)
        fresh = []
        for start in starts:
            if start.ended:
                continue
            past = self._journal.past(start)
            if past is None:
                fresh.append(start)
            else:
                self._engine.resume(start, past)
                self._known.append(past.progress)
        self._engine.start(fresh)

    def checkpoint(self) -> None:
        """Record everything, running segments included."""
        reports, points = self._engine.checkpoint()
        self._take(reports)
        self._write(points)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record nothing more after a failure: it would be written on top of what is missing, or half decided."""
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    def record(self) -> None:
        """Record what has ended."""
        if not (self._broken or self._closed):
            with self.timed:
                self._write()

    def _write(self, points: Iterable[Point] = (), *, closing: bool = False) -> None:
        with self.recording():
            self._journal.write(self.splittings, points, self.activity, closing=closing)

    def close(self, *, can_checkpoint: bool = True) -> list[Event]:
        """Record everything, and let go of journal and engine; return what was decided on the way.

        Parameters
        ----------
        can_checkpoint
            False if the engine was left in the middle of a step: then running segments are not recorded.
        """
        if self._closed:
            return []
        self._closed = True
        try:
            if self._begun and not self._broken:
                reports, points = self._engine.checkpoint() if can_checkpoint else ([], [])
                self._take(reports)
                self._write(points, closing=True)
        finally:
            with closing(self._journal):  # when no worker writes any more, whatever becomes of the engine
                self._engine.close()
        return self._new_events()


def lowest_level(splittings: Iterable[Splitting], target_score: float) -> float:
    """Find the level that all unfinished runs have passed: -inf if one has none yet, the target if there are none."""
    splittings = list(splittings)
    levels = (splitting.level for splitting in splittings if not splitting.finished)
    return min(levels, default=target_score) if splittings else -math.inf
