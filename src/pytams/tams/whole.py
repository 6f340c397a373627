"""Whole runs: made by an engine that can, and recorded by a journal that takes them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.ports import MakesWholeRuns, TakesWholeRuns
from pytams.core.verification import have_parted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pytams.core.compact import RunOutcome
    from pytams.core.driver import Driver
    from pytams.core.ports import Engine, Journal
    from pytams.core.settings import Settings


class WholeRuns:
    """The runs of a study that are made whole, not block by block: to the same bits.

    Parameters
    ----------
    driver, engine, journal
        Of the study. The driver is told what is recorded.
    settings
        What is solved.
    verify
        Whether it has to be plain that the seed has an effect.
    """

    def __init__(self, driver: Driver, engine: Engine, journal: Journal, settings: Settings, *, verify: bool) -> None:
        self._driver, self._engine, self._journal = driver, engine, journal
        self._settings, self._verify = settings, verify
        self.finished: dict[int, RunOutcome] = {}
        """By number."""

    def new(self, runs: Sequence[int]) -> list[int]:
        """Choose those of runs that were claimed that may be made."""
        journal = self._journal
        if not (isinstance(self._engine, MakesWholeRuns) and isinstance(journal, TakesWholeRuns)):
            return []
        return [run for run in runs if journal.is_new(run)]

    def make(self, runs: Sequence[int]) -> Generator[None]:
        """Make the first of these runs, as many as go: until one takes too long. Nothing is yielded now and then."""
        engine, journal, since = self._engine, self._journal, perf_counter()
        assert isinstance(engine, MakesWholeRuns)
        assert isinstance(journal, TakesWholeRuns)
        try:
            with closing(engine.whole_runs(self._settings, runs)) as outcomes:
                for good in self._good(self._driver.timed.each(outcomes), len(runs)):
                    with self._driver.timed, self._driver.recording():
                        for outcome in good:
                            journal.take(outcome, self._driver.activity)
                            self.finished[outcome.run] = replace(outcome, recorded=None)
                        self._journal.beat(self._driver.splittings, self._driver.activity)
                    yield
                    since = perf_counter() if good else since
                    if perf_counter() - since > journal.patience:
                        return
        finally:
            self._driver.record()

    def _good(self, outcomes: Iterable[RunOutcome | None], n: int) -> Iterator[list[RunOutcome]]:
        """Hold runs back until it is plain that the seed has an effect: else step by step it will show."""
        is_plain = not self._verify
        held: list[RunOutcome] = []
        for outcome in outcomes:
            if outcome is not None:
                held.append(outcome)
                is_plain = is_plain or have_parted((one.partings for one in held), are_all=len(held) == n)
            yield held if is_plain else []
            if is_plain:
                held = []
