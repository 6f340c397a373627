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


def bars(ax: Any) -> list[Any]:
    """Those of a histogram."""
    return [patch for patch in ax.patches if patch.get_label() != "95 % interval of the mean"]


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
    "levels": [{}, {"run": 1}],
    "weights": [{}, {"run": 1}],
    "convergence": [{}, {"reference": 0.5}],
    "density": [{}, {"x": "time", "y": "score"}],
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
        heights = {str(line.get_label()): y_of(line)[0] for line in figure.axes[0].lines}
        assert kind != "estimates" or heights["reference"] > heights["mean"] + 1.0, "1e-300 is far above the estimate"
        check(APPROVED / f"{kind}-small.txt", described_figure(figure))


@pytest.mark.slow
def test_the_overview_looks_as_it_was_approved(result: pytams.Result) -> None:
    figure = plot.overview(result, 0.5)
    figure.draw_without_rendering()
    check(APPROVED / "overview.txt", described_figure(figure))


@pytest.mark.parametrize("kind", plot.KINDS)
@pytest.mark.parametrize(
    "tams",
    [walk(4, max_branchings=0), walk(19), walk(6, n_trajectories=2), walk(1)],
    ids=["no iteration", "out of reach", "extinct", "at once"],
)
def test_of_one_run_whatever_became_of_it(kind: str, tams: pytams.TAMS) -> None:
    result = tams.run(1, seed=3)
    [run] = result.runs
    if not plot.is_for(kind, result) and kind not in {"estimates", "convergence"}:
        with pytest.raises(ValueError, match=r"no trajectory"):
            plot.draw(kind, result)
        return
    ax: Any = plot.draw(kind, result)
    render(ax)
    if kind == "levels":
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), [i.level for i in run.iterations])
    elif kind == "weights":
        left = [i.log_weight / np.log(10.0) for i in run.iterations if i.log_weight > -np.inf]
        np.testing.assert_allclose(ax.lines[0].get_ydata(), left, rtol=1e-12)
    elif kind in {"estimates", "convergence"}:
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [run.estimate] if run.estimate else [], rtol=1e-12)
    elif kind == "reaching-times":
        assert sum(bar.get_height() * bar.get_width() for bar in bars(ax)) == pytest.approx(1.0)
    elif kind == "discarded":
        assert len(lines(ax)) == min(60, run.n_branchings)
    elif kind in plot.OF_STATES:
        assert ax.get_xlabel() == "time"
        assert ax.get_ylabel() == "state"
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
    ax: Any = plot.estimates(result, reference=0.5)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), result.estimates, rtol=1e-12)
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "reference" in said
    band = next(patch for patch in ax.patches if patch.get_label() == "95 % of runs, ideal score")
    ideal = 1.96 * np.sqrt(-np.log(result.probability) / 20)  # of the log of a run
    assert band.get_height() / result.probability == pytest.approx(2.0 * np.sinh(ideal))
    some_zero = walk(6, n_trajectories=2).run(20, seed=3)
    said = [text.get_text() for text in plot.estimates(some_zero).get_legend().get_texts()]  # type: ignore[union-attr]
    assert f"one run ({some_zero.n_extinct} of 20 estimate 0)" in said


def test_all_runs_are_drawn_and_the_extreme_ones_named(result: pytams.Result) -> None:
    for draw in (plot.levels, plot.weights):
        ax = draw(result)
        assert len(lines(ax)) == 4
        said = [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr] # it has one
        ordered = sorted(result.runs, key=lambda run: run.estimate)
        for run, which in ((ordered[-1], "most"), (ordered[0], "least")):
            assert f"run {run.run}, with the {which}: {run.estimate:.2g}" in said
        assert len(draw(result, run=2).lines) == 2


def test_no_run_is_the_best_where_all_are_alike() -> None:
    """Nor one that goes on."""
    nothing = walk(19).run(3, seed=1)
    assert not nothing.probability
    said = [text.get_text() for text in plot.levels(nothing).get_legend().get_texts()]  # type: ignore[union-attr]
    assert said == ["one run", "target"]


def test_bins_are_of_whole_steps() -> None:
    result = walk(3, n_trajectories=50).run(40, seed=1)
    widths = {round(bar.get_width(), 9) for bar in bars(plot.reaching_times(result))}
    assert len(widths) == 1
    assert widths.pop() % 1.0 == 0.0
    assert sum(bar.get_height() for bar in bars(plot.reaching_times(result))) > 0.0
    first = min(final.last_step for run in result.runs for final in run.reached)
    assert bars(plot.reaching_times(result))[0].get_x() == first - 0.5


def test_the_mean_of_all_runs_is_the_last_one(result: pytams.Result) -> None:
    ax = plot.convergence(result)
    assert y_of(ax.lines[0])[-1] == pytest.approx(result.probability)
    assert f"5% takes about {result.runs_for(0.05):,} runs" in ax.get_title(loc="left")


def test_reaching_times_are_weighted(result: pytams.Result) -> None:
    ax = plot.reaching_times(result)
    mean = sum(bar.get_height() * bar.get_width() * (bar.get_x() + bar.get_width() / 2) for bar in bars(ax))
    assert mean == pytest.approx(result.reaching_time.value, abs=bars(ax)[0].get_width())


def test_the_killed_are_drawn_up_to_their_maxima(result: pytams.Result) -> None:
    run = result.runs[1]
    killed = result.discarded(1)
    assert killed.maximum.values.tolist() == [m for i in run.iterations for m in i.killed_maxima]
    assert killed.score.max("time").values.tolist() == killed.maximum.values.tolist()
    assert killed.killed_in.values.tolist() == [i.index for i in run.iterations for _ in i.killed]
    assert killed.weight.values[0] == pytest.approx(1 / 20)
    assert len(lines(plot.discarded(result, run=1, n_most=7))) == 7


def test_what_a_model_calls_things_is_on_the_axes() -> None:
    class Labelled(DoubleWell2D):
        units, state_names = {"time": "yr", "x": "m", "score": "Sv"}, ("x", "y")

    tams = pytams.TAMS(Labelled(), end_time=4, step_size=0.02, target_score=0.6, n_trajectories=20, n_discard=2)
    result = tams.run(2, seed=1)
    said = {kind: (ax.get_xlabel(), ax.get_ylabel()) for kind in plot.KINDS if (ax := plot.draw(kind, result))}
    assert said["levels"] == ("splitting iteration", "score (Sv)")
    assert said["paths"] == said["density"] == ("x (m)", "y")
    assert said["scores"] == ("time (yr)", "score (Sv)")
    assert said["return-times"] == ("return time (yr)", "score (Sv)")
    ax = plot.density(result, x="time", y="score")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (yr)", "score (Sv)")
    with pytest.raises(pytams.SettingsError, match=r"^y: there is no component 'z'; there are x, y, time, score"):
        plot.paths(result, y="z")


def test_a_random_start_is_no_part_of_the_state() -> None:
    """Of what its start is made, nothing is drawn."""

    class Random(DoubleWell2D):
        start_shape, state_names = (2,), ("x", "y")

        def initial_state(self, rng: Any) -> Any:
            return 0.1 * rng - np.array([1.0, 0.0])

    tams = pytams.TAMS(Random(), end_time=4, step_size=0.02, target_score=0.6, n_trajectories=20, n_discard=2)
    result = tams.run(1, seed=1)
    ax = plot.paths(result, potential)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert len(ax.collections) > 1, "the potential is drawn"
    with pytest.raises(pytams.SettingsError, match="there are x, y, time, score"):
        plot.paths(result, y="z")


def test_the_density_is_of_all_the_time_that_paths_take(result: pytams.Result) -> None:
    ax: Any = plot.density(result)
    mesh = ax.collections[0]
    x, y = mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1]
    values = np.ma.filled(mesh.get_array(), 0.0)
    assert (values * np.diff(x) * np.diff(y)[:, None]).sum() == pytest.approx(1.0)
    mean = ax.lines[0].get_xydata()
    assert mean[0] == pytest.approx([-1.0, 0.0], abs=0.05)  # where paths begin
    assert mean[-1][0] > 0.6


def test_of_runs_that_go_on(tmp_path: Path) -> None:
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20, n_discard=2)
    for n in (0, 20):
        storage = pytams.Storage(path=tmp_path / f"{n}.tams", checkpoint_interval=1e-6)
        with tams.study(2, seed=1, out=storage) as study:
            for i, _ in enumerate(study):
                if i == n:
                    break
        with pytams.load(storage.path) as saved:
            so_far = saved.result
            assert so_far.is_provisional
            for kind in plot.KINDS:
                if plot.is_for(kind, so_far) and kind not in plot.OF_STATES:
                    render(plot.draw(kind, so_far))
            plot.overview(so_far, 0.5).draw_without_rendering()


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


def test_paths_are_in_a_plane(result: pytams.Result) -> None:
    n_reached = sum(run.n_reached for run in result.runs)
    ax = plot.paths(result, potential)
    assert len(lines(ax)) == min(10, n_reached)
    render(ax)
    render(plot.paths(walk(2).run(2, seed=1)))  # of one number: against time
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
