"""A Dask cluster on this machine: one answer, states on the workers, and workers killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pytams
from engine.test_hangs import OneIsBad
from exact import DoubleWell2D, DoubleWell2DSingle

distributed = pytest.importorskip("distributed")
from pytams.engine import clusters  # noqa: E402 - likewise
from pytams.engine.clusters import connect  # noqa: E402 - needs Dask
from pytams.engine.dask import OnDask, RemoteState  # noqa: E402 - likewise

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


def test_dask_gives_the_same_bits_and_a_client_stays_open(client: Any, tmp_path: Path) -> None:
    engine = partial(OnDask, connect=client, seconds=0.05)
    expected = run(DoubleWell2DSingle())
    assert run(DoubleWell2DSingle(), engine=engine) == expected
    assert run(DoubleWell2DSingle(), engine=engine, out=tmp_path / "run") == expected
    assert client.status == "running"


def test_batches_on_dask(client: Any) -> None:
    assert run(DoubleWell2D(), engine=partial(OnDask, connect=client, batch=4, seconds=0.02)) == run(DoubleWell2D())


def test_an_address_will_do(client: Any) -> None:
    engine = partial(OnDask, connect=partial(connect, "local", address=client.scheduler.address), seconds=0.1)
    assert run(DoubleWell2DSingle(), engine=engine) == run(DoubleWell2DSingle())
    assert client.status == "running"


def test_states_stay_on_the_workers(client: Any) -> None:
    engines = []

    def engine(problem: Any) -> OnDask:
        engines.append(OnDask(problem, client, seconds=0.02))
        return engines[0]

    with pytams.TAMS(DoubleWell2DSingle(), **SETTINGS).study(1, seed=4, engine=engine) as study:
        seen = 0
        for _ in study:
            held = [part.states[0] for records in engines[0].kept.values() for part in records if len(part.states)]
            assert all(isinstance(state, RemoteState) for state in held)
            seen += len(held)
    assert seen > 100


def test_a_run_is_interrupted_and_resumed_on_other_workers(client: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytams.TAMS(DoubleWell2DSingle(), **SETTINGS).study(
        2, seed=4, engine=partial(OnDask, connect=client, seconds=0.05), out=out
    ) as study:
        for i, _ in enumerate(study):
            if i == 12:
                break
    assert run(DoubleWell2DSingle(), out=out) == run(DoubleWell2DSingle())


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
        pytams.WorkersLostError, match=r"^run 0, slot 7, from step \d+ on: not done within 3 s, 3 times"
    ):
        run(OneIsBad(7, partial(time.sleep, 1000)), n_runs=1, engine=partial(engine, timeout=3.0))
    with pytest.raises(pytams.WorkersLostError, match=r"^run 0, slot 7, from step \d+ on: its worker ended, 3 times"):
        run(OneIsBad(7, partial(os._exit, 0)), n_runs=1, engine=engine)


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


def test_a_killed_driver_is_resumed(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 1)


@pytest.mark.slow
def test_drivers_killed_many_times(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 20)


def check_kills(n_kills: int) -> None:
    rng = random.Random(n_kills)
    expected = run(DoubleWell2DSingle(), n_runs=4)
    killed = 0
    while killed < n_kills:
        client = LOCAL()
        done = threading.Event()

        def kill(client: Any = client, done: threading.Event = done) -> None:
            nonlocal killed
            while not done.wait(rng.uniform(0.5, 1.5)) and killed < n_kills:
                pids = [worker.pid for worker in client.cluster.workers.values() if worker.pid]
                if pids:
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    killed += 1

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            engine = partial(OnDask, connect=client, seconds=0.05)
            assert run(DoubleWell2DSingle(), n_runs=4, engine=engine) == expected
        finally:
            done.set()
            killer.join()
            client.wait_for_workers(2, timeout=60)  # Dask cannot close a nanny whose worker is about to start
            cluster = client.cluster
            client.close()
            cluster.close()


def test_workers_are_killed() -> None:
    check_kills(2)


@pytest.mark.slow
def test_workers_are_killed_many_times() -> None:
    check_kills(20)
