"""A model with a Basic Model Interface is a simulator, once it is said how to save it and what seeds it."""

from __future__ import annotations

import functools
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DOUBLE_WELL_2D
from pytams import migrate
from pytams.engine import Processes

bmipy = pytest.importorskip("bmipy")


def _unused(name: str) -> Any:
    def method(self: Any, *arguments: Any) -> Any:
        raise NotImplementedError(name)

    return method


Rest = type("Rest", (bmipy.Bmi,), {name: _unused(name) for name in bmipy.Bmi.__abstractmethods__})
"""All of the interface that is not used here."""


class Well(Rest):  # type: ignore[misc, valid-type] # made above
    """`exact.DoubleWell2D` with a time step of 0.01, and a generator of its own."""

    epsilon = 0.1

    def initialize(self, config_file: str | None) -> None:
        self.x = np.array([-1.0, 0.0])
        self.time = 0.0
        self.rng = np.random.default_rng()
        if config_file is not None:
            self.epsilon = float(Path(config_file).read_text())

    def update(self) -> None:
        x, y = self.x
        noise = np.sqrt(self.epsilon * 0.01) * self.rng.standard_normal(2)
        self.x = self.x + 0.01 * np.array([x - x * x * x, -2.0 * y]) + noise
        self.time += 0.01

    def finalize(self) -> None:
        self.x = np.full(2, np.nan)

    def get_time_step(self) -> float:
        return 0.01

    def get_input_var_names(self) -> tuple[str, ...]:
        return ("position",)

    def get_output_var_names(self) -> tuple[str, ...]:
        return ("position", "speed")

    def get_var_nbytes(self, name: str) -> int:
        return 16

    def get_var_itemsize(self, name: str) -> int:
        return 8

    def get_var_type(self, name: str) -> str:
        return "float64"

    def get_value(self, name: str, dest: Any) -> Any:
        dest[:] = self.x
        return dest

    def set_value(self, name: str, src: Any) -> None:
        self.x = np.array(src)


class Still(Well):
    """Deterministic."""

    epsilon = 0.0


def seed(model: Any, number: int) -> None:
    model.rng = np.random.Generator(np.random.SFC64(number))


def score(model: Any) -> float:
    x, y = model.x
    to_a, to_b = (x + 1.0) * (x + 1.0) + y * y, (x - 1.0) * (x - 1.0) + y * y
    return float(0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b))


def put_back(model: Any, saved: bytes) -> None:
    model.x = np.frombuffer(saved)


def kick(model: Any, rng: np.random.Generator) -> None:
    model.x = model.x + np.sqrt(0.1 * 0.01) * rng.standard_normal(2)


make = functools.partial(migrate.from_bmi, Well, score=score, seed=seed)
BRIEF: dict[str, Any] = {"end_time": 2.0, "step_size": 0.02, "target_score": 0.7, "n_trajectories": 8}


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_double_well_has_its_exact_value(number: int) -> None:
    model = make(state=["position"])
    tams = pytams.TAMS(model, end_time=10.0, step_size=0.01, target_score=0.95, n_trajectories=32, n_discard=8)
    result = tams.run(12, number)
    assert abs(result.probability - DOUBLE_WELL_2D[10]) < 4 * result.standard_error
    assert result.standard_error < 0.4 * DOUBLE_WELL_2D[10]


@pytest.mark.slow
def test_the_same_bits_with_either_way_to_save_and_any_engine(tmp_path: Path) -> None:
    expected = pytams.TAMS(make(state=["position"]), **BRIEF).run(2, 4).runs
    assert expected[0].iterations
    other = make(
        save=lambda model: model.x.tobytes(), load=lambda model, state: model.set_value("", np.frombuffer(state))
    )
    tams = pytams.TAMS(other, **BRIEF)
    assert tams.run(2, 4).runs == expected
    assert tams.run(2, 4, engine=partial(Processes, n_workers=2, seconds=0.01)).runs == expected
    assert tams.run(2, 4, out=tmp_path / "out").runs == expected


@pytest.mark.slow
def test_a_configuration_and_a_model_that_is_perturbed(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("0.4")
    wide = pytams.TAMS(make(str(tmp_path / "config"), state=["position"]), **BRIEF).run(4, 4)
    assert wide.probability > 2 * pytams.TAMS(make(state=["position"]), **BRIEF).run(4, 4).probability
    still = migrate.from_bmi(Still, score=score, perturb=kick, state=["position"])
    result = pytams.TAMS(still, **(BRIEF | {"step_size": 0.01})).run(8, 1)
    assert result.model == "Still"
    assert 0.0 < result.probability < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"state: a Basic Model Interface says nothing of how a state is saved: give state=.* of Well"),
        ({"save": score}, "both save= and load="),
        ({"state": ["position"], "save": score, "load": score}, "says nothing of how"),
        (
            {"state": ["position"], "perturb": kick},
            "seed: Well needs either seed=, which seeds its generator, or per",
        ),
        ({"state": ["position"], "seed": None}, "seed: Well needs either seed="),
    ],
)
def test_what_is_missing_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(pytams.SettingsError, match=message):
        make(**options)


def test_a_variable_that_is_not_there_is_named() -> None:
    with pytest.raises(pytams.ModelError, match=r"state: Well has no variable depth; there are position, speed"):
        pytams.TAMS(make(state=["position", "depth"]), **BRIEF).run(1, 4)


def test_a_step_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(pytams.ModelError, match=r"its time step is 0.01: dt = 0.025 must be a multiple of it"):
        pytams.TAMS(make(state=["position"]), **(BRIEF | {"step_size": 0.025})).run(1, 4)


def test_one_that_nothing_seeds_is_refused() -> None:
    model = migrate.from_bmi(Well, score=score, seed=lambda model, number: None, state=["position"])
    with pytest.raises(pytams.ModelError, match="computed again, gives another score"):
        pytams.TAMS(model, **BRIEF).run(1, 4)
