"""Damage of every kind: the right number comes out, or an error that names the file; never anything else."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import pytest
from sqlalchemy import Integer

import pytams
from exact import DoubleWell2D
from pytams.core.selection import Variant
from pytams.sqldb.tables import Base
from pytams.storage.directory import RunDirectory
from pytams.storage.repair import repair

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.02,
    "target_score": 0.6,
    "n_trajectories": 8,
}
N_RUNS = 2


def tams() -> pytams.TAMS:
    return pytams.TAMS(DoubleWell2D(), **SETTINGS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a finished study."""
    path = tmp_path_factory.mktemp("whole") / "run"
    tams().run(N_RUNS, seed=3, out=path)
    return path


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a study that was left while trajectories were running."""
    path = tmp_path_factory.mktemp("left") / "run"
    with tams().study(N_RUNS, seed=3, out=path) as study:
        for i, _ in enumerate(study):
            if i == 25:
                break
    return path


@pytest.fixture(scope="module")
def expected() -> pytams.Result:
    return tams().run(N_RUNS, seed=3)


@pytest.fixture
def directory(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def ledger(directory: Path, statement: str, *values: Any, run: int = 0) -> None:
    connection = sqlite3.connect(directory / "ledgers" / f"run{run:05d}.db")
    with connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def change_metadata(directory: Path, change: Callable[[dict[str, Any]], None], table: str = "trajectories") -> None:
    connection = sqlite3.connect(directory / "ledgers" / "run00000.db")
    with connection:
        for number, text in connection.execute(f"SELECT id, t_metadata FROM {table}").fetchall():
            metadata = json.loads(text)
            change(metadata)
            connection.execute(f"UPDATE {table} SET t_metadata = ? WHERE id = ?", (json.dumps(metadata), number))
    connection.close()


def check_repaired(directory: Path, expected: pytams.Result) -> list[str]:
    lines = repair(RunDirectory(directory), Variant())
    assert tams().run(N_RUNS, out=directory).runs == expected.runs
    with pytams.load(directory) as saved:
        assert saved.result.runs == expected.runs
        assert saved.damaged == []
    assert repair(RunDirectory(directory), Variant()) == []
    return lines


def check_refused(directory: Path, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        pytams.load(directory)
    with pytest.raises(kind, match=message):
        tams().run(N_RUNS, out=directory)


# --- what decides is in hashed files ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["trajectories", "archived_trajectories"])
def test_ended_is_not_believed_from_metadata(directory: Path, expected: pytams.Result, table: str) -> None:
    change_metadata(directory, lambda metadata: metadata.update(ended=False), table)
    check_refused(
        directory, pytams.StoreError, r"run00000\.db says that .* has not ended, and its file says otherwise"
    )
    assert any("damaged trajectories are computed again" in line for line in check_repaired(directory, expected))


def test_a_running_trajectory_is_not_said_to_have_ended(left: Path, tmp_path: Path, expected: pytams.Result) -> None:
    directory = Path(shutil.copytree(left, tmp_path / "run"))
    change_metadata(directory, lambda metadata: metadata.update(ended=True))
    check_refused(directory, pytams.StoreError, r"says that .* has ended, and its file says otherwise")
    check_repaired(directory, expected)


def test_a_last_state_that_is_not_of_the_last_step(left: Path, tmp_path: Path, expected: pytams.Result) -> None:
    """A file by somebody else's hand, with its hash in the ledgers."""
    import hashlib  # noqa: PLC0415 - only here

    directory = Path(shutil.copytree(left, tmp_path / "run"))
    for path in directory.glob("segments/*.nc"):
        with h5netcdf.File(path, "a") as file:
            ended = np.repeat(file["ended"][:].astype(bool), file["n_states"][:])
            file["state_step"][:] = file["state_step"][:] - ~ended
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        for run in range(N_RUNS):
            connection = sqlite3.connect(directory / "ledgers" / f"run{run:05d}.db")
            with connection:
                connection.execute("UPDATE segment_files SET sha256 = ? WHERE name LIKE ?", (sha256, f"%{path.name}"))
            connection.close()
    with pytest.raises(pytams.StoreError, match=r"was going on at step \d+, but its file has no state there"):
        tams().run(N_RUNS, out=directory)
    check_repaired(directory, expected)


# --- damaged, and said to be ------------------------------------------------------------------------------------


def test_a_finished_run_with_rows_missing_is_damaged_not_unfinished(directory: Path, expected: pytams.Result) -> None:
    ledger(directory, "DELETE FROM archived_trajectories WHERE id IN (1, 2)", run=1)
    with pytams.load(directory) as saved:
        assert saved.damaged == [1]
        assert "damaged: it was finished, and some of it is missing; `pytams repair` computes it again" in str(saved)
        assert [run["damaged"] for run in saved.to_dict()["runs"]] == [False, True]
        assert saved.result.n_unfinished == 1
    assert tams().run(N_RUNS, out=directory).runs == expected.runs, "resuming computes it again"
    with pytams.load(directory) as saved:
        assert saved.damaged == []
        assert saved.result.runs == expected.runs


EDITS: dict[str, Any] = {
    "id": 7,
    "parent": [9, 0],
    "branch_step": 3,
    "branch_score": 0.125,
    "weight": 0.5,
    "log_weight": -0.25,
    "t_end": 1.5,
    "t_cur": 0.25,
    "dt": 0.5,
    "converged": None,
    "score_max": 9.5,
    "length": 2,
    "nstep_compute": 1,
    "branching_history": [0, 0, 0, 0],
}


@pytest.mark.parametrize("table", ["trajectories", "archived_trajectories"])
@pytest.mark.parametrize("name", EDITS)
def test_metadata_that_disagree_with_the_files_are_an_error(directory: Path, name: str, table: str) -> None:
    """All of them: people read them, and other tools do."""
    change_metadata(directory, lambda metadata: metadata.update({name: EDITS[name]}), table)
    with pytest.raises(pytams.RunDirectoryError, match=rf"run00000\.db: {name} of run 0, slot \d, branch \d+ is "):
        pytams.load(directory)
    with pytest.raises(pytams.PytamsError, match=r"run0000\d\.db|the ledger of run 0"):
        tams().run(N_RUNS + 1, out=directory)


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "locked"), ("status", "idle"), ("traj_file", "segments/other.nc"), ("traj_file", "")],
)
def test_columns_that_disagree_are_an_error(directory: Path, name: str, value: str) -> None:
    ledger(directory, f"UPDATE trajectories SET {name} = ?", value)
    with pytest.raises(pytams.RunDirectoryError, match=rf"run00000\.db: {name} of run 0, slot \d is '{value}'"):
        pytams.load(directory)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_segment_file_is_set_aside(directory: Path, expected: pytams.Result, damage: str) -> None:
    path = min(directory.glob("segments/*.nc"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-100] if damage == "truncated" else content)
    if damage == "gone":
        path.unlink()
    check_refused(directory, pytams.StoreError, rf"{path.name} .*`pytams repair` computes it again")
    lines = check_repaired(directory, expected)
    assert any(f"{path.name}: set aside as {path.name}.damaged-" in line for line in lines) == (damage != "gone")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trajectories SET t_metadata = '{' WHERE id = 3",
        "UPDATE archived_trajectories SET t_metadata = '{}' WHERE id = 3",
        "UPDATE trajectories SET t_metadata = replace(t_metadata, '\"pieces\": [[', '\"pieces\": [[7, 8], [')",
        "UPDATE trajectories SET t_metadata = '[]' WHERE id = 3",
        "UPDATE trajectories SET t_metadata = replace(t_metadata, '.nc\", ', '.nc\", 1') WHERE id = 3",
        "UPDATE trajectories SET t_metadata = replace(t_metadata, '\"run\": 0', '\"run\": 1') WHERE id = 3",
        "UPDATE trajectories SET t_metadata = json_set(t_metadata, '$.branching_history', 5)",
        "UPDATE segment_files SET name = 'segments/other.nc'",
        "UPDATE splitting_iterations SET weight = '0.5' WHERE id = 2",
        "UPDATE ledger_info SET value = 'long' WHERE key = 'wall_time'",
    ],
)
def test_damaged_rows_name_the_ledger(directory: Path, expected: pytams.Result, statement: str) -> None:
    ledger(directory, statement)
    with pytest.raises(pytams.PytamsError, match=r"run00000\.db|run 0|segments"):
        tams().run(N_RUNS, out=directory)
    check_repaired(directory, expected)


def test_a_ledger_that_is_no_database(directory: Path, expected: pytams.Result) -> None:
    path = directory / "ledgers" / "run00001.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\x7f" * 5000)
    check_refused(directory, pytams.LedgerError, r"run00001\.db")
    lines = check_repaired(directory, expected)
    assert any("run 1 is computed again" in line for line in lines)
    assert any("run00001.db: set aside as" in line for line in lines)


def test_ledgers_that_were_exchanged(directory: Path) -> None:
    one, other = (directory / "ledgers" / f"run{run:05d}.db" for run in (0, 1))
    one.rename(directory / "x")
    other.rename(one)
    (directory / "x").rename(other)
    check_refused(directory, pytams.RunDirectoryError, r"run00000\.db has trajectories of run 1: was it renamed\?")


def test_fewer_runs_in_study_json_than_were_computed(directory: Path) -> None:
    study = directory / "study.json"
    study.write_text(study.read_text().replace('"n_runs": 2', '"n_runs": 1'))
    with pytest.raises(pytams.RunDirectoryError, match=r"study\.json says that there are 1 runs, but .*run00001\.db"):
        pytams.load(directory)
    with pytest.raises(pytams.RunDirectoryError, match=r"study\.json says that there are 1 runs, but .*run00001\.db"):
        tams().run(1, out=directory)


def test_a_run_that_is_driven_is_not_repaired(tmp_path: Path) -> None:
    with tams().study(N_RUNS, seed=3, out=tmp_path / "run") as study:
        next(iter(study))
        with pytest.raises(pytams.RunDirectoryError, match="run 0 is driven by .*: stop it first"):
            repair(RunDirectory(tmp_path / "run"), Variant())


# --- columns that are empty -------------------------------------------------------------------------------------

NULLABLE = [
    (table.name, column.name)
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if not isinstance(column.type, Integer) or not column.primary_key  # which SQLite fills in
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), NULLABLE, ids=lambda name: name)
def test_a_column_that_is_empty(directory: Path, expected: pytams.Result, table: str, column: str) -> None:
    with closing(sqlite3.connect(directory / "ledgers" / "run00000.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')")
        connection.execute("PRAGMA writable_schema = RESET")
        if not connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join(map(repr, filling(columns)))})")
        assert connection.execute(f"UPDATE {table} SET {column} = NULL WHERE rowid = 1").rowcount == 1
    names = ["run00000.db"]
    is_read = right_or_named(names, expected, lambda: pytams.load(directory).result)
    is_resumed = right_or_named(names, expected, lambda: resumed(directory))
    if not (is_read and is_resumed):
        check_repaired(directory, expected)


def filling(columns: list[str]) -> list[object]:
    """Make a row of a table that has none."""
    values = {"id": 1, "heartbeat": 1.0, "owner": "elsewhere:1:1:x"}
    return [values.get(column, "{}") for column in columns]


# --- at random --------------------------------------------------------------------------------------------------


def flip(path: Path, choose: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(choose.choice([1, 1, 1, 8, 64])):
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, choose: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: choose.randrange(len(content))])


def delete(path: Path, choose: random.Random) -> None:
    path.unlink()


def exchange(path: Path, choose: random.Random) -> Path:
    others = [other for other in path.parent.glob(f"*{path.suffix}") if other.is_file()]
    other = choose.choice(others)
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return other


def zero_a_block(path: Path, choose: random.Random) -> None:
    """As a disk, or a file system after a power cut, may do."""
    content = bytearray(path.read_bytes())
    size = choose.choice([512, 4096])
    first = choose.randrange(0, len(content), size)
    content[first : first + size] = bytes(len(content[first : first + size]))
    path.write_bytes(content)


DAMAGES = [flip, flip, flip, truncate, delete, exchange, zero_a_block, zero_a_block]


def names_of(path: Path) -> list[str]:
    """What an error may call a damaged file: a ledger also by its run, a study by what it says of the model."""
    other_model = ["has changed since", "is of another model"] if path.name == "study.json" else []
    return [path.name, *other_model, *(f"run {run}" for run in range(N_RUNS) if path.name == f"run{run:05d}.db")]


def right_or_named(names: list[str], expected: pytams.Result, work: Callable[[], pytams.Result]) -> bool:
    """Whether the right number comes out; else there must be an error that has one of these names."""
    try:
        result = work()
    except pytams.PytamsError as error:
        if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)) for name in names):
            raise
        return False
    assert all(run == expected.runs[run.run] for run in result.runs)
    assert len(result.runs) + result.n_unfinished >= N_RUNS
    return not result.n_unfinished


def resumed(directory: Path) -> pytams.Result:
    return tams().run(N_RUNS, seed=3, out=directory)


def repaired(directory: Path) -> pytams.Result:
    repair(RunDirectory(directory), Variant())
    return resumed(directory)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 160, 20))
@pytest.mark.parametrize("state", ["whole", "left"])
def test_random_damage(
    request: pytest.FixtureRequest, tmp_path: Path, expected: pytams.Result, state: str, first: int
) -> None:
    original: Path = request.getfixturevalue(state)
    before = pytams.load(original).result  # of "left", as far as its runs are
    n_right = n_repaired = 0
    for seed in range(first, first + 20):
        choose = random.Random(f"{state} {seed}")
        directory = Path(shutil.copytree(original, tmp_path / f"{state}{seed}"))
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        names: list[str] = []
        for _ in range(choose.choice([1, 1, 1, 2])):
            path = choose.choice([path for path in files if path.exists() and path.stat().st_size])
            other = choose.choice(DAMAGES)(path, choose)
            names += [*names_of(path), *(names_of(other) if other else [])]
        right_or_named(names, before, lambda: pytams.load(directory).result)  # noqa: B023 - called at once
        n_right += right_or_named(names, expected, lambda: resumed(directory))  # noqa: B023 - likewise
        n_repaired += right_or_named(names, expected, lambda: repaired(directory))  # noqa: B023 - likewise
        shutil.rmtree(directory)
    assert n_repaired >= n_right > 0
