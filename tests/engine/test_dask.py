"""A Dask cluster on this machine: one answer, states on the workers, and workers killed."""

from __future__ import annotations

import logging
import math
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from engine.killer import Killer
from engine.test_hangs import OneIsBad
from exact import DoubleWell2D, DoubleWell2DSingle
from pytams.core.segments import Point, Problem, SegmentKey
from pytams.engine import Processes
from simulators import WellByStep

distributed = pytest.importorskip("distributed")
import dask  # noqa: E402 - comes with it

from pytams.engine import clusters  # noqa: E402 - likewise
from pytams.engine.clusters import connect  # noqa: E402 - needs Dask
from pytams.engine.dask import DaskWorkers, OnDask  # noqa: E402 - likewise
from pytams.engine.remote import RemoteState  # noqa: E402 - likewise

pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own, at its shutdown

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.01,
    "target_score": 0.7,
    "n_trajectories": 12,
    "n_discard": 1,
}
LOCAL = partial(connect, "local", n_workers=2, options={"dashboard_address": None, "silence_logs": logging.CRITICAL})


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    client = LOCAL()
    yield client
    cluster = client.cluster
    client.close()
    cluster.close()


def run(model: pytams.Model, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **SETTINGS).run(n_runs, seed=4, **more).runs


@pytest.mark.slow
def test_dask_gives_the_same_bits_and_a_client_stays_open(client: Any, tmp_path: Path) -> None:
    engine = partial(OnDask, connect=client, seconds=0.05)
    expected = run(DoubleWell2DSingle())
    assert run(DoubleWell2DSingle(), engine=engine) == expected
    assert run(DoubleWell2DSingle(), engine=engine, out=tmp_path / "run") == expected
    assert client.status == "running"


@pytest.mark.slow
def test_batches_on_dask(client: Any) -> None:
    assert run(DoubleWell2D(), engine=partial(OnDask, connect=client, batch=4, seconds=0.02)) == run(DoubleWell2D())


@pytest.mark.slow
def test_learned_scores_on_dask(client: Any) -> None:
    """Of models and simulators: the same bits."""

    class Told(WellByStep):
        def features(self, t: float) -> Any:
            return self.x, self.y

    for model in (DoubleWell2DSingle(), Told()):
        hers = pytams.TAMS(model, **{**SETTINGS, "n_trajectories": 20})
        tams = hers.with_score(pytams.learn_score(hers.run(2, seed=1)))
        expected = tams.run(1, seed=2).runs
        assert tams.run(1, seed=2, engine=partial(OnDask, connect=client, seconds=0.05)).runs == expected


@pytest.mark.slow
def test_an_address_will_do(client: Any) -> None:
    engine = partial(OnDask, connect=partial(connect, "local", address=client.scheduler.address), seconds=0.1)
    assert run(DoubleWell2DSingle(), engine=engine) == run(DoubleWell2DSingle())
    assert client.status == "running"


@pytest.mark.slow
def test_states_stay_on_the_workers(client: Any) -> None:
    """If they are large; small ones go along."""

    class Large(DoubleWell2DSingle):
        def initial_state(self, rng: Any) -> Any:
            return np.concatenate([super().initial_state(rng), np.zeros(600)])

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return np.concatenate([super().step(state[:2], noise, t, dt), state[2:] + noise[0]])

        def score(self, state: Any, t: Any) -> Any:
            return super().score(state[:2], t)

    engines = []

    def engine(problem: Any) -> OnDask:
        engines.append(OnDask(problem, client, seconds=0.02))
        return engines[0]

    tams = pytams.TAMS(Large(), **SETTINGS)
    with tams.study(1, seed=4, engine=engine) as study:
        seen = 0
        for _ in study:
            held = [
                part.states[0] for records in engines[0].kept.records.values() for part in records if len(part.states)
            ]
            assert all(isinstance(state, RemoteState) for state in held)
            seen += len(held)
        assert study.result().runs == tams.run(1, seed=4).runs
    assert seen > 100


@pytest.mark.slow
def test_small_states_go_along_and_cheap_segments_go_together(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engines, sent = [], []
    submit = DaskWorkers.submit

    def noted(workers: DaskWorkers, points: list[Point]) -> Any:
        sent.append(len(points))
        return submit(workers, points)

    def engine(problem: Any) -> OnDask:
        engines.append(OnDask(problem, client))
        return engines[0]

    monkeypatch.setattr(DaskWorkers, "submit", noted)
    tams = pytams.TAMS(DoubleWell2DSingle(), **{**SETTINGS, "end_time": 0.1})
    with tams.study(8, seed=4, engine=engine) as study:
        for _ in study:
            held = [state for parts in engines[0].kept.records.values() for part in parts for state in part.states]
            assert not any(isinstance(state, RemoteState) for state in held)
        assert study.result().runs == tams.run(8, seed=4).runs
    assert sent[0] == 1  # nothing is known of what a segment costs
    assert max(sent) > 10


def test_an_answer_that_is_lost_before_it_is_fetched_is_computed_again() -> None:
    cluster = distributed.LocalCluster(1, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL)
    with cluster, distributed.Client(cluster) as client:
        problem = Problem.of(DoubleWell2DSingle(), pytams.Settings(**SETTINGS), seed=4)
        workers = DaskWorkers(problem, client, 1, 0.01, owns_cluster=False)
        task = workers.submit([Point(SegmentKey(0, 0, 0), 0, 0, -math.inf, None)])
        assert workers.wait(0.0) == []  # it is sent
        told = distributed.Future(next(key for key in client.futures if "without_states" in key), client)
        distributed.wait(told)
        cluster.scale(0)
        until(lambda: told.status != "finished")
        assert workers.wait(0.1) == []
        cluster.scale(1)
        found: list[Any] = []

        def look() -> list[Any]:
            found.extend(workers.wait(0.1))
            return found

        until(look)
        assert [(outcome.task is task, outcome.answer.n_steps > 0) for outcome in found] == [(True, True)]
        workers.close()


def until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_run_is_interrupted_and_resumed_on_other_workers(client: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytams.TAMS(DoubleWell2DSingle(), **SETTINGS).study(
        2, seed=4, engine=partial(OnDask, connect=client, seconds=0.05), out=out
    ) as study:
        for i, _ in enumerate(study):
            if i == 12:
                break
    assert run(DoubleWell2DSingle(), out=out) == run(DoubleWell2DSingle())


@pytest.mark.slow
def test_a_worker_that_takes_long_to_start_again_is_not_given_up() -> None:
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}):
        client = LOCAL()
        cluster = client.cluster
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        until(lambda: len(client.nthreads()) == 1)
        client.wait_for_workers(2, timeout=60)
        assert len(cluster.workers) == 2
        client.close()
        cluster.close()


@pytest.mark.slow
def test_a_model_that_always_raises_stops_the_run(client: Any) -> None:
    class Broken(DoubleWell2DSingle):
        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            if state[0] > -0.2:
                raise ZeroDivisionError("of all things")
            return super().step(state, noise, t, dt)

    with pytest.raises(
        pytams.ModelError, match=r"Broken.step raised ZeroDivisionError at run \d, slot \d+, step \d+"
    ):
        run(Broken(), engine=partial(OnDask, connect=client, seconds=0.05))


@pytest.mark.slow
def test_a_hung_worker_is_restarted(tmp_path: Path) -> None:
    class Hangs(DoubleWell2DSingle):
        def __init__(self, file: Path) -> None:
            super().__init__()
            self.file = file

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            if 0.995 < t < 1.005 and self.file.exists():
                self.file.unlink(missing_ok=True)
                time.sleep(1000)
            return super().step(state, noise, t, dt)

    (tmp_path / "trouble").touch()
    engine = partial(OnDask, connect=LOCAL, n_workers=2, seconds=0.05, timeout=3.0)
    assert run(Hangs(tmp_path / "trouble"), engine=engine) == run(DoubleWell2DSingle())
    assert not (tmp_path / "trouble").exists()


@pytest.mark.slow
def test_what_hangs_or_ends_its_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_FAILURES", 0)
    engine = partial(OnDask, connect=LOCAL, n_workers=2, seconds=0.05)
    with pytest.raises(
        pytams.WorkersLostError, match=r"^run 0, slot 7, from step \d+ on: not done within 6 s, 3 times"
    ):
        run(OneIsBad(7, partial(time.sleep, 1000)), n_runs=1, engine=partial(engine, timeout=6.0))
    with pytest.raises(pytams.WorkersLostError, match=r"^run 0, slot 7, from step \d+ on: its worker ended, 3 times"):
        run(OneIsBad(7, partial(os._exit, 0)), n_runs=1, engine=engine)


class Hangs(DoubleWell2DSingle):
    """From step 5 on, in every slot: before anything has come to an end."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        if t > 0.045:
            time.sleep(1000)
        return super().step(state, noise, t, dt)


@pytest.mark.slow
@pytest.mark.parametrize("make", [partial(OnDask, connect=LOCAL), Processes], ids=["Dask", "processes"])
def test_what_hangs_at_the_very_beginning_is_ended_soon(make: Any) -> None:
    start = time.monotonic()
    names = r"^run 0, slot 0, from step \d on; run 0, slot 1, from step \d on: not done within (\S+) s, 3 times"
    with pytest.raises(pytams.WorkersLostError, match=names) as caught:
        run(Hangs(), engine=partial(make, n_workers=2, timeout=1.0))
    given = re.match(names, str(caught.value))
    assert given is not None
    assert 1.0 <= float(given[1]) < 10.0, "the timeout, and what short beginnings have taken"
    assert time.monotonic() - start < 60


def test_what_hangs_on_threads_cannot_be_ended() -> None:
    cluster = distributed.LocalCluster(1, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL)
    with cluster, distributed.Client(cluster) as client:
        message = r"^run 0, slot 0, from step \d on; .*, and its worker cannot be ended: it has no nanny"
        with pytest.raises(pytams.WorkersLostError, match=message):
            run(Waits(), n_runs=1, engine=partial(OnDask, connect=client, timeout=0.3))
        GO_ON.set()


GO_ON = threading.Event()


class Waits(DoubleWell2DSingle):
    """Hangs until it may go on."""

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        GO_ON.wait(60)
        return super().step(state, noise, t, dt)


DRIVER = """
    import sys
    sys.path.insert(0, {tests!r})
    from functools import partial
    from pathlib import Path
    import pytams
    from engine.test_dask import LOCAL, SETTINGS
    from exact import DoubleWell2DSingle
    from pytams.engine import OnDask
    from pytams import Storage

    if __name__ == "__main__":
        out = Storage(path=Path(sys.argv[1]), checkpoint_interval=0.1)
        engine = partial(OnDask, connect=LOCAL, n_workers=2, seconds=0.05)
        pytams.TAMS(DoubleWell2DSingle(), **SETTINGS).run(4, seed=4, engine=engine, out=out)
"""


def check_drivers_killed(tmp_path: Path, n_studies: int) -> None:
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER.format(tests=str(Path(__file__).parents[1]))))
    rng = random.Random(n_studies)
    expected = run(DoubleWell2DSingle(), n_runs=4)
    for i in range(n_studies):
        path = tmp_path / f"run{i}"
        for kill_after in (rng.uniform(2.5, 5.0), None):
            process = subprocess.Popen([sys.executable, script, path], start_new_session=True)
            try:
                assert process.wait(kill_after) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with pytams.load(path) as saved:
            assert saved.result.runs == expected


@pytest.mark.slow
def test_a_killed_driver_is_resumed(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 1)


@pytest.mark.slow
def test_drivers_killed_many_times(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 8)


def check_kills(n_kills: int) -> None:
    expected = run(DoubleWell2DSingle(), n_runs=4)
    killer = Killer(n_kills)
    while killer.n_left:
        client = LOCAL()

        def pids(client: Any = client) -> list[int]:
            """Those that are up: a nanny whose worker is killed while it starts does not start another one."""
            up = client.nthreads()
            return [
                nanny.pid for nanny in client.cluster.workers.values() if nanny.worker_address in up and nanny.pid
            ]

        try:
            with killer.at_work(pids):
                engine = killer.sees(partial(OnDask, connect=client, seconds=0.05))
                assert run(DoubleWell2DSingle(), n_runs=4, engine=engine) == expected
        finally:
            client.wait_for_workers(2, timeout=600)  # Dask cannot close a nanny whose worker is about to start
            cluster = client.cluster
            client.close()
            cluster.close()


@pytest.mark.slow
def test_workers_are_killed() -> None:
    check_kills(2)


@pytest.mark.slow
def test_workers_are_killed_many_times() -> None:
    check_kills(20)
