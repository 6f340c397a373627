"""Tables of a result: pandas, xarray, CSV; and how results are shown in a line."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle
from pytams.analysis.tables import columns, comma_separated
from simulators import WellByBranch


def tams() -> pytams.TAMS:
    return pytams.TAMS(DoubleWell2D(), end_time=2.0, step_size=0.02, target_score=0.3, n_trajectories=8, n_discard=2)


@pytest.fixture(scope="module")
def result() -> pytams.Result:
    return tams().run(4, seed=1)


def test_a_row_a_run(result: pytams.Result) -> None:
    frame = result.to_dataframe()
    assert frame.index.tolist() == [0, 1, 2, 3]
    assert frame.estimate.tolist() == list(result.estimates)
    assert frame.n_steps.sum() == result.n_steps
    assert frame.n_iterations.sum() == result.n_iterations
    read = list(csv.DictReader(io.StringIO(comma_separated(columns(result.runs)))))
    assert [float(row["estimate"]) for row in read] == list(result.estimates)
    assert [row["extinct"] for row in read] == [str(run.extinct) for run in result.runs]


def test_everything_labelled(result: pytams.Result) -> None:
    found = result.to_xarray()
    assert found.sizes["run"] == 4
    assert found.sizes["slot"] == 8
    for run in result.runs:
        of_run = found.isel(iteration=(found.iteration_run == run.run).values)
        assert of_run.level.values.tolist() == run.iterations.levels
        assert of_run.log_weight_after.values.tolist() == run.iterations.log_weights
        branchings = found.isel(branching=(found.branching_run == run.run).values)
        for i, iteration in enumerate(run.iterations):
            here = branchings.isel(branching=(branchings.branching_iteration == i).values)
            assert here.killed_slot.values.tolist() == [key.slot for key in iteration.killed]
            assert here.killed_maximum.values.tolist() == list(iteration.killed_maxima)
        assert found.final_maximum.sel(run=run.run).values.tolist() == [final.maximum for final in run.members]
    assert float(found.estimate.mean()) == pytest.approx(result.probability)
    assert found.attrs["n_trajectories"] == 8


def test_a_dataset_can_be_written_and_read(result: pytams.Result, tmp_path: Path) -> None:
    import xarray as xr  # noqa: PLC0415 - an extra

    result.to_xarray().to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as read:
        assert np.array_equal(read.killed_maximum, result.to_xarray().killed_maximum)


def test_what_is_missing_is_said(result: pytams.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate() -> None:
        pytams.simulate(DoubleWell2D(), end_time=1.0, step_size=1.0)

    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "xarray", None)
    for make in (result.to_dataframe, result.to_xarray, simulate):
        with pytest.raises(ImportError, match=r'pip install "pytams-splitting\[xarray\]"'):
            make()


def test_a_line_each(result: pytams.Result, tmp_path: Path) -> None:
    tams().run(2, seed=1, out=tmp_path / "run")
    with pytams.load(tmp_path / "run") as saved:
        things = [result, result.runs[0], result.runs[0].iterations, saved, saved.trajectory(0, 0)]
        assert saved._repr_html_().startswith("<table>")
    for thing in things:
        assert len(repr(thing)) < 200
        assert "\n" not in repr(thing)
    assert "4 runs" in repr(result)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    tams().run(2, seed=1, out=tmp_path / "run")
    with pytams.load(tmp_path / "run") as saved:
        for which, text in (
            ((0, 500), "run 0 has the slots 0 to 7, not 500"),
            ((9, 0), "has no run 9: there are 2 of 2"),
            ((0, 0, 77), "slot 0 of run 0 has the branches 0 to .*, not 77"),
        ):
            with pytest.raises(KeyError, match=text):
                saved.trajectory(*which)


def test_the_ensemble_at_any_iteration(tmp_path: Path) -> None:
    """Also while the run is going on, whose chance to get above the level is shown meanwhile."""
    posed = tams()
    whole = posed.run(1, seed=1, out=tmp_path / "whole")
    with pytams.load(tmp_path / "whole") as saved:
        for k, iteration in enumerate(whole.runs[0].iterations):
            maxima = [max(trajectory.scores) for trajectory in saved.at(0, k)]
            assert [maxima[key.slot] for key in iteration.killed] == list(iteration.killed_maxima)
        last = [max(trajectory.scores) for trajectory in saved.at(0, len(whole.runs[0].iterations))]
        assert last == [final.maximum for final in whole.runs[0].members]
        with pytest.raises(KeyError, match=r"run 0 has had \d+ iterations so far, not 999"):
            saved.at(0, 999)
    with posed.study(1, seed=1, out=pytams.Storage(path=tmp_path / "part", checkpoint_interval=1e-9)) as study:
        for _ in study:
            if study.splittings[0].iterations:
                break
    with pytams.load(tmp_path / "part") as saved:
        assert len(saved.at(0, 1)) == 8
        [row] = saved.to_dict()["runs"]
        assert row["log_weight"] == whole.runs[0].iterations[row["n_iterations"] - 1].log_weight
        assert f"{np.exp(row['log_weight']):.2e}" in str(saved)


def test_the_noise_of_a_stored_trajectory(tmp_path: Path) -> None:
    """It makes each state of the one before, to the bit, across branch points and chunks."""
    model = DoubleWell2DSingle()
    posed = pytams.TAMS(model, end_time=6.0, step_size=0.01, target_score=0.5, n_trajectories=6, n_discard=1)
    posed.run(1, seed=2, out=tmp_path / "run")
    with pytams.load(tmp_path / "run") as saved:
        branched = [one for one in saved.trajectories(0) if len(one.links) > 1]
        assert branched
        for trajectory in branched:
            states, noise = np.array(trajectory.replay(model)), trajectory.noise(model)
            assert noise.shape == (len(states) - 1, 2)
            for k, x in enumerate(states[:-1]):
                assert np.array_equal(model.step(x, noise[k], k * 0.01, 0.01), states[k + 1])
        with pytest.raises(pytams.SettingsError, match="draws its own noise"):
            saved.trajectory(0, 0).noise(WellByBranch())
