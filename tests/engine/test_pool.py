"""Workers: one answer whoever computes it, whatever befalls them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from engine.killer import Killer
from exact import DoubleWell2D, DoubleWell2DSingle, double_well_2d
from pytams.engine import OnExecutor, Processes
from pytams.engine.processes import make_executor

SETTINGS: dict[str, Any] = {
    "end_time": 4.0,
    "step_size": 0.01,
    "target_score": 0.7,
    "n_trajectories": 12,
    "n_discard": 1,
}


def run(model: pytams.Model, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **SETTINGS).run(n_runs, seed=4, **more).runs


class Troubled(DoubleWell2DSingle):
    """Dies, raises or hangs once, when the trouble's file can be taken away."""

    def __init__(self, trouble: str, file: Path) -> None:
        super().__init__()
        self.trouble, self.file = trouble, file

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        if 0.995 < t < 1.005 and self.file.exists():
            try:
                self.file.unlink()
            except FileNotFoundError:
                pass
            else:
                self.make_trouble()
        return super().step(state, noise, t, dt)

    def make_trouble(self) -> None:
        if self.trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "raises":
            raise ConnectionError("for once")
        time.sleep(1000)


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2, 8])
def test_processes_give_the_same_bits(n_workers: int) -> None:
    engine = partial(Processes, n_workers=n_workers, seconds=0.02)
    assert run(DoubleWell2DSingle(), engine=engine) == run(DoubleWell2DSingle())


@pytest.mark.slow
@pytest.mark.parametrize("model", [DoubleWell2D(), double_well_2d()], ids=["vectorised", "compiled"])
@pytest.mark.parametrize("batch", [1, 5])
def test_batches_give_the_same_bits(model: pytams.Model, batch: int) -> None:
    assert run(model, engine=partial(Processes, n_workers=2, batch=batch, seconds=0.01)) == run(model)


@pytest.mark.slow
def test_any_executor_will_do() -> None:
    loky = pytest.importorskip("loky")
    for executor in (ThreadPoolExecutor(3), loky.get_reusable_executor(max_workers=2)):
        engine = partial(OnExecutor, executor=executor, n_workers=3, seconds=0.02)
        assert run(DoubleWell2DSingle(), engine=engine) == run(DoubleWell2DSingle())


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["dies", "raises", "hangs"])
def test_lost_tasks_are_done_again(tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "trouble").touch()
    model = Troubled(trouble, tmp_path / "trouble")
    runs = run(
        model, engine=partial(Processes, n_workers=2, seconds=0.05, timeout=2.0 if trouble == "hangs" else None)
    )
    assert not (tmp_path / "trouble").exists()
    assert runs == run(DoubleWell2DSingle())
    message = {"dies": "workers lost", "raises": "trying again", "hangs": "taken more than 2 s"}[trouble]
    assert message in caplog.text


@pytest.mark.slow
def test_a_model_that_always_raises_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    class Broken(DoubleWell2DSingle):
        broken = True

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            if state[0] > -0.2 and self.broken:
                raise ZeroDivisionError("of all things")
            return super().step(state, noise, t, dt)

    model = Broken()
    engine = partial(Processes, n_workers=2, seconds=0.05)
    with pytest.raises(
        pytams.ModelError, match=r"Broken.step raised ZeroDivisionError at run \d, slot \d+, step \d+"
    ):
        run(model, engine=engine, out=tmp_path / "run")
    model.broken = False
    resumed = pytams.TAMS(model, **SETTINGS).study(2, out=tmp_path / "run")
    with resumed:
        for _ in resumed:
            pass
        assert resumed.n_steps < resumed.result().n_steps
        assert resumed.result().runs == run(DoubleWell2DSingle())


@pytest.mark.slow
def test_random_workers_are_killed(tmp_path: Path) -> None:
    check_kills(tmp_path, n_kills=2)


@pytest.mark.slow
def test_random_workers_are_killed_many_times(tmp_path: Path) -> None:
    check_kills(tmp_path, n_kills=20)


def check_kills(tmp_path: Path, n_kills: int) -> None:
    """SIGKILL a worker every now and then, while a study is under way; again until it was often enough."""
    expected = run(DoubleWell2DSingle(), n_runs=4)
    killer = Killer(n_kills)
    n_studies = 0
    while killer.n_left:
        out = tmp_path / str(n_studies)
        with killer.at_work(partial(worker_pids, os.getpid())):
            engine = killer.sees(partial(Processes, n_workers=3, seconds=0.02))
            assert run(DoubleWell2DSingle(), n_runs=4, engine=engine, out=out) == expected
        n_studies += 1
    assert not worker_pids(os.getpid())


def worker_pids(driver: int) -> list[int]:
    """Processes whose grandparent is the driver: their parent is the fork server."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if ") Z " not in text:
            parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if parents.get(parent) == driver]


LOST_AT_START = """
    import os, signal, sys
    from functools import partial
    from pathlib import Path

    if __name__ == "__mp_main__":  # a worker that is about to start: so far it has not read what it is to do
        for file in Path(sys.argv[1]).iterdir():
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    sys.path.insert(0, {tests!r})
    from engine.test_pool import run
    from exact import DoubleWell2DSingle
    from pytams.engine import Processes

    if __name__ == "__main__":
        model = DoubleWell2DSingle()
        model.table = bytes(1_000_000)  # more than a pipe holds
        assert run(model, n_runs=1, engine=partial(Processes, n_workers=2)) == run(model, n_runs=1)
"""


@pytest.mark.slow
def test_workers_are_lost_while_they_are_started(tmp_path: Path) -> None:
    script, troubles = tmp_path / "driver.py", tmp_path / "troubles"
    script.write_text(textwrap.dedent(LOST_AT_START.format(tests=str(Path(__file__).parents[1]))))
    troubles.mkdir()
    for i in range(3):
        (troubles / str(i)).touch()
    done = subprocess.run([sys.executable, script, troubles], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(troubles.iterdir())
    assert done.stderr.count("workers lost ([Errno 32] Broken pipe)") == 3


class Argument(str):
    """Of the command line: workers are told when they are started, and then their fellows are killed."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        kill_workers()
        return str, (str(self),)


def test_a_worker_is_lost_while_the_next_one_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [*sys.argv, Argument()])
    with make_executor(2, "problem", b"") as executor, pytest.raises(BrokenExecutor):
        for future in [executor.submit(time.sleep, 0.1) for _ in range(2)]:
            future.result()


def test_what_is_submitted_while_the_pool_breaks_down_is_not_forgotten() -> None:
    class Submitted(dict[int, Any]):
        def __setitem__(self, key: int, item: Any) -> None:
            kill_workers()
            super().__setitem__(key, item)

    executor: Any = make_executor(1, "problem", b"")
    executor._pending_work_items = Submitted()  # noqa: SLF001 - to be there between two of its lines
    with executor:
        executor.submit(int).result()
        with pytest.raises(BrokenExecutor):
            executor.submit(int).result(timeout=10)


def kill_workers() -> None:
    """SIGKILL them all, and leave whoever watches them the time to notice."""
    for pid in worker_pids(os.getpid()):
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)


DRIVER = """
    import sys
    sys.path.insert(0, {tests!r})
    from functools import partial
    import pytams
    from engine.test_pool import SETTINGS
    from exact import DoubleWell2DSingle
    from pytams.engine import Processes
    from pytams import Storage

    if __name__ == "__main__":
        out = Storage(path=sys.argv[1], checkpoint_interval=0.1)
        engine = partial(Processes, n_workers=2, seconds=0.02)
        pytams.TAMS(DoubleWell2DSingle(), **SETTINGS).run(4, seed=4, engine=engine, out=out)
"""


def check_drivers_killed(tmp_path: Path, n_studies: int) -> None:
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER.format(tests=str(Path(__file__).parents[1]))).replace(
        "path=sys.argv[1]", "path=__import__('pathlib').Path(sys.argv[1])"))  # fmt: skip
    rng = random.Random(n_studies)
    expected = run(DoubleWell2DSingle(), n_runs=4)
    for i in range(n_studies):
        path = tmp_path / f"run{i}"
        for kill_after in (rng.uniform(1.0, 3.0), None):
            process = subprocess.Popen([sys.executable, script, path])
            try:
                assert process.wait(kill_after) == 0
            except subprocess.TimeoutExpired:
                workers = worker_pids(process.pid)
                process.kill()
                process.wait()
                assert_gone(workers)
        with pytams.load(path) as saved:
            assert saved.result.runs == expected


def assert_gone(pids: list[int]) -> None:
    """No orphans: they notice that their driver is gone."""
    deadline = time.monotonic() + 60
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_driver_leaves_no_orphans_and_is_resumed(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 1)


@pytest.mark.slow
def test_drivers_killed_many_times(tmp_path: Path) -> None:
    check_drivers_killed(tmp_path, 8)


def test_large_ensembles_of_states_travel(tmp_path: Path) -> None:
    """States that are dicts, and initial ones that are random."""

    class Dict(pytams.Model):
        noise_shape = (2,)

        def initial_state(self, rng: np.random.Generator) -> Any:
            return {"x": rng.normal(size=2), "n": 0}

        def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
            return {"x": state["x"] * (1 - dt) + noise * dt**0.5, "n": state["n"] + 1}

        def score(self, state: Any, t: Any) -> Any:
            return float(state["x"].sum())

    engine = partial(Processes, n_workers=2, seconds=0.02)
    expected = run(Dict())
    assert run(Dict(), engine=engine) == expected
    assert run(Dict(), engine=engine, out=tmp_path / "run") == expected
