"""Classes written for pyTAMS run when only their import lines are changed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DOUBLE_WELL_2D, ORNSTEIN_UHLENBECK
from pytams.engine import OnExecutor, Processes
from pytams.models.loading import make_model

IMPORT = "from pytams.migrate import ForwardModel as ForwardModelBaseClass\n"

DOUBLE_WELL = """
from typing import Any
import numpy as np

class DoubleWell(ForwardModelBaseClass):
    def _init_model(self, m_id: int, params: dict[Any, Any]) -> None:
        self._state = np.array([-1.0, 0.0])
        self._epsilon = params["model"].get("epsilon", 0.1)
        self._rng = np.random.default_rng(m_id if params["model"]["deterministic"] else None)

    def _advance(self, step: int, time: float, dt: float, noise: Any, need_end_state: bool) -> float:
        x, y = self._state
        self._state = self._state + dt * np.array([x - x**3, -2.0 * y]) + np.sqrt(dt * self._epsilon) * noise
        return dt

    def get_current_state(self) -> Any:
        return self._state

    def set_current_state(self, state: Any) -> None:
        self._state = state

    def score(self) -> float:
        x, y = self._state
        to_a, to_b = (x + 1.0) ** 2 + y**2, (x - 1.0) ** 2 + y**2
        return 0.5 - 0.5 * np.exp(-8.0 * to_a) + 0.5 * np.exp(-8.0 * to_b)

    def make_noise(self) -> Any:
        return self._rng.standard_normal(2)

    @classmethod
    def name(self):
        return "the double well"
"""

ORNSTEIN_UHLENBECK_GLOBAL = """
import random
import numpy as np

class OrnsteinUhlenbeck(ForwardModelBaseClass):
    '''From its stationary law, with the global generators; converged in units of the standard deviation.'''

    def _init_model(self, m_id, params):
        self._level = params["level"]
        self._x = np.random.default_rng(m_id).normal(0.0, 0.5**0.5)
        self._n_branched = self._n_restored = 0

    def _advance(self, step, time, dt, noise, need_end_state):
        assert abs(step * dt - time) < 1e-9 and self._step == step and self._time == time
        self._x += -self._x * dt + dt**0.5 * noise
        return dt

    def get_current_state(self):
        return {"x": np.array(self._x)}

    def set_current_state(self, state):
        self._x = float(state["x"])

    def score(self):
        return self._x

    def make_noise(self):
        return random.gauss(0.0, 1.0) if self._level > 100 else np.random.standard_normal()

    def check_convergence(self, step, time, current_score, target_score):
        assert target_score == 99.0
        return current_score / 0.5**0.5 >= self._level

    def _trajectory_branching_hook(self):
        self._n_branched += 1
        self.seen = getattr(self, "seen", []) + [(self._step, self._time)]

    def _trajectory_restore_hook(self):
        self._n_restored += 1
"""

THREE_HOLES = """
import numpy as np

class Bichannel(ForwardModelBaseClass):
    '''Two channels between the wells at -1 and 1 (Metzner, Schuette & Vanden-Eijnden 2006).'''

    def _init_model(self, m_id, params):
        self._state = np.array([-1.0, 0.0])
        self._beta = params["model"]["beta"]
        self._rng = np.random.RandomState(m_id)

    def _advance(self, step, time, dt, noise, need_end_state):
        self._state = self._state + dt * force(*self._state) + np.sqrt(2.0 * dt / self._beta) * noise
        return dt

    def get_current_state(self):
        return self._state

    def set_current_state(self, state):
        self._state = state

    def score(self):
        return self._state[0]

    def make_noise(self):
        return self._rng.standard_normal(2)

def force(x, y):
    def well(depth, x_0, y_0):
        return 2.0 * depth * np.exp(-((x - x_0) ** 2) - (y - y_0) ** 2) * np.array([x - x_0, y - y_0])
    walls = -np.array([0.8 * x**3, 0.8 * (y - 1 / 3) ** 3])
    return walls + well(3.0, 0, 1 / 3) - well(3.0, 0, 5 / 3) - well(5.0, 1, 0) - well(5.0, -1, 0)
"""


def written(folder: Path, code: str, name: str, **params: Any) -> Any:
    (folder / "model.py").write_text(IMPORT + code)
    return make_model(f"model.py:{name}", params, folder)


@pytest.fixture
def double_well(tmp_path: Path) -> Any:
    return written(tmp_path, DOUBLE_WELL, "DoubleWell", epsilon=0.1)


BRIEF: dict[str, Any] = {"end_time": 2.0, "step_size": 0.02, "target_score": 0.4, "n_trajectories": 8}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_double_well_has_its_exact_value(double_well: Any, seed: int) -> None:
    tams = pytams.TAMS(double_well, end_time=10.0, step_size=0.01, target_score=0.95, n_trajectories=32, n_discard=8)
    result = tams.run(12, seed)
    assert abs(result.probability - DOUBLE_WELL_2D[10]) < 4 * result.standard_error
    assert result.standard_error < 0.4 * DOUBLE_WELL_2D[10]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_start_global_generators_and_convergence_of_its_own(tmp_path: Path, seed: int) -> None:
    model = written(tmp_path, ORNSTEIN_UHLENBECK_GLOBAL, "OrnsteinUhlenbeck", level=3.0)
    tams = pytams.TAMS(model, end_time=5.0, step_size=0.01, target_score=99.0, n_trajectories=40, n_discard=8)
    result = tams.run(10, seed)
    exact = ORNSTEIN_UHLENBECK[3]
    assert abs(result.probability - exact) < 4 * result.standard_error
    assert result.standard_error < 0.4 * exact


@pytest.mark.slow
def test_two_channels_against_direct_simulation(tmp_path: Path) -> None:
    model = written(tmp_path, THREE_HOLES, "Bichannel", beta=2.5)
    n, rng = 20_000, np.random.default_rng(5)
    force = sys.modules[type(model).__module__].force
    state, has_reached = np.tile([[-1.0], [0.0]], n), np.zeros(n, dtype=bool)
    for _ in range(200):
        state = state + 0.02 * force(*state) + np.sqrt(2 * 0.02 / 2.5) * rng.standard_normal((2, n))
        has_reached |= state[0] >= 0.5
    direct = has_reached.mean()
    result = pytams.TAMS(
        model, end_time=4.0, step_size=0.02, target_score=0.5, n_trajectories=40, n_discard=8
    ).run(20, 1)  # fmt: skip
    error = np.hypot(result.standard_error, np.sqrt(direct * (1 - direct) / n))
    assert 1e-3 < direct < 0.2
    assert abs(result.probability - direct) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "name", "params"),
    [
        (DOUBLE_WELL, "DoubleWell", {"epsilon": 0.1}),
        (ORNSTEIN_UHLENBECK_GLOBAL, "OrnsteinUhlenbeck", {"level": 1.5}),
        (ORNSTEIN_UHLENBECK_GLOBAL, "OrnsteinUhlenbeck", {"level": 101}),
        (THREE_HOLES, "Bichannel", {"beta": 2.5}),
    ],
    ids=["Generator", "global NumPy", "global Python", "RandomState"],
)
def test_noise_is_keyed_whatever_draws_it(tmp_path: Path, code: str, name: str, params: dict[str, Any]) -> None:
    tams = pytams.TAMS(written(tmp_path, code, name, **params), **(BRIEF | {"target_score": 99.0}))
    expected = tams.run(2, seed=3, observers=[]).runs
    assert any(start.step > 0 for run in expected for one in run.iterations for start in one.starts)
    assert tams.run(2, seed=3, engine=partial(Processes, n_workers=2, seconds=0.01)).runs == expected
    assert tams.run(2, seed=3, out=tmp_path / "out").runs == expected
    assert tams.run(2, seed=4).runs != expected


def test_its_hooks_are_called_where_a_branch_starts(tmp_path: Path) -> None:
    model = written(tmp_path, ORNSTEIN_UHLENBECK_GLOBAL, "OrnsteinUhlenbeck", level=1.5)
    result = pytams.TAMS(model, **(BRIEF | {"target_score": 99.0})).run(1, seed=3)
    assert {step for step, _ in model.seen} >= {
        start.step for one in result.runs[0].iterations for start in one.starts if not start.ended
    }
    assert all(time == pytest.approx(0.02 * step) for step, time in model.seen)
    assert model._n_branched == model._n_restored > 0  # noqa: SLF001 - names that such a class has


@pytest.mark.slow
def test_the_global_generators_of_the_user_stay_as_they_are(tmp_path: Path) -> None:
    model = written(tmp_path, ORNSTEIN_UHLENBECK_GLOBAL, "OrnsteinUhlenbeck", level=1.5)
    tams = pytams.TAMS(model, **(BRIEF | {"target_score": 99.0}))
    np.random.seed(5)  # noqa: NPY002 - the one that the model draws from
    expected = tams.run(1, seed=3).runs
    assert np.random.standard_normal() == np.random.RandomState(5).standard_normal()  # noqa: NPY002
    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(lambda seed: tams.run(1, seed).runs, [3, 3])) == [expected, expected]
        engine = partial(OnExecutor, executor=executor, n_workers=2, seconds=0.005)
        assert tams.run(1, seed=3, engine=engine).runs == expected


def test_a_class_may_have_names_that_we_have(tmp_path: Path) -> None:
    code = DOUBLE_WELL.replace(
        "self._state = np.array([-1.0, 0.0])", "self._state = np.array([-1.0, 0.0]); self._params = 3"
    )
    model = written(tmp_path, code, "DoubleWell", epsilon=0.4)
    (tmp_path / "other").mkdir()
    expected = pytams.TAMS(written(tmp_path / "other", DOUBLE_WELL, "DoubleWell", epsilon=0.4), **BRIEF).run(
        2, seed=3
    )
    assert pytams.TAMS(model, **BRIEF).run(2, seed=3).runs == expected.runs


@pytest.mark.parametrize(
    "name", ["@classmethod\n    def name(cls):", "@staticmethod\n    def name():", "def name(self):"]
)  # fmt: skip
def test_its_name_in_every_way(tmp_path: Path, name: str) -> None:
    model = written(tmp_path, DOUBLE_WELL.replace("@classmethod\n    def name(self):", name), "DoubleWell")
    assert model.name == "the double well"


def test_its_name_is_the_one_that_it_says(double_well: Any) -> None:
    assert pytams.TAMS(double_well, **BRIEF).run(1, seed=3).model == "the double well"


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(IMPORT + DOUBLE_WELL)
    (tmp_path / "input.toml").write_text(
        "[tams]\nntrajectories = 8\nnruns = 2\nseed = 1\n[trajectory]\nend_time = 2.0\nstep_size = 0.02\n"
        'targetscore = 0.4\n[model]\nclass = "model.py:DoubleWell"\nepsilon = 0.2\n'
    )
    for line in (["run", "input.toml", "--out", "d"], ["resume", "d", "--runs", "3"]):
        command = [sys.executable, "-m", "pytams", *line]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "the double well" in done.stdout
    other = [sys.executable, "-m", "pytams", "resume", "d", "--set", "model.epsilon=0.1", "--runs", "4"]
    done = subprocess.run(other, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert "model.epsilon is 0.1, but the study was made with 0.2" in done.stderr


def test_a_step_of_another_length_is_refused(tmp_path: Path) -> None:
    model = written(tmp_path, DOUBLE_WELL.replace("return dt", "return 2 * dt"), "DoubleWell")
    with pytest.raises(pytams.ModelError, match=r"_advance returned 0.04: a step must be of length dt = 0.02"):
        pytams.TAMS(model, **BRIEF).run(1, seed=3)


def test_a_generator_that_is_no_attribute_is_found_out(tmp_path: Path) -> None:
    code = DOUBLE_WELL.replace("self._rng =", "self._rngs = [None]; self._rngs[0] =").replace(
        "self._rng.", "self._rngs[0]."
    )
    with pytest.raises(pytams.ModelError, match="gives another score|repeat each other"):
        pytams.TAMS(written(tmp_path, code, "DoubleWell"), **BRIEF).run(1, seed=3)
