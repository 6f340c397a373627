"""Every stepper of ours passes the suite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d, ornstein_uhlenbeck
from pytams.core.ports import Steppable, Stepper
from pytams.core.segments import Problem
from pytams.engine.pool import ExecutorWorkers
from pytams.engine.tasks import TaskQueue
from pytams.models.contract import StepperContract, joined
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
        return TaskQueue(ExecutorWorkers(problem, self._executor, n_workers=2, seconds=0.001), batch=2)


def test_vectorised_or_one_by_one_traces() -> None:
    suite = TestBatch()

    def traces(model: Any, interrupt_after: int | None) -> list[Any]:
        return [joined(reports) for reports in suite.advance(suite.problem(model), interrupt_after).values()]

    assert traces(DoubleWell2D(), 3) == traces(DoubleWell2DSingle(), None)
