"""What is in a run directory, as it was approved: other versions and other programs read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import pytest

import pytams
from approved import check
from exact import DoubleWell2D, Walk
from pytams import Storage
from pytams.storage.directory import RunDirectory

APPROVED = Path(__file__).parent / "approved"


class Parts(DoubleWell2D):
    """States of several parts, one of which NetCDF has no type for."""

    vectorized = False

    def initial_state(self, rng: np.random.Generator) -> Any:
        return {"x": np.array([-1.0, 0.0]), "phase": np.array(1j), "count": np.array(0)}

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        moved = super().step(state["x"][np.newaxis], noise[np.newaxis], t, dt)[0]
        return {"x": moved, "phase": state["phase"] * 1j, "count": state["count"] + 1}

    def score(self, state: Any, t: Any) -> Any:
        return super().score(state["x"][np.newaxis], t)[0]


def described(path: Path) -> str:
    """Describe a NetCDF file, as `ncdump -h` does, but for its lengths."""
    lines = []
    with h5netcdf.File(path, "r") as file:
        lines += [f"{name} = {value}" for name, value in sorted(file.attrs.items())]
        lines += [f"dimension {name}" for name in sorted(file.dimensions)]
        for name, variable in sorted(file.variables.items()):
            lines.append(f"{variable.dtype} {name}({', '.join(variable.dimensions)})")
            lines += [f"    {key} = {value}" for key, value in sorted(variable.attrs.items())]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "model"), [("array", DoubleWell2D()), ("parts", Parts())])
def test_segment_files_are_laid_out_as_approved(tmp_path: Path, name: str, model: pytams.Model) -> None:
    tams = pytams.TAMS(model, end_time=0.5, step_size=0.05, target_score=0.9, n_trajectories=4)
    tams.run(1, seed=1, out=Storage(path=tmp_path / "out", sparse_freq=2))
    [file] = sorted((tmp_path / "out" / "segments").glob("*.nc"))[:1]
    check(APPROVED / f"segments-{name}.txt", described(file))


def test_a_new_ledger_says_what_study_it_is_of(tmp_path: Path) -> None:
    pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=10).run(1, 7, out=tmp_path / "out")
    info = RunDirectory(tmp_path / "out").info
    with RunDirectory.create(tmp_path / "new", info).ledger(3) as ledger:
        assert json.loads(ledger.get_info("study") or "") == info.facts()
