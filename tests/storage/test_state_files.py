"""States in files of their own: the same bits, what stays, and what is said when something is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing.util
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import pytams
from exact import DoubleWell2D
from pytams import States, Storage
from pytams.core.errors import DamagedFileError
from pytams.core.selection import Variant
from pytams.core.stored import Reference
from pytams.engine import InProcess, Processes
from pytams.sqldb.runledger import RunLedger
from pytams.storage.directory import RunDirectory
from pytams.storage.repair import repair
from pytams.storage.state_files import StateFiles
from pytams.storage.state_keeper import StateKeeper
from sessions import sessions
from simulators import InFolders, InStrides, InStridesByBranch, Irreproducible, WellByBranch, WellByStep

WELL: dict[str, Any] = {"end_time": 3.0, "step_size": 0.02, "target_score": 0.6, "n_trajectories": 6}
SMALL = States(larger_than=0)
"""Every state gets a file."""


class OneByOne(pytams.Model):
    """`DoubleWell2D` for one member."""

    noise_shape = (2,)
    of_many = DoubleWell2D()

    def initial_state(self, rng: np.random.Generator) -> Any:
        return self.of_many.initial_state(rng)

    def step(self, state: Any, noise: Any, t: float, dt: float) -> Any:
        return self.of_many.step(state[np.newaxis], noise[np.newaxis], np.array([t]), dt)[0]

    def score(self, state: Any, t: float) -> float:
        return float(self.of_many.score(state[np.newaxis], np.array([t]))[0])


MODELS: dict[str, Callable[[], Any]] = {
    "array": WellByStep,
    "bytes": WellByBranch,
    "folder": InFolders,
    "model": OneByOne,
    "vectorised": DoubleWell2D,
}
MANY = "folder", "model"
KINDS = "bytes", "folder", "model"
ENGINES: dict[str, Any] = {
    "in process": InProcess,
    "blocks of 7": partial(InProcess, block_length=7),
    "processes": partial(Processes, n_workers=2, seconds=0.02),
}


def tams(model: Any) -> pytams.TAMS:
    return pytams.TAMS(model, **WELL)


def states_in(directory: Path) -> set[str]:
    """Every state that is there, relative to the folder of states; folders count as one."""
    folder = directory / "states"
    return {str(path.relative_to(folder)) for path in folder.glob("*/*/*")}


def noted_in(directory: Path) -> set[str]:
    """Every state that a ledger has."""
    found = set()
    for path in (directory / "ledgers").glob("run*.db"):
        run = int(path.stem[3:])
        with closing(RunLedger(str(path))) as ledger:
            found |= {f"{run:05d}/{row.sha256[:2]}/{row.sha256}" for row in ledger.states()}
    return found


# --- the same bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        *((kind, "in process") for kind in ("bytes", "vectorised")),
        *(pytest.param(kind, "in process", marks=pytest.mark.slow) for kind in ("array", "folder", "model")),
        ("bytes", "blocks of 7"),
        *(pytest.param(kind, "processes", marks=pytest.mark.slow) for kind in ("folder", "model")),
    ],
)
def test_the_same_bits_wherever_states_are(kind: str, engine: Any, tmp_path: Path) -> None:
    model, engine = MODELS[kind], ENGINES[engine]
    expected = tams(WellByStep() if kind == "folder" else model()).run(2, seed=4).runs
    assert tams(model()).run(2, seed=4, engine=engine, states=SMALL).runs == expected
    out = tmp_path / "out"
    assert tams(model()).run(2, seed=4, engine=engine, states=SMALL, out=out).runs == expected
    assert states_in(out) == noted_in(out) != set()
    with pytams.load(out) as saved:
        assert saved.result.runs == expected
        for trajectory in saved.trajectories(1):
            assert len(trajectory.states) == len(trajectory.state_times) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keep"), [("bytes", "all"), ("folder", "ensemble"), ("model", "none"), ("bytes", "ensemble")]
)
def test_a_study_goes_on_with_what_is_kept(kind: str, keep: Any, tmp_path: Path) -> None:
    model, states = MODELS[kind], States(larger_than=0, keep=keep)
    expected = tams(WellByStep() if kind == "folder" else model()).run(2, seed=4).runs
    storage = Storage(path=tmp_path / "out", checkpoint_interval=0.05)
    studies = []
    for study in sessions(lambda: tams(model()), storage, 2, 4, states=states):
        studies.append(study)
        assert states_in(storage.path) == noted_in(storage.path)
    assert len(studies) > 2
    assert studies[-1].result().runs == expected
    assert (states_in(storage.path) == set()) == (keep == "none")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "engine", "every"),
    [
        ("bytes", "in process", 2),
        pytest.param("folder", "processes", 7, marks=pytest.mark.slow),
        ("model", "blocks of 7", 1000),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in product(KINDS, ENGINES, [3])),
    ],
)
def test_fewer_states_and_the_same_bits(kind: str, engine: str, every: int, tmp_path: Path) -> None:
    model = MODELS[kind]
    expected = tams(WellByStep() if kind == "folder" else model()).run(2, seed=4).runs
    states = States(larger_than=0, keep="all", every=every)
    assert tams(model()).run(2, seed=4, engine=ENGINES[engine], states=states).runs == expected
    out, all_of_them = tmp_path / "out", tmp_path / "all"
    assert tams(model()).run(2, seed=4, engine=ENGINES[engine], states=states, out=out).runs == expected
    tams(model()).run(2, seed=4, states=States(larger_than=0, keep="all"), out=all_of_them)
    assert 0 < len(states_in(out)) < 0.8 * len(states_in(all_of_them))
    assert states_in(out) == noted_in(out)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "keep"), [("bytes", "none"), ("model", "ensemble")])
def test_a_study_of_few_states_is_resumed(kind: str, keep: Any, tmp_path: Path) -> None:
    storage, states = (
        Storage(path=tmp_path / "out", checkpoint_interval=0.05),
        States(larger_than=0, keep=keep, every=5),
    )
    *earlier, study = sessions(lambda: tams(MODELS[kind]()), storage, 2, 4, states=states)
    assert len(earlier) > 2
    assert study.result().runs == tams(MODELS[kind]()).run(2, seed=4).runs


def test_what_is_computed_again_is_compared(tmp_path: Path) -> None:
    out, states = tmp_path / "out", States(larger_than=0, every=50)
    with tams(WellByBranch()).study(2, 4, out=Storage(path=out, checkpoint_interval=0.01), states=states) as study:
        for n_blocks, _ in enumerate(study):
            if n_blocks > 10:
                break
    storage = Storage(path=out, force=True)
    with pytest.raises(pytams.ModelError, match=r"computed again from step \d+, has another score"):
        tams(WellByBranch(0.11)).run(2, 4, out=storage, states=states, verify=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_model_that_is_not_reproducible(seed: int, tmp_path: Path) -> None:
    """In many sessions, each of which goes on with what was decided; nothing that was used is computed again."""
    storage, states = Storage(path=tmp_path / "out", checkpoint_interval=0.3), States(reproducible=False)
    asked: dict[str, Any] = WELL | {"n_trajectories": 20, "n_discard": 4}
    for session in range(50):
        with (
            suppress(InterruptedError),
            pytams.TAMS(Irreproducible(), **asked).study(12, seed, out=storage, states=states) as study,
        ):
            for n_blocks, _ in enumerate(study):
                if n_blocks > 100 and session % 2:
                    raise InterruptedError
                if n_blocks > 100:
                    break
        if study.n_finished == 12:
            break
    result, direct = study.result(), pytams.TAMS(WellByStep(), **asked).run(12, seed)
    error = np.hypot(result.standard_error, direct.standard_error)
    assert abs(result.probability - direct.probability) < 3.5 * error


@pytest.mark.slow
def test_only_what_is_not_reproducible_is_not_verified(tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match="another score"):
        tams(Irreproducible()).run(1, 4)
    states = States(reproducible=False)
    assert tams(Irreproducible()).run(1, 4, out=tmp_path / "out", states=states).n_unfinished == 0
    assert tams(Irreproducible()).run(2, 4, out=tmp_path / "out").n_unfinished == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [InFolders, WellByBranch])
def test_what_was_read_last_is_nearby(kind: Any, tmp_path: Path) -> None:
    states, local = States(local=tmp_path / "node"), tmp_path / "node"
    content: Any = tmp_path / "state" if kind is InFolders else b"a state"
    if kind is InFolders:
        (content / "inner").mkdir(parents=True)
        (content / "inner" / "file").write_bytes(b"a state")
    files = StateFiles(tmp_path / "states", states)
    reference = files.put(0, content)
    assert isinstance(reference, Reference)
    for _ in range(2):
        found = files.get(0, reference)
    copies = [path for path in local.rglob("*") if path.name == reference.sha256]
    assert len(copies) == 1
    if kind is InFolders:
        assert found == copies[0]
    damaged = copies[0] / "inner" / "file" if kind is InFolders else copies[0]
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    found = files.get(0, reference)
    assert found == (files.file(0, reference.sha256) if kind is InFolders else b"a state")
    for i in range(20):
        more = files.put(0, b"%d" % i)
        assert isinstance(more, Reference)
        assert files.get(0, more) == b"%d" % i
    [scratch] = [path for path in local.iterdir() if path.is_dir()]
    assert len(list(scratch.iterdir())) == 8
    files.nearby.close()
    assert list(local.iterdir()) == []
    expected = tams(kind()).run(2, 4).runs
    assert tams(kind()).run(2, 4, states=states, out=tmp_path / "out").runs == expected
    assert tams(kind()).run(2, 4, states=States(local=local, every=5), engine=ENGINES["processes"]).runs == expected
    assert list(local.iterdir()) == []


@pytest.mark.slow
def test_simulators_work_where_they_are_told_to(tmp_path: Path) -> None:
    class Looks(InFolders):
        def open(self, place: Any) -> None:
            super().open(place)
            assert place.scratch.parent == tmp_path / "node" / "scratch"

    assert tams(Looks()).run(1, 4, states=States(local=tmp_path / "node" / "scratch")).n_unfinished == 0
    assert list((tmp_path / "node" / "scratch").iterdir()) == []
    with pytest.raises(pytams.StoreError, match="cannot be a folder for temporary files"):
        tams(WellByBranch()).run(1, 4, states=States(store="/etc/hostname", larger_than=0))


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7])
def test_on_dask(every: int, tmp_path: Path) -> None:
    import distributed  # noqa: PLC0415 - an extra

    from pytams.engine.dask import OnDask  # noqa: PLC0415 - likewise

    expected = tams(WellByStep()).run(2, seed=4).runs
    cluster = distributed.LocalCluster(
        2, processes=False, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    )
    with cluster, distributed.Client(cluster) as client:
        states = States(larger_than=0, every=every)
        engine = partial(OnDask, connect=client, seconds=0.02)
        assert tams(InFolders()).run(2, seed=4, engine=engine, out=tmp_path / "out", states=states).runs == expected
        for model in (InStrides(), InStridesByBranch()):
            strides = tams(type(model)()).run(2, seed=4).runs
            assert tams(model).run(2, 4, engine=engine, out=tmp_path / model.name).runs == strides
            assert tams(model).run(2, 4, engine=engine, states=states).runs == strides
        assert (
            tams(WellByBranch()).run(2, seed=4, engine=engine, states=states).runs
            == tams(WellByBranch()).run(2, 4).runs
        )
    assert states_in(tmp_path / "out") == noted_in(tmp_path / "out") != set()


KILLED = """
import os, signal, sys, threading, time
from functools import partial
from pathlib import Path
import pytams
from pytams.engine import Processes
from simulators import InFolders
from test_state_files import WELL

if __name__ == "__main__":
    out, seconds, every = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    if seconds:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    pytams.TAMS(InFolders(), **WELL).run(
        2, 4, out=pytams.Storage(path=out, checkpoint_interval=0.1), states=pytams.States(keep="none", every=every),
        engine=partial(Processes, n_workers=2, seconds=0.02),
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 5])
def test_killed_and_resumed(every: int, tmp_path: Path) -> None:
    """At random moments, some of them before anything has begun; then to the end."""
    expected = tams(WellByStep()).run(2, seed=4).runs
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    rng, n_killed = np.random.default_rng(every), 0
    for seconds in [*rng.uniform(0.5, 4.0, 12), 0.0]:
        command = [sys.executable, str(script), str(tmp_path / "out"), str(seconds), str(every)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment, check=False)
        assert done.returncode in {0, -9}, done.stderr
        n_killed += done.returncode == -9
    assert n_killed > 3
    with pytams.load(tmp_path / "out") as saved:
        assert saved.result.runs == expected
    assert states_in(tmp_path / "out") == set()


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["ensemble", "all", "none"])
def test_runs_at_a_time_keep_what_their_ledgers_have(keep: Any, tmp_path: Path) -> None:
    storage = Storage(path=tmp_path / "out", runs_at_once=1)
    result = tams(WellByBranch()).run(3, 4, out=storage, states=States(keep=keep))
    assert result.runs == tams(WellByBranch()).run(3, 4).runs
    assert states_in(storage.path) == noted_in(storage.path)


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("keep", ["ensemble", "none"])
def test_a_capped_study_is_extended(keep: Any, every: int, tmp_path: Path) -> None:
    states = States(keep=keep, every=every)
    for cap in (3, 9, 500):
        capped = pytams.TAMS(WellByBranch(), **WELL, max_branchings=cap)
        assert capped.run(2, 4, out=tmp_path / "out", states=states).runs == capped.run(2, 4).runs


class Ordered(pytams.Model):
    """Whose step goes by the order of the parts of its state."""

    noise_shape = (2,)

    def initial_state(self, rng: np.random.Generator) -> Any:
        return {"y": np.zeros(50), "x": -np.ones(50)}

    def step(self, state: Any, noise: Any, t: float, dt: float) -> Any:
        y, x = state.values()
        kick = np.sqrt(0.1 * dt)
        return {"y": y - 2.0 * y * dt + kick * noise[1], "x": x + (x - x**3) * dt + kick * noise[0]}

    def score(self, state: Any, t: float) -> float:
        return float(state["x"][0])


@pytest.mark.slow
def test_the_parts_of_a_state_keep_their_order(tmp_path: Path) -> None:
    expected = tams(Ordered()).run(2, 4, states=States(larger_than=10**9)).runs
    assert tams(Ordered()).run(2, 4, states=SMALL).runs == expected
    assert tams(Ordered()).run(2, 4, states=SMALL, out=tmp_path / "out").runs == expected


@pytest.mark.slow
@pytest.mark.parametrize("make", [WellByBranch, InStrides, pytest.param(InFolders, marks=pytest.mark.slow)])
def test_trajectories_are_computed_again(make: Any, tmp_path: Path) -> None:
    states = States(larger_than=0, every=7)
    expected = tams(WellByStep() if make is InFolders else make()).run(2, 4).ensemble()["score"].values
    result = tams(make()).run(2, 4, states=states)
    np.testing.assert_array_equal(result.ensemble()["score"].values, expected)
    tams(make()).run(2, 4, states=states, out=tmp_path / "out")
    with pytams.load(tmp_path / "out") as saved:
        for trajectory in saved.trajectories(1):
            assert len(trajectory.replay(make())) == len(trajectory.scores)


def test_what_cannot_be_computed_again_is_said(tmp_path: Path) -> None:
    result = tams(Irreproducible()).run(2, 4, states=States(reproducible=False))
    with pytest.raises(pytams.ModelError, match="is not reproducible: its trajectories cannot be computed again"):
        result.ensemble()


def test_what_a_study_was_made_with_goes_on(tmp_path: Path) -> None:
    out, expected = tmp_path / "out", tams(WellByBranch()).run(2, 4).runs
    storage = Storage(path=out, checkpoint_interval=0.01)
    with tams(WellByBranch()).study(2, 4, out=storage, states=States(every=50, keep="none")) as study:
        for n_blocks, _ in enumerate(study):
            if n_blocks > 40:
                break
    with pytest.raises(pytams.SettingsError, match="every: the study was made with 50, not 7; this cannot change"):
        tams(WellByBranch()).run(2, 4, out=out, states=States(every=7))
    assert tams(WellByBranch()).run(2, 4, out=out, states=States(place="reflink")).runs == expected
    assert states_in(out) == set()


@pytest.mark.slow
def test_bytes_of_any_length_and_empty_folders(tmp_path: Path) -> None:
    class AnyLength(WellByBranch):
        def save(self) -> Any:
            return super().save() + b" " * (int(1000 * self.x) % 7)

        def load(self, state: Any) -> None:
            super().load(state.rstrip(b" ") if len(state) > 112 else state)

    class Empty(InFolders):
        def save(self) -> Any:
            folder: Path = super().save()
            (folder / "postproc" / "nothing").mkdir(parents=True, exist_ok=True)
            return folder

        def load(self, state: Any) -> None:
            assert (state / "postproc" / "nothing").is_dir()
            super().load(state)

    assert len(WellByBranch().save()) == 112
    for out in (None, tmp_path / "bytes"):
        assert tams(AnyLength()).run(2, 4, out=out, verify=False).n_unfinished == 0
    for out in (None, tmp_path / "folders"):
        assert tams(Empty()).run(2, 4, out=out).runs == tams(WellByStep()).run(2, 4).runs


@pytest.mark.parametrize("where", ["states/00000/zz", "states/00001"])
def test_nothing_is_removed_behind_a_link(unfinished: Path, where: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "ab").mkdir(parents=True)
    (victim / "thesis.tex").touch()
    (victim / "ab" / "object").touch()
    shutil.rmtree(unfinished / where, ignore_errors=True)
    (unfinished / where).symlink_to(victim)
    with pytest.raises(pytams.StoreError, match="leads out of its run directory"):
        tams(WellByBranch()).run(3, 4, out=unfinished)
    assert sorted(path.name for path in victim.rglob("*")) == ["ab", "object", "thesis.tex"]


@pytest.mark.parametrize(
    ("column", "value"), [("kind", "evil"), ("sha256", ""), ("sha256", "../../etc/passwd"), ("size", "much")]
)
def test_rows_are_what_was_written(unfinished: Path, column: str, value: str) -> None:
    with sqlite3.connect(unfinished / "ledgers" / "run00000.db") as connection:
        connection.execute(f"UPDATE stored_states SET {column} = ?", (value,))
    with pytest.raises(pytams.LedgerError, match="a stored state is not what was written"):
        tams(WellByBranch()).run(2, 4, out=unfinished)


@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY\x01\x00", np.array([None])])
def test_what_is_no_array_is_not_read(content: Any, tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, content, allow_pickle=True)
    data = content if isinstance(content, bytes) else file.getvalue()
    files = StateFiles(tmp_path, SMALL)
    sha256 = hashlib.sha256(data).hexdigest()
    files.file(0, sha256).parent.mkdir(parents=True)
    files.file(0, sha256).write_bytes(data)
    for kind in ("array", "arrays"):
        with pytest.raises(DamagedFileError, match="is no state"):
            files.get(0, Reference(sha256, len(data), kind))


@pytest.mark.parametrize("saved", ["nowhere", "a file"])
def test_what_is_no_folder_is_not_saved(saved: str, tmp_path: Path) -> None:
    class Saves(InFolders):
        def save(self) -> Any:
            (self.place.scratch / "a file").touch()
            return self.place.scratch / saved

    with pytest.raises(pytams.ModelError, match=r"Saves.save returned PosixPath.*is no folder"):
        tams(Saves()).run(1, 4, out=tmp_path / "out", verify=False)


@pytest.mark.slow
def test_less_is_kept_the_less_is_to_be_kept(tmp_path: Path) -> None:
    n_kept = []
    for keep in ("all", "ensemble", "none"):
        states: Any = States(larger_than=0, keep=keep)
        tams(WellByStep()).run(2, seed=4, out=tmp_path / keep, states=states)
        n_kept.append(len(states_in(tmp_path / keep)))
    assert n_kept[0] > 2 * n_kept[1] > 0
    assert n_kept[2] == 0


def test_a_state_is_named_by_its_content(tmp_path: Path) -> None:
    tams(WellByBranch()).run(2, seed=4, out=tmp_path / "out")
    for name in states_in(tmp_path / "out"):
        content = (tmp_path / "out" / "states" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == Path(name).name
        assert Path(name).parent.name == Path(name).name[:2]


def test_a_directory_can_be_moved(tmp_path: Path) -> None:
    with tams(WellByBranch()).study(2, 4, out=tmp_path / "here") as study:
        next(iter(study))
    (tmp_path / "here").rename(tmp_path / "there")
    assert tams(WellByBranch()).run(2, 4, out=tmp_path / "there").runs == tams(WellByBranch()).run(2, 4).runs
    with pytams.load(tmp_path / "there") as saved:
        assert all(isinstance(state, bytes) for state in saved.trajectory(0, 0).states)


@pytest.mark.slow
def test_states_elsewhere_are_only_where_the_user_says(tmp_path: Path) -> None:
    states, out = States(store=tmp_path / "scratch", larger_than=0), tmp_path / "out"
    expected = tams(WellByStep()).run(3, 4).runs
    assert tams(WellByStep()).run(2, 4, out=out, states=states).runs == expected[:2]
    assert not (out / "states").exists()
    assert str(tmp_path / "scratch") not in (out / "study.json").read_text()
    with pytest.raises(pytams.RunDirectoryError, match="its states are in another folder.* say where"):
        tams(WellByStep()).run(3, 4, out=out)
    assert tams(WellByStep()).run(3, 4, out=out, states=states).runs == expected
    with pytams.load(out) as saved:
        assert len(saved.trajectory(0, 0).states) == 0
    with pytams.load(out, store=tmp_path / "scratch") as saved:
        trajectory = saved.trajectory(0, 0)
        np.testing.assert_array_equal(trajectory.states, np.array(trajectory.replay(WellByStep()))[steps(trajectory)])
    here = tmp_path / "here"
    tams(WellByStep()).run(1, 4, out=here)
    with pytest.raises(pytams.SettingsError, match="the states of .*here are in it, and not in"):
        tams(WellByStep()).run(2, 4, out=here, states=States(store=tmp_path / "scratch"))
    with pytest.raises(pytams.SettingsError, match="larger_than: the study was made with 262144, not 0"):
        tams(WellByStep()).run(2, 4, out=here, states=SMALL)


def steps(trajectory: Any) -> Any:
    return np.round(trajectory.state_times / WELL["step_size"]).astype(int)


def test_in_memory_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    multiprocessing.util.get_temp_dir()  # its own, which it keeps
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = tams(WellByBranch()).run(2, 4, states=SMALL, engine=ENGINES["processes"])
    assert result.runs == tams(WellByBranch()).run(2, 4).runs
    ensemble = result.ensemble()
    assert ensemble.sizes["trajectory"] > 0
    del result, ensemble
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


# --- memory ---------------------------------------------------------------------------------------------------------

LARGE = r"""
import re
from pathlib import Path
import numpy as np
import pytams

class Large(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return np.zeros(2**20)
    def step(self, state, noise, t, dt):
        state = state.copy()
        state[0] += noise * dt**0.5
        return state
    def score(self, state, t):
        return state[0]

tams = pytams.TAMS(Large(), end_time=1, step_size=0.01, target_score=3.0, n_trajectories=16, n_discard=2)
result = tams.run(1, seed=1)
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
print(result.probability, int(peak[1]) / 1024)
"""


@pytest.mark.slow
def test_large_arrays_do_not_fill_the_memory() -> None:
    """N = 16 with states of 8 MB: some 40 records of each trajectory, which are 5 GB."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    probability, megabytes = map(float, done.stdout.split())
    assert 1e-4 < probability < 1e-2
    assert megabytes < 300


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    with tams(WellByBranch()).study(2, 4, out=Storage(path=tmp_path / "out", checkpoint_interval=0.01)) as study:
        for n_blocks, _ in enumerate(study):
            if n_blocks > 10:
                break
    assert study.n_finished < 2
    return tmp_path / "out"


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["gone", "flipped", "shorter", "a link"])
def test_damage_is_named_and_repaired(unfinished: Path, harm: str, tmp_path: Path) -> None:
    expected = tams(WellByBranch()).run(2, 4).runs
    for name in states_in(unfinished):
        path = unfinished / "states" / name
        content = bytearray(path.read_bytes())
        path.unlink()
        if harm == "flipped":
            content[7] ^= 1
            path.write_bytes(content)
        elif harm == "shorter":
            path.write_bytes(content[:-1])
        elif harm == "a link":
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            (tmp_path / "elsewhere" / path.name).write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere" / path.name)
    with pytest.raises(pytams.StoreError, match=r"states/0000\d/.. *is|states/0000\d/") as caught:
        tams(WellByBranch()).run(2, 4, out=unfinished)
    if harm == "a link":
        assert "leads out" in str(caught.value)
        return
    assert isinstance(caught.value, DamagedFileError)
    lines = repair(RunDirectory(unfinished), Variant())
    assert any("damaged trajectories are computed again" in line for line in lines)
    assert tams(WellByBranch()).run(2, 4, out=unfinished).runs == expected


def test_what_killed_processes_left_is_removed(unfinished: Path) -> None:
    left = unfinished / "states" / "00000" / "ab"
    left.mkdir(exist_ok=True)
    (left / ("ab" + "0" * 62)).write_bytes(b"nobody has it")
    (left / "half.tmp").mkdir()
    (left / "half.tmp" / "file").touch()
    tams(WellByBranch()).run(2, 4, out=unfinished)
    assert states_in(unfinished) == noted_in(unfinished)


@pytest.mark.parametrize("engine", ["in process", "processes"])
def test_more_than_there_may_be(tmp_path: Path, engine: str) -> None:
    out, runs = tmp_path / "out", tams(WellByBranch()).run(2, 4).runs
    size = 2000
    with pytest.raises(pytams.StoreError, match="states take .*more than .*max_size.* 2 kB; most of it: run [01]"):
        tams(WellByBranch()).run(2, 4, out=out, states=States(max_size="2 kB"), engine=ENGINES[engine])
    assert sum(path.stat().st_size for path in out.glob("states/*/*/*")) <= size + 500
    assert tams(WellByBranch()).run(2, 4, out=out, states=States(max_size="1 GB")).runs == runs


def test_a_disk_that_would_soon_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**26))
    with pytest.raises(pytams.StoreError, match="has room for 67.1 MB more: a state of .* is not written"):
        tams(WellByBranch()).run(2, 4, out=tmp_path / "out", verify=False)
    monkeypatch.undo()
    assert tams(WellByBranch()).run(2, 4, out=tmp_path / "out").runs == tams(WellByBranch()).run(2, 4).runs


@pytest.mark.slow
def test_a_simulator_may_not_write_to_what_is_hard_linked(tmp_path: Path) -> None:
    expected = tams(WellByStep()).run(2, 4).runs
    linked = States(place="hardlink", store=tmp_path / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        assert tams(InFolders()).run(2, 4, states=linked).runs == expected
        with pytest.raises(pytams.ModelError, match=r'has written to it: with \[states\] place = "hardlink"'):
            tams(InFolders(scribbles=True)).run(2, 4, states=linked)
    assert tams(InFolders(scribbles=True)).run(2, 4).runs == expected


def test_a_folder_that_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match=r"InFolders.save returned PosixPath.*is no ordinary file"):
        tams(InFolders(links=True)).run(1, 4, out=tmp_path / "out", verify=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_size": "much"}, "max_size: 'much' is no size such as '500 GB'"),
        ({"max_size": 0}, "max_size"),
        ({"keep": "some"}, "keep"),
        ({"every": 0}, "every: 0 is too small"),
        ({"place": "symlink"}, "place"),
        ({"reproducible": False, "every": 2}, "every: states of a model that is not reproducible must all be stored"),
    ],
)
def test_settings_are_checked(wrong: Any, message: str) -> None:
    with pytest.raises(pytams.SettingsError, match=message):
        States(**wrong)


@pytest.mark.parametrize(("size", "n_bytes"), [("500 GB", 5e11), ("1.5kB", 1500), (12, 12), (None, np.inf)])
def test_sizes(size: Any, n_bytes: float) -> None:
    assert States(max_size=size).most_bytes == n_bytes


def test_a_study_that_says_where_its_states_are_is_refused(unfinished: Path) -> None:
    manifest = unfinished / "study.json"
    content = json.loads(manifest.read_text())
    content["states"]["store"] = "/etc"
    manifest.write_text(json.dumps(content))
    with pytest.raises(pytams.RunDirectoryError, match="it names folders outside"):
        pytams.load(unfinished)


# --- content --------------------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from(["f8", "f4", "i2", "u8", "c16", "?", "g", "U3", "S2"])
ARRAYS = NUMBERS.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0)))


@given(content=st.one_of(st.binary(), ARRAYS, st.dictionaries(st.text("abc.", min_size=1), ARRAYS, min_size=1)))
def test_what_is_put_is_got(content: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = StateFiles(tmp_path_factory.getbasetemp() / "content", SMALL)
    reference = files.put(3, content)
    assert isinstance(reference, Reference)
    again = files.put(3, content)
    assert isinstance(again, Reference)
    assert again.sha256 == reference.sha256
    found = files.get(3, Reference(reference.sha256, reference.size, reference.kind))
    if isinstance(content, bytes):
        assert found == content
        return
    assert isinstance(found, dict) == isinstance(content, dict)
    pairs: Any = (
        [(content, found)] if not isinstance(found, dict) else [(content[name], found[name]) for name in found]
    )
    for one, other in pairs:
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def test_a_state_stays_as_long_as_somebody_has_it(tmp_path: Path) -> None:
    keeper = StateKeeper(SMALL, tmp_path, in_memory=False)
    first = keeper.put(0, b"one")
    assert keeper.put(0, b"one") is first
    assert isinstance(first, Reference)
    copy = Reference(first.sha256, first.size, first.kind)
    assert keeper.hold(0, copy) is first
    path = tmp_path / "00000" / first.sha256[:2] / first.sha256
    keeper.sweep(0.0)
    assert path.exists()
    del first
    assert path.exists()
    again = keeper.put(0, b"one")
    keeper.sweep(0.0)
    assert path.exists(), "it was put again before it was swept"
    del again
    keeper.sweep(100.0)
    assert path.exists(), "a task may have put it there that has not come back"
    keeper.sweep(0.0)
    assert not path.exists()
