"""Observers see every iteration and every run, and cannot stop a study."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import Walk


def tams() -> pytams.TAMS:
    return pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=5, n_trajectories=20, n_discard=2)


class Collector:
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.iterations: dict[int, list[Any]] = {}
        self.finished: dict[int, pytams.RunResult] = {}
        self.n_blocks = 0

    def on_iteration(self, run: int, iteration: Any) -> None:
        self.iterations.setdefault(run, []).append(iteration)

    def on_finished(self, run: int, result: pytams.RunResult) -> None:
        self.finished[run] = result

    def on_block(self, study: pytams.Study) -> None:
        self.n_blocks += 1
        assert study.n_steps > 0


def test_everything_is_seen() -> None:
    seen = Collector()
    result = tams().run(3, seed=1, observers=[seen])
    assert [tuple(seen.iterations[run.run]) for run in result.runs] == [run.iterations for run in result.runs]
    assert [seen.finished[run.run] for run in result.runs] == list(result.runs)
    assert seen.n_blocks > 0


def test_a_resumed_study_is_seen_whole(tmp_path: Path) -> None:
    with tams().study(3, seed=1, out=tmp_path / "run") as study:
        next(iter(study))
    seen = Collector()
    result = tams().run(3, out=tmp_path / "run", observers=[seen])
    assert [tuple(seen.iterations[run.run]) for run in result.runs] == [run.iterations for run in result.runs]


def test_any_of_the_methods_will_do_and_none_is_refused() -> None:
    class OnlyFinished:
        runs: list[int]

        def on_finished(self, run: int, result: pytams.RunResult) -> None:
            self.runs.append(run)

    observer = OnlyFinished()
    observer.runs = []
    tams().run(2, seed=1, observers=[observer])
    assert sorted(observer.runs) == [0, 1]
    with pytest.raises(pytams.SettingsError, match="observers: 3 has none of the methods on_iteration"):
        tams().study(2, observers=[3])


def test_one_that_raises_is_reported_once_and_the_study_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def on_iteration(self, run: int, iteration: Any) -> None:
            raise ZeroDivisionError("of all things")

        def __repr__(self) -> str:
            return "Broken()"

    seen = Collector()
    with caplog.at_level(logging.ERROR, "pytams"):
        result = tams().run(3, seed=1, observers=[Broken(), seen])
    assert result.runs == tams().run(3, seed=1).runs
    assert len(seen.finished) == 3
    [record] = caplog.records
    assert "Broken() raised in on_iteration: the study goes on without it" in record.message
    assert record.exc_info


def test_what_an_observer_gets_cannot_be_changed(tmp_path: Path) -> None:
    """So nobody changes what comes of the study, or what is written of it."""

    class Vandal:
        n_tried = 0

        def on_iteration(self, run: int, iteration: Any) -> None:
            for field in dataclasses.fields(iteration):
                with pytest.raises(AttributeError):
                    setattr(iteration, field.name, None)
                assert not isinstance(getattr(iteration, field.name), list | dict | set)
                self.n_tried += 1

    vandal = Vandal()
    result = tams().run(2, seed=1, observers=[vandal], out=tmp_path / "run")
    assert vandal.n_tried >= 50
    assert result.runs == tams().run(2, seed=1).runs
    with pytams.load(tmp_path / "run") as saved:
        assert saved.result.runs == result.runs
