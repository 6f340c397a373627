"""What every journal must do, wherever it writes.

Subclass `JournalContract` in a test module and say how to open one; pytest does the rest::

    class TestMyJournal(JournalContract):
        @pytest.fixture
        def open_journal(self, tmp_path):
            return lambda: MyJournal(tmp_path / "journal")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from pytams.core.driver import Driver
from pytams.core.nothing import NoJournal
from pytams.core.ports import Activity, Due
from pytams.core.segments import Problem
from pytams.core.selection import Variant
from pytams.core.verification import check_recorded
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
    shares = True
    """Whether several may be open, and share the runs."""

    @pytest.fixture
    def open_journal(self) -> OpenJournal:
        """Return what opens the journal of one study, for the first time or again."""
        raise NotImplementedError

    def engine(self) -> InProcess:
        """Make an engine that reports often."""
        return InProcess(Problem.of(Drifting(), SETTINGS, SEED, traced=True), block_length=3)

    def driver(self, journal: Journal, runs: Sequence[int] = RUNS) -> Driver:
        """Begin, or go on with, those of the runs that can be claimed."""
        claimed = journal.claim(runs)
        driver = Driver(SETTINGS, SEED, Variant(), self.engine(), journal)
        driver.begin(claimed)
        return driver

    def finish(self, driver: Driver) -> list[object]:
        """Drive to the end, and return what was decided."""
        n_rounds = 0
        while not driver.is_done:
            driver.advance()
            n_rounds += 1
            assert n_rounds < 100_000, "it does not get on"
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

    def test_witnesses_are_segments_that_were_recorded(self, open_journal: OpenJournal) -> None:
        """Of each run, as they were: computed again, they come out the same."""
        for run in RUNS:
            driver = self.driver(open_journal(), [run])
            while len(driver.splittings[run].iterations) < 4:
                driver.advance()
            assert not driver.finished
            driver.close()
        journal = open_journal()
        runs = journal.claim(RUNS)
        found = journal.witnesses(runs)
        assert {beginning.start.key.run for beginning, _ in found} == (set(RUNS) if self.remembers else set())
        for run in RUNS if self.remembers else ():
            of_run = [outline for beginning, outline in found if beginning.start.key.run == run]
            assert any(outline.ended and len(outline.scores) > 4 for outline in of_run), "not only a part of one"
        for beginning, outline in found:
            assert len(outline.scores) == beginning.last_step - beginning.start.first_step + 1
            assert outline.digests
        check_recorded(self.engine(), found, SETTINGS)
        journal.close()

    def test_there_is_no_witness_of_what_was_not_begun(self, open_journal: OpenJournal) -> None:
        journal = open_journal()
        assert journal.witnesses(journal.claim(RUNS)) == []
        assert journal.awaited(RUNS) == {}
        assert journal.elsewhere()[:2] == ({}, {})
        journal.close()

    def test_two_drivers_share_the_runs(self, open_journal: OpenJournal, expected: list[object]) -> None:
        """Each sees what becomes of the other's, also when both are closed."""
        if not self.shares:
            pytest.skip("it does not share")
        one, other = open_journal(), open_journal()
        driver, its_driver = self.driver(one, RUNS[:1]), self.driver(other)
        assert list(its_driver.splittings) == list(RUNS[1:])
        assert list(one.awaited(RUNS)) == list(one.elsewhere().unfinished) == list(RUNS[1:])
        assert list(other.awaited(RUNS)) == list(other.elsewhere().unfinished) == list(RUNS[:1])
        assert self.finish(driver) == expected[:1]
        assert other.awaited(RUNS) == {}
        assert self.finish(its_driver) == expected[1:]
        for journal, run in ((one, 1), (other, 0)):
            elsewhere = journal.elsewhere()
            assert elsewhere.unfinished == {}
            found = {n: list(outcome.iterations) for n, outcome in elsewhere.finished.items()}
            assert found == {run: expected[run]}

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
