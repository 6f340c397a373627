"""Connections to PostgreSQL that are lost: nothing is written twice, nothing is lost, and what happened is said."""

from __future__ import annotations

import logging
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy
from sqlalchemy import create_engine, make_url, text

import pytams
from exact import Walk
from postgres import Server, running
from pytams.sqldb import SQLFile, postgres
from pytams.sqldb.errors import LedgerError, NoAccessError
from pytams.sqldb.runledger import RunLedger
from pytams.storage import claims


@pytest.fixture
def location(postgres: str) -> str:
    return f"{postgres}&schema=run-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that may be stopped; the tests leave it running."""
    with running() as there:
        yield there


@pytest.fixture
def stoppable(own_server: Server) -> str:
    return f"{own_server.url}&schema=run-{uuid.uuid4().hex}"


def terminate(location: str) -> int:
    """Kill all sessions of a server, as its administrator may; return how many."""
    engine = create_engine(location.partition("&schema=")[0])
    others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        kill = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}"
        killed: int = connection.scalar(text(kill)) or 0
    engine.dispose()
    return killed


@contextmanager
def meanwhile(do: Callable[[], object], pause: Callable[[], float]) -> Iterator[None]:
    """Do something now and then while the body runs."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(pause()):
            do()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def restart(server: Server, mode: str, seconds: float) -> None:
    server.stop(mode)
    time.sleep(seconds)
    server.start()


def files(ledger: SQLFile) -> list[str]:
    return [ledger.fetch_trajectory(i) for i in range(ledger.get_trajectory_count())]


def test_an_idle_connection_is_replaced(location: str) -> None:
    with RunLedger(location) as ledger:
        calls: list[Callable[[], object]] = [
            lambda: ledger.add_trajectory("a", "{}"),
            ledger.get_trajectory_count,
            lambda: ledger.lock_trajectory(0),
            lambda: ledger.claim(60),
            ledger.renew,
            lambda: ledger.note_discarded(["x"]),
            ledger.heartbeat,
            ledger.get_weights,
        ]
        for call in calls:
            assert terminate(location) >= 1
            call()
        assert files(ledger) == ["a"]
        assert ledger.discarded() == ["x"]
        terminate(location)
        with ledger.transaction():
            ledger.add_trajectory("b", "{}")
        assert files(ledger) == ["a", "b"]


def test_a_transaction_that_has_begun_says_that_it_is_lost(location: str) -> None:
    with SQLFile(location) as ledger:
        for swallow in (True, False):
            with pytest.raises(LedgerError, match=r"nothing of (its|this) transaction (is|was) written") as error:
                lose_within(ledger, location, swallow=swallow)
            assert "SELECT" not in str(error.value)
        assert ledger.get_trajectory_count() == 0
        terminate(location)
        assert ledger.get_trajectory_count() == 0


def lose_within(ledger: SQLFile, location: str, *, swallow: bool) -> None:
    with ledger.transaction():
        ledger.add_trajectory("lost", "{}")
        terminate(location)
        if not swallow:
            ledger.add_trajectory("lost, too", "{}")
            return
        for _ in range(2):
            with pytest.raises(LedgerError):
                ledger.add_trajectory("lost, too", "{}")


def test_an_error_in_a_lost_transaction_is_not_hidden(location: str) -> None:
    with SQLFile(location) as ledger:
        with pytest.raises(KeyError, match="the user's"), ledger.transaction():
            terminate(location)
            raise KeyError("the user's")
        ledger.add_trajectory("a", "{}")


def test_the_calls_of_a_function_are_made_again(location: str) -> None:
    times = 0

    def add_two() -> None:
        nonlocal times
        times += 1
        ledger.add_trajectory("a", "{}")
        if times < 3:
            terminate(location)
        ledger.add_trajectory("b", "{}")

    with SQLFile(location) as ledger:
        ledger.atomically(add_two)
        assert times == 3
        assert files(ledger) == ["a", "b"]


@pytest.fixture
def network(location: str) -> Iterator[Proxy]:
    """What is between the client and the server."""
    server = make_url(location).query["host"]
    assert isinstance(server, str)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, closing(Proxy(Path(server), Path(folder))) as between:
        yield between


def through(network: Proxy, location: str) -> str:
    url = make_url(location).update_query_dict({"host": str(network.folder)})
    return url.render_as_string(hide_password=False)


@pytest.mark.parametrize("how", ["no answer", "late", "no request"])
def test_a_commit_without_an_answer_is_looked_up(network: Proxy, location: str, how: str) -> None:
    with SQLFile(through(network, location)) as ledger:
        ledger.add_trajectory("a", "{}")
        for name in ("b", "c"):
            network.fail_with = how
            ledger.add_trajectory(name, "{}")
            assert network.fail_with == ""
        assert files(ledger) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["no answer", "late", "no request"])
def test_so_is_that_of_a_transaction(network: Proxy, location: str, how: str) -> None:
    def add_two() -> None:
        with ledger.transaction():
            ledger.add_trajectory("a", "{}")
            network.fail_with = how
            ledger.archive_trajectory("b", "{}")

    with SQLFile(through(network, location)) as ledger:
        if how == "no request":
            with pytest.raises(LedgerError, match="nothing of its transaction was written"):
                add_two()
            assert (ledger.get_trajectory_count(), ledger.get_archived_trajectory_count()) == (0, 0)
        else:
            add_two()
            assert (ledger.get_trajectory_count(), ledger.get_archived_trajectory_count()) == (1, 1)


@pytest.mark.parametrize("how", ["no answer", "no request"])
def test_or_when_a_ledger_is_made(network: Proxy, location: str, how: str) -> None:
    network.fail_with = how
    with SQLFile(through(network, location)) as ledger:
        assert network.fail_with == ""
        ledger.add_trajectory("a", "{}")
        assert files(ledger) == ["a"]


def test_what_cannot_be_looked_up_is_not_known(
    network: Proxy, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "OUT_OF_REACH", 0.2)
    with SQLFile(through(network, location)) as ledger:
        ledger.add_trajectory("a", "{}")
        network.fail_with = "for good"
        message = (
            "out of reach for 0.2 s: .*; whether the last transaction was written is not known; start the server"
        )
        with pytest.raises(NoAccessError, match=message):
            ledger.add_trajectory("b", "{}")
        network.is_gone = False
        assert files(ledger) == ["a"]


@pytest.mark.slow
def test_nobody_elses_commit_is_taken_for_ours(network: Proxy, location: str) -> None:
    """Other threads and objects write between the lost commit and the look-up."""
    with SQLFile(through(network, location)) as ledger, SQLFile(location) as other:
        with meanwhile(lambda: other.add_trajectory("other's", "{}"), lambda: 0.001):
            for i in range(6):
                network.fail_with = ("no answer", "late", "no request")[i % 3]
                ledger.add_trajectory(f"{i}", "{}")
        found = files(ledger)
        assert [name for name in found if name != "other's"] == [f"{i}" for i in range(6)]
        assert len(found) > 6


def test_marks_are_removed_in_the_end(location: str) -> None:
    with SQLFile(location) as ledger:
        for _ in range(3):
            thread = threading.Thread(target=ledger.add_trajectory, args=("a", "{}"))
            thread.start()
            thread.join()
    url, _, schema = location.partition("&schema=")
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalars(text(f'SELECT key FROM "{schema}".ledger_info')).all() == ["schema_version"]
    engine.dispose()


def check_kills(location: str, n: int) -> None:
    rng = random.Random(1)
    killed: list[int] = []
    with SQLFile(location) as ledger:
        with meanwhile(lambda: killed.append(terminate(location)), lambda: rng.uniform(0.0, 0.03)):
            for i in count():
                ledger.add_trajectory(f"{i}", "{}")
                ledger.get_trajectory_count()
                if i >= n and sum(killed) > 2:  # however slow the machine is
                    break
        assert files(ledger) == [f"{j}" for j in range(i + 1)]


def test_sessions_are_killed_all_the_time(location: str) -> None:
    check_kills(location, 25)


@pytest.mark.slow
def test_sessions_are_killed_all_the_time_for_long(location: str) -> None:
    check_kills(location, 300)


@pytest.mark.slow
def test_a_server_that_is_restarted_is_waited_for(
    own_server: Server, stoppable: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SQLFile(stoppable) as ledger:
        ledger.add_trajectory("a", "{}")
        with caplog.at_level(logging.WARNING, "pytams"):
            for i, mode in enumerate(["immediate", "fast"]):
                own_server.stop(mode)
                timer = threading.Timer(0.2, own_server.start)
                timer.start()
                ledger.add_trajectory(f"{i}", "{}")
                timer.join()
        assert files(ledger) == ["a", "0", "1"]
        assert "is out of reach: trying again for 120 s" in caplog.text


@pytest.mark.slow
def test_a_server_that_stays_away_is_named(
    own_server: Server, stoppable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "OUT_OF_REACH", 0.5)
    with SQLFile(stoppable) as ledger, SQLFile(f"{stoppable}-other") as other:
        ledger.add_trajectory("a", "{}")
        own_server.stop()
        start = time.monotonic()
        with pytest.raises(
            NoAccessError, match=r"has been out of reach for 0.5 s: .*; start the server again"
        ) as error:
            ledger.add_trajectory("b", "{}")
        assert time.monotonic() - start > 0.5
        assert "postgresql+psycopg://tams:***@" in str(error.value)
        monkeypatch.setattr(postgres, "OUT_OF_REACH", 1000.0)
        for call in (ledger.get_trajectory_count, other.get_trajectory_count, lambda: SQLFile(stoppable)):
            with pytest.raises(NoAccessError, match="is out of reach: .*; see to the server, or to the URL"):
                call()  # does not wait again
        own_server.start()
        ledger.add_trajectory("b", "{}")
        assert files(ledger) == ["a", "b"]


SETTINGS: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 5, "n_trajectories": 10}


@pytest.mark.slow
def test_a_study_survives_a_restart(own_server: Server, tmp_path: Path) -> None:
    tams = pytams.TAMS(Walk(), **SETTINGS)
    storage = pytams.Storage(path=tmp_path / "study", database_url=own_server.url, checkpoint_interval=0.001)
    timers = []
    with tams.study(2, seed=3, out=storage) as study:
        for i, _ in enumerate(study):
            if i == 5:
                own_server.stop()
                timers.append(threading.Timer(0.3, own_server.start))
                timers[-1].start()
        assert study.result().runs == tams.run(2, seed=3).runs
    assert timers
    timers[0].join()
    with pytams.load(tmp_path / "study", database_url=own_server.url) as saved:
        assert saved.result.runs == tams.run(2, seed=3).runs


@pytest.mark.slow
def test_a_study_without_its_server_stops_and_is_resumed(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "OUT_OF_REACH", 0.3)
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.0)  # this process lives on, and could not say that it has left
    tams = pytams.TAMS(Walk(), **SETTINGS)
    storage = pytams.Storage(path=tmp_path / "study", database_url=own_server.url, checkpoint_interval=0.001)
    message = "out of reach for 0.3 s: .* Everything before it is on disk; start the server again, and resume the run"
    with pytest.raises(LedgerError, match=message), tams.study(2, seed=3, out=storage) as study:
        for i, _ in enumerate(study):
            if i == 5:
                own_server.stop()
    own_server.start()
    assert tams.run(2, seed=3, out=storage).runs == tams.run(2, seed=3).runs
