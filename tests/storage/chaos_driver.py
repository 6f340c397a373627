"""A study in a process of its own, that kills itself: ``python chaos_driver.py DIRECTORY [URL] [WHERE N]``.

In the N-th segment file before it is synced (``file``), between a file and the N-th commit (``commit``), or at any
moment after the N-th block (``block``). It writes after so many blocks, not seconds: so N comes on any machine.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytams
from exact import DoubleWell2D
from pytams import Storage
from pytams.core.ports import Due
from pytams.sqldb.runledger import RunLedger
from pytams.storage.journal import RunJournal

SETTINGS: dict[str, Any] = {
    "end_time": 6.0,
    "step_size": 0.01,
    "target_score": 0.95,
    "n_trajectories": 30,
    "n_discard": 2,
}
N_RUNS, SEED = 4, 2026


BLOCKS_BETWEEN_WRITES = 20
"""A study has about 780 blocks, 39 segment files and 130 commits."""


def at(n: int, act: Callable[[], object]) -> Callable[[], None]:
    """Make what acts when it is called for the n-th time; 0: never."""
    calls = count(1)

    def call() -> None:
        if next(calls) == n:
            act()

    return call


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_soon() -> None:
    threading.Timer(random.uniform(0.0, 0.02), die).start()


def main(path: str, url: str = "", where: str = "", n: str = "0") -> None:
    file, commit, block = (
        at(int(n) if where == name else 0, act) for name, act in (("file", die), ("commit", die), ("block", die_soon))
    )
    sync, renew, numbers = os.fsync, RunLedger.renew, count(1)

    def watched_sync(descriptor: int) -> None:
        if "/segments/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            file()
        sync(descriptor)

    def watched_renew(ledger: RunLedger) -> None:
        commit()
        renew(ledger)

    def due(_: RunJournal) -> Due:
        block()
        n_writes, rest = divmod(next(numbers), BLOCKS_BETWEEN_WRITES)
        return Due.NOTHING if rest else (Due.CHECKPOINT, Due.FLUSH)[n_writes % 2]

    os.fsync = watched_sync  # type: ignore[assignment] # we call it with descriptors only
    setattr(RunLedger, "renew", watched_renew)  # noqa: B010 - the first thing in a commit
    setattr(RunJournal, "due", due)  # noqa: B010 - asked after every block
    storage = Storage(path=Path(path), database_url=url or None)
    pytams.TAMS(DoubleWell2D(), **SETTINGS).run(N_RUNS, SEED, out=storage)


if __name__ == "__main__":
    main(*sys.argv[1:])
