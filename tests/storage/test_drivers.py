"""What a driver holds: runs before workers, one engine for all of its runs, and few connections."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

import pytams
from exact import Walk
from pytams.core.segments import Problem
from pytams.engine import InProcess


def tams() -> pytams.TAMS:
    return pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=5, n_trajectories=10)


class Counted:
    """Counts the engines that are made, and closed."""

    def __init__(self) -> None:
        self.made = self.closed = 0

    def __call__(self, problem: Problem) -> InProcess:
        self.made += 1
        engine = InProcess(problem)
        close = engine.close

        def counted_close() -> None:
            self.closed += 1
            close()

        engine.close = counted_close  # type: ignore[method-assign] # to count
        return engine


def test_no_engine_is_made_where_no_run_is_free(tmp_path: Path) -> None:
    engines = Counted()
    with tams().study(2, seed=1, out=tmp_path / "run") as study:
        next(iter(study))
        with pytest.raises(pytams.RunDirectoryError, match="is in use"):
            tams().study(2, out=tmp_path / "run", engine=engines)
        shared = pytams.Storage(path=tmp_path / "run", runs_at_once=1)
        with tams().study(2, out=shared, engine=engines) as other:
            assert list(other) == []
            assert other.runs == []
    assert engines.made == 0


@pytest.mark.parametrize("runs_at_once", [1, 2, 5])
def test_one_engine_drives_all_runs_in_turn(tmp_path: Path, runs_at_once: int) -> None:
    engines = Counted()
    storage = pytams.Storage(path=tmp_path / "run", runs_at_once=runs_at_once)
    result = tams().run(5, seed=1, out=storage, engine=engines)
    assert (engines.made, engines.closed) == (1, 1)
    assert result.runs == tams().run(5, seed=1).runs


def test_runs_are_claimed_a_few_at_a_time_and_left_when_they_are_finished(tmp_path: Path) -> None:
    storage = pytams.Storage(path=tmp_path / "run", runs_at_once=2)
    driven: dict[int, list[Any]] = {}
    with tams().study(5, seed=1, out=storage) as study:
        for watched in study:
            with pytams.load(tmp_path / "run") as saved:
                driven[len(watched.runs)] = [run["run"] for run in saved.to_dict()["runs"] if run["driver"]]
    assert driven == {2: [0, 1], 4: [2, 3], 5: [4]}


def test_a_study_that_is_finished_has_a_result_for_those_who_share_it(tmp_path: Path) -> None:
    """Nothing is left to claim: the result is that of the runs finished elsewhere, and no engine is made."""
    expected = tams().run(3, seed=1, out=tmp_path / "run")
    engines = Counted()
    shared = pytams.Storage(path=tmp_path / "run", runs_at_once=2)
    result = tams().run(3, out=shared, engine=engines)
    assert (result.runs, result.n_unfinished) == (expected.runs, 0)
    assert engines.made == 0


def test_a_failing_engine_leaves_nothing_behind(tmp_path: Path) -> None:
    def no_engine(problem: Problem) -> InProcess:
        raise ZeroDivisionError("of all things")

    with pytest.raises(ZeroDivisionError):
        tams().study(2, seed=1, out=tmp_path / "run", engine=no_engine)
    assert not (tmp_path / "run").exists()
    assert tams().run(2, seed=1, out=tmp_path / "run").runs == tams().run(2, seed=1).runs
    with pytest.raises(ZeroDivisionError):
        tams().study(3, out=tmp_path / "run", engine=no_engine)
    assert tams().run(3, out=tmp_path / "run").runs == tams().run(3, seed=1).runs


@pytest.mark.slow
def test_forty_runs_take_four_connections(tmp_path: Path, postgres: str) -> None:
    """Of a server with its default settings, which has 100 of them."""
    name = f"pytams-{uuid.uuid4().hex[:8]}"
    url = make_url(postgres).update_query_dict({"application_name": name})
    storage = pytams.Storage(path=tmp_path / "run", database_url=url.render_as_string(hide_password=False))
    watcher = create_engine(make_url(postgres))
    held = []
    with tams().study(40, seed=1, out=storage) as study, watcher.connect() as connection:
        count = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
        for _ in study:
            held.append(connection.scalar(count, {"name": name}))
            connection.rollback()
        assert len(study.runs) == 40
        assert connection.scalar(text("SHOW max_connections")) == "100"
    watcher.dispose()
    assert 1 <= max(held) <= 4
    assert study.result().runs == tams().run(40, seed=1).runs
