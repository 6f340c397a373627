"""Every engine of ours passes the suite."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

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

    @pytest.fixture(autouse=True)
    def connected(self, client: Any) -> None:
        self._client = client

    @pytest.fixture(scope="class")
    def client(self) -> Iterator[Any]:
        pytest.importorskip("distributed")
        options = {"dashboard_address": None, "silence_logs": logging.CRITICAL, "processes": False}
        client = import_module("pytams.engine.clusters").connect("local", n_workers=2, options=options)
        yield client
        cluster = client.cluster
        client.close()
        cluster.close()

    def make_engine(self, problem: Problem) -> Engine:
        engine: Engine = import_module("pytams.engine.dask").OnDask(problem, self._client, seconds=0.01)
        return engine
