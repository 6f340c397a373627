"""Every source of ours passes the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle
from pytams.analysis.contract import SourceContract


def tams(model: pytams.Model) -> pytams.TAMS:
    return pytams.TAMS(model, end_time=4, step_size=0.02, target_score=0.9, n_trajectories=12, n_discard=2)


class OfDoubleWells(SourceContract):
    def score(self, state: Any, t: float) -> float:
        return float(DoubleWell2DSingle().score(state, t))


class TestReplay(OfDoubleWells):
    @pytest.fixture
    def result(self) -> pytams.Result:
        return tams(DoubleWell2DSingle()).run(2, seed=5)


@pytest.mark.parametrize("sparse_freq", [0, 1, 3])
class TestSavedStudy(OfDoubleWells):
    """States that are not all stored are computed again."""

    @pytest.fixture
    def result(self, tmp_path: Path, sparse_freq: int) -> Iterator[pytams.Result]:
        out = pytams.Storage(path=tmp_path / "run", sparse_freq=sparse_freq, model_reference="exact:DoubleWell2D")
        tams(DoubleWell2D()).run(2, seed=5, out=out)
        with pytams.load(tmp_path / "run") as saved:
            yield saved.result
