"""What processes do to a ledger, all at once. Each function runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import sys
import time
from multiprocessing.synchronize import Barrier

from pytams.sqldb import SQLFile

everyone: Barrier
"""Where the processes wait for each other."""


def meet_at(barrier: Barrier) -> None:
    """Say where."""
    global everyone  # noqa: PLW0603 - how a pool hands an object to its processes
    everyone = barrier


def claim(location: str, n: int, rounds: int) -> list[list[int]]:
    """Try to lock every trajectory, each process in another order; return what was granted in each round."""
    granted = []
    with SQLFile(location) as ledger:
        for r in range(rounds):
            everyone.wait()
            first = os.getpid() * 7919 % n
            ids = [r * n + (first + i) % n for i in range(n)]
            mine = []
            for i in ids:
                if ledger.lock_trajectory(i):
                    mine.append(i)
                    time.sleep(0.001)  # on a busy machine, whoever is first would take all
            granted.append(mine)
    return granted


def work(location: str, me: int, seconds: float) -> tuple[int, int, int]:
    """Add, update, archive and read for a while; return how many were added, archived and split."""
    added = archived = split = 0
    end = time.monotonic() + seconds
    with SQLFile(location) as ledger:
        for i in itertools.count():
            if time.monotonic() > end:
                break
            ledger.add_trajectory(f"{me}/{i}", "{}")
            added += 1
            mine = ledger.get_trajectory_count() - 1
            ledger.update_trajectory_metadata(mine, f'{{"by": {me}}}')
            with ledger.transaction():
                ledger.archive_trajectory(f"{me}/{i}", "{}")
                ledger.add_splitting_data(i, 1, 0.5, [me], [i], [0.0], [0.0, 1.0])
            archived += 1
            split += 1
            assert len(ledger.get_weights()) >= split
            ledger.fetch_trajectory(mine)
    return added, archived, split


def write_until_killed(location: str) -> None:
    """Print what has been written, as soon as the call has returned."""
    with SQLFile(location) as ledger:
        for i in itertools.count(ledger.get_trajectory_count()):
            ledger.add_trajectory(f"file {i}", "{}")
            with ledger.transaction():
                ledger.archive_trajectories([(f"old {i}", "x" * 2000)] * 5)
                ledger.add_splitting_data(i, 1, 1 / 3, [i], [i], [0.1], [0.1, 0.2])
            sys.stdout.write(f"{i}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    write_until_killed(sys.argv[1])
