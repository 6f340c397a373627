"""Ledgers in trouble: deleted, replaced, foreign, of the future, read-only, on a full disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb import SQLFile
from pytams.sqldb import sqlite as sqlite_module
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.opening import open_database
from pytams.sqldb.runledger import RunLedger
from pytams.sqldb.sqlite import File

fork = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def in_child(function: Any) -> None:
    """Call a function in a forked process, and fail with it."""
    process = fork.Process(target=function)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_deleted_while_open(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("a", "{}")
        path.unlink()
        with pytest.raises(SQLAlchemyError, match="gone"):
            ledger.add_trajectory("b", "{}")
        assert not path.exists()


def test_replaced_while_open(path: Path, tmp_path: Path) -> None:
    with SQLFile(str(tmp_path / "other.db")) as other:
        other.add_trajectory("theirs", "{}")
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("ours", "{}")
        os.replace(tmp_path / "other.db", path)
        for write in (lambda: ledger.add_trajectory("b", "{}"), lambda: ledger.lock_trajectory(0)):
            with pytest.raises(SQLAlchemyError, match="was replaced by another file while it was open"):
                write()
    with SQLFile(str(path)) as ledger:
        assert ledger.get_trajectory_count() == 1
        assert ledger.fetch_trajectory(0) == "theirs"


def test_deleted_in_the_middle_of_a_transaction(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        transaction = ledger.transaction()
        transaction.__enter__()
        ledger.add_trajectory("a", "{}")
        path.unlink()
        with pytest.raises(SQLAlchemyError, match="gone"):
            transaction.__exit__(None, None, None)


@pytest.mark.parametrize(("asked", "wanted"), [("", 1), ("?synchronous=full", 2), ("?synchronous=EXTRA", 3)])
def test_how_often_the_disk_is_waited_for(asked: str, wanted: int, tmp_path: Path) -> None:
    """NORMAL unless another is asked for; numbers are SQLite's."""
    database = open_database(f"sqlite:///{tmp_path}/ledger.db{asked}", in_memory=False, read_only=False)
    assert isinstance(database, File)
    connection = database._connect()  # noqa: SLF001 - what it connects with is meant
    assert connection.execute("PRAGMA synchronous").fetchone() == (wanted,)
    connection.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at " * 50, None])
def test_foreign_files_are_refused_and_left_alone(path: Path, content: bytes | None) -> None:
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE trajectories (id INTEGER)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    for ro_mode in (False, True):
        with pytest.raises(LedgerError, match="is not a pytams ledger"):
            SQLFile(str(path), ro_mode=ro_mode)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_newer_version_is_refused(path: Path) -> None:
    SQLFile(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE ledger_info SET value = '2' WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(LedgerError, match="has schema version 2; this pytams reads version 1"):
        SQLFile(str(path))


def test_missing_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SQLAlchemyError, match="no/such/ledger.db"):
        SQLFile(str(tmp_path / "no/such/ledger.db"))
    with pytest.raises(SQLAlchemyError, match="there is no such ledger"):
        SQLFile(str(tmp_path / "none.db"), ro_mode=True)
    assert list(tmp_path.iterdir()) == []


def test_unknown_databases_are_refused() -> None:
    with pytest.raises(SQLAlchemyError, match=r"mysql://me:\*\*\*@host/db: a ledger is an SQLite file or"):
        SQLFile("mysql://me:secret@host/db")
    with pytest.raises(SQLAlchemyError, match="synchronous=OFF: one of NORMAL, FULL or EXTRA"):
        SQLFile("sqlite:///x.db?synchronous=off")
    with pytest.raises(ValueError, match="in_memory and ro_mode"):
        SQLFile("", in_memory=True, ro_mode=True)


def test_the_password_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(SQLAlchemyError) as error:
        SQLFile("postgresql+psycopg://me:hunter2@127.0.0.1:1/db?schema=x")
    assert "me:***@127.0.0.1:1" in str(error.value)
    assert "hunter2" not in str(error.value) + caplog.text


def test_read_only_refuses_writes_and_creates_nothing(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("a", "{}")
    before = path.read_bytes()
    with SQLFile(str(path), ro_mode=True) as ledger:
        assert ledger.fetch_trajectory(0) == "a"
        for write in (
            lambda: ledger.add_trajectory("b", "{}"),
            lambda: ledger.lock_trajectory(0),
            ledger.clear_splitting_data,
            ledger.release_all_trajectories,
        ):
            with pytest.raises(SQLAlchemyError, match="read-only"):
                write()
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_read_only_on_postgresql(postgres: str) -> None:
    location = f"{postgres}&schema=ro-{uuid.uuid4().hex}"
    with pytest.raises(SQLAlchemyError, match="is not a pytams ledger"):
        SQLFile(location, ro_mode=True)
    with SQLFile(location) as ledger:
        ledger.add_trajectory("a", "{}")
    with SQLFile(location, ro_mode=True) as ledger:
        assert ledger.fetch_trajectory(0) == "a"
        with pytest.raises(SQLAlchemyError, match="read-only"):
            ledger.add_trajectory("b", "{}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can look into."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "left in WAL mode"])
def test_a_folder_nobody_can_write_to(open_folder: Path, closed: bool) -> None:
    path = open_folder / "ledger.db"
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("a", "{}")
    if not closed:  # as a program that does not call close() leaves it
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    path.chmod(0o444)
    open_folder.chmod(0o555)

    def read() -> None:
        if os.getuid() == 0:
            os.setuid(65534)  # root can write anywhere
        with SQLFile(str(path), ro_mode=True) as ledger:
            assert ledger.fetch_trajectory(0) == "a"
        with pytest.raises(SQLAlchemyError):
            SQLFile(str(path)).add_trajectory("b", "{}")

    in_child(read)
    assert [p.name for p in open_folder.iterdir()] == ["ledger.db"]


def test_disk_full(path: Path) -> None:
    SQLFile(str(path)).close()

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        with SQLFile(str(path)) as ledger:
            with pytest.raises(SQLAlchemyError, match="full|I/O"):
                for i in range(10_000):
                    ledger.add_trajectory(f"file {i}", "x" * 1000)
            assert ledger.get_trajectory_count() > 50

    in_child(fill)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with SQLFile(str(path)) as ledger:
        n = ledger.get_trajectory_count()
        assert n > 50
        assert ledger.fetch_trajectory(n - 1) == f"file {n - 1}"
        ledger.add_trajectory("there is room again", "{}")


def test_shared_file_systems_get_the_classic_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("a", "{}")
        assert Path(f"{path}-wal").exists()
    monkeypatch.setattr(sqlite_module, "file_system", lambda _: "nfs4")
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("b", "{}")
        assert not Path(f"{path}-wal").exists()
    assert sqlite_module.file_system(Path("/proc/self/x")) != "proc"  # patched
    monkeypatch.undo()
    assert sqlite_module.file_system(Path("/proc/self/x")) == "proc"


def test_a_ledger_goes_to_another_process(path: Path) -> None:
    with SQLFile(str(path)) as ledger, pickle.loads(pickle.dumps(ledger)) as again:
        again.add_trajectory("a", "{}")
        assert ledger.get_trajectory_count() == 1
        assert again.owner != ledger.owner
    with SQLFile("", in_memory=True) as ledger, pytest.raises(TypeError, match="cannot be shared"):
        pickle.dumps(ledger)


def test_a_forked_child_uses_connections_of_its_own(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        ledger.add_trajectory("parent's", "{}")

        def child() -> None:
            ledger.add_trajectory("child's", "{}")

        in_child(child)
        ledger.add_trajectory("parent's", "{}")
        assert [ledger.fetch_trajectory(i) for i in range(3)] == ["parent's", "child's", "parent's"]


# --- what is kept for later -------------------------------------------------------------------------------------


def test_a_ledger_whose_log_is_refused_is_as_careful(path: Path) -> None:
    """While somebody else writes it with a rollback journal, it cannot be switched."""
    SQLFile(str(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger = SQLFile(str(path))
        other.execute("COMMIT")
    database = ledger._database  # noqa: SLF001 - what it goes on with is meant
    assert isinstance(database, File)
    with database.view() as connection:
        raw = connection.raw  # type: ignore[attr-defined] # SQLite's
        assert raw.execute("PRAGMA synchronous").fetchone() == (1,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    ledger.add_trajectory("file", "{}")
    ledger.close()


def test_what_was_in_use_when_a_ledger_was_closed_is_closed_too(path: Path) -> None:
    with SQLFile(str(path)) as ledger:
        with ledger.transaction():
            ledger.add_trajectory("file", "{}")
            ledger.close()
        assert sorted(path.parent.iterdir()) == [path]
        assert ledger.get_trajectory_count() == 1


def test_an_error_while_rows_are_read_leaves_nothing_open(path: Path) -> None:
    with RunLedger(str(path)) as ledger, RunLedger(str(path)) as other:
        ledger.add_trajectories([("file", "{}")] * 1000)
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE trajectories SET traj_file = CAST(x'ff' AS TEXT) WHERE id = 2")
        with pytest.raises(LedgerError) as kept:
            ledger.trajectories()
        other.add_trajectory("file", "{}")
        ledger.add_trajectory("file", "{}")
        assert ledger.get_trajectory_count() == other.get_trajectory_count() == 1002
        assert kept.value
