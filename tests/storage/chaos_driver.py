"""A study in a process of its own, for killing: ``python chaos_driver.py DIRECTORY [URL] [WHERE N]``.

With WHERE it kills itself: in the N-th segment file before it is synced (``file``), or between the N-th file and its
commit (``commit``). Without, somebody else may.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytams
from exact import DoubleWell2D
from pytams import Storage
from pytams.sqldb.runledger import RunLedger

SETTINGS: dict[str, Any] = {
    "end_time": 6.0,
    "step_size": 0.01,
    "target_score": 0.95,
    "n_trajectories": 30,
    "n_discard": 2,
}
N_RUNS, SEED = 4, 2026


def die_at(n: int) -> Any:
    calls = iter(range(1, n + 1))

    def call(*arguments: Any) -> None:
        if next(calls) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    return call


def main(path: str, url: str = "", where: str = "", n: str = "1") -> None:
    if where == "file":
        sync, die = os.fsync, die_at(int(n))

        def sync_or_die(descriptor: int) -> None:
            if "/segments/" in os.readlink(f"/proc/self/fd/{descriptor}"):
                die()
            sync(descriptor)

        os.fsync = sync_or_die  # type: ignore[assignment] # we call it with descriptors only
    elif where == "commit":
        RunLedger.renew = die_at(int(n))  # type: ignore[method-assign] # the first thing in a commit
    storage = Storage(path=Path(path), checkpoint_interval=0.05, database_url=url or None)
    pytams.TAMS(DoubleWell2D(), **SETTINGS).run(N_RUNS, SEED, out=storage)


if __name__ == "__main__":
    main(*sys.argv[1:])
