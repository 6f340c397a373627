"""Every stepper of ours passes the suite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d, ornstein_uhlenbeck
from pytams.core.ports import Steppable, Stepper
from pytams.core.segments import Problem
from pytams.core.settings import Settings
from pytams.engine.options import Runner
from pytams.engine.pool import ExecutorWorkers
from pytams.engine.tasks import TaskQueue
from pytams.models.contract import StepperContract, joined
from pytams.models.learned.committor import Committor, random_features
from pytams.models.learned.model import improved
from simulators import Lorenz, WellByBranch, WellByStep


class TestBatch(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return DoubleWell2D()


class TestSingles(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return DoubleWell2DSingle()


class TestCompiled(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return double_well_2d()


class TestCompiledOnThreads(TestCompiled):
    def make_stepper(self, problem: Problem) -> Stepper:
        return problem.model.make_stepper(problem, threads=3)


class TestSdeThatIsNotCompiled(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return double_well_2d(compiled=False)


class TestCompiledWithAStopCondition(StepperContract):
    may_stop = True

    @pytest.fixture
    def model(self) -> Steppable:
        return ornstein_uhlenbeck(stopped=lambda x, t, p: x < -p.deviation)


class TestBatchWithAStopCondition(StepperContract):
    may_stop = True

    @pytest.fixture
    def model(self) -> Steppable:
        return ornstein_uhlenbeck(stopped=lambda x, t, p: x < -p.deviation, compiled=False)


class TestSimulatorSeededByStep(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return WellByStep()


class TestSimulatorSeededByBranch(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return WellByBranch()


class TestSimulatorThatIsPerturbed(StepperContract):
    target_score = 12.0

    @pytest.fixture
    def model(self) -> Steppable:
        return Lorenz()


class FromNormals(DoubleWell2D):
    """With a start that is made of normals."""

    start_shape = (2,)

    def initial_state(self, rng: Any) -> Any:
        return np.array([-1.0, 0.0]) + 0.1 * rng


class TestRandomStart(StepperContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return FromNormals()

    def problem(self, model: Steppable, **changes: Any) -> Problem:
        return super().problem(model, **({"spin_up": 100} | changes))


class Told(WellByStep):
    """Says what a score may look at."""

    def features(self, t: float) -> Any:
        return self.x, self.y


def learned() -> pytams.LearnedScore:
    """Make a score that nobody has learned, of two features."""
    rng = np.random.default_rng(1)
    weights, biases = random_features(np.eye(2), rng)
    zeros, ones = np.zeros(2), np.ones(2)
    coefficients = 0.3 * rng.standard_normal((5, len(biases) + 1)) - 4.0 * (np.arange(len(biases) + 1) == len(biases))
    return pytams.LearnedScore(
        committor=Committor(zeros, ones, weights, biases, coefficients, 1.0, -9.0, ones / 2, is_odds=False),
        end_time=3.0,
        step_size=0.01,
        target_score=0.9,
        level=0.9,
        names=("x[0]", "x[1]"),
        model="none",
        log_estimate=-9.0,
        log_u_start=-9.0,
        paths=np.zeros((1, 1, 2)),
        taught_by=frozenset(),
    )


SETTINGS = Settings(end_time=3.0, step_size=0.01, target_score=0.9, n_trajectories=5)


class LearnedContract(StepperContract):
    """The target is the one that the score was learned for."""

    def test_it_ends_at_the_target_or_the_end_time(self, model: Steppable) -> None:
        whole = {key: joined(of_one)[0] for key, of_one in self.advance(self.problem(model)).items()}
        short = self.advance(self.problem(model, n_steps=self.n_steps // 2))
        for key, of_one in short.items():
            assert joined(of_one)[0] == whole[key][: self.n_steps // 2 + 1]


class TestLearnedScore(LearnedContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return improved(DoubleWell2D(), learned(), SETTINGS)


@pytest.mark.slow
class TestLearnedScoreOneByOne(LearnedContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return improved(DoubleWell2DSingle(), learned(), SETTINGS)


@pytest.mark.slow
class TestLearnedScoreCompiled(LearnedContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return improved(double_well_2d(), learned(), SETTINGS)


@pytest.mark.slow
class TestLearnedScoreOfASimulator(LearnedContract):
    @pytest.fixture
    def model(self) -> Steppable:
        return improved(Told(), learned(), SETTINGS)


class TestTaskQueue(StepperContract):
    n_steps = 60

    @pytest.fixture
    def model(self) -> Steppable:
        return DoubleWell2DSingle()

    @pytest.fixture(autouse=True)
    def executor(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as self._executor:
            yield

    def make_stepper(self, problem: Problem) -> Stepper:
        return TaskQueue(
            ExecutorWorkers(problem, self._executor, n_workers=2, seconds=0.001), Runner(type="process", batch=2)
        )


def test_vectorised_or_one_by_one_traces() -> None:
    suite = TestBatch()

    def traces(model: Any, interrupt_after: int | None) -> list[Any]:
        return [joined(reports) for reports in suite.advance(suite.problem(model), interrupt_after).values()]

    assert traces(DoubleWell2D(), 3) == traces(DoubleWell2DSingle(), None)
