"""Every engine of ours passes the suite."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from pytams.core.driver import Driver
from pytams.core.nothing import NoEngine, NoJournal
from pytams.core.ports import Engine
from pytams.core.segments import Past, Problem, Progress, SegmentKey
from pytams.core.selection import Variant
from pytams.engine import InProcess, OnExecutor, Processes
from pytams.engine.contract import SETTINGS, Drifting, EngineContract, joined


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


class TestNoEngine:
    """It computes nothing: what the suite asks of such a one is that it decides again what is recorded."""

    def test_what_it_says_of_itself(self) -> None:
        suite = EngineContract()
        suite.make_engine = lambda problem: NoEngine()  # type: ignore[method-assign] # the one that it makes
        suite.test_what_it_says_of_itself(suite.problem_of(Drifting()))

    def test_what_is_recorded_is_decided_again(self) -> None:
        class Remembers(NoJournal):
            """Keeps what was computed."""

            def record(self, progress: Progress) -> None:
                recorded.setdefault(progress.key, []).append(progress)

        recorded: dict[SegmentKey, list[Progress]] = {}
        first = Driver(SETTINGS, 5, Variant(), InProcess(EngineContract().problem_of(Drifting())), Remembers())
        first.begin(range(2))
        while not first.is_done:
            first.advance()
        pasts = {key: Past(joined(reports), None) for key, reports in recorded.items()}
        again = Driver(SETTINGS, 5, Variant(), NoEngine(), NoJournal(lambda start: pasts.get(start.key)))
        again.begin(range(2))
        assert again.is_done
        assert again.n_steps == 0
        for run, splitting in again.splittings.items():
            assert splitting.iterations == first.splittings[run].iterations
