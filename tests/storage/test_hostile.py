"""A directory from a stranger: nothing in it makes who opens it run, read, write, connect or wait.

Each attack is made for real: HDF5 files as HDF5 writes them, symbolic links, pipes, a server that listens.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile import edit_ledger, edit_segment, edit_study, some_segment, watching

import pytams
from exact import Walk
from pytams.cli.watch import WatchedStudy
from pytams.core.settings import RunArguments, Settings
from pytams.sqldb.errors import LedgerError
from pytams.storage.opening import make_or_open

SETTINGS: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 6, "n_trajectories": 10}
TAMS = pytams.TAMS(Walk(), **SETTINGS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "walk.tams"
    TAMS.run(2, seed=1, out=path)
    return path


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "walk.tams")
    return tmp_path / "walk.tams"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is not in the directory; its bytes would do as scores."""
    path = tmp_path / "secret"
    path.write_bytes(np.arange(1000.0).tobytes())
    return path


def refused(directory: Path, error: type[Exception], match: str) -> None:
    """Reading, and going on, stop with this error."""
    with pytest.raises(error, match=match):
        pytams.load(directory)
    with pytest.raises(error, match=match):
        TAMS.run(3, out=directory)


# --- segment files ----------------------------------------------------------------------------------------------


def external(file: h5py.File, secret: Path) -> None:
    n = len(file["score"])
    del file["score"]
    file.create_dataset("score", shape=(n,), dtype="f8", external=[(str(secret), 0, 8 * n)])


def virtual(file: h5py.File, secret: Path) -> None:
    n = len(file["score"])
    with h5py.File(f"{secret}.h5", "w") as other:
        other["score"] = np.arange(float(n))
    shutil.move(f"{secret}.h5", secret)
    layout = h5py.VirtualLayout((n,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "score", (n,))
    del file["score"]
    file.create_virtual_dataset("score", layout)


def link(file: h5py.File, secret: Path) -> None:
    virtual(file, secret)
    del file["score"]
    file["score"] = h5py.ExternalLink(str(secret), "score")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (external, "score has external storage"),
        (virtual, "score is a virtual dataset"),
        (link, "score is an external link"),
    ],
)
def test_data_in_other_files(
    directory: Path, secret: Path, attack: Callable[[h5py.File, Path], None], message: str
) -> None:
    path = edit_segment(directory, lambda file: attack(file, secret))
    with watching(secret) as was_opened:
        refused(directory, pytams.StoreError, f"{path.name}: {message}")
        assert not was_opened()
        with h5py.File(path) as file:
            assert len(file["score"][:])  # HDF5 itself does open it
        assert was_opened()


def put(name: str, **options: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def along(name: str, *dimensions: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        array = file.create_dataset(name, data=np.zeros([len(file[dimension]) for dimension in dimensions]))
        for i, dimension in enumerate(dimensions):
            array.dims[i].attach_scale(file[dimension])

    return change


def soft_link(file: h5py.File) -> None:
    file.move("score", "elsewhere")
    file["score"] = h5py.SoftLink("/elsewhere")


def shared(file: h5py.File) -> None:
    for i in range(30):
        file[f"state.{i}"] = file["score"]


def longer(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][0] += 1

    return change


def overflowing(file: h5py.File) -> None:
    sizes = file["row_size"][:]
    sizes[:4] = 2**62
    sizes[4] += 4
    file["row_size"][:] = sizes


def of_objects(file: h5py.File) -> None:
    file["state"].attrs["numpy_dtype"] = "O"


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (soft_link, "score is a soft link"),
        (lambda file: file.create_group("more"), "more is no array"),
        (put("score", data=np.zeros(100), compression="gzip"), "score has filters"),
        (put("score", shape=(10**12,), dtype="f8", chunks=(1000,)), "score is divided into chunks"),
        (put("score", shape=(10**12,), dtype="f8"), "score has 8000000000000 bytes, of which 0 are there"),
        (put("score", data=["a", "b"]), "score is no array of numbers"),
        (put("score", data=h5py.Empty("f8")), "score is no array of numbers"),
        (put("score", shape=(3,), dtype=h5py.ref_dtype), "score is no array of numbers"),
        (along("score", "obs", "piece"), "has more than one dimension"),
        (along("run", "obs"), "not as many of everything"),
        (put("run", data=np.zeros(1)), "is no segment file: ValueError"),
        (lambda file: file.pop("score"), "is no segment file: KeyError"),
        (shared, "arrays that share their bytes"),
        (longer("row_size"), "not as long as its pieces"),
        (longer("n_states"), "not as long as its pieces"),
        (overflowing, "not as long as its pieces"),
        (of_objects, "no array of object"),
    ],
)
def test_what_no_segment_file_has(directory: Path, attack: Callable[[h5py.File], object], message: str) -> None:
    path = edit_segment(directory, attack)
    refused(directory, pytams.StoreError, f"{path.name}.*({message})")


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_scores_that_are_no_numbers(directory: Path, score: float) -> None:
    """Whoever makes them up has to make up the ledger, too."""

    def change(file: h5py.File) -> None:
        file["score"][:] = score

    edit_segment(directory, change)
    refused(
        directory, pytams.RunDirectoryError, r"run0000\d\.db: \w+ of run \d, slot \d, branch \d+ is .*, but its files"
    )


@pytest.mark.parametrize("beyond", [0, 1, 12345])
def test_a_piece_that_is_not_there(directory: Path, beyond: int) -> None:
    name = f"segments/{some_segment(directory).name}"
    with h5py.File(directory / name, "r") as file:
        row = len(file["row_size"]) + beyond
    change = f"SET t_metadata = replace(t_metadata, '[\"{name}\", 0]', '[\"{name}\", {row}]')"
    edit_ledger(directory, f"UPDATE trajectories {change}", f"UPDATE archived_trajectories {change}")
    refused(directory, pytams.StoreError, f"{Path(name).name} has no piece {row}")


def test_a_pipe_as_a_segment_file(directory: Path) -> None:
    path = some_segment(directory)
    path.unlink()
    os.mkfifo(path)
    refused(directory, pytams.StoreError, f"{path.name} is no ordinary file")


def test_a_segment_file_that_is_a_link(directory: Path, tmp_path: Path) -> None:
    path = some_segment(directory)
    outside = path.rename(tmp_path / "outside.nc")
    path.symlink_to(outside)
    refused(directory, pytams.StoreError, f"{path.name} leads out of its run directory")
    path.unlink()
    (directory / "here.nc").write_bytes(outside.read_bytes())
    path.symlink_to(directory / "here.nc")  # to the inside: nobody else's
    with pytams.load(directory) as saved:
        assert len(saved.result.runs) == 2
    path.unlink()
    path.hardlink_to(outside)  # a file like any other
    with pytams.load(directory) as saved:
        assert len(saved.result.runs) == 2


# --- ledgers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../walk.nc", "/etc/passwd", "sqlite:////etc/passwd", "segments/../../x.nc", "segments/a\0.nc", "study.json"],
)
def test_files_that_a_ledger_may_not_point_at(directory: Path, name: str) -> None:
    old = f"segments/{some_segment(directory).name}"
    for table, column in [
        ("segment_files", "name"),
        ("trajectories", "t_metadata"),
        ("archived_trajectories", "t_metadata"),
    ]:
        new = name if column == "name" else json.dumps(name)[1:-1]
        edit_ledger(
            directory,
            f"UPDATE {table} SET {column} = replace({column}, '{old}', CAST(x'{new.encode().hex()}' AS TEXT))",
        )
    refused(directory, pytams.StoreError, "may not point outside its run directory")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_ledger_that_is_a_link_or_a_pipe(directory: Path, tmp_path: Path, suffix: str) -> None:
    path = directory / "ledgers" / f"run00001.db{suffix}"
    outside = tmp_path / "outside"
    outside.write_bytes(path.read_bytes() if path.exists() else b"precious")
    before = outside.read_bytes()
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    refused(directory, pytams.RunDirectoryError, f"{path.name} leads out of its run directory")
    path.unlink()
    path.symlink_to(path.name)
    refused(directory, pytams.RunDirectoryError, f"{path.name} cannot be opened")
    path.unlink()
    os.mkfifo(path)
    refused(directory, pytams.RunDirectoryError, f"{path.name} is no ordinary file")
    assert outside.read_bytes() == before


@pytest.mark.parametrize("name", ["ledgers", "segments"])
def test_folders_that_are_links(directory: Path, tmp_path: Path, name: str) -> None:
    """Going on would write there, and remove what it does not know."""
    outside = (directory / name).rename(tmp_path / "outside")
    (outside / "thesis.nc").write_text("precious")
    (directory / name).symlink_to(outside)
    before = sorted(outside.iterdir())
    refused(directory, pytams.RunDirectoryError, f"{name} leads out of its run directory")
    assert sorted(outside.iterdir()) == before


def test_an_empty_directory_whose_folders_are_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "new.tams").mkdir()
    for name in ("ledgers", "segments"):
        (tmp_path / "new.tams" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(pytams.RunDirectoryError, match="ledgers leads out of its run directory"):
        TAMS.run(1, seed=1, out=tmp_path / "new.tams")
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ["DROP TABLE discarded_trajectories", "CREATE VIEW discarded_trajectories AS SELECT 1 AS id"],
            "has the view discarded_trajectories",
        ),
        (["CREATE TRIGGER t AFTER UPDATE ON run_lock BEGIN DELETE FROM trajectories; END"], "has the trigger t"),
        (["CREATE VIRTUAL TABLE v USING fts5(text)"], "has the virtual table v"),
        (["ALTER TABLE trajectories ADD COLUMN x AS (zeroblob(9))"], "has the generated column x of trajectories"),
    ],
)
def test_ledgers_that_compute(directory: Path, statements: list[str], message: str) -> None:
    edit_ledger(directory, *statements, run=1)
    refused(directory, LedgerError, f"run00001.db {message}")


def test_a_journal_that_makes_sqlite_delete_a_file(directory: Path, secret: Path) -> None:
    """A hot journal may name another one, which SQLite deletes when it has rolled back: whatever it is."""
    ledger = directory / "ledgers" / "run00001.db"
    journal = Path(f"{ledger}-journal")
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE trajectories SET t_metadata = t_metadata || zeroblob(9999)")
    content = bytearray(journal.read_bytes())
    connection.execute("ROLLBACK")
    connection.close()
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(secret)
    content[:12] = magic + struct.pack(">I", 1)
    content += struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    journal.write_bytes(content)
    copy = shutil.copy(ledger, directory / "copy.db")
    shutil.copy(journal, f"{copy}-journal")
    with pytest.raises(LedgerError, match="run00001.db-journal names another file"):
        TAMS.run(3, out=directory)
    with pytest.raises(LedgerError, match="readonly"):
        pytams.load(directory)
    assert secret.exists()
    with sqlite3.connect(copy) as connection:
        connection.execute("SELECT count(*) FROM trajectories").fetchall()
    connection.close()
    assert not secret.exists()  # SQLite itself does delete it


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("UPDATE ledger_info SET value = '[1]' WHERE key = 'study'", pytams.RunDirectoryError, "says of its study"),
        ("UPDATE ledger_info SET value = '{' WHERE key = 'study'", pytams.RunDirectoryError, "says of its study"),
        ("INSERT INTO run_lock VALUES (1, 'nobody', 0)", LedgerError, "'nobody' is no owner of a lock"),
        ("INSERT INTO run_lock VALUES (1, x'ff', 0)", LedgerError, "is no owner of a lock"),
        ("UPDATE ledger_info SET value = 'inf' WHERE key = 'wall_time'", pytams.RunDirectoryError, "its wall time"),
        ("UPDATE ledger_info SET value = '' WHERE key = 'wall_time'", pytams.RunDirectoryError, "its wall time"),
        (
            """UPDATE trajectories SET t_metadata = replace(t_metadata, '"run": 0', '"run": Infinity')""",
            pytams.RunDirectoryError,
            "the metadata of a trajectory",
        ),
        ("UPDATE trajectories SET t_metadata = x'ff00'", pytams.RunDirectoryError, "the metadata of a trajectory"),
        (
            f"UPDATE trajectories SET t_metadata = '{'[' * 10**5}'",
            pytams.RunDirectoryError,
            "the metadata of a trajectory",
        ),
    ],
)
def test_what_a_ledger_says_of_itself(directory: Path, statement: str, error: type[Exception], message: str) -> None:
    edit_ledger(directory, statement)
    with pytest.raises(error, match=message):
        pytams.load(directory)


def test_a_process_that_cannot_be(directory: Path) -> None:
    edit_ledger(
        directory, f"INSERT INTO run_lock SELECT 1, '{socket.gethostname()}:' || {namespace()} || ':{10**30}:x', 0"
    )
    with pytams.load(directory) as saved:
        assert len(saved.result.runs) == 2


def namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


# --- study.json -------------------------------------------------------------------------------------------------


def test_a_study_file_that_is_a_link_a_pipe_or_huge(directory: Path, tmp_path: Path) -> None:
    study = directory / "study.json"
    outside = study.rename(tmp_path / "outside.json")
    study.symlink_to(outside)
    refused(directory, pytams.RunDirectoryError, "study.json leads out of its run directory")
    study.unlink()
    os.mkfifo(study)
    refused(directory, pytams.RunDirectoryError, "study.json is no ordinary file")
    study.unlink()
    study.symlink_to("/dev/zero")
    refused(directory, pytams.RunDirectoryError, "study.json leads out of its run directory")
    study.unlink()
    study.touch()
    os.truncate(study, 2**40)
    refused(directory, pytams.RunDirectoryError, "study.json has 1,099,511,627,776 bytes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10**6 + "]" * 10**6, "nested too deeply"),
        ('{"a": ' * 50 + "1" + "}" * 50, "nested too deeply"),
        ('{"seed": NaN}', "NaN is no JSON"),
        ('{"seed": -Infinity}', "-Infinity is no JSON"),
        ('{"seed": 1, "seed": 2}', "it says 'seed' twice"),
        ('{"seed": ' + "1" * 5000 + "}", "Exceeds the limit"),
        ("[]", "is of format None"),
        ('{"format": [2]}', "is of format"),
        ("\xff", "cannot be read"),
    ],
)
def test_json_that_is_none(directory: Path, text: str, message: str) -> None:
    (directory / "study.json").write_bytes(text.encode("latin-1"))
    refused(directory, pytams.RunDirectoryError, f"study.json .*{message}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["n_runs"], 2**40, "n_runs: 1099511627776 is too large"),
        (["identity"], 'x"; DROP SCHEMA public; --', "identity: .* is not of hexadecimal digits"),
        (["database_url"], 3, "database_url: input should be a valid string"),
        (["settings"], {"step_size": 1e-308, "end_time": 1e308}, "settings"),
        (["model", "arguments"], [], "model.arguments: .* is not a table"),
        (["runner"], "x", "runner: 'x' is not a table"),
    ],
)
def test_values_that_cannot_be(directory: Path, path: list[str], value: Any, message: str) -> None:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        if isinstance(value, dict):
            content[path[-1]] |= value
        else:
            content[path[-1]] = value

    edit_study(directory, change)
    refused(directory, pytams.RunDirectoryError, f"study.json is not what was written: {message}")


def set_facts(directory: Path, **facts: Any) -> None:
    """Change settings in ``study.json``, and in each ledger's copy of them."""
    edit_study(directory, lambda content: content["settings"].update(facts))
    for run in range(2):
        changes = "".join(f", '$.{name}', {value}" for name, value in facts.items())
        edit_ledger(
            directory, f"UPDATE ledger_info SET value = json_set(value{changes}) WHERE key = 'study'", run=run
        )


def test_more_trajectories_than_the_files_hold(directory: Path) -> None:
    set_facts(directory, n_trajectories=10**9)
    began = time.monotonic()
    with pytest.raises(pytams.RunDirectoryError, match=r"n_trajectories is 1000000000, but .*run00000.db has 10"):
        pytams.load(directory)
    with pytest.raises(pytams.RunDirectoryError, match="has 10 of them"):
        WatchedStudy(directory)
    assert time.monotonic() - began < 1.0


def test_more_trajectories_and_nothing_recorded(tmp_path: Path) -> None:
    settings = Settings(end_time=20.0, step_size=1.0, target_score=6.0, n_trajectories=10**9)
    storage = pytams.Storage(path=tmp_path / "walk.tams")
    directory = make_or_open(Walk(), settings, RunArguments(n_runs=1, seed=1), storage)
    directory.ledger(0).close()
    with pytams.load(tmp_path / "walk.tams") as saved:
        assert "0 of 1 runs finished" in str(saved)
        assert saved.to_dict()["runs"][0]["n_branchings"] == 0
        with pytest.raises(KeyError):
            saved.trajectories(0)
    assert WatchedStudy(tmp_path / "walk.tams").n_finished == 0


def test_more_runs_than_the_files_hold(directory: Path) -> None:
    edit_study(directory, lambda content: content.update(n_runs=10**9))
    began = time.monotonic()
    with pytams.load(directory) as saved:
        assert (len(saved.result.runs), saved.result.n_unfinished) == (2, 10**9 - 2)
        assert str(saved)
        json.dumps(saved.to_dict())
    study = WatchedStudy(directory)
    assert (study.n_finished, study.n_to_come, len(study.runs)) == (2, 10**9 - 2, 10**9)
    assert study.lowest_level == -np.inf
    assert 0.0 <= study.progress < 1e-6
    assert study.log_estimate[0] < 0.0
    assert time.monotonic() - began < 2.0


def test_more_trajectories_than_the_files_hold_and_no_rows(directory: Path) -> None:
    """As if nothing had been begun; but there is an archive, and there are segment files."""
    set_facts(directory, n_trajectories=10**9)
    for run in range(2):
        edit_ledger(directory, "DELETE FROM trajectories", run=run)
    began = time.monotonic()
    refused_at_once = pytest.raises(pytams.RunDirectoryError, match=r"run00000.db has no trajectories, but segment")
    with refused_at_once:
        pytams.load(directory)
    with refused_at_once:
        pytams.TAMS(Walk(), **{**SETTINGS, "n_trajectories": 10**9}).run(2, out=directory)
    assert time.monotonic() - began < 1.0


def test_more_runs_than_a_directory_can_hold(directory: Path) -> None:
    edit_study(directory, lambda content: content.update(n_runs=10**9))
    n_ledgers = len(list(directory.glob("ledgers/*")))
    began = time.monotonic()
    with pytest.raises(pytams.SettingsError, match="n_runs: 1000000000 is more than the 1,000,000 runs of a run dir"):
        TAMS.run(10**9, out=directory)
    assert time.monotonic() - began < 1.0
    assert len(list(directory.glob("ledgers/*"))) == n_ledgers


def test_more_runs_than_files_may_be_open(directory: Path, tmp_path: Path) -> None:
    """A driver would open one after the other until it may open no more."""
    n_runs = resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1
    edit_study(directory, lambda content: content.update(n_runs=n_runs))
    n_ledgers = len(list(directory.glob("ledgers/*")))
    with pytest.raises(pytams.RunDirectoryError, match=rf"to drive {n_runs} runs at a time .* files.*runs_at_once"):
        TAMS.run(n_runs, out=directory)
    assert len(list(directory.glob("ledgers/*"))) == n_ledgers
    out = pytams.Storage(path=directory, runs_at_once=1)
    with TAMS.study(n_runs, out=out) as study:
        assert study.runs == [2]


# --- databases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["sqlite:////{outside}", "sqlite:///{outside}", "mysql://x@127.0.0.1/y", "{outside}", "://"]
)
def test_databases_that_are_no_postgresql(directory: Path, tmp_path: Path, url: str) -> None:
    outside = tmp_path / "outside.db"
    said = url.format(outside=outside)
    edit_study(directory, lambda content: content.update(database_url=said))
    refused(directory, pytams.RunDirectoryError, "database_url")
    assert not outside.exists()
    with pytest.raises(pytams.SettingsError, match="database_url: .* is no"):
        TAMS.run(1, seed=1, out=pytams.Storage(path=tmp_path / "new", database_url=said))
    assert not (tmp_path / "new").exists()
