"""Who drives which run: a driver claims the runs that nobody drives, and says now and then that it is alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from pytams.core.errors import RunDirectoryError
from pytams.sqldb.errors import LedgerError, NoAccessError

if TYPE_CHECKING:
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.directory import RunDirectory

STALE_SECONDS = 60.0
"""A driver that has not been heard of for so long is taken for dead, if it cannot be asked."""
_HEARTBEAT_SECONDS = 10.0


class Claims:
    """The runs of a directory that are ours.

    Parameters
    ----------
    directory
        The run directory.
    runs_at_once
        Claim so many at most, and none that is finished; None: all.
    """

    def __init__(self, directory: RunDirectory, runs_at_once: int | None) -> None:
        self._directory, self._runs_at_once = directory, runs_at_once
        self.ours: set[int] = set()
        """Runs that are, or were, driven here."""
        self._finished: set[int] = set()  # by others
        self._is_first = True
        self._last_heartbeat = perf_counter()

    def take(self, runs: Sequence[int], n_driven: int) -> dict[int, RunLedger]:
        """Claim runs that are free, beside so many that are driven here, and open their ledgers.

        First those that were begun, alone: no ledger is made before it is known whether the model fits these.

        Raises
        ------
        RunDirectoryError
            If none is free at the first time, and no number of runs at once says that others share the study; or if
            this process may not have so many ledgers open.
        """
        taken: dict[int, RunLedger] = {}
        busy = ""
        if self._runs_at_once is None:
            self._directory.check_open_files(len(runs))
        known = self.ours | self._finished
        begun = set(self._directory.begun())
        try:
            for run in sorted(runs, key=lambda run: run not in begun):
                is_full = n_driven + len(taken) == self._runs_at_once
                if is_full or (run not in begun and begun & taken.keys()):
                    break
                if run in known:
                    continue
                ledger = self._directory.ledger(run)
                if self._runs_at_once is not None and self.is_finished(ledger):
                    self._finished.add(run)
                elif ledger.claim(STALE_SECONDS):
                    taken[run] = ledger
                    continue
                else:
                    busy = f"run {run} is driven by {driver_of(ledger)}"
                ledger.close()
        except BaseException:
            release(taken.values())
            raise
        if self._is_first and not taken and self._runs_at_once is None:
            raise RunDirectoryError(
                f"{self._directory.path} is in use: {busy}. Stop that driver, or wait: a dead one's runs are free "
                f"after {STALE_SECONDS:g} s"
            )
        self._is_first = False
        self.ours |= taken.keys()
        return taken

    def is_finished(self, ledger: RunLedger) -> bool:
        """Whether a run is finished, under the cap on branchings that the study has now."""
        return ledger.get_info("finished") == self._directory.info.cap

    def is_heartbeat_due(self) -> bool:
        """Whether it is time to say that this driver is alive; asking counts as saying so."""
        now = perf_counter()
        if now - self._last_heartbeat < _HEARTBEAT_SECONDS:
            return False
        self._last_heartbeat = now
        return True


def driver_of(ledger: RunLedger) -> str:
    """Name who drives a run that could not be claimed; it may have been left since."""
    driver = ledger.driver()
    return driver.label if driver else "somebody"


def release(ledgers: Iterable[RunLedger]) -> None:
    """Leave runs to others."""
    for ledger in ledgers:
        with suppress(SQLAlchemyError):
            ledger.disclaim()
        ledger.close()


def record(ledger: RunLedger, calls: Callable[[], None]) -> None:
    """Make the calls one transaction, as its driver, and say what it means if the ledger cannot be written."""

    def as_driver() -> None:
        ledger.renew()
        calls()

    try:
        ledger.atomically(as_driver)
    except NoAccessError as error:
        raise LedgerError(
            f"{error.what}. Everything before it is on disk; {error.remedy}, and resume the run"
        ) from error
