"""Signals by which queues and terminals end a process: the study stops, and everything is on disk."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pytams.cli.signals import Stop

OTHERS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU]
MODEL = """
import time
import pytams
class Slow(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return 0.0
    def step(self, state, noise, t, dt):
        time.sleep(0.01)
        return state + noise
    def score(self, state, t):
        return state
"""
INPUT = """
[tams]
ntrajectories = 50
verify = false
[trajectory]
end_time = 100
step_size = 1
targetscore = 1000
[model]
class = "slow.py:Slow"
"""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    return tmp_path


def begun(folder: Path, *settings: str, **options: object) -> subprocess.Popen[str]:
    """Begin a study, and wait until it is on disk."""
    process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload] # options of its own
        [sys.executable, "-m", "pytams", "run", "input.toml", "--out", "out", "--json", *settings],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder} | options,
    )
    until((folder / "out" / "study.json").exists)
    return process


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_of(pid: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", OTHERS)
def test_a_study_stops_as_by_sigterm(slow: Path, number: signal.Signals) -> None:
    process = begun(slow)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert json.loads(stdout) == {"finished": False}
    assert f"stopped by {number.name}, 0 of 1 runs finished; everything is on disk" in stderr


@pytest.mark.slow
def test_nohup(slow: Path) -> None:
    process = begun(slow, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert "stopped by SIGTERM" in stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_workers_leave_it_to_the_driver(slow: Path, number: signal.Signals) -> None:
    """As a shell that ends, and `scancel --signal`: to the whole group."""
    process = begun(slow, "--set", "runner.type=process", "--set", "runner.nworkers=2", start_new_session=True)
    until(lambda: len(group_of(process.pid)) >= 5)  # driver, tracker, fork server, workers
    os.killpg(process.pid, number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert json.loads(stdout) == {"finished": False}
    assert f"stopped by {number.name}" in stderr
    assert "lost" not in stderr


@pytest.mark.slow
def test_the_terminal_is_closed(slow: Path) -> None:
    """Nobody reads what is said, and the study is on disk all the same."""
    ours, theirs = pty.openpty()
    process = begun(slow, stderr=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert json.loads(stdout) == {"finished": False}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_wish_stops_at_once(number: signal.Signals) -> None:
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.reason == "SIGUSR1"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", OTHERS)
def test_what_may_come_twice_does_not(number: signal.Signals) -> None:
    stop, before = Stop(), signal.getsignal(number)
    with stop.listening():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.reason == number.name
    assert signal.getsignal(number) == before
