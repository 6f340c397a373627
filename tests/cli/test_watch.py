"""Following a study from another process."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

import pytams
from exact import DoubleWell2D, Walk
from pytams import Storage
from pytams.cli.watch import WatchedStudy, _busy, _driven_by, rows_of
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.owner import Owner
from pytams.sqldb.runledger import RunLedger
from pytams.tams import progress

MODEL = """
import time
from pathlib import Path
import pytams

class Slow(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return 0.0
    def step(self, state, noise, t, dt):
        time.sleep(0.001 if Path("seen").exists() else 0.02)
        return 0.9 * state + noise
    def score(self, state, t):
        return state
"""
INPUT = """
[tams]
ntrajectories = 10
nruns = 3
seed = 1
[trajectory]
end_time = 20
step_size = 1
targetscore = 8
[database]
checkpoint_interval = 0.2
[runner]
type = "process"
nworkers = 2
[model]
class = "slow.py:Slow"
"""


def start(*arguments: str, cwd: Path, **options: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytams", *arguments],
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=options.get("stderr", subprocess.PIPE),
        text=True,
        cwd=cwd,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "150", "PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture
def driver(tmp_path: Path) -> subprocess.Popen[str]:
    """A study under way in `tmp_path`/run.tams."""
    (tmp_path / "slow.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    process = start("run", "input.toml", "--out", "run.tams", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run.tams" / "study.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_until_it_ends(tmp_path: Path, driver: subprocess.Popen[str]) -> None:
    """The study is slow until the watcher has said three times how it goes."""
    watcher = start("watch", "run.tams", "--interval", "0.2", cwd=tmp_path)
    assert watcher.stdout is not None
    lines: list[str] = []
    while len(lines) < 3 and (line := watcher.stdout.readline()):
        lines += [line] if "running estimate" in line else []
    (tmp_path / "seen").touch()
    rest, stderr = watcher.communicate(timeout=60)
    result, said = driver.communicate(timeout=60)
    assert driver.returncode == 0, said
    assert watcher.returncode == 0, stderr
    assert len(lines) == 3
    lines += [line for line in rest.splitlines() if "running estimate" in line]
    stdout = "".join(lines) + rest
    assert "2 workers busy, as of " in stdout
    assert f"; driven by process {driver.pid} on {socket.gethostname()}\n" in stdout
    assert "steps/s" in lines[-1]
    assert any("lowest level -" not in line for line in lines)
    assert "3 of 3 runs finished" in stdout
    assert result.splitlines()[1] in stdout  # the probability


@pytest.mark.slow
def test_on_a_terminal(tmp_path: Path, driver: subprocess.Popen[str]) -> None:
    ours, theirs = pty.openpty()
    watcher = start("watch", "run.tams", "--interval", "0.2", cwd=tmp_path, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
            if b"running estimate" in shown:
                (tmp_path / "seen").touch()
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert watcher.wait(timeout=60) == 0
    driver.communicate(timeout=60)
    assert f"driven by process {driver.pid} on {socket.gethostname()}".encode() in shown
    visible = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"━ *\r\n0/3 runs, lowest level", visible)  # a bar has a line of its own
    for word in (b"branchings", b"driver", b"running estimate", b"3 of 3 runs finished"):
        assert word in shown


@pytest.mark.slow
def test_of_a_killed_driver(tmp_path: Path, driver: subprocess.Popen[str]) -> None:
    study = WatchedStudy(tmp_path / "run.tams")
    deadline = time.monotonic() + 60
    while not (study.n_running and study.steps_per_second > 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        study.look()
    assert study.n_busy == 2
    driver.kill()
    driver.communicate()
    study.look()
    assert study.n_busy == study.n_running == 0
    assert {row[3] for row in rows_of(study) if row[0].isdecimal()} == {"0"}
    watcher = start("watch", "run.tams", cwd=tmp_path)
    assert watcher.stdout is not None
    line = next(line for line in watcher.stdout if "no driver is at work: go on with pytams resume" in line)
    assert not re.search(r"running,|steps/s|elapsed|left", line)
    assert re.search(r", begun \d+:\d\d ago; ", line)
    watcher.send_signal(signal.SIGINT)
    _, stderr = watcher.communicate(timeout=60)
    assert watcher.returncode == 0, stderr
    assert stderr == ""


def test_what_is_said_is_what_is_found(tmp_path: Path) -> None:
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20)
    result = tams.run(3, seed=1, out=tmp_path / "dw.tams")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    study = WatchedStudy(tmp_path / "dw.tams")
    assert not study.unfinished
    assert study.log_estimate == pytest.approx((result.log_probability, result.relative_error), rel=1e-12)
    assert study.progress == 1.0
    assert study.lowest_level == study.target_score == 0.9
    assert study.n_running == study.n_busy == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_study_is_extended_while_it_is_watched(tmp_path: Path) -> None:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=20)
    tams.run(2, seed=1, out=tmp_path / "walk.tams")
    study = WatchedStudy(tmp_path / "walk.tams")
    tams.run(4, seed=1, out=tmp_path / "walk.tams")
    study.look()
    assert (len(study.runs), study.n_finished) == (4, 4)


@pytest.mark.slow
def test_of_ledgers_on_postgresql(tmp_path: Path, postgres: str) -> None:
    """A run that nobody has claimed has no ledger yet."""
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=20)
    storage = Storage(path=tmp_path / "walk.tams", database_url=postgres, runs_at_once=2)
    with tams.study(5, seed=1, out=storage) as driven:
        for watched in driven:
            if watched.n_finished == 2:
                break
        study = WatchedStudy(tmp_path / "walk.tams", postgres)
        with pytams.load(tmp_path / "walk.tams", database_url=postgres) as saved:
            assert list(saved.splittings) == [0, 1]
    assert (len(study.runs), study.n_finished) == (5, 2)
    result = tams.run(5, seed=1, out=Storage(path=tmp_path / "walk.tams", database_url=postgres))
    study.look()
    assert study.n_finished == 5
    assert study.log_estimate[0] == pytest.approx(result.log_probability, rel=1e-12)
    url = make_url(postgres).set(query={"host": str(tmp_path / "nowhere")})
    with pytest.raises(LedgerError, match="out of reach"):
        RunLedger(url.render_as_string(hide_password=False), ro_mode=True)


def test_of_nothing(tmp_path: Path) -> None:
    watcher = start("watch", "nothing", cwd=tmp_path)
    stdout, stderr = watcher.communicate(timeout=60)
    assert (watcher.returncode, stdout) == (1, "")
    assert "nothing is no run directory" in stderr


def test_many_drivers_are_not_all_named() -> None:
    drivers = [Owner("here", 0, 1, "x"), *(Owner(f"\x1b[2Jnode{i}", 0, i, "x") for i in range(5))]
    assert _driven_by([]) == ""
    assert _driven_by(drivers[:1]) == "driven by process 1 on here"
    assert _driven_by(drivers) == (
        r"driven by process 1 on here and process 0 on \x1b[2Jnode0 and process 1 on \x1b[2Jnode1 and 3 more"
    )


def test_the_time_is_that_since_the_study_began(tmp_path: Path) -> None:
    """It is not that since somebody has begun to watch."""
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20)
    tams.run(1, seed=1, out=tmp_path / "dw.tams")
    manifest = tmp_path / "dw.tams" / "study.json"
    content = json.loads(manifest.read_text())
    for created, said in (
        (datetime.now(UTC) - timedelta(days=2, hours=1), ", begun 49:"),
        (datetime.now(UTC) + timedelta(days=1), ", begun 0:00 ago"),
        ("\x1b[2Jlong ago", ", 0:0"),
        ("2026-11-24T13:40:16", ", 0:0"),
    ):
        manifest.write_text(json.dumps(content | {"created": str(created)}))
        study = WatchedStudy(tmp_path / "dw.tams")
        assert said in progress.Meter(study, study.created).line()


def test_workers_are_counted_in_words() -> None:
    assert _busy(1) == "1 worker busy"
    assert [_busy(n) for n in (0, 2)] == ["0 workers busy", "2 workers busy"]


class Seen:
    """How a study goes, made up: what a meter asks of it."""

    runs, n_finished, n_running, target_score = range(2), 0, 3, 1.0
    lowest_level, steps_per_second = 0.25, 1000.0
    log_estimate = (-math.inf, math.nan)
    progress = 0.0


def test_the_time_left_is_said_once_the_level_has_risen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "perf_counter", lambda: now)
    study = Seen()
    meter = progress.Meter(study)
    assert "left" not in meter.line()
    now, study.progress = 10.0, 0.25
    assert "left" not in meter.line()  # it is known now from where the level rises
    now, study.progress = 40.0, 0.5
    assert meter.line() == "0/2 runs, lowest level 0.25 of 1, 3 running, 1,000 steps/s, 0:40 elapsed, about 1:00 left"
    now, study.progress = 5000.0, 1.0
    assert meter.line().endswith(", 1:23:20 elapsed")
