"""Processes that inherit an open ledger: no row is lost, none is there twice, and the parent is not disturbed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import forking
import pytest

from pytams.sqldb import SQLFile, forks
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.opening import open_database
from pytams.sqldb.owner import Owner
from pytams.sqldb.runledger import RunLedger


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return f"{request.getfixturevalue('postgres')}&schema=run-{uuid.uuid4().hex}"


def forked(function: Callable[[], None]) -> int:
    """Call a function in a forked process, which then leaves; return its number."""
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException:  # also pytest's
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def in_child(function: Callable[[], None]) -> None:
    """Call a function in a forked process, and fail with it."""
    forking.wait_for(forked(function))


def test_a_child_goes_on_while_the_parent_closes(location: str) -> None:
    half, go_on = os.pipe(), os.pipe()
    ledger = SQLFile(location)
    ledger.add_trajectory("parent's", "{}")

    def child() -> None:
        for i in range(100):
            ledger.add_trajectory(f"child's {i}", "{}")
            if i == 49:
                os.write(half[1], b"!")
                os.read(go_on[0], 1)
        ledger.close()

    pid = forked(child)
    os.read(half[0], 1)
    ledger.close()
    os.write(go_on[1], b"!")
    forking.wait_for(pid)
    with SQLFile(location) as ledger:
        assert ledger.get_trajectory_count() == 101
        assert ledger.fetch_trajectory(100) == "child's 99"


def test_inside_a_transaction_a_child_is_refused(location: str) -> None:
    def child() -> None:
        for call in (ledger.get_trajectory_count, lambda: ledger.add_trajectory("child's", "{}"), ledger.heartbeat):
            with pytest.raises(LedgerError, match=forking.REFUSED):
                call()
        with pytest.raises(LedgerError, match=forking.REFUSED), ledger.transaction():
            pass
        if "://" not in location:  # the same file, the same locks
            with pytest.raises(LedgerError, match=forking.REFUSED):
                SQLFile(location)
        ledger.close()

    with SQLFile(location) as ledger:
        with ledger.transaction():
            ledger.add_trajectory("before", "{}")
            in_child(child)
            ledger.add_trajectory("after", "{}")
        assert ledger.get_trajectory_count() == 2
        in_child(lambda: ledger.add_trajectory("from a child that was forked outside", "{}"))
        assert ledger.get_trajectory_count() == 3


def test_a_child_cannot_commit_the_parents_transaction(location: str) -> None:
    """It leaves the block that the parent began."""
    ledger = SQLFile(location)
    transaction = ledger.transaction()
    transaction.__enter__()
    ledger.add_trajectory("parent's", "{}")

    def commit() -> None:
        with pytest.raises(LedgerError, match=forking.REFUSED):
            transaction.__exit__(None, None, None)

    def leave() -> None:
        error = SystemExit(0)
        assert not transaction.__exit__(SystemExit, error, None)

    in_child(commit)
    in_child(leave)
    ledger.add_trajectory("parent's, too", "{}")
    transaction.__exit__(None, None, None)
    assert ledger.get_trajectory_count() == 2
    ledger.close()


def test_inside_a_read_a_child_is_refused(location: str) -> None:
    SQLFile(location).close()
    database = open_database(location, in_memory=False, read_only=False)

    def child() -> None:
        with pytest.raises(LedgerError, match=forking.REFUSED), database.read():
            pass

    with database.read():
        in_child(child)
    with database.read():
        pass
    database.close()


def test_a_fork_waits_for_other_threads(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with ledger.transaction():
            ledger.add_trajectory("thread's", "{}")
            begun.set()
            may_end.wait()

    with SQLFile(location) as ledger:
        thread = threading.Thread(target=write)
        thread.start()
        begun.wait()
        timer = threading.Timer(0.2, may_end.set)
        timer.start()
        in_child(lambda: ledger.add_trajectory("child's", "{}"))
        assert ledger.get_trajectory_count() == 2
        for waiting in (thread, timer):
            waiting.join()
        monkeypatch.setattr(forks, "PATIENCE", 0.1)
        begun.clear()
        may_end.clear()
        thread = threading.Thread(target=write)
        thread.start()
        begun.wait()

        def child() -> None:
            with pytest.raises(LedgerError, match=forking.REFUSED):
                ledger.get_trajectory_count()

        in_child(child)
        may_end.set()
        thread.join()
        assert ledger.get_trajectory_count() == 3


def test_a_ledger_in_memory_stays_with_its_process() -> None:
    def child() -> None:
        for call in (ledger.get_trajectory_count, lambda: ledger.add_trajectory("child's", "{}")):
            with pytest.raises(LedgerError, match="a ledger in memory belongs to the process that made it"):
                call()
        ledger.close()

    with SQLFile("", in_memory=True) as ledger:
        ledger.add_trajectory("parent's", "{}")
        in_child(child)
        with ledger.transaction():
            in_child(child)
            ledger.add_trajectory("parent's", "{}")
        assert ledger.get_trajectory_count() == 2


def test_a_child_owns_its_own_locks(location: str) -> None:
    def child() -> None:
        assert Owner.parse(ledger.owner).pid == os.getpid()
        assert ledger.owner == ledger.owner
        assert not ledger.lock_trajectory(0)
        assert ledger.lock_trajectory(1)
        with pytest.raises(LedgerError, match="another driver"):
            ledger.renew()
        assert not ledger.claim(3600)
        ledger.disclaim()

    with RunLedger(location) as ledger:
        ledger.add_trajectories([("a", "{}"), ("b", "{}")])
        mine = ledger.owner
        assert ledger.claim(3600)
        assert ledger.lock_trajectory(0)
        in_child(child)
        assert ledger.owner == mine == ledger.lock_owner(0)
        assert Owner.parse(ledger.lock_owner(1) or "").is_dead
        assert ledger.driver() == Owner.parse(mine)
        ledger.renew()


def test_a_child_that_drives_dies_alone(location: str) -> None:
    """The lock of a dead child is free; the parent, which lives, never had it."""
    with RunLedger(location) as ledger:
        in_child(lambda: None if ledger.claim(3600) else os._exit(1))
        assert ledger.driver() is None
        assert ledger.claim(3600)


def check_forks(tmp_path: Path, location: str, seeds: range, n: int) -> None:
    for seed in seeds:
        with SQLFile(location) as ledger:
            before = ledger.get_trajectory_count()
        folder = tmp_path / str(seed)
        folder.mkdir()
        command = [sys.executable, forking.__file__, location, str(folder), str(seed), str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        if "://" not in location:
            with sqlite3.connect(location) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            connection.close()
        written = Counter(line for file in folder.iterdir() for line in file.read_text(encoding="utf-8").split())
        with SQLFile(location) as ledger:
            found = Counter(ledger.fetch_trajectory(i) for i in range(before, ledger.get_trajectory_count()))
        assert found == written
        assert not Path(f"{location}-wal").exists()  # whoever comes last
        assert len(written) > n * forking.PER_PROCESS // 2


@pytest.mark.slow
def test_forks_in_all_orders(tmp_path: Path, location: str) -> None:
    check_forks(tmp_path, location, range(1), 5)


@pytest.mark.slow
def test_forks_in_all_orders_for_long(tmp_path: Path, location: str) -> None:
    check_forks(tmp_path, location, range(10, 13), 15)
