"""Pictures: what is drawn is what was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from described_axes import described_figure
from matplotlib.collections import LineCollection

import pytams
from approved import check
from exact import Climb, DoubleWell2D, Walk
from pytams import plot

mpl.use("Agg")
APPROVED = Path(__file__).parent / "approved"


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result() -> pytams.Result:
    return pytams.TAMS(
        DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20, n_discard=2
    ).run(4, seed=1)


def walk(target: int, **more: Any) -> pytams.TAMS:
    return pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=target, **{"n_trajectories": 5} | more)


def render(ax: Any) -> None:
    """Find out whether it can be drawn."""
    ax.figure.draw_without_rendering()


def curve(ax: Any) -> Any:
    """Coordinates of the only curve."""
    [line] = [line for line in ax.lines if len(line.get_xdata()) > 2]
    return line.get_xdata(), line.get_ydata()


def y_of(line: Any) -> list[float]:
    return list(line.get_ydata())


def lines(ax: Any) -> list[Any]:
    [collection] = [c for c in ax.collections if isinstance(c, LineCollection)]
    return collection.get_segments()


@pytest.mark.parametrize("kind", plot.KINDS)
def test_every_picture_says_what_it_shows(kind: str, result: pytams.Result) -> None:
    ax = plot.draw(kind, result)
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.get_legend().get_texts()  # type: ignore[union-attr] # that is what is tested
    same, figure = plt.subplots()[::-1]
    assert plot.draw(kind, result, same) is same
    figure.draw_without_rendering()


def potential(x: Any) -> Any:
    return x[:, 0] ** 4 / 4 - x[:, 0] ** 2 / 2 + x[:, 1] ** 2


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "estimates": [{}, {"reference": 0.5}],
    "scores": [{}, {"colour": "weight"}, {"run": 1, "n_most": 3}],
    "paths": [{"n_most": 3}, {"n_most": 3, "potential": potential}],
}


@pytest.mark.parametrize(
    ("kind", "number", "options"),
    [(kind, i, options) for kind in plot.KINDS for i, options in enumerate(OPTIONS.get(kind, [{}]))],
)
def test_every_picture_looks_as_it_was_approved(
    kind: str, number: int, options: dict[str, Any], result: pytams.Result
) -> None:  # fmt: skip
    figure = plot.draw(kind, result, **options).figure
    render(figure.axes[0])
    check(APPROVED / f"{kind}-{number}.txt", described_figure(figure))


@pytest.mark.slow
def test_pictures_of_very_small_probabilities_look_as_they_were_approved() -> None:
    tams = pytams.TAMS(Climb(), end_time=6000, step_size=1, target_score=1500, n_trajectories=8, n_discard=2)
    result = tams.run(2, seed=1)
    assert -1000.0 < result.log_probability < -700.0
    for kind in ("exceedance", "return-times", "estimates"):
        options: dict[str, Any] = {"reference": 1e-300} if kind == "estimates" else {}
        figure = plot.draw(kind, result, **options).figure
        render(figure.axes[0])
        heights = [level for line in figure.axes[0].lines if line.get_label() == "reference" for level in y_of(line)]
        assert all(height > 1e6 for height in heights), "1e-300 is far above the estimate"
        check(APPROVED / f"{kind}-small.txt", described_figure(figure))


@pytest.mark.slow
def test_the_overview_looks_as_it_was_approved(result: pytams.Result) -> None:
    figure = plot.overview(result, 0.5)
    figure.draw_without_rendering()
    check(APPROVED / "overview.txt", described_figure(figure))


@pytest.mark.parametrize("kind", [kind for kind in plot.KINDS if kind != "paths"])
@pytest.mark.parametrize(
    "tams",
    [walk(4, max_branchings=0), walk(19), walk(6, n_trajectories=2), walk(1)],
    ids=["no iteration", "out of reach", "extinct", "at once"],
)
def test_of_one_run_whatever_became_of_it(kind: str, tams: pytams.TAMS) -> None:
    result = tams.run(1, seed=3)
    [run] = result.runs
    ax = plot.draw(kind, result)
    render(ax)
    if kind == "levels":
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), [i.level for i in run.iterations])
    elif kind == "estimates":
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), [run.estimate])
    elif kind == "exceedance":
        shown = np.asarray(ax.lines[0].get_ydata())
        assert ((shown > 0.0) & (shown <= 1.0)).all()
        assert (np.diff(shown) <= 0.0).all()
        assert len(shown) == (result.exceedance(grid(result)).value > 0.0).sum()
    elif kind == "return-times":
        assert (np.diff(np.asarray(ax.lines[0].get_xdata())) >= 0.0).all()
    else:
        assert len(lines(ax)) == run.n


def grid(result: pytams.Result) -> Any:
    """Levels of a picture: from the lowest maximum to just below the target."""
    target = result.settings.target_score
    begin = min((run.iterations[0].lowest for run in result.runs if run.iterations), default=target - 1.0)
    return np.linspace(begin, np.nextafter(target, -np.inf), 300)


def test_levels(result: pytams.Result) -> None:
    ax = plot.levels(result, run=2)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [i.level for i in result.runs[2].iterations])


def test_curves_end_at_the_estimate(result: pytams.Result) -> None:
    _, probability = curve(plot.exceedance(result))
    assert probability[-1] == pytest.approx(result.probability, rel=1e-12)
    return_time, _ = curve(plot.return_times(result))
    assert return_time[-1] == pytest.approx(-4 / np.log1p(-result.probability), rel=1e-12)


def test_estimates(result: pytams.Result) -> None:
    ax = plot.estimates(result, reference=0.5)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.estimates)
    assert "reference" in [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr]


def test_the_target_is_where_it_is(result: pytams.Result) -> None:
    ax = plot.scores(result)
    assert [y_of(line) for line in ax.lines if line.get_label() == "target"] == [[0.9, 0.9]]


def test_scores_are_those_of_the_ensemble(result: pytams.Result) -> None:
    drawn = lines(plot.scores(result, run=1))
    assert [line[-1][0] for line in drawn] == [final.last_step * 0.02 for final in result.runs[1].members]
    assert [line[:, 1].max() for line in drawn] == [final.maximum for final in result.runs[1].members]
    assert len(lines(plot.scores(result, n_most=7, colour="weight"))) == 7


def test_genealogy_ends_at_the_roots(result: pytams.Result) -> None:
    run = result.runs[0]
    drawn = lines(plot.genealogy(result))
    assert len(drawn) == run.n
    assert len({line[0][1] for line in drawn}) == len(run.families)
    ends = [line[-1][1] for line in drawn]
    assert sorted(ends) == list(range(run.n))
    for k in range(len(run.iterations) + 1):  # no line crosses another
        heights = [line[k][1] for line in sorted(drawn, key=lambda line: line[-1][1])]
        assert heights == sorted(heights)


def test_paths_need_a_plane(result: pytams.Result) -> None:
    n_reached = sum(run.n_reached for run in result.runs)
    ax = plot.paths(result, potential)
    assert len(lines(ax)) == min(10, n_reached)
    render(ax)
    with pytest.raises(ValueError, match="two numbers"):
        plot.paths(walk(2).run(2, seed=1))
    with pytest.raises(ValueError, match="no trajectory has reached"):
        plot.paths(walk(15, max_branchings=2).run(2, seed=1))


def test_bad_input(result: pytams.Result) -> None:
    with pytest.raises(pytams.SettingsError, match=r"did you mean levels\?"):
        plot.draw("level", result)
    with pytest.raises(pytams.SettingsError, match="colour: 'wieght' is not one of generation, weight; did"):
        plot.draw("scores", result, colour="wieght")
    with pytest.raises(pytams.SettingsError, match="has no such option"):
        plot.draw("levels", result, reference=1.0)
    with pytest.raises(pytams.SettingsError, match="run: 9 is not among"):
        plot.draw("levels", result, run=9)
