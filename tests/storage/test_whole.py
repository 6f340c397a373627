"""Whole runs in a run directory: what is written is what blocks write, also if something happens on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytams
from outcomes import in_full
from pytams import SDE
from pytams.core.segments import SegmentKey, Start
from pytams.core.settings import Settings
from pytams.engine import InProcess
from pytams.models.sde import runs as whole_runs
from pytams.storage.directory import RunDirectory
from pytams.storage.metadata import MetadataText, facts_of, weight_facts, weight_text
from pytams.storage.recorded import Recorded
from pytams.storage.whole import Taken

STEPS = 40


def drift(x: Any, t: Any, p: Any) -> Any:
    return x[0] - x[0] ** 3, -2.0 * x[1]


def diffusion(x: Any, t: Any, p: Any) -> Any:
    return p.sigma, 0.1


def coarse(x: Any, t: Any, p: Any) -> Any:
    return np.floor(x[0] * p.grid) / p.grid if p.grid > 0.0 else x[0]


def scattered(rng: Any) -> Any:
    return rng.normal(0.0, 0.5, size=2)


def tams(n: int = 12, grid: float = 0.0, target: float = 0.9, initial: Any = (-1.0, 0.0), **more: Any) -> pytams.TAMS:
    model = SDE(drift, diffusion, coarse, initial=initial, sigma=0.6, grid=grid)
    return pytams.TAMS(model, end_time=0.05 * STEPS, step_size=0.05, target_score=target, n_trajectories=n, **more)


blocks = partial(InProcess, block_length=STEPS)


def contents(path: Path) -> list[Any]:
    """Say all that is in a run directory, but for where it is, and how long it took."""
    directory, found = RunDirectory(path), list[Any]()
    for run in directory.begun():
        with directory.ledger(run, read_only=True) as ledger:
            recorded = Recorded.read(ledger, run, directory.info)
            rows = [(row.metadata, row.status) for row in ledger.trajectories()]
            archived = [(metadata, None) for _, metadata in ledger.archived_trajectories()]
            for metadata, status in [*rows, *archived]:
                said = json.loads(metadata)
                names = recorded.rows[_key(said)].pieces
                pieces = [directory.segment_files.read(name, recorded.files[name.file]) for name in names]
                del said["pieces"]
                scores = b"".join(piece.scores.tobytes() for piece in pieces)
                stored = [
                    (step, _bits(state))
                    for piece in pieces
                    for step, state in zip(piece.steps.tolist(), piece.states, strict=True)
                ]
                found.append((list(said.items()), status, scores, stored, [piece.ended for piece in pieces[-1:]]))
            noted = json.loads(ledger.get_info("progress") or "{}")
            found += [ledger.iterations(), ledger.get_info("finished"), noted["level"], noted["log_estimate"]]
    directory.segment_files.close()
    return found


def _bits(state: Any) -> bytes:
    return b"".join(part.tobytes() for part in state.values()) if isinstance(state, dict) else bytes(state.tobytes())


def _key(said: dict[str, Any]) -> SegmentKey:
    return SegmentKey(said["run"], said["slot"], said["branch"])


@given(
    n=st.integers(2, 12),
    grid=st.sampled_from([0.0, 2.0]),
    target=st.sampled_from([0.0, 0.9, 3.0]),
    starts=st.booleans(),
    share=st.floats(0.0, 1.0),
    cap=st.one_of(st.none(), st.integers(0, 20)),
    seed=st.integers(0, 2**63 - 1),
    threads=st.integers(1, 2),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_on_disk_as_by_blocks(
    n: int, grid: float, target: float, starts: bool, share: float, cap: int | None, seed: int, threads: int
) -> None:
    posed = tams(
        n,
        grid,
        target,
        scattered if starts else (-1.0, 0.0),
        n_discard=1 + int(share * (n - 2)),
        max_branchings=cap,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder)
        made = posed.run(2, seed=seed, out=path / "whole", engine=partial(InProcess, threads=threads), verify=False)
        defined = posed.run(2, seed=seed, out=path / "blocks", engine=blocks, verify=False)
        assert in_full(made.runs) == in_full(defined.runs)
        assert contents(path / "whole") == contents(path / "blocks")
        with pytams.load(path / "whole") as saved:
            assert saved.result.runs == made.runs


def test_starts_with_a_past(tmp_path: Path) -> None:
    model = SDE(
        drift,
        diffusion,
        coarse,
        initial=lambda latent: (latent[0] - 1.0, latent[1]),
        start_shape=(2,),
        start_memory=0.5,
        sigma=0.6,
        grid=0.0,
    )
    posed = pytams.TAMS(model, end_time=2.0, step_size=0.05, target_score=0.9, n_trajectories=8)
    posed.run(2, seed=1, out=tmp_path / "whole")
    posed.run(2, seed=1, out=tmp_path / "blocks", engine=blocks)
    assert contents(tmp_path / "whole") == contents(tmp_path / "blocks")


def test_they_are_made_whole_and_let_go(tmp_path: Path) -> None:
    with tams().study(3, seed=1, out=tmp_path / "run") as study:
        n_finished = [study.n_finished for _ in study.by_runs()]
        assert study.splittings == {}
        assert n_finished == sorted(n_finished)
        assert n_finished[-1] == 3
        with RunDirectory(tmp_path / "run").ledger(0) as ledger:
            assert ledger.claim(60.0)  # nobody drives it any more
    assert study.result().runs == tams().run(3, seed=1).runs


@pytest.mark.parametrize("n_before", [1, 2])
def test_a_study_is_left_and_gone_on_with(tmp_path: Path, n_before: int) -> None:
    """What was reported is on disk."""
    with tams().study(6, seed=1, out=tmp_path / "run") as study:
        for _ in study.by_runs():
            if study.n_finished >= n_before:
                break
    with RunDirectory(tmp_path / "run").ledger(n_before - 1, read_only=True) as ledger:
        assert ledger.get_info("finished") is not None
    assert tams().run(6, out=tmp_path / "run").runs == tams().run(6, seed=1).runs


def test_a_study_is_closed_before_its_iterator(tmp_path: Path) -> None:
    with tams().study(30, seed=1, out=tmp_path / "run") as study:
        steps = study.by_runs()
        while study.n_finished < 5:
            next(steps)
        n = study.n_finished
    with pytams.load(tmp_path / "run") as saved:
        assert saved.n_finished >= n
    del steps
    assert tams().run(30, out=tmp_path / "run").runs == tams().run(30, seed=1).runs


def test_a_run_that_somebody_leaves_meanwhile_goes_on_with_what_it_has(tmp_path: Path) -> None:
    posed = tams(target=1.5)
    frequent = pytams.Storage(path=tmp_path / "run", checkpoint_interval=1e-9)
    with posed.study(1, seed=1, out=frequent, engine=partial(InProcess, block_length=7)) as study:
        for _ in study:
            if study.splittings[0].n_branchings:
                break
    other = RunDirectory(tmp_path / "run").ledger(0)
    assert other.claim(60.0)
    with posed.study(3, seed=1, out=tmp_path / "run") as study:
        assert study.runs == [1, 2]
        other.disclaim()
        other.close()
        study.finish()
        assert list(study.splittings) == [0]
        assert study.result().runs == posed.run(3, seed=1).runs


def test_the_interval_of_checkpoints_makes_no_file_a_run(tmp_path: Path) -> None:
    out = pytams.Storage(path=tmp_path / "run", checkpoint_interval=0.05)
    tams(100).run(40, seed=1, out=out)
    assert len(list((tmp_path / "run" / "segments").glob("*.nc"))) < 20


def test_what_takes_too_long_or_too_much_is_made_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tams().run(4, seed=1).runs
    with tams().study(4, seed=1, out=pytams.Storage(path=tmp_path / "long", checkpoint_interval=1e-9)) as study:
        study.finish()
        assert study.splittings  # patience is no longer than the interval
        assert study.result().runs == expected
    monkeypatch.setattr(whole_runs, "_MOST_NUMBERS", 100)
    with tams().study(4, seed=1, out=tmp_path / "much") as study:
        study.finish()
        assert len(study.splittings) == 4
        assert study.result().runs == expected
    assert contents(tmp_path / "much") == contents(tmp_path / "long")


def test_every_state_or_no_archive_is_left_to_blocks(tmp_path: Path) -> None:
    for i, options in enumerate(({"sparse_freq": 3}, {"archive_discarded": False})):
        with tams().study(2, seed=1, out=pytams.Storage(path=tmp_path / str(i), **options)) as study:  # type: ignore[arg-type]
            study.finish()
            assert len(study.splittings) == 2
            assert study.result().runs == tams().run(2, seed=1).runs


def test_a_full_disk_loses_nothing_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Taken, "is_much", True)
    n_written, write = 0, Taken.write

    def full(self: Taken, *arguments: Any) -> list[int]:
        nonlocal n_written
        n_written += 1
        if n_written == 3:
            raise pytams.StoreError("there is no room")
        return write(self, *arguments)

    monkeypatch.setattr(Taken, "write", full)
    with pytest.raises(pytams.StoreError, match="no room"):
        tams().run(5, seed=1, out=tmp_path / "run")
    monkeypatch.setattr(Taken, "write", write)
    directory = RunDirectory(tmp_path / "run")
    for run in range(5):
        with directory.ledger(run) as ledger:
            assert ledger.driver() is None
            assert (ledger.get_info("finished") is not None) == (run < 2)
    assert tams().run(5, out=tmp_path / "run").runs == tams().run(5, seed=1).runs


def _drive(path: Path) -> None:
    tams(300).run(100, seed=5, out=path)


@pytest.mark.slow
def test_a_driver_that_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for delay in (0.3, 0.6):
        process = context.Process(target=_drive, args=(tmp_path / "run",))
        process.start()
        deadline = time.monotonic() + 60.0
        while not list((tmp_path / "run" / "ledgers").glob("run00099.db")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert tams(300).run(100, out=tmp_path / "run").runs == tams(300).run(100, seed=5).runs


@given(
    key=st.tuples(*[st.integers(0, 10**9)] * 3),
    parent=st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    branch_step=st.integers(0, 10**6),
    step=st.integers(0, 10**6),
    score=st.floats(allow_nan=False, allow_infinity=False),
    best=st.floats(allow_nan=False),
    ended=st.booleans(),
    log_weight=st.one_of(st.floats(-800.0, 0.0), st.just(-np.inf)),
    spin_up=st.integers(0, 3),
)
def test_metadata_are_written_as_json_would(
    key: Any,
    parent: Any,
    branch_step: int,
    step: int,
    score: float,
    best: float,
    ended: bool,
    log_weight: float,
    spin_up: int,
) -> None:
    posed = Settings.checked(
        {
            "end_time": 1.0,
            "step_size": 0.1,
            "target_score": 0.5,
            "n_trajectories": 2,
            "n_discard": 1,
            "max_branchings": None,
            "variant": "tams",
            "spin_up": spin_up,
        }
    )
    start = Start(SegmentKey(*key), None if parent is None else SegmentKey(key[0], *parent), branch_step, score)
    facts = facts_of(start, step=step, best=best, ended=ended, settings=posed) | weight_facts(log_weight)
    rest = {"branching_history": [1, 2], "pieces": [["a.nc", 3]]}
    weight = weight_text(log_weight)
    text = MetadataText(posed)(
        key, parent, (branch_step, score), step, best, ended, weight, "[1, 2]", '[["a.nc", 3]]'
    )
    assert text == json.dumps(facts | rest)
