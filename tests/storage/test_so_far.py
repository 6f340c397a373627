"""What a run directory says while runs go on: provisional, and right where it is final."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, Walk
from pytams import Storage
from pytams.analysis.summary import headline

SETTINGS: dict[str, Any] = {"end_time": 5.0, "step_size": 0.05, "target_score": 0.9, "n_trajectories": 10}


class Labelled(DoubleWell2D):
    title, units, state_names = "A double well", {"time": "s", "score": "m"}, ("x", "y")


def stop_after(path: Path, n: int, n_runs: int = 3) -> None:
    """Leave a study after so many iterations and ends of runs."""
    storage = Storage(path=path, checkpoint_interval=1e-6)
    with pytams.TAMS(Labelled(), **SETTINGS).study(n_runs, seed=2, out=storage) as study:
        for i, _ in enumerate(study):
            if i == n:
                return


@pytest.mark.parametrize("n", [0, 1, 10, 30, 80])
def test_what_is_said_of_levels_so_far_is_what_will_be_said(tmp_path: Path, n: int) -> None:
    stop_after(tmp_path / "a.tams", n)
    final = pytams.TAMS(Labelled(), **SETTINGS).run(3, seed=2)
    with pytams.load(tmp_path / "a.tams") as saved:
        so_far = saved.so_far
        assert so_far.is_provisional
        assert (
            so_far.level == min(run.level for run in so_far.runs if not run.finished) < so_far.settings.target_score
        )
        for run in so_far.runs:
            last = final.runs[run.run]
            levels = run.iterations.levels
            assert levels == last.iterations.levels[: len(levels)]
            assert run.finished == (run == last)
            z: list[float] = np.linspace(-1.0, min(run.level, 0.9), 20)[:-1].tolist() if levels else []
            assert run.log_exceedance(z).tolist() == last.log_exceedance(z).tolist()
        with pytest.raises(pytams.SettingsError, match="^z: runs go on, and have "):
            so_far.exceedance([so_far.level + 0.01])
        if so_far.level > -math.inf:
            p = so_far.exceedance([so_far.level - 1e-9])
            assert p.log_value == final.exceedance(p.z).log_value
        assert "PROVISIONAL" in str(so_far)
        assert so_far.health.reason.startswith("provisional: ")
        assert saved.ensemble(n_most=5).identical(saved.result.ensemble(n_most=5))
        assert so_far.to_xarray().attrs["provisional"] == 1
        assert "±" not in headline(so_far)
        assert "of the log-probability" not in so_far.health.reason
        assert so_far.ensemble(n_most=5).sizes["trajectory"] <= 5
        assert saved.result is so_far or saved.n_finished
        said = json.loads(json.dumps(saved.to_dict()))["result"]
        assert said["provisional"] == (saved.n_finished == 0)


def test_a_finished_study_has_nothing_provisional(tmp_path: Path) -> None:
    result = pytams.TAMS(Labelled(), **SETTINGS).run(2, seed=2, out=tmp_path / "a.tams")
    with pytams.load(tmp_path / "a.tams") as saved:
        assert saved.so_far == saved.result == result
        assert not saved.so_far.is_provisional
        assert saved.so_far.level == 0.9


def test_before_anything(tmp_path: Path) -> None:
    path = tmp_path / "a.tams"
    with pytams.TAMS(Labelled(), **SETTINGS).study(2, seed=2, out=path), pytams.load(path) as saved:
        assert not saved.has_begun
        assert saved.to_dict()["result"] is None
        assert "0 of 2 runs finished" in str(saved)
        with pytest.raises(pytams.RunDirectoryError, match="no run has begun yet"):
            _ = saved.result


def test_a_trajectory_is_called_what_was_asked_for(tmp_path: Path) -> None:
    """Also if it has no segment of its own, as nothing was left to simulate."""
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=3, n_trajectories=10)
    tams.run(1, seed=1, out=tmp_path / "a.tams")
    with pytams.load(tmp_path / "a.tams") as saved:
        ensemble = saved.trajectories(0)
        assert any(one.key.slot != slot for slot, one in enumerate(ensemble)), "or it tests nothing"
        for slot, one in enumerate(ensemble):
            assert one.name.slot == slot
            assert f"run 0, slot {slot}, branch {one.name.branch}" in repr(one)
            assert one.to_xarray().attrs["slot"] == slot


def test_what_is_shown_is_dated(tmp_path: Path) -> None:
    stop_after(tmp_path / "a.tams", 10)
    with pytams.load(tmp_path / "a.tams") as saved:
        assert re.search(r"\nas of \d+ s ago, when something was written last$", str(saved))


def test_nothing_is_learned_or_planned_from_what_goes_on(tmp_path: Path) -> None:
    stop_after(tmp_path / "a.tams", 10, n_runs=4)
    with pytams.load(tmp_path / "a.tams") as saved:
        assert not saved.n_finished
        with pytest.raises(pytams.SettingsError, match="pilot: none of its runs is finished yet"):
            pytams.learn_score(saved)


def test_labels_are_kept_and_may_change(tmp_path: Path) -> None:
    stop_after(tmp_path / "a.tams", 10)
    with pytams.load(tmp_path / "a.tams") as saved:
        labels = saved.result.labels
    assert (labels.title, labels.axis("time"), labels.component(1)) == ("A double well", "time (s)", "y")
    assert (labels.axis("y"), labels.component(2), labels.time_unit) == ("y", "x[2]", "s")
    assert pytams.TAMS(Walk(), **SETTINGS | {"step_size": 1.0}).run(1).labels.axis("score") == "score"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("units", ["s"], "units: "), ("state_names", "xy", "state_names: "), ("title", 3, "title: ")],
)
def test_labels_of_another_kind_are_refused(name: str, value: Any, said: str) -> None:
    model = Labelled()
    setattr(model, name, value)
    with pytest.raises(pytams.SettingsError, match=f"^model: Labelled is labelled for pictures by {said}"):
        pytams.TAMS(model, **SETTINGS).run(1)
