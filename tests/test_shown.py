"""What a Python session and a notebook show of things: a line, and a small table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D
from pytams.core.segments import Problem
from pytams.engine import InProcess, OnDask, Processes
from pytams.storage.views import trajectory_html
from pytams.tams.forecast import Experience, forecast
from pytams.tams.plan import Learning


class Made(NamedTuple):
    tams: pytams.TAMS
    study: pytams.Study
    saved: Any
    directory: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A study of four runs that has ended, in memory and on disk."""
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.8, n_trajectories=40)
    directory = tmp_path_factory.mktemp("shown") / "dw.tams"
    with tams.study(4, seed=1, out=directory) as study:
        study.finish()
    with pytams.load(directory) as saved:
        yield Made(tams, study, saved, directory)


def assert_one_line(*things: object) -> None:
    for thing in things:
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 200


def test_a_line_each(made: Made) -> None:
    result = made.study.result()
    z = np.linspace(0.0, 0.8, 50)
    known = Experience.of(result, 1.23456789e-5, 1e6 / 3)
    problem = Problem.of(made.tams.model, made.tams.settings, 1)
    assert_one_line(made.tams, made.tams.settings, made.tams.model, made.tams.variant, made.study, problem)
    assert_one_line(result, result.health, *result.runs, result.runs[0].iterations, result.runs[0].members)
    assert_one_line(result.exceedance(z), result.exceedance([]), result.return_times(z), result.reaching_time)
    assert_one_line(result.expectation(lambda ensemble: ensemble.score.max("time")))
    assert_one_line(result.expectation(lambda ensemble: ensemble.state[:, 10], states=True))
    trajectory = made.saved.trajectory(0, 0)
    assert_one_line(made.saved, trajectory, trajectory.links[0], made.saved.directory, made.saved.splittings[0])
    assert_one_line(known, forecast(known, 100, 5, 4, 8), Learning(), pytams.States(), pytams.Launch())
    assert_one_line(pytams.Storage(path=Path("dw.tams"), database_url="postgresql://me:secret@there/db"))
    assert "secret" not in repr(pytams.Storage(path=Path("dw.tams"), database_url="postgresql://me:secret@there/db"))
    assert_one_line(InProcess(problem), InProcess, Processes, OnDask)
    assert repr(made.tams) == ("<TAMS of DoubleWell2D: score >= 0.8 within t <= 4, N = 40, l = 1, dt = 0.02>")
    assert repr(made.study) == "<Study of DoubleWell2D: 4 of 4 runs finished, seed 1>"
    assert repr(result.exceedance([])) == "<Curve at 0 levels>"


@pytest.mark.slow
def test_a_line_of_what_was_learned(made: Made) -> None:
    score = pytams.learn_score(made.study)
    better = made.tams.with_score(score)
    improvement = pytams.improve(made.tams, made.study, rounds=1, seed=2)
    assert_one_line(score, better, better.model, improvement, improvement.gain, *improvement.gain.works)


def rows_of(html: str) -> dict[str, str]:
    """Read names and values of tables, and see that it is well-formed."""
    tree = ET.fromstring(f"<div>{html}</div>")
    return {row[0].text or "": row[1].text or "" for row in tree.iter("tr")}


def test_a_study_in_a_notebook(made: Made) -> None:
    with made.tams.study(2, seed=1) as study:
        rows = rows_of(study._repr_html_())
        assert rows["runs"] == "0 of 2 finished"
        assert rows["lowest level"] == "none of 0.8, 0 trajectories running"
        assert rows["running estimate"] == "nothing has reached the target yet"
        study.finish()
        rows = rows_of(study._repr_html_())
    assert rows["study of"] == "DoubleWell2D"
    assert rows["event"] == "score >= 0.8 within t <= 4"
    assert rows["runs"] == "2 of 2 finished"
    assert rows["lowest level"] == "0.8 of 0.8, 0 trajectories running"
    assert "+-" in rows["running estimate"]
    assert rows["seed"] == "1"


def test_a_saved_study_in_a_notebook(made: Made, tmp_path: Path) -> None:
    rows = rows_of(made.saved._repr_html_())
    assert rows["run directory"] == str(made.directory)
    assert rows["finished"] == "4 of 4 runs"
    assert rows["runs"] == "4 finished, 0 extinct"
    assert rows["probability"] == dict(made.saved.result.rows)["probability"]
    place = tmp_path / "a <b> & \x1b[31m"
    with made.tams.study(2, seed=1, out=place) as study:
        for _ in study:
            if study.splittings[1].iterations:
                break
    with pytams.load(place) as saved:
        html = saved._repr_html_()
        rows = rows_of(html)
        assert rows["finished"] == "0 of 2 runs"
        assert rows["run"] == "level of 0.8"
        assert float(rows["0"]) > 0.0
        assert "a &lt;b&gt; &amp; " in html
        assert "\x1b" not in html
        assert "none: pytams resume goes on with it" in html
        assert "none: pytams resume goes on with it" in str(saved)


def test_a_trajectory_in_a_notebook(made: Made) -> None:
    trajectory = made.saved.trajectory(0, 0)
    html = trajectory._repr_html_()
    rows = rows_of(html)
    run, slot, branch = trajectory.name
    assert rows["trajectory"] == f"run {run}, slot {slot}, branch {branch}"
    assert rows["highest"] == f"{trajectory.scores.max():.4g} of 0.8"
    picture = ET.fromstring(html[html.index("<svg") :])
    [line] = picture.iter("polyline")
    points = np.array([point.split(",") for point in line.attrib["points"].split()], dtype=float)
    assert len(points) == min(len(trajectory.scores), 200)
    assert np.argmin(points[:, 1]) == np.argmax(trajectory.scores)  # y points down
    [target] = picture.iter("line")
    assert (points[:, 1].min() <= float(target.attrib["y1"])) == (trajectory.scores.max() >= 0.8)


class Some(NamedTuple):
    """A trajectory, as far as it is looked at."""

    scores: Any
    settings: pytams.Settings
    name: tuple[int, int, int] = (0, 0, 0)
    links: tuple[Any, ...] = ()

    @property
    def times(self) -> Any:
        return np.arange(len(self.scores)) * 0.5


@pytest.mark.parametrize(
    "scores",
    [[], [0.0], [0.8, 0.8], [0.0, np.nan, 1.0], [0.0, np.inf], [-1.7e308, 1.7e308]],
    ids=["none", "one", "no range", "no number", "infinite", "no span"],
)
def test_what_cannot_be_drawn_is_not(made: Made, scores: list[float]) -> None:
    """A file from anybody may hold any numbers."""
    html = trajectory_html(Some(np.array(scores, dtype=float), made.tams.settings))  # type: ignore[arg-type] # likewise
    assert "<svg" not in html
    assert rows_of(html)["trajectory"] == "run 0, slot 0, branch 0"


def test_a_long_trajectory_is_drawn_by_the_highest_of_each_part(made: Made) -> None:
    scores = np.zeros(100_000)
    scores[54_321] = 0.7
    html = trajectory_html(Some(scores, made.tams.settings))  # type: ignore[arg-type] # as far as it is looked at
    [line] = ET.fromstring(html[html.index("<svg") :]).iter("polyline")
    heights = [point.split(",")[1] for point in line.attrib["points"].split()]
    assert len(heights) == 200
    assert heights.count("10.0") == 1
