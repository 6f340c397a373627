"""What every journal must do, wherever it writes.

Subclass `JournalContract` in a test module and say how to open one; pytest does the rest::

    class TestMyJournal(JournalContract):
        @pytest.fixture
        def open_journal(self, tmp_path):
            return lambda: MyJournal(tmp_path / "journal")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytams.core.driver import Driver
from pytams.core.ports import Activity, Due, NoJournal
from pytams.core.segments import Problem
from pytams.core.selection import Variant
from pytams.engine.contract import SETTINGS, Drifting
from pytams.engine.local import InProcess

if TYPE_CHECKING:
    from pytams.core.ports import Journal

SEED, RUNS = 5, range(2)
OpenJournal = Callable[[], "Journal"]


class JournalContract:
    """Tests that a journal passes, of a study with `SETTINGS`, `SEED` and `RUNS`."""

    remembers = True
    """Whether what was written is found again."""

    @pytest.fixture
    def open_journal(self) -> OpenJournal:
        """Return what opens the journal of one study, for the first time or again."""
        raise NotImplementedError

    def driver(self, journal: Journal) -> Driver:
        """Begin, or go on with, all runs."""
        runs = journal.claim(RUNS)
        engine = InProcess(Problem.of(Drifting(), SETTINGS, SEED, traced=True), block_length=3)
        driver = Driver(SETTINGS, SEED, Variant(), engine, journal)
        driver.begin(runs)
        return driver

    def finish(self, driver: Driver) -> list[object]:
        """Drive to the end, and return what was decided."""
        while not driver.is_done:
            driver.advance()
        driver.close()
        return [splitting.iterations for splitting in driver.splittings.values()]

    @pytest.fixture
    def expected(self) -> list[object]:
        """Decide it without a journal."""
        return self.finish(self.driver(NoJournal()))

    def test_runs_are_claimed_once(self, open_journal: OpenJournal) -> None:
        journal = open_journal()
        assert journal.claim(RUNS) == list(RUNS)
        assert journal.claim(RUNS) == []
        assert journal.wall_time >= 0.0
        journal.close()

    def test_it_changes_nothing(self, open_journal: OpenJournal, expected: list[object]) -> None:
        assert self.finish(self.driver(open_journal())) == expected

    @pytest.mark.parametrize("n_rounds", [0, 1, 7, 40])
    @pytest.mark.parametrize("can_checkpoint", [True, False])
    def test_left_and_gone_on_with(
        self, open_journal: OpenJournal, expected: list[object], n_rounds: int, can_checkpoint: bool
    ) -> None:
        for _ in range(3):
            driver = self.driver(open_journal())
            for _ in range(n_rounds):
                if not driver.is_done:
                    driver.advance()
            driver.close(can_checkpoint=can_checkpoint)
        assert self.finish(self.driver(open_journal())) == expected

    def test_what_was_written_is_not_computed_again(self, open_journal: OpenJournal, expected: list[object]) -> None:
        self.finish(self.driver(open_journal()))
        driver = self.driver(open_journal())
        assert driver.is_done == self.remembers
        assert self.finish(driver) == expected
        assert (driver.n_steps == 0) == self.remembers

    def test_a_checkpoint_is_enough(self, open_journal: OpenJournal, expected: list[object]) -> None:
        driver = self.driver(open_journal())
        for _ in range(15):
            driver.advance()
        driver.checkpoint()
        n_steps = sum(splitting.n_steps for splitting in driver.splittings.values())
        driver.close(can_checkpoint=False)
        again = self.driver(open_journal())
        if self.remembers:
            assert sum(splitting.n_steps for splitting in again.splittings.values()) == n_steps
        assert self.finish(again) == expected

    def test_nothing_to_write(self, open_journal: OpenJournal) -> None:
        journal = open_journal()
        journal.claim(RUNS)
        driver = Driver(SETTINGS, SEED, Variant(), InProcess(Problem.of(Drifting(), SETTINGS, SEED)), journal)
        driver.begin(RUNS)
        assert isinstance(journal.due(), Due)
        activity = Activity(0, 0.0, 0.0)
        journal.write(driver.splittings, [], activity, closing=False)
        journal.beat(driver.splittings, activity)
        driver.close()
