"""Many processes at one ledger, for real: claims, writes, readers, and SIGKILL."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import crowd
import pytest

from pytams.sqldb import SQLFile

N_PROCESSES = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return f"{request.getfixturevalue('postgres')}&schema=run-{uuid.uuid4().hex}"


def at_once(function: Any, *arguments: Any) -> list[Any]:
    """Call a function in many processes, which can wait for each other."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(N_PROCESSES)
    with ProcessPoolExecutor(N_PROCESSES, context, crowd.meet_at, (barrier,)) as pool:
        return [call.result() for call in [pool.submit(function, *arguments) for _ in range(N_PROCESSES)]]


def check_claims(location: str, n: int, rounds: int) -> None:
    with SQLFile(location) as ledger:
        ledger.add_trajectories([("t", "{}")] * (n * rounds))
    granted = at_once(crowd.claim, location, n, rounds)
    times_granted = Counter(i for process in granted for mine in process for i in mine)
    assert times_granted == dict.fromkeys(range(n * rounds), 1)
    assert sum(bool(process[0]) for process in granted) > 1  # they did compete


def check_work(location: str, seconds: float) -> None:
    with SQLFile(location):
        pass
    with ProcessPoolExecutor(N_PROCESSES, multiprocessing.get_context("spawn")) as pool:
        counts = list(pool.map(crowd.work, [location] * N_PROCESSES, range(N_PROCESSES), [seconds] * N_PROCESSES))
    added, archived, split = (sum(column) for column in zip(*counts, strict=True))
    with SQLFile(location) as ledger:
        assert ledger.get_trajectory_count() == added
        assert ledger.get_archived_trajectory_count() == archived
        assert len(ledger.get_biases()) == split
        files = {ledger.fetch_archived_trajectory(i) for i in range(archived)}
        assert len(files) == archived  # each process's own, none twice, none lost


def check_kills(location: str, times: int) -> None:
    rng = random.Random(1)
    with SQLFile(location):
        pass
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, crowd.__file__, location], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        written, errors = process.communicate()
        assert errors == ""
        if not location.startswith("postgresql"):
            with sqlite3.connect(location) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            connection.close()
        with SQLFile(location) as ledger:
            n = ledger.get_trajectory_count()
            last = int(written.split()[-1]) if written.split() else -1
            assert n > last
            assert [ledger.fetch_trajectory(i) for i in (0, n - 1)] == ["file 0", f"file {n - 1}"]
            assert n - 1 <= len(ledger.get_biases()) <= n
            assert ledger.get_archived_trajectory_count() == 5 * len(ledger.get_biases())
            if len(ledger.get_biases()) < n:  # what was under way is done again
                ledger.archive_trajectories([("old", "")] * 5)
                ledger.add_splitting_data(n - 1, 1, 0.5, [], [], [], [])


def test_every_trajectory_is_granted_once(location: str) -> None:
    check_claims(location, n=60, rounds=2)


@pytest.mark.slow
def test_no_row_is_lost(location: str) -> None:
    check_work(location, seconds=1.0)


@pytest.mark.slow
def test_killed_writers_lose_nothing(location: str) -> None:
    check_kills(location, times=4)


@pytest.mark.slow
def test_every_trajectory_is_granted_once_for_long(location: str) -> None:
    check_claims(location, n=500, rounds=10)


@pytest.mark.slow
def test_no_row_is_lost_for_long(location: str) -> None:
    check_work(location, seconds=10.0)


@pytest.mark.slow
def test_killed_writers_lose_nothing_for_long(location: str) -> None:
    check_kills(location, times=50)


@pytest.mark.slow
def test_a_polling_reader_does_not_disturb(location: str) -> None:
    """Half-second polls, as a watching user makes them, beside a writer."""
    counts: list[int] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def poll() -> None:
        try:
            with SQLFile(location, ro_mode=True) as reader:
                while not done.is_set():
                    counts.append(reader.get_trajectory_count())
                    reader.get_weights()
                    done.wait(0.5)
                counts.append(reader.get_trajectory_count())
        except BaseException as error:
            errors.append(error)

    with SQLFile(location) as ledger:
        thread = threading.Thread(target=poll)
        thread.start()
        longest = 0.0
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            start = time.monotonic()
            ledger.add_trajectory("t", "{}")
            ledger.add_splitting_data(0, 1, 0.5, [0], [0], [0.0], [0.0, 1.0])
            longest = max(longest, time.monotonic() - start)
        done.set()
        thread.join()
        assert errors == []
        assert counts == sorted(counts)
        assert counts[-1] == ledger.get_trajectory_count() > counts[1] > 0
        assert longest < 30.0  # half the busy timeout
