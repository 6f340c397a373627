"""Every engine of ours passes the suite."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pytams.core.ports import Engine
from pytams.core.segments import Problem
from pytams.engine import InProcess, OnExecutor, Processes
from pytams.engine.contract import EngineContract


class TestInProcess(EngineContract):
    def make_engine(self, problem: Problem) -> Engine:
        return InProcess(problem, block_length=7)


class TestOnExecutor(EngineContract):
    @pytest.fixture(autouse=True)
    def executor(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as self._executor:
            yield

    def make_engine(self, problem: Problem) -> Engine:
        return OnExecutor(problem, self._executor, 2, seconds=0.001)


class TestProcesses(EngineContract):
    def make_engine(self, problem: Problem) -> Engine:
        return Processes(problem, 2, seconds=0.01)


class TestOnDask(EngineContract):
    pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own, at its shutdown

    @pytest.fixture(autouse=True, scope="class")
    def connect(self) -> Iterator[None]:
        pytest.importorskip("distributed")
        from pytams.engine.clusters import connect
        from pytams.engine.dask import OnDask

        client = connect(
            "local",
            n_workers=2,
            options={"dashboard_address": None, "silence_logs": logging.CRITICAL, "processes": False},
        )
        type(self).engine_of = staticmethod(partial(OnDask, connect=client, seconds=0.01))
        yield
        cluster = client.cluster
        client.close()
        cluster.close()

    engine_of: partial[Engine]

    def make_engine(self, problem: Problem) -> Engine:
        return self.engine_of(problem)
