"""Forks in all orders: processes that inherit an open ledger, add to it, close it, and end in every way there is.

``python forking.py LOCATION FOLDER SEED N``: N forks; every process notes in a file of its own in the folder what it
has added.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pytams.sqldb import SQLFile
from pytams.sqldb.errors import LedgerError

REFUSED = (
    "was in use when this process was forked, inside a transaction: only the parent can go on with it. "
    "Fork outside of transactions, or start the process with multiprocessing's 'spawn'"
)
PER_PROCESS = 12
ENDS = ["leave", "close and leave", "end", "close and end", "with"]


class Writer:
    """Adds rows, and notes those that were added."""

    def __init__(self, ledger: SQLFile, folder: Path, name: str) -> None:
        self._ledger, self._folder, self._name = ledger, folder, name
        self._n = 0

    def add(self, n: int, *, at_once: bool = False) -> None:
        """Add n rows, in one transaction or one by one."""
        names = [f"{self._name}/{self._n + i}" for i in range(n)]
        self._n += n
        if at_once:
            with self._ledger.transaction():
                for name in names:
                    self._ledger.add_trajectory(name, "{}")
            self._note(names)
        for name in names if not at_once else []:
            self._ledger.add_trajectory(name, "{}")
            self._note([name])

    def _note(self, names: list[str]) -> None:
        with (self._folder / self._name).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in names)


def child(ledger: SQLFile, folder: Path, name: str, rng: random.Random) -> NoReturn:
    """Add, have a child, and end."""
    writer, end = Writer(ledger, folder, name), rng.choice(ENDS)
    writer.add(PER_PROCESS // 2, at_once=rng.random() < 0.3)
    if rng.random() < 0.2 and name.count(".") < 3:
        pid = os.fork()
        if not pid:
            child(ledger, folder, f"{name}.0", random.Random(rng.random()))
        if rng.random() < 0.5:
            wait_for(pid)
    if end == "with":
        with ledger:
            writer.add(PER_PROCESS // 2)
            sys.exit(0)
    writer.add(PER_PROCESS // 2, at_once=rng.random() < 0.3)
    if "close" in end:
        ledger.close()
    leave(end)


def refused_child(ledger: SQLFile, rng: random.Random) -> NoReturn:
    """Try to use a ledger that was in use."""
    calls: list[Callable[[], object]] = [ledger.get_trajectory_count, lambda: ledger.add_trajectory("lost", "{}")]
    for call in calls:
        try:
            call()
            os._exit(1)
        except LedgerError as error:
            if REFUSED not in str(error):
                raise
    if rng.random() < 0.5:
        ledger.close()
    leave(rng.choice(["leave", "end"]))


def leave(how: str) -> NoReturn:
    """End at once, or as programs do, with all that is freed then."""
    if "end" in how:
        sys.exit(0)
    os._exit(0)


def wait_for(pid: int) -> None:
    """Wait for a child, and fail with it."""
    assert os.waitpid(pid, 0)[1] == 0


def main(location: str, folder: Path, seed: int, n: int) -> None:
    """Fork n times, in as many situations."""
    rng = random.Random(seed)
    ledger = SQLFile(location)
    mine, beside = Writer(ledger, folder, "parent"), Writer(ledger, folder, "thread")
    is_over = threading.Event()

    def write_beside() -> None:
        while not is_over.wait(0.002):
            beside.add(2, at_once=True)

    thread = threading.Thread(target=write_beside)
    pids = []
    for i in range(n):
        dice = random.Random(rng.random())
        if i == n // 2:
            thread.start()
        if dice.random() < 0.25:
            with ledger.transaction():
                ledger.archive_trajectory(f"{i}", "{}")
                pid = os.fork()
                if not pid:
                    refused_child(ledger, dice)
                ledger.archive_trajectory(f"{i} again", "{}")
                wait_for(pid)
            continue
        pid = os.fork()
        if not pid:
            child(ledger, folder, f"child{i}", dice)
        pids.append(pid)
        mine.add(dice.randrange(4))
        if dice.random() < 0.3 and not thread.is_alive():
            ledger.close()
        if dice.random() < 0.3:
            wait_for(pids.pop(dice.randrange(len(pids))))
    is_over.set()
    thread.join()
    if rng.random() < 0.5:
        ledger.close()
    for pid in pids:
        wait_for(pid)
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
