"""The command line as a user has it: real processes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pytams
from programs import running
from pytams.cli.config import Config

ROOT = Path(__file__).parents[2]
SLOW_MODEL = """
import os
import time
from collections.abc import Callable
from pathlib import Path
import pytams

class Slow(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        Path(__file__).with_name("begun").touch()
        return 0.0
    def step(self, state, noise, t, dt):
        Path(__file__).with_name(f"at-work-{os.getpid()}").touch()
        time.sleep(0.01)
        return state + noise
    def score(self, state, t):
        if state > 1e9 or self.broken:
            raise ValueError("[red]no") if self.broken else None
        return state
    def __init__(self, broken=False):
        self.broken = broken
"""
SLOW_INPUT = """
[tams]
ntrajectories = 50
[trajectory]
end_time = 100
step_size = 1
targetscore = 1000
[model]
class = "slow.py:Slow"
"""


UNVERIFIED = ["--set", "tams.verify=false"]
"""So that a study is on disk as soon as its directory is there."""


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytams", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW_MODEL)
    (tmp_path / "input.toml").write_text(SLOW_INPUT)
    return tmp_path / "input.toml"


def test_new_then_run(tmp_path: Path) -> None:
    done = command("new", "my_model", cwd=tmp_path)
    assert done.returncode == 0
    assert "pytams run my_model/input.toml" in done.stdout
    done = command("run", "my_model/input.toml", "--runs", "3", "--seed", "7", "--reference", "0.008", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MyModel" in done.stdout
    assert "standard errors off" in done.stdout
    assert "3/3 runs" in done.stderr
    again = command("new", "my_model", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_new_program_then_run(tmp_path: Path) -> None:
    done = command("new", "--program", "well", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "try:  make -C well && pytams run well/input.toml"
    subprocess.run(["make", "-s", "-C", "well"], cwd=tmp_path, check=True)
    checked = command("check", "well/input.toml", cwd=tmp_path)
    assert (checked.returncode, checked.stdout.count("yes ")) == (0, 13), checked.stdout + checked.stderr
    short = ["--set", "tams.ntrajectories=8", "--set", "trajectory.end_time=2", "--set", "tams.seed=1"]
    run = ["run", "well/input.toml", "--out", "well/out", "--runs", "1", *short]
    assert command(*run, cwd=tmp_path).returncode == 0
    logs = ["--set", "launch.logs=all", "--set", "runner.slots=2", "--set", "launch.backoff=0.5"]
    resumed = command("resume", "well/out", "--runs", "2", *logs, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "well" / "out" / "logs" / "1" / "0" / "0" / "0.out").read_text().count("\n") == 20
    with pytams.load(tmp_path / "well" / "out") as saved:
        trajectory = saved.trajectory(0, 3)
        assert len(trajectory.replay()) == len(trajectory.scores)
    (tmp_path / "well").rename(tmp_path / "moved")  # all of it
    assert command("resume", "moved/out", "--runs", "3", cwd=tmp_path).returncode == 0
    (tmp_path / "moved" / "out").rename(tmp_path / "out")  # the run directory alone: the other is where it was
    gone = command("resume", "out", "--runs", "4", cwd=tmp_path)
    assert "[model] folder: there is no folder" in gone.stderr
    assert command("resume", "out", "--runs", "4", "--set", "model.folder=moved", cwd=tmp_path).returncode == 0
    with (tmp_path / "moved" / "dw").open("ab") as program:
        program.write(b"rebuilt")
    refused = command("resume", "out", "--runs", "5", "--set", "model.folder=moved", cwd=tmp_path)
    assert refused.returncode == 1
    assert "the source of dw has changed" in refused.stderr
    assert "(dw has changed)" in refused.stderr
    again = command("new", "--program", "moved", cwd=tmp_path)
    assert "is there already, and nothing is overwritten" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("runner", ["inprocess", "launch"])
def test_stopped_while_it_is_verified(runner: str, number: signal.Signals, tmp_path: Path) -> None:
    """Before anything is recorded, one signal is enough, however long a step takes."""
    (tmp_path / "init").write_text("12345678")
    (tmp_path / "input.toml").write_text(
        "[tams]\nntrajectories = 4\nseed = 1\n[trajectory]\nend_time = 1.0\nstep_size = 0.1\ntargetscore = 1.0\n"
        '[model]\ntype = "program"\ncommand = ["sh", "-c", "touch {folder}/begun; exec sleep 982"]\n'
        'initial = "init"\ninitial_score = 0.0\nscore = {}\n' + f'[runner]\ntype = "{runner}"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "run", "input.toml", "--out", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert f"stopped by {number.name}, 0 of 1 runs finished" in stderr
    assert "Traceback" not in stderr
    assert "sleep 982" not in running()


def test_new_with_a_name_that_is_none(tmp_path: Path) -> None:
    done = command("new", "3 wells", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot name a Python module" in done.stderr


@pytest.mark.parametrize("example", ["double_well_2d", "ornstein_uhlenbeck"])
def test_examples_and_json(tmp_path: Path, example: str) -> None:
    path = ROOT / "examples" / example / "input.toml"
    overrides = ["--set", "tams.ntrajectories=12", "--set", "tams.ndiscard=3"]
    done = command("run", path, "--runs", "2", *overrides, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["n_runs"], result["seed"], result["settings"]["n_trajectories"]) == (2, 1, 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nope.toml"], 2, "nope.toml: cannot be read"),
        (["run"], 2, "Missing argument"),
        (["run", "input.toml", "--sed", "3"], 2, "No such option"),
        (["run", "input.toml", "--set", "tams.x=3"], 2, "[tams] x: unknown key"),
        (["run", "input.toml", "--runs", "0"], 2, "--runs: 0 is too small"),
        (["run", "input.toml", "--seed", "-1"], 2, "--seed: -1 is too small"),
        (["run", "input.toml", "--runs", "0", "--seed", "-1"], 2, "at least 1\n--seed: -1 is too small"),
        (["run", "input.toml", "--set", "tams.logfile=no/such/folder"], 2, "[tams] logfile: "),
        (
            ["run", "input.toml", "--set", "model.broken=true"],
            1,
            "Slow.score raised ValueError at run 0, slot 0",
        ),
        (["run", "input.toml", "--set", "trajectory.targetscore=-1"], 2, "[trajectory] targetscore: -1 is already"),
    ],
)
def test_one_clear_message(slow: Path, arguments: list[str], code: int, message: str) -> None:
    done = command(*arguments, cwd=slow.parent)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if "broken" in str(arguments):
        assert "[red]no" in done.stderr
        assert "Traceback" in command(*arguments, "--debug", cwd=slow.parent).stderr


@pytest.mark.slow
@pytest.mark.parametrize("out", [[], ["--out", "a.tams"]])
def test_interrupt(slow: Path, out: list[str]) -> None:
    """While it is verified: nothing is lost, and nothing is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "run", str(slow), *out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=slow.parent,
    )
    until((slow.parent / "begun").exists)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    what = "; nothing of it is on disk yet: begin again" if out else ""
    assert stderr.strip().endswith(f"stopped by SIGINT, 0 of 1 runs finished{what}")
    assert "Traceback" not in stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_and_resumed(tmp_path: Path, number: signal.Signals) -> None:
    command("new", "well", cwd=tmp_path)
    chosen = ["--runs", "6", "--seed", "3"]
    undisturbed = command("run", "well/input.toml", *chosen, "--json", cwd=tmp_path)
    slow_block = ["--set", "runner.block_length=1", *UNVERIFIED]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "run", "well/input.toml", "--out", "my run", *chosen, *slow_block],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    until((tmp_path / "my run" / "study.json").exists)
    time.sleep(0.3)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 75)
    assert stdout == ""
    assert "go on with:  pytams resume 'my run'" in stderr
    shown = command("show", "my run", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert all(run["driver"] is None for run in json.loads(shown.stdout)["runs"])
    done = command("resume", "my run", "--set", "runner.block_length=64", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout), json.loads(undisturbed.stdout)
    assert ours | {"wall_time": 0} == theirs | {"wall_time": 0}
    more = command("resume", "my run", "--runs", "8", "--json", cwd=tmp_path)
    assert json.loads(more.stdout)["estimates"][:6] == theirs["estimates"]
    assert json.loads(more.stdout)["n_runs"] == 8
    assert "8 of 8 runs finished" in command("show", "my run", cwd=tmp_path).stdout


@pytest.mark.slow
def test_interrupt_ends_the_workers_too(slow: Path) -> None:
    arguments = ["--set", "runner.type=process", "--set", "runner.nworkers=3", "--out", "out", *UNVERIFIED]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "run", str(slow), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=slow.parent,
        start_new_session=True,
    )
    until(lambda: len(list(slow.parent.glob("at-work-*"))) == 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "pytams resume out" in stderr
    assert "Traceback" not in stderr
    until(lambda: not processes_of_session(process.pid))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_of_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_drivers_share_a_study(tmp_path: Path) -> None:
    """As the tasks of a job array: the same command several times at once."""
    command("new", "well", cwd=tmp_path)
    chosen = ["--runs", "7", "--seed", "3"]
    alone = command("run", "well/input.toml", *chosen, "--json", cwd=tmp_path)
    shared = ["--out", "shared.tams", "--set", "runner.runs_at_once=2", "--set", "runner.block_length=3"]
    drivers = [
        subprocess.Popen(
            [sys.executable, "-m", "pytams", "run", "well/input.toml", *chosen, *shared],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for _ in range(3)
    ]
    said = [driver.communicate(timeout=120) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0, 0], [err for _, err in said]
    result = json.loads(command("show", "shared.tams", "--json", cwd=tmp_path).stdout)["result"]
    expected = json.loads(alone.stdout)
    assert result["estimates"] == expected["estimates"]
    assert result["n_steps"] == expected["n_steps"]


@pytest.mark.slow
def test_walltime(slow: Path) -> None:
    done = command("run", slow, "--set", "tams.walltime=0.5", "--out", "out", cwd=slow.parent)
    assert (done.returncode, done.stdout) == (75, "")
    assert "stopped by walltime, 0 of 1 runs finished; everything is on disk" in done.stderr
    assert "0 of 1 runs finished" in command("show", "out", cwd=slow.parent).stdout
    again = command("run", slow, "--out", "out", cwd=slow.parent)
    assert again.returncode == 2
    assert "go on with it: pytams resume out" in again.stderr
    (slow.parent / "slow.py").write_text(SLOW_MODEL + "changed = True")
    changed = command("resume", "out", cwd=slow.parent)
    assert changed.returncode == 1
    assert "the source of Slow has changed" in changed.stderr
    assert command("show", "nothing", cwd=slow.parent).returncode == 1


@pytest.mark.slow
def test_progress_on_a_terminal(slow: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "run", str(slow), "--set", "trajectory.end_time=5"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"0/1 runs, lowest level" in shown
    assert b"steps/s" in shown


@pytest.mark.slow
def test_log_file(slow: Path) -> None:
    settings = ["trajectory.end_time=1", "tams.logfile=run.log", "tams.loglevel=INFO"]
    done = command("run", slow, *(word for setting in settings for word in ("--set", setting)), cwd=slow.parent)
    assert done.returncode == 0, done.stderr
    assert "seed" in (slow.parent / "run.log").read_text()


def test_version(tmp_path: Path) -> None:
    assert command("--version", cwd=tmp_path).stdout.strip() == pytams.__version__


def small_study(folder: Path) -> None:
    arguments = ["--set", "tams.ntrajectories=12", "--runs", "3", "--out", "dw.tams"]
    done = command("run", ROOT / "examples" / "double_well_2d" / "input.toml", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_pictures_and_report(tmp_path: Path) -> None:
    small_study(tmp_path)
    done = command("plot", "dw.tams", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "wrote dw-overview.png\n"), done.stderr
    assert (tmp_path / "dw-overview.png").stat().st_size > 1000
    done = command("report", "dw.tams", "--reference", "7.6e-3", "--paths", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "wrote dw.html\n"), done.stderr
    assert "standard errors off" in (tmp_path / "dw.html").read_text()


@pytest.mark.slow
def test_one_picture(tmp_path: Path) -> None:
    small_study(tmp_path)
    for options, path in [
        (["--kind", "levels", "--run", "2"], "dw-levels.png"),
        (["--kind", "estimates", "--reference", "7.6e-3", "--out", "e.svg"], "e.svg"),
        (["--kind", "paths"], "dw-paths.png"),
    ]:
        done = command("plot", "dw.tams", *options, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"wrote {path}\n"), done.stderr
        assert (tmp_path / path).stat().st_size > 1000
    for options, message in [
        (["--kind", "level"], "density, score; did you mean levels?"),
        (["--run", "3"], "pytams: --run: the overview has no such option: choose a --kind of picture"),
        (
            ["--kind", "levels", "--run", "3"],
            "--run: 3 is not among the runs of this result: there are 0 to 2",
        ),
        (["--out", "dw.xyz"], "--out: dw.xyz is no kind of picture"),
    ]:
        done = command("plot", "dw.tams", *options, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr


@pytest.mark.slow
def test_runs_of_others_are_said_together(tmp_path: Path) -> None:
    """One line, however many there are."""
    (tmp_path / "slow.py").write_text(SLOW_MODEL.replace("time.sleep(0.01)", ""))
    text = SLOW_INPUT.replace("1000", "2").replace("100", "5").replace("50", "8\nseed = 1\nnruns = 4")
    (tmp_path / "input.toml").write_text(f"{text}\n[runner]\nruns_at_once = 3\n")
    config = Config.load(tmp_path / "input.toml")
    with config.make_tams().study(4, 1, out=config.storage(tmp_path / "x.tams")) as study:
        assert study.runs == [0, 1, 2]
        done = command("run", "input.toml", "--out", "x.tams", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 finished, 0 extinct, 3 unfinished" in done.stdout
    assert f"runs 0 to 2 are not finished: driven by {os.uname().nodename}, process {os.getpid()}" in done.stderr


def test_manners(tmp_path: Path) -> None:
    """Short options, quiet, what is there already, tables, and what has no effect."""
    command("new", "well", cwd=tmp_path)
    run = ["run", "well/input.toml", "--runs", "2", "--seed", "1", "--set", "tams.ntrajectories=10"]
    quiet = command(*run, "--out", "out", "-q", cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    refused = command(*run, "--out", "out", cwd=tmp_path)
    assert refused.returncode == 2
    assert "or --overwrite" in refused.stderr
    again = command(*run, "--out", "out", "--overwrite", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "out is out.old1 now" in again.stderr
    assert json.loads(again.stdout)["finished"]
    assert (tmp_path / "out.old1" / "study.json").exists()
    table = command("show", "out", "--csv", cwd=tmp_path)
    assert table.stdout.splitlines()[0].startswith("run,estimate,log_estimate,")
    assert len(table.stdout.splitlines()) == 3
    noted = command(*run, "--set", "database.checkpoint_interval=9", "--set", "dask.minimum=1", cwd=tmp_path)
    assert "warning: [database] has no effect without --out" in noted.stderr
    assert "warning: [dask] has no effect: [runner] type is 'inprocess'" in noted.stderr
    for option, value in (("nworkers", 2), ("batch", 2)):
        wrong = command(*run, "--set", f"runner.{option}={value}", cwd=tmp_path)
        assert (wrong.returncode, f"[runner] {option}: this is for workers" in wrong.stderr) == (2, True)
    assert command(*run, "--reference", "nan", cwd=tmp_path).returncode == 2
    assert "[tams] nruns" in command("run", "-h", cwd=tmp_path).stdout
    assert command("-V", cwd=tmp_path).stdout == command("--version", cwd=tmp_path).stdout


def test_a_stop_is_no_success(tmp_path: Path) -> None:
    """The same command goes on: for a queue that submits again."""
    command("new", "well", cwd=tmp_path)
    stopped = command("run", "well/input.toml", "--out", "out", "--json", "--set", "tams.walltime=1e-6", cwd=tmp_path)
    assert stopped.returncode == 75, stopped.stderr
    assert json.loads(stopped.stdout) == {"finished": False}
    done = command("resume", "out", "--set", "tams.walltime=", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["finished"]) == (0, True)
