"""Every source of ours passes the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle
from pytams.analysis.contract import SourceContract


def tams(model: pytams.Model) -> pytams.TAMS:
    return pytams.TAMS(model, end_time=4, step_size=0.02, target_score=0.9, n_trajectories=12, n_discard=2)


class TestReplay(SourceContract):
    @pytest.fixture
    def result(self) -> pytams.Result:
        return tams(DoubleWell2DSingle()).run(2, seed=5)


class TestSavedStudy(SourceContract):
    @pytest.fixture
    def result(self, tmp_path: Path) -> Iterator[pytams.Result]:
        tams(DoubleWell2D()).run(2, seed=5, out=pytams.Storage(path=tmp_path / "run", sparse_freq=1))
        with pytams.load(tmp_path / "run") as saved:
            yield saved.result
