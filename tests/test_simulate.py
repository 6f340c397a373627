"""One trajectory of a model by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle
from simulators import WellByBranch


class Stopping(DoubleWell2DSingle):
    """Stops when it has climbed a little."""

    def stopped(self, state: Any, t: Any) -> Any:
        return float(self.score(state, t)) > 0.05


def test_it_is_the_first_trajectory_of_a_study(tmp_path: Path) -> None:
    posed = pytams.TAMS(DoubleWell2D(), end_time=1.0, step_size=0.01, target_score=0.99, n_trajectories=4)
    posed.run(1, seed=3, out=pytams.Storage(path=tmp_path / "run", sparse_freq=1))
    with pytams.load(tmp_path / "run") as saved:
        stored = saved.trajectory(0, 0, 0)
    alone = pytams.simulate(DoubleWell2D(), 1.0, 0.01, seed=3)
    assert alone.score.values.tobytes() == stored.scores.tobytes()
    assert np.array(stored.states).tobytes() == alone.state.values.tobytes()
    assert alone.time.values.tolist() == stored.times.tolist()
    assert alone.attrs == {"model": "DoubleWell2D", "seed": "3", "trajectory": 0}


def test_other_trajectories_and_seeds_are_others() -> None:
    one, same, other, another = (
        pytams.simulate(DoubleWell2DSingle(), 1.0, 0.01, seed=seed, trajectory=number)
        for seed, number in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert one.identical(same)
    assert not np.array_equal(one.score, other.score)
    assert not np.array_equal(one.score, another.score)
    assert int(pytams.simulate(DoubleWell2DSingle(), 1.0, 0.01).attrs["seed"]) >= 0


def test_it_goes_on_to_its_end() -> None:
    assert pytams.simulate(DoubleWell2DSingle(), 5.0, 0.01, seed=1).sizes["time"] == 501
    stopped = pytams.simulate(Stopping(), 5.0, 0.01, seed=1)
    assert stopped.sizes["time"] < 501
    assert float(stopped.score[-1]) > 0.05 >= float(stopped.score[:-1].max())


def test_a_simulator() -> None:
    made = pytams.simulate(WellByBranch(), 1.0, 0.02, seed=1)
    assert made.sizes["time"] == 51
    assert made.score.dtype == np.float64


def test_what_cannot_be() -> None:
    with pytest.raises(pytams.SettingsError, match="end_time"):
        pytams.simulate(DoubleWell2D(), 1.0, 0.3, seed=1)
    with pytest.raises(pytams.SettingsError, match="seed"):
        pytams.simulate(DoubleWell2D(), 1.0, 0.1, seed=-1)
