"""Two drivers on one study: whatever the order of what they do, the study comes out as with one, and both say so."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import pytams
from exact import Walk
from pytams.engine.contract import Drifting
from pytams.storage.directory import RunDirectory
from pytams.tams import study as study_module

N_RUNS = 4


def tams(**changes: Any) -> pytams.TAMS:
    settings: dict[str, Any] = {"end_time": 40, "step_size": 1, "target_score": 6, "n_trajectories": 10}
    return pytams.TAMS(Walk(), **{**settings, **changes})


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "_WAIT_SECONDS", 0.01)


@pytest.fixture(scope="module")
def expected() -> pytams.Result:
    return tams().run(8, seed=1)


def finish(study: pytams.Study) -> pytams.Result:
    for _ in study:
        pass
    study.close()
    return study.result()


def a_few(out: Path, n: int = N_RUNS) -> pytams.Study:
    """Take two runs at a time."""
    return tams().study(n, seed=1, out=pytams.Storage(path=out, runs_at_once=2))


def test_who_finds_runs_taken_waits_for_them(
    tmp_path: Path, expected: pytams.Result, caplog: pytest.LogCaptureFixture
) -> None:
    first = a_few(tmp_path / "run")
    next(iter(first))
    second = tams().study(N_RUNS, out=tmp_path / "run")
    assert (first.runs, second.runs) == ([0, 1], [2, 3])
    thread = Thread(target=finish, args=(first,))
    blocks = iter(second)
    while second.n_finished < 2:
        next(blocks)
    next(blocks)  # it waits
    assert "waiting for run 0 (driven by" in caplog.text
    thread.start()
    result = finish(second)
    thread.join()
    assert result.runs == expected.runs[:N_RUNS]
    assert result.n_unfinished == 0
    assert first.result().runs == result.runs


def test_who_does_not_wait_says_that_runs_are_missing(tmp_path: Path, expected: pytams.Result) -> None:
    first, second = a_few(tmp_path / "run"), a_few(tmp_path / "run")
    next(iter(first))
    result = finish(second)
    assert [run.run for run in result.runs] == [2, 3]
    assert result.n_unfinished == 2
    assert "2 unfinished" in str(result)
    assert finish(first).runs == expected.runs[:N_RUNS]


def test_a_driver_that_leaves_is_followed(tmp_path: Path, expected: pytams.Result) -> None:
    first = a_few(tmp_path / "run")
    second = tams().study(N_RUNS, out=tmp_path / "run")
    blocks = iter(second)
    for _ in range(3):
        next(iter(first))
    while second.n_finished < 2:
        next(blocks)
    first.close()
    assert finish(second).runs == expected.runs[:N_RUNS]
    assert second.runs == [2, 3, 0, 1]


def test_a_driver_that_finds_nothing_free_drives_nothing(tmp_path: Path, expected: pytams.Result) -> None:
    """Also if runs become free before it starts: it has no engine to drive them with."""
    first = a_few(tmp_path / "run", 2)
    next(iter(first))
    second = a_few(tmp_path / "run", 2)
    first.close()
    assert (list(second), second.runs) == ([], [])
    second.close()
    with pytest.raises(RuntimeError, match="no run is finished"):
        second.result()
    assert finish(a_few(tmp_path / "run", 2)).runs == expected.runs[:2]


def test_two_that_extend_at_once_both_say_what_the_study_is(tmp_path: Path, expected: pytams.Result) -> None:
    tams().run(2, seed=1, out=tmp_path / "run")
    shorter = tams().study(3, out=pytams.Storage(path=tmp_path / "run", runs_at_once=1))
    longer = tams().study(6, out=pytams.Storage(path=tmp_path / "run", runs_at_once=2))
    next(iter(longer))
    with pytest.raises(pytams.SettingsError, match="has 6 runs already; a study can only grow"):
        tams().study(5, out=tmp_path / "run")
    assert RunDirectory(tmp_path / "run").info.n_runs == 6
    said = finish(shorter)
    assert (len(said.runs), said.n_unfinished) == (3, 3)
    assert finish(longer).runs == expected.runs[:6]
    assert shorter.result().runs == expected.runs[:6]


def test_a_larger_study_is_not_made_smaller(tmp_path: Path) -> None:
    tams().run(1, seed=1, out=tmp_path / "run")
    small, large = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    small.extend(n_runs=2, max_branchings=None)
    large.extend(n_runs=5, max_branchings=None)
    large.save()
    small.save()
    assert RunDirectory(tmp_path / "run").info.n_runs == 5


def test_a_study_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    with tams(max_branchings=5).study(2, seed=1, out=tmp_path / "run") as study:
        next(iter(study))
        before = (tmp_path / "run" / "study.json").read_bytes()
        with pytest.raises(pytams.RunDirectoryError, match="is in use"):
            tams(max_branchings=50).study(2, out=tmp_path / "run")
        assert (tmp_path / "run" / "study.json").read_bytes() == before


def test_files_of_runs_that_were_asked_for_meanwhile_stay(tmp_path: Path, expected: pytams.Result) -> None:
    """A driver that read study.json before an extension does not take the others' files for unused."""
    tams().run(2, seed=1, out=tmp_path / "run")
    (tmp_path / "run" / "segments" / "left.nc").write_bytes(b"of a killed driver")
    stale = tams().study(2, out=tmp_path / "run")
    assert not list(stale)  # removes what is left
    assert not (tmp_path / "run" / "segments" / "left.nc").exists()
    stale.close()
    info = RunDirectory(tmp_path / "run").info
    directory = RunDirectory(tmp_path / "run")
    tams().run(4, out=tmp_path / "run")
    ledgers = [directory.ledger(run) for run in range(info.n_runs)]
    assert directory.clean_up(ledgers) == []
    for ledger in ledgers:
        ledger.close()
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == expected.runs[:4]


def test_left_temporary_files_go(tmp_path: Path) -> None:
    tams().run(2, seed=1, out=tmp_path / "run")
    left = [
        tmp_path / "run" / name
        for name in (
            "ledgers/run00001.db.abc.tmp",
            "ledgers/run00001.db.abc.tmp-journal",
            "segments/x.nc.abc.tmp",
            "study.json.a.tmp",
        )
    ]
    for path in left:
        path.touch()
        os.utime(path, (time.time() - 7200,) * 2)
    tams().run(2, out=tmp_path / "run")
    assert not any(path.exists() for path in left)


def test_temporary_files_that_are_being_written_stay(tmp_path: Path) -> None:
    """By a driver that asks for more runs: it holds none yet."""
    tams().run(2, seed=1, out=tmp_path / "run")
    written = [tmp_path / "run" / name for name in ("ledgers/run00002.db.abc.tmp", "study.json.a.tmp")]
    for path in written:
        path.touch()
    tams().run(2, out=tmp_path / "run")
    assert all(path.exists() for path in written)


def interleaved(out: Path, seed: int, n_drivers: int) -> list[pytams.Result]:
    """Let drivers make a block at a time in a random order; some leave half way, and come back."""
    choose = random.Random(seed)
    results: dict[int, pytams.Result] = {}
    going: dict[int, tuple[pytams.Study, Iterator[pytams.Study]]] = {}
    while len(results) < n_drivers:
        driver = choose.choice([driver for driver in range(n_drivers) if driver not in results])
        if driver not in going:
            at_once = choose.choice([1, 2, 3])
            study = tams().study(N_RUNS, seed=1, out=pytams.Storage(path=out, runs_at_once=at_once))
            going[driver] = study, iter(study)
        study, blocks = going[driver]
        if choose.random() < 0.05:
            study.close()
            del going[driver]
        elif next(blocks, None) is None:
            study.close()
            del going[driver]
            if study.runs:
                results[driver] = study.result()
            elif not going:  # nobody else holds a run
                results[driver] = tams().run(N_RUNS, out=out)
    return list(results.values())


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_two_gives_the_same(tmp_path: Path, expected: pytams.Result, seed: int) -> None:
    check_order(tmp_path, expected, seed, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_any_order_of_three_gives_the_same(tmp_path: Path, expected: pytams.Result, seed: int) -> None:
    check_order(tmp_path, expected, seed, 3)


def check_order(out: Path, expected: pytams.Result, seed: int, n_drivers: int) -> None:
    results = interleaved(out / "run", seed, n_drivers)
    for result in results:
        assert len(result.runs) + result.n_unfinished == N_RUNS
        assert all(run == expected.runs[run.run] for run in result.runs)
    assert tams().run(N_RUNS, out=out / "run").runs == expected.runs[:N_RUNS]


def drive(out: Path, n_runs: int) -> None:
    result = tams().run(n_runs, seed=1, out=out)
    assert result.n_unfinished == 0
    assert len(result.runs) >= n_runs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_processes_that_extend_one_study_at_once(tmp_path: Path, expected: pytams.Result, seed: int) -> None:
    """Each asks for another number of runs, and either finds the study in use or sees it to its end."""
    tams().run(1, seed=1, out=tmp_path / "run")
    context = multiprocessing.get_context("spawn")
    drivers = [context.Process(target=drive, args=(tmp_path / "run", n)) for n in (3, 8, 5)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert any(driver.exitcode == 0 for driver in drivers)
    n_runs = RunDirectory(tmp_path / "run").info.n_runs
    assert tams().run(n_runs, out=tmp_path / "run").runs == expected.runs[:n_runs]


def test_runs_that_a_higher_cap_does_not_change_hold_up_nobody(tmp_path: Path) -> None:
    """They are finished at once; then it is the others' turn."""
    tams(max_branchings=1000).run(4, seed=1, out=tmp_path / "run")
    longer = tams(max_branchings=2000)
    result = finish(longer.study(6, out=pytams.Storage(path=tmp_path / "run", runs_at_once=1)))
    assert (len(result.runs), result.n_unfinished) == (6, 0)
    assert result.runs == longer.run(6, seed=1).runs


def test_a_cap_that_is_raised_meanwhile(tmp_path: Path) -> None:
    """Who opened the study before is told no lie: ``study.json`` has the cap that the ledgers have."""
    tams(max_branchings=5).run(3, seed=1, out=tmp_path / "run")
    before = RunDirectory(tmp_path / "run")
    tams(max_branchings=20).run(3, out=tmp_path / "run")
    for run in range(3):
        before.ledger(run, read_only=True).close()
    study = tmp_path / "run" / "study.json"
    study.write_text(study.read_text().replace('"max_branchings": 20', '"max_branchings": 5'))
    with pytest.raises(pytams.RunDirectoryError, match="max_branchings is 5, but run 0 was made with 20"):
        before.ledger(0, read_only=True)


def test_a_study_that_was_not_begun(tmp_path: Path) -> None:
    """It leaves nothing behind but what was there."""
    (tmp_path / "run").mkdir()
    for out, stays in ((tmp_path / "run", True), (tmp_path / "new", False)):
        study = tams().study(2, seed=1, out=out)
        study.close()
        with pytest.raises(RuntimeError, match="no run is finished"):
            study.result()
        assert out.exists() == stays
        assert not list(tmp_path.rglob("*.*"))


def test_a_trajectory_of_which_nothing_is_recorded(tmp_path: Path) -> None:
    one_by_one = pytams.TAMS(Drifting(), end_time=60, step_size=1, target_score=1.8, n_trajectories=10)
    engine = partial(pytams.engine.InProcess, block_length=1)
    with one_by_one.study(1, seed=1, out=tmp_path / "run", engine=engine) as study:
        next(iter(study))
    with pytams.load(tmp_path / "run") as saved:
        assert [len(trajectory.scores) for trajectory in saved.trajectories(0)] == [2, *[0] * 9]
