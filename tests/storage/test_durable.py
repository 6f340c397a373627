"""Run directories: what is in them, going on with them, reading them, and finding them damaged."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, Walk, double_well_2d
from pytams import Storage
from pytams.sqldb.errors import LedgerError
from pytams.storage.directory import RunDirectory
from pytams.storage.manifest import FORMAT

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.01,
    "target_score": 0.8,
    "n_trajectories": 12,
    "n_discard": 2,
}
MODELS = [DoubleWell2D(), DoubleWell2DSingle(), double_well_2d()]
IDS = ["vectorised", "one by one", "compiled"]


def tams(model: pytams.Model | None = None, **changes: Any) -> pytams.TAMS:
    return pytams.TAMS(model or DoubleWell2D(), **{**SETTINGS, **changes})


def some(path: Path, n_blocks: int, model: pytams.Model | None = None, **storage: Any) -> None:
    """Compute a part of a study, and leave."""
    out = Storage(path=path, **storage)
    with tams(model).study(3, seed=7, out=out) as study:
        for i, _ in enumerate(study):
            if i == n_blocks:
                break


@pytest.mark.parametrize("model", MODELS, ids=IDS)
@pytest.mark.parametrize(
    "interval", [pytest.param(60.0, marks=pytest.mark.slow), 1e-9], ids=["flushed", "checkpoints"]
)
def test_interrupted_and_resumed_is_the_same(tmp_path: Path, model: pytams.Model, interval: float) -> None:
    expected = tams(model).run(3, seed=7)
    for n_blocks in (0, 3, 11, 30, 2):
        some(tmp_path / "run", n_blocks, model, checkpoint_interval=interval)
    result = tams(model).run(3, out=tmp_path / "run")
    assert result.runs == expected.runs
    assert result.seed == 7
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == expected.runs


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_trajectories_are_read_back_and_replayed(tmp_path: Path, model: pytams.Model) -> None:
    some(tmp_path / "all", 20, model, sparse_freq=1)  # a part of it in an earlier session
    some(tmp_path / "all", 10**9, model, sparse_freq=1)
    some(tmp_path / "records", 10**9, model)
    with pytams.load(tmp_path / "all") as everything, pytams.load(tmp_path / "records") as records:
        for saved in (everything, records):
            for trajectory in saved.trajectories(1) + saved.discarded(1):
                states = trajectory.replay(model)
                assert len(states) == len(trajectory.scores) == len(trajectory.times)
                score = model.score if not model.vectorized else lambda x, t: model.score(x[np.newaxis], t)[0]
                np.testing.assert_allclose([score(x, 0.0) for x in states], trajectory.scores, rtol=0, atol=1e-12)
                where = np.round(trajectory.state_times / SETTINGS["step_size"]).astype(int)
                np.testing.assert_array_equal(np.array(states)[where], np.array(trajectory.states))
                if saved is everything:
                    assert where.tolist() == list(range(len(states)))
                first = [f for _, f, _ in trajectory.segments]
                last = [e for _, _, e in trajectory.segments]
                assert first == [0, *(e + 1 for e in last[:-1])]
        ours = everything.trajectory(2, 5)
        assert ours.scores.tolist() == records.trajectory(2, 5).scores.tolist()
        dataset = ours.to_xarray()
        assert dataset["score"].dims == ("time",)
        assert dataset["time"].values.tolist() == ours.times.tolist()
        assert dataset["state_time"].values.tolist() == ours.state_times.tolist()
        assert dataset["state"].shape == (len(ours.scores), 2)
        assert dataset.attrs["slot"] == ours.key.slot


def test_the_ledger_tells_the_story(tmp_path: Path) -> None:
    result = tams().run(2, seed=3, out=tmp_path / "run")
    run = result.runs[1]
    with sqlite3.connect(tmp_path / "run" / "ledgers" / "run00001.db") as connection:
        rows = connection.execute("SELECT id, traj_file, t_metadata, status FROM trajectories ORDER BY id").fetchall()
        archived = connection.execute("SELECT t_metadata FROM archived_trajectories ORDER BY id").fetchall()
        iterations = connection.execute("SELECT * FROM splitting_iterations ORDER BY id").fetchall()
    assert [row[0] for row in rows] == list(range(1, 13))
    assert {row[3] for row in rows} == {"completed"}
    active = [json.loads(row[2]) for row in rows]
    assert sum(m["converged"] for m in active) == run.n_reached
    assert {m["weight"] for m in active} == {math.exp(run.log_weight)}
    past = [json.loads(text) for (text,) in archived]
    assert len(past) == run.n_branchings
    assert sum(m["nstep_compute"] for m in active + past) == run.n_steps
    assert all((tmp_path / "run" / row[1]).is_file() for row in rows)
    branched = next(m for m in active if m["branch"])
    assert branched["parent"] is not None
    assert branched["branching_history"][-1] == branched["parent"][0]
    assert branched["t_end"] == 4.0
    assert branched["ended"]
    assert len(iterations) == len(run.iterations)
    ledger = RunDirectory(tmp_path / "run").ledger(1, read_only=True)
    np.testing.assert_array_equal(ledger.get_biases(), [len(i.killed) for i in run.iterations])
    np.testing.assert_array_equal(ledger.get_weights(), [math.exp(i.log_weight) for i in run.iterations])
    assert ledger.get_k_split() == run.n_branchings
    assert ledger.get_ongoing() is None
    ledger.close()


@pytest.mark.slow
def test_extended_by_runs_and_by_branchings(tmp_path: Path) -> None:
    path = tmp_path / "run"
    short = tams(max_branchings=8).run(2, seed=5, out=path)
    assert short.runs == tams(max_branchings=8).run(2, seed=5).runs
    longer = tams(max_branchings=20).run(3, out=path)
    assert longer.runs == tams(max_branchings=20).run(3, seed=5).runs
    assert tams().run(3, out=path).runs == tams().run(3, seed=5).runs
    with pytest.raises(pytams.SettingsError, match="max_branchings: .* can only be raised"):
        tams(max_branchings=20).run(3, out=path)
    with pytest.raises(pytams.SettingsError, match="n_runs: .* has 3 runs already"):
        tams().run(2, out=path)


@pytest.mark.slow
def test_moved_and_renamed(tmp_path: Path) -> None:
    some(tmp_path / "here", 30)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").rename(tmp_path / "elsewhere" / "there & back")
    assert tams().run(3, out=tmp_path / "elsewhere" / "there & back").runs == tams().run(3, seed=7).runs


@pytest.mark.slow
def test_discarded_trajectories_need_not_be_archived(tmp_path: Path) -> None:
    some(tmp_path / "run", 60, archive_discarded=False)
    some(tmp_path / "run", 10**9, archive_discarded=False)
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == tams().run(3, seed=7).runs
        assert len(saved.trajectory(0, 3).replay(DoubleWell2D())) == len(saved.trajectory(0, 3).scores)
    with RunDirectory(tmp_path / "run").ledger(0, read_only=True) as ledger:
        assert ledger.get_archived_trajectory_count() == 0
        assert ledger.discarded()


def test_integer_states_and_ties(tmp_path: Path) -> None:
    walk: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 4, "n_trajectories": 10}
    expected = pytams.TAMS(Walk(), **walk).run(5, seed=1)
    assert pytams.TAMS(Walk(), **walk).run(5, seed=1, out=tmp_path / "run").runs == expected.runs
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == expected.runs
        assert saved.trajectory(0, 0).states[0] == 0


# --- who drives -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_driver_is_refused_and_a_dead_one_replaced(tmp_path: Path) -> None:
    with tams().study(2, seed=1, out=tmp_path / "run") as study:
        next(iter(study))
        with pytest.raises(pytams.RunDirectoryError, match="is in use: run 1 is driven by"):
            tams().study(2, out=tmp_path / "run")
        with pytams.load(tmp_path / "run") as saved:
            assert "driver" in str(saved)
            assert saved.to_dict()["runs"][0]["driver"]
        for _ in study:
            pass
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_leave_without_closing, args=(tmp_path / "left",))
    process.start()
    process.join()
    with RunDirectory(tmp_path / "left").ledger(0, read_only=True) as ledger:
        assert ledger.silence() is not None  # its lock is there,
        assert ledger.driver() is None  # but it is known to be dead
    assert tams().run(2, out=tmp_path / "left").runs == tams().run(2, seed=1).runs


def _leave_without_closing(path: Path) -> None:
    study = tams().study(2, seed=1, out=path)
    for i, _ in enumerate(study):
        if i == 20:
            os._exit(0)


def test_a_driver_that_was_taken_for_dead_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="another driver has taken over"):  # noqa: SIM117 - the order matters
        with tams().study(1, seed=1, out=tmp_path / "run") as study:
            next(iter(study))
            with RunDirectory(tmp_path / "run").ledger(0) as other:
                assert not other.claim(stale_after=60)
                assert other.claim(stale_after=-1)
            for _ in study:
                pass


# --- what can be wrong ------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    some(tmp_path / "run", 60, checkpoint_interval=0.05)
    return tmp_path / "run"


def a_segment_file(directory: Path) -> Path:
    return max((directory / "segments").glob("*.nc"), key=lambda path: path.stat().st_size)


def check_refused(directory: Path, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        tams().run(3, out=directory)


@pytest.mark.slow
def test_truncated_flipped_and_missing_files_are_named(directory: Path) -> None:
    file = a_segment_file(directory)
    content = file.read_bytes()
    for damaged in (content[:-100], content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]):
        file.write_bytes(damaged)
        check_refused(directory, pytams.StoreError, f"{file.name} is damaged")
        with pytest.raises(pytams.StoreError, match=f"{file.name} is damaged"):
            pytams.load(directory)
    file.unlink()
    check_refused(directory, pytams.StoreError, f"{file.name} cannot be read: No such file")
    file.write_bytes(content)
    assert tams().run(3, out=directory).runs == tams().run(3, seed=7).runs


def test_files_outside_the_directory_are_refused(directory: Path) -> None:
    file = a_segment_file(directory)
    outside = directory.parent / "outside.nc"
    outside.write_bytes(file.read_bytes())
    with sqlite3.connect(directory / "ledgers" / "run00000.db") as connection:
        rows = [
            (table, column)
            for table in ("trajectories", "archived_trajectories")
            for column in ("t_metadata", "traj_file")
        ]
        for table, column in [("segment_files", "name"), *rows]:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, '../outside.nc')", [f"segments/{file.name}"]
            )
    connection.close()
    with pytest.raises(pytams.StoreError, match="may not point outside"):
        pytams.load(directory)


def test_a_newer_ledger_and_a_newer_format_are_refused(directory: Path) -> None:
    with sqlite3.connect(directory / "ledgers" / "run00001.db") as connection:
        connection.execute("UPDATE ledger_info SET value = '99' WHERE key = 'schema_version'")
    connection.close()
    check_refused(directory, LedgerError, "run00001.db has schema version 99")
    study = directory / "study.json"
    newer = FORMAT + 1
    study.write_text(study.read_text().replace(f'"format": {FORMAT}', f'"format": {newer}'))
    check_refused(directory, pytams.RunDirectoryError, f"format {newer}; this pytams reads formats up to {FORMAT}")
    study.write_text("{")
    check_refused(directory, pytams.RunDirectoryError, "study.json cannot be read")
    study.unlink()
    with pytest.raises(pytams.RunDirectoryError, match="is no run directory"):
        pytams.load(directory)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('"seed": 7', '"seed": 8', "seed"),
        ('"step_size": 0.01', '"step_size": 0.02', "step_size"),
        ('"sparse_freq": 0', '"sparse_freq": 5', "sparse_freq"),
        ('"max_branchings": null', '"max_branchings": 3', "max_branchings"),
        ('"spin_up": 0', '"spin_up": 2', "spin_up"),
    ],
)
def test_settings_edited_by_hand_are_named(directory: Path, old: str, new: str, name: str) -> None:
    study = directory / "study.json"
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new))
    with pytest.raises(pytams.RunDirectoryError, match=f"study.json: {name} is .*, but run 0 was made with"):
        pytams.load(directory)
    if name != "max_branchings":  # which may be raised, and so is put right
        with pytest.raises(pytams.PytamsError, match="/study.json"):
            tams().run(3, seed=7, out=directory)


def test_edited_rows_are_noticed(directory: Path) -> None:
    with sqlite3.connect(directory / "ledgers" / "run00000.db") as connection:
        connection.execute("UPDATE splitting_iterations SET weight = '0.5' WHERE id = 2")
    connection.close()
    check_refused(directory, pytams.RunDirectoryError, "weight of splitting iteration 1 is 0.5, but the trajectories")


@pytest.mark.slow
def test_other_settings_models_and_places_are_refused(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(pytams.SettingsError, match=r"step_size: .* was made with 0.01, not 0.02"):
        tams(step_size=0.02).run(3, out=directory)
    with pytest.raises(pytams.SettingsError, match="seed: .* was made with seed 7, not 8"):
        tams().run(3, seed=8, out=directory)
    with pytest.raises(pytams.RunDirectoryError, match="of the model DoubleWell2D, not Walk"):
        tams(Walk()).run(3, out=directory)
    study = json.loads((directory / "study.json").read_text())
    study["model"]["sources"]["exact.py"] = study["model"]["code"]["exact.py"] = "0" * 64
    (directory / "study.json").write_text(json.dumps(study))
    check_refused(directory, pytams.RunDirectoryError, "the source of DoubleWell2D has changed")
    forced = tams().run(3, out=Storage(path=directory, force=True))
    assert forced.runs == tams().run(3, seed=7).runs
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(pytams.RunDirectoryError, match="exists and is no run directory"):
        tams().run(3, out=tmp_path / "other")


@pytest.mark.slow
def test_reading_runs_no_code_of_the_user(tmp_path: Path) -> None:
    """The model's file explodes when it is imported; reading does not mind."""
    model = tmp_path / "model.py"
    model.write_text("from exact import DoubleWell2D\nclass Well(DoubleWell2D):\n    pass\n")
    settings = tmp_path / "input.toml"
    settings.write_text(
        '[tams]\nntrajectories = 10\nnruns = 2\nseed = 1\n[model]\nclass = "model.py:Well"\n'
        "[trajectory]\nend_time = 2\nstep_size = 0.01\ntargetscore = 0.4\n"
    )
    run: list[str | Path] = [sys.executable, "-m", "pytams"]
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"}
    first: list[str | Path] = [*run, "run", settings, "--out", tmp_path / "dw.tams"]
    subprocess.run(first, check=True, env=environment)
    model.write_text("raise SystemExit('imported')")
    shown = subprocess.run([*run, "show", tmp_path / "dw.tams"], check=True, capture_output=True, text=True)
    assert "2 of 2 runs finished" in shown.stdout
    assert "Well" in shown.stdout
    again: list[str | Path] = [*run, "resume", tmp_path / "dw.tams"]
    resumed = subprocess.run(again, check=False, capture_output=True, text=True, env=environment)
    assert resumed.returncode != 0


FULL = """
import resource, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/storage"]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import test_durable
from pathlib import Path
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
test_durable.some(Path(sys.argv[1]), 10**9, checkpoint_interval=0.02)
"""


@pytest.mark.slow
def test_disk_full_stops_with_a_clear_error_and_resumes(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: a write fails in the same places."""
    script = FULL.format(tests=str(Path(__file__).parents[1]))

    def run(limit: int) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [sys.executable, "-c", script, tmp_path / "run", str(limit)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for limit in (110_000, 130_000):
        stopped = run(limit)
        assert stopped.returncode == 1
        assert "cannot be written: " in stopped.stderr
        assert "make room, and resume the run" in stopped.stderr
    assert run(0).returncode == 0
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == tams().run(3, seed=7).runs


@pytest.mark.slow
def test_a_reader_does_not_disturb_the_driver(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with tams().study(3, seed=7, out=Storage(path=path, checkpoint_interval=0.02)) as study:
        last = time.monotonic()
        for _ in study:
            if time.monotonic() - last > 0.1:
                with pytams.load(path) as saved:
                    assert str(saved)
                    json.dumps(saved.to_dict(), allow_nan=False)
                last = time.monotonic()
    with pytams.load(path) as saved:
        assert saved.result.runs == tams().run(3, seed=7).runs
