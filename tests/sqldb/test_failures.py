"""What goes wrong in a database is said in words that name the ledger and say what to do."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from pytams.core.errors import PytamsError
from pytams.sqldb import SQLFile, postgres, sqlite
from pytams.sqldb.contract import ROW
from pytams.sqldb.errors import DamagedLedgerError, LedgerError, LostConnectionError, NoAccessError, NoTrajectoryError
from pytams.sqldb.failures import cause_of
from pytams.sqldb.runledger import RunLedger

fork = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, path: Path) -> str:
    if request.param == "sqlite":
        return str(path)
    return f"{request.getfixturevalue('postgres')}&schema=run-{uuid.uuid4().hex}"


def execute(location: str, *statements: str) -> None:
    """Do something to a ledger behind its back."""
    url, _, schema = location.partition("&schema=")
    engine = create_engine(url if schema else f"sqlite:///{location}")
    with engine.begin() as connection:
        if schema:
            connection.execute(text(f'SET search_path TO "{schema}"'))
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def in_child(function: Callable[[], None]) -> None:
    process = fork.Process(target=function)
    process.start()
    process.join()
    assert process.exitcode == 0


def check(error: pytest.ExceptionInfo[LedgerError], location: str) -> None:
    """The documented kind, the ledger's name, no statement; the database's own words are kept as the cause."""
    assert isinstance(error.value, PytamsError)
    assert isinstance(error.value, SQLAlchemyError)
    message = str(error.value)
    assert location.partition("?")[0].replace("secret", "***") in message
    assert not any(word in message for word in ("SELECT", "INSERT", "UPDATE", "[SQL", "sqlalche.me", "Errno"))
    assert error.value.__cause__ is not None


def with_limited_files(n_bytes: int, function: Callable[[], None]) -> None:
    """Call it in a process whose files may not grow beyond so many bytes."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        function()

    in_child(limited)


def test_disk_full_while_a_ledger_is_made(path: Path) -> None:
    def make() -> None:
        with pytest.raises(NoAccessError, match="cannot be written: .*; make room, and try again") as error:
            SQLFile(str(path))
        check(error, str(path))

    with_limited_files(5_000, make)
    with SQLFile(str(path)) as ledger:  # there is room again
        assert ledger.get_trajectory_count() == 0


def test_disk_full_while_a_run_is_claimed(path: Path) -> None:
    RunLedger(str(path)).close()

    def claim() -> None:
        with RunLedger(str(path)) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            with pytest.raises(NoAccessError, match="cannot be written: .*; make room, and try again") as error:
                ledger.claim(60)
            check(error, str(path))

    with_limited_files(10**6, claim)
    with RunLedger(str(path)) as ledger:
        assert ledger.claim(60)


def test_a_locked_write(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    monkeypatch.setitem(postgres.SERVERS_TIMEOUTS, "lock_timeout", 50)
    with SQLFile(location) as other, SQLFile(location) as ledger:
        with other.transaction():
            with pytest.raises(
                NoAccessError, match="is locked by another writer.*; wait until that one is done"
            ) as error:
                ledger.add_trajectory("a", "{}")
            check(error, location)
        ledger.add_trajectory("a", "{}")


def test_no_connection_is_free(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytams.sqldb import postgres as module  # noqa: PLC0415 - beside the fixture of this name

    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    location = f"{postgres}&application_name=one&schema=run-{uuid.uuid4().hex}"
    with SQLFile(location) as ledger, SQLFile(location) as other, ledger.transaction():
        with pytest.raises(
            NoAccessError, match="all connections of this process have been in use .*; end a"
        ) as error:
            other.get_trajectory_count()
        check(error, location)


def test_a_dropped_table(location: str) -> None:
    """A file can be set aside and computed again; a schema of somebody's server cannot."""
    remedy = "Restore the database from a backup, or start a new" if "://" in location else "`pytams repair DIR`"
    with RunLedger(location) as ledger:
        ledger.add_trajectory("a", "{}")
        execute(location, "DROP TABLE trajectories", "DROP TABLE run_lock", "DROP TABLE splitting_iterations")
        calls: list[Callable[[], object]] = [
            ledger.get_trajectory_count,
            lambda: ledger.add_trajectory("b", "{}"),
            lambda: ledger.lock_trajectory(0),
            lambda: ledger.claim(60),
            ledger.driver,
            ledger.get_weights,
            lambda: ledger.dump_file_json("x.json"),
        ]
        for call in calls:
            with pytest.raises(DamagedLedgerError, match=f"is not as pytams made it: .*{remedy}") as error:
                call()
            check(error, location)
            assert ("pytams repair" in str(error.value)) == ("://" not in location)


@pytest.mark.parametrize("value", ["not JSON", "", '"a string"', "{}", "[1, null]", "[1, 2, 3]"])
def test_columns_that_are_not_what_was_written(location: str, value: str) -> None:
    with SQLFile(location) as ledger:
        for _ in range(2):
            ledger.add_splitting_data(*ROW)
        columns = {"weight": ledger.get_weights, "min_max": ledger.get_minmax}
        if value != "[1, 2, 3]":  # as good as any other list
            columns["discarded_traj_ids"] = ledger.get_ongoing  # type: ignore[assignment] # it gives a list
        for column, call in columns.items():
            execute(location, f"UPDATE splitting_iterations SET {column} = '{value}' WHERE id = 2")
            with pytest.raises(DamagedLedgerError, match=f"{column} of splitting iteration 1 is ") as error:
                call()
            assert "Expecting value" not in str(error.value)
            assert repr(value) in str(error.value)


def test_numbers_that_are_none(path: Path) -> None:
    """SQLite keeps whatever it is given."""
    with SQLFile(str(path)) as ledger:
        ledger.add_splitting_data(*ROW)
        execute(str(path), "UPDATE splitting_iterations SET bias = 'two'")
        for call in (ledger.get_biases, ledger.get_k_split):
            with pytest.raises(DamagedLedgerError, match="bias of splitting iteration 0 is 'two'"):
                call()


def test_text_that_is_none(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("a", "{}")
        execute(str(path), "UPDATE trajectories SET traj_file = CAST(x'ff41' AS TEXT)")
        with pytest.raises(DamagedLedgerError, match="is not as pytams made it") as error:
            ledger.fetch_trajectory(0)
        check(error, str(path))


@pytest.mark.parametrize(
    "change",
    [
        "name = CAST(x'cc28' AS TEXT), sql = 'nothing'",  # SQLite's own message about it is no text
        "type = 'tabme'",
        "type = x'00'",
    ],
)
def test_a_schema_that_is_none(path: Path, change: str) -> None:
    RunLedger(str(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET {change} WHERE name = 'run_lock'")
    for ro_mode in (True, False):
        with pytest.raises(DamagedLedgerError, match="ledger.db"):
            RunLedger(str(path), ro_mode=ro_mode)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for url in ("postgresql+psycopg://me:secret@h/db?new=1", "postgresql+nosuch://me:secret@h/db"):
        with pytest.raises(
            LedgerError, match=r'pip install "pytams-splitting\[postgresql\]", .*postgresql\+psycopg://'
        ) as error:
            SQLFile(url)
        check(error, url.replace("/db?new=1", "/db").replace("secret", "***"))
        assert "secret" not in str(error.value)


def test_a_folder_where_the_ledger_should_be(tmp_path: Path) -> None:
    for ro_mode in (False, True):
        with pytest.raises(LedgerError, match="is a folder: a ledger is a file"):
            SQLFile(str(tmp_path), ro_mode=ro_mode)
    with pytest.raises(LedgerError, match="cannot be opened: Not a directory"):
        (tmp_path / "file").touch()
        SQLFile(str(tmp_path / "file" / "ledger.db"))
    with pytest.raises(LedgerError, match="cannot be opened: .*null"):
        SQLFile("a\0b")


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that any user may write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_read(anybodys: Path) -> None:
    path = anybodys / "ledger.db"
    SQLFile(str(path)).close()
    path.chmod(0)

    def read() -> None:
        if os.getuid() == 0:
            os.setuid(65534)  # root may read anything
        for ro_mode in (False, True):
            with pytest.raises(LedgerError, match="cannot be opened: Permission denied") as error:
                SQLFile(str(path), ro_mode=ro_mode)
            check(error, str(path))

    in_child(read)


def test_a_file_that_may_not_be_written(anybodys: Path) -> None:
    path = anybodys / "ledger.db"

    def write() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        with SQLFile(str(path)) as ledger:
            ledger.add_trajectory("a", "{}")
        path.chmod(0o444)
        with SQLFile(str(path)) as ledger:
            assert ledger.fetch_trajectory(0) == "a"
            with pytest.raises(NoAccessError, match="cannot be used: .*; see that it is there") as error:
                ledger.add_trajectory("b", "{}")
            check(error, str(path))

    in_child(write)


def damage(path: Path, share: float) -> None:
    """Overwrite a file from this share of it on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(share * size))
        file.write(b"\xa5" * (size - file.tell()))


def test_a_damaged_file(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectories([("a" * 1000, "{}")] * 100)
    damage(path, 0.5)
    for ro_mode in (False, True):
        with SQLFile(str(path), ro_mode=ro_mode) as ledger:
            with pytest.raises(
                DamagedLedgerError, match="is damaged: database disk image is malformed.*repair"
            ) as error:
                [ledger.fetch_trajectory(i) for i in range(100)]
            check(error, str(path))
            assert "-wal" not in str(error.value)
    damage(path, 0.0)
    with pytest.raises(
        DamagedLedgerError, match="is not a pytams ledger, or is damaged: file is not a datab"
    ) as error:
        SQLFile(str(path))
    check(error, str(path))


def test_after_a_failure_nothing_of_a_transaction_is_written(location: str) -> None:
    """Some errors end a transaction in the database, some do not: it is the same for all."""
    with SQLFile(location) as ledger:
        nothing = "nothing of this transaction is written"
        with pytest.raises(LedgerError, match=f"{nothing}.*(?i:null)"), ledger.transaction():
            ledger.add_trajectory("a", "{}")
            with pytest.raises(LedgerError):
                ledger.add_trajectory("b", None)  # type: ignore[arg-type] # that is the point
            for call in (ledger.get_trajectory_count, lambda: ledger.add_trajectory("c", "{}")):
                with pytest.raises(LedgerError, match=nothing):
                    call()
        assert ledger.get_trajectory_count() == 0
        with ledger.transaction():
            with pytest.raises(NoTrajectoryError):
                ledger.lock_trajectory(99)  # an answer, no failure
            ledger.add_trajectory("a", "{}")
        assert ledger.get_trajectory_count() == 1


def test_errors_of_others_are_left_alone(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        error = SQLAlchemyError("of another database")
        with pytest.raises(SQLAlchemyError, match="of another database") as caught, ledger.transaction():
            raise error
        assert caught.value is error


def test_errors_go_from_process_to_process() -> None:
    for error in (
        NoAccessError("x cannot be written", "make room"),
        LostConnectionError("lost", "see to it"),
        DamagedLedgerError("x is damaged"),
        NoTrajectoryError(7),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_dump_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        with pytest.raises(LedgerError, match="no/such.json cannot be written: No such file"):
            ledger.dump_file_json(str(tmp_path / "no" / "such.json"))
        ledger.dump_file_json(str(tmp_path / "dump.json"))
    assert json.loads((tmp_path / "dump.json").read_text(encoding="utf-8"))["trajectories"] == []


# --- a log that was left behind -------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture, path: Path, **how: Any) -> list[str]:
    """Open a ledger, and return what is said of it."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pytams"), SQLFile(str(path), **how):
        pass
    return [record.getMessage() for record in caplog.records]


def test_a_copy_without_its_log(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, copy = tmp_path / "whole.db", tmp_path / "copy.db"
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("in the log", "{}")
        for file in (whole, copy):
            shutil.copy(path, file)
        shutil.copy(f"{path}-wal", f"{whole}-wal")
        assert warnings(caplog, path) == warnings(caplog, path, ro_mode=True) == []
    assert warnings(caplog, whole) == []  # as a killed process leaves it
    with SQLFile(str(whole)) as ledger:
        assert ledger.fetch_trajectory(0) == "in the log"
    for how in ({"ro_mode": True}, {}):
        shutil.copy(copy, again := tmp_path / f"{len(how)}.db")
        (said,) = warnings(caplog, again, **how)
        no_log = "its log (`-wal`) is not beside it; if the file was copied without it, the last rows are missing"
        assert said == f"{again}: {no_log}"
    assert warnings(caplog, path) == []


def test_one_that_is_damaged_says_so(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectories([("a" * 1000, "{}")] * 100)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    damage(path, 0.5)
    with (
        SQLFile(str(path)) as ledger,
        pytest.raises(DamagedLedgerError, match="malformed; its log .* is not beside it"),
    ):
        [ledger.fetch_trajectory(i) for i in range(100)]


def test_looking_at_a_file_drops_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a file drops the locks that a process has on it, whoever in the process took them."""
    monkeypatch.setattr(sqlite, "file_system", lambda _: "nfs4")  # no log

    write = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with SQLFile(str(path)) as ledger, ledger.transaction():
        ledger.add_trajectory("a", "{}")
        SQLFile(str(path), ro_mode=True).close()
        with SQLFile(str(path), ro_mode=True) as reader:
            assert reader.get_trajectory_count() == 0
        done = subprocess.run([sys.executable, "-c", write, path], capture_output=True, text=True, check=False)
        assert "database is locked" in done.stderr


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            'relation "x" does not exist\nLINE 1: SELECT * FROM x\n                     ^',
            'relation "x" does not exist',
        ),
        ("disk\n  is   full", "disk is full"),
        ("", ""),
    ],
)
def test_what_a_database_said_is_told_without_the_statement(said: str, words: str) -> None:
    assert cause_of(OperationalError("SELECT * FROM x", {}, Exception(said))) == words


def test_what_was_said_without_a_database() -> None:
    assert cause_of(SQLAlchemyError("no such dialect")) == "no such dialect"
    assert cause_of(SQLAlchemyError()) == "SQLAlchemyError"


def test_a_schema_that_is_there_and_empty_is_used(postgres: str) -> None:
    schema = f"run-{uuid.uuid4().hex}"
    engine = create_engine(postgres)
    with engine.begin() as connection:
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    engine.dispose()
    with closing(RunLedger(f"{postgres}&schema={schema}")) as ledger:
        assert ledger.get_trajectory_count() == 0
