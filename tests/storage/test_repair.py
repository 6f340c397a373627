"""What cannot be read or written at the moment is not damaged: `pytams repair` and full disks leave all as it is."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import pytams
from exact import Walk
from pytams.cli.watch import WatchedStudy
from pytams.core.selection import Variant
from pytams.sqldb import SQLFile, sqlite
from pytams.sqldb.errors import DamagedLedgerError, NoAccessError
from pytams.storage.directory import RunDirectory
from pytams.storage.repair import repair

TAMS = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=10)
N_RUNS = 2


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "walk.tams"
    TAMS.run(N_RUNS, seed=1, out=path)
    return path


@pytest.fixture(scope="module")
def expected() -> pytams.Result:
    return TAMS.run(8, seed=1)


@pytest.fixture
def directory(original: Path) -> Iterator[Path]:
    """A study in a folder that any user may write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    path = Path(shutil.copytree(original, folder / "walk.tams"))
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o777 if each.is_dir() else 0o666)
    yield path
    shutil.rmtree(folder)


def in_child(function: Callable[[], None], *, n_bytes: int | None = None) -> None:
    """Call it in a process whose files may not grow beyond so many bytes; without that, of a user who is not root."""

    def limited() -> None:
        if n_bytes is None and os.getuid() == 0:
            os.setuid(65534)
        if n_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        function()

    process = multiprocessing.get_context("fork").Process(target=limited)
    process.start()
    process.join()
    assert process.exitcode == 0


def contents(directory: Path) -> dict[str, object]:
    """What is in a directory: bytes of files, and rows of ledgers, whose bytes change when they are claimed."""
    found: dict[str, object] = {}
    for path in directory.rglob("*"):
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                found[path.name] = list(connection.iterdump())
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


def refuses(directory: Path, message: str) -> None:
    """Repair says what is wrong, and that it has changed nothing."""
    with pytest.raises(pytams.RunDirectoryError, match=f"{message}.*Nothing was changed"):
        repair(RunDirectory(directory), Variant())


# --- repair -----------------------------------------------------------------------------------------------------


def damage_the_first(directory: Path) -> None:
    """Give repair something to do that it must not begin with."""
    min(directory.glob("segments/*.nc")).write_bytes(b"")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("ledgers/run00001.db", "run00001.db cannot be opened: Permission denied"), ("segments/*.nc", "cannot be read")],
)
def test_what_may_not_be_read_is_not_damaged(directory: Path, pattern: str, message: str) -> None:
    path = max(directory.glob(pattern))
    before = contents(directory)
    path.chmod(0)
    in_child(lambda: refuses(directory, message))
    path.chmod(0o666)
    assert contents(directory) == before


def test_a_ledger_that_may_not_be_written_is_not_damaged(directory: Path) -> None:
    damage_the_first(directory)
    before = contents(directory)
    (directory / "ledgers" / "run00001.db").chmod(0o444)
    in_child(lambda: refuses(directory, r"run00001.db cannot be (used|opened)"))
    assert contents(directory) == before


def test_a_full_disk_is_no_damage(directory: Path) -> None:
    before = contents(directory)
    in_child(lambda: refuses(directory, r"run00000.db cannot be written: .*; make room"), n_bytes=100)
    assert contents(directory) == before


def test_a_locked_ledger_is_not_damaged(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    before = contents(directory)
    with SQLFile(str(directory / "ledgers" / "run00001.db")) as other, other.transaction():
        refuses(directory, r"run00001.db is locked by another writer")
    assert contents(directory) == before


def test_a_ledger_of_a_newer_version_is_not_damaged(directory: Path) -> None:
    damage_the_first(directory)
    with closing(sqlite3.connect(directory / "ledgers" / "run00001.db")) as connection, connection:
        connection.execute("UPDATE ledger_info SET value = '2' WHERE key = 'schema_version'")
    before = contents(directory)
    refuses(directory, r"run00001.db has schema version 2")
    assert contents(directory) == before


def test_a_damaged_ledger_on_a_server_has_to_be_restored(tmp_path: Path, postgres: str) -> None:
    """No file can be set aside there."""
    storage = pytams.Storage(path=tmp_path / "walk.tams", database_url=postgres)
    TAMS.run(1, seed=1, out=storage)
    directory = RunDirectory(tmp_path / "walk.tams", postgres)
    with directory.ledger(0) as ledger:
        ledger.put_info("wall_time", "long")
    with pytest.raises(DamagedLedgerError, match=r"wall time.*long.* Restore the database from a backup"):
        repair(directory, Variant())


# --- ledgers that are gone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_folder", [True, False])
def test_ledgers_that_are_gone_are_said_to_be(directory: Path, expected: pytams.Result, is_folder: bool) -> None:
    """A study without them is not one that nobody has begun."""
    shutil.rmtree(directory / "ledgers")
    if not is_folder:
        (directory / "ledgers").mkdir()
    message = r"ledgers is damaged: the ledgers of this study are missing, run00000.db and all others.*put them back"
    with pytest.raises(pytams.RunDirectoryError, match=message):
        pytams.load(directory)
    with pytest.raises(pytams.RunDirectoryError, match=message):
        WatchedStudy(directory)
    with pytest.raises(pytams.RunDirectoryError, match=message):
        TAMS.run(N_RUNS, out=directory)
    n_files = len(list(directory.glob("segments/*.nc")))
    [line] = repair(RunDirectory(directory), Variant())
    assert "segments: set aside as segments.damaged-" in line
    assert len(list(directory.glob("segments.damaged-*/*.nc"))) == n_files
    assert TAMS.run(N_RUNS, out=directory).runs == expected.runs[:N_RUNS]
    assert repair(RunDirectory(directory), Variant()) == []


# --- full disks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_bytes", [100, 20_000])
def test_a_full_disk_while_a_run_is_begun(directory: Path, expected: pytams.Result, n_bytes: int) -> None:
    """Of a study that is extended: its ledgers are made, claimed, and then it says so in `study.json`."""

    def extend() -> None:
        with pytest.raises(NoAccessError, match=r"run0000\d.db.* cannot be written: .*; make room, and try again"):
            TAMS.run(8, out=directory)

    in_child(extend, n_bytes=n_bytes)
    assert not list(directory.rglob("*.tmp"))
    assert TAMS.run(8, out=directory).runs == expected.runs


def test_a_full_disk_while_the_study_is_extended(directory: Path, expected: pytams.Result) -> None:
    study = directory / "study.json"
    before = study.read_bytes()

    def save() -> None:
        run_directory = RunDirectory(directory)
        run_directory.extend(n_runs=8, max_branchings=None)
        with run_directory.ledger(0):  # whose log is there
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
            with pytest.raises(pytams.RunDirectoryError, match=r"study.json cannot be written: .*; make room, and"):
                run_directory.save()

    in_child(save, n_bytes=10**6)
    assert study.read_bytes() == before
    assert TAMS.run(8, out=directory).runs == expected.runs


def test_a_full_disk_while_a_study_is_made(directory: Path, expected: pytams.Result) -> None:
    path = directory.parent / "new.tams"

    def make() -> None:
        with pytest.raises(pytams.RunDirectoryError, match=r"study.json cannot be written: .*; make room, and try"):
            TAMS.run(8, seed=1, out=path)

    in_child(make, n_bytes=10)
    assert not (path / "study.json").exists()
    assert TAMS.run(8, seed=1, out=path).runs == expected.runs


def test_a_full_disk_while_a_ledger_is_copied(directory: Path) -> None:
    """Each one after the first that a driver begins."""

    def copy() -> None:
        run_directory = RunDirectory(directory)
        run_directory.extend(n_runs=8, max_branchings=None)
        run_directory.ledger(2).close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with pytest.raises(NoAccessError, match=r"run00003.db cannot be written: .*; make room, and try again"):
            run_directory.ledger(3)

    in_child(copy, n_bytes=10**6)
    assert not (directory / "ledgers" / "run00003.db").exists()
    assert not list(directory.rglob("*.tmp*"))


# --- what is whole ----------------------------------------------------------------------------------------------


class LastRecord(Variant):
    """Branches from the latest record that is above the level."""

    name = "last-record"

    def record(self, scores: Sequence[float], level: float) -> int:
        return len(scores) - 1


def test_a_study_of_another_variant_is_left_as_it_is(tmp_path: Path) -> None:
    pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=10, variant=LastRecord()).run(
        2, seed=1, out=tmp_path / "run"
    )
    with pytest.raises(pytams.RunDirectoryError, match="was made with the splitting variant last-record"):
        repair(RunDirectory(tmp_path / "run"), Variant())
    assert repair(RunDirectory(tmp_path / "run"), LastRecord()) == []


def test_the_only_ledger_is_set_aside_once(tmp_path: Path) -> None:
    expected = TAMS.run(1, seed=1, out=tmp_path / "run")
    ledger = tmp_path / "run" / "ledgers" / "run00000.db"
    ledger.write_bytes(b"no database any more" * 1000)
    assert len(repair(RunDirectory(tmp_path / "run"), Variant())) == 2
    assert repair(RunDirectory(tmp_path / "run"), Variant()) == []
    assert TAMS.run(1, out=tmp_path / "run").runs == expected.runs


def test_what_is_computed_again_may_take_several_flushes(tmp_path: Path) -> None:
    """Completed iterations stay as they are until what they follow from is there again."""
    expected = TAMS.run(1, seed=1, out=tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / "ledgers" / "run00000.db")) as connection, connection:
        connection.execute("UPDATE archived_trajectories SET t_metadata = '{}' WHERE id < 5")
    assert repair(RunDirectory(tmp_path / "run"), Variant())
    engine = partial(pytams.engine.InProcess, block_length=1)
    with TAMS.study(1, out=pytams.Storage(path=tmp_path / "run", checkpoint_interval=1e-9), engine=engine) as study:
        for i, _ in enumerate(study):
            if i == 5:
                break
    assert study.n_finished == 0
    with closing(sqlite3.connect(tmp_path / "run" / "ledgers" / "run00000.db")) as connection:
        [[n]] = connection.execute("SELECT count(*) FROM splitting_iterations WHERE status = 'completed'").fetchall()
    assert n == len(expected.runs[0].iterations)
    assert TAMS.run(1, out=tmp_path / "run").runs == expected.runs
