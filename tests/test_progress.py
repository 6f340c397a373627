"""How a study goes is shown where it is driven, and changes nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DoubleWell2D, Walk

TESTS = Path(__file__).parent

CODE = """
import sys
import time
import pytams
from exact import Walk

class Slow(Walk):
    def step(self, state, noise, t, dt):
        time.sleep(0.002)
        return super().step(state, noise, t, dt)

class Broken(Slow):
    def step(self, state, noise, t, dt):
        print("the model speaks")
        if t[0] > 8:
            raise ZeroDivisionError("on purpose")
        return super().step(state, noise, t, dt)

def run(model, progress):
    tams = pytams.TAMS(model, end_time=20, step_size=1, target_score=6, n_trajectories=20)
    return tams.run(3, seed=1, progress=progress)
"""
LINE = r"\d/3 runs, lowest level (-|\d) of 6, \d+ running, [\d,]+ steps/s, \d:\d\d elapsed"
"""What is shown, as far as it can be known."""


def python(code: str, **options: int) -> subprocess.Popen[str]:
    """Begin a script whose standard output and error are pipes, unless it is said otherwise."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE + code],
        stdin=subprocess.DEVNULL,
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=options.get("stderr", subprocess.PIPE),
        text=True,
        cwd=TESTS,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200", "FORCE_COLOR": "1"},
    )


def on_a_terminal(code: str) -> tuple[str, str]:
    """Run a script whose standard error is a terminal: its output, and what the terminal got."""
    ours, theirs = pty.openpty()
    process = python(code, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    return stdout, shown.decode()


def visible(shown: str) -> str:
    """Take out what only moves the cursor or sets colours."""
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown)


@pytest.mark.slow
def test_on_a_terminal() -> None:
    stdout, shown = on_a_terminal("print(run(Slow(), True).estimates == run(Walk(), False).estimates)")
    assert stdout == "True\n"
    assert re.search("━+ " + LINE, visible(shown))
    assert re.search(r"running estimate [\d.]+e-\d\d", shown)
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is hidden, and shown again
    assert shown.endswith("\x1b[2K")  # and nothing is left of it


@pytest.mark.slow
def test_an_exception_leaves_the_terminal_in_order() -> None:
    """What the model has printed goes where it would have gone."""
    stdout, shown = on_a_terminal("run(Broken(), True)")
    assert set(stdout.splitlines()) == {"the model speaks"}
    assert re.search(LINE, shown)
    before, _, after = shown.rpartition("\x1b[?25h")
    assert "\x1b[?25l" in before
    assert "runs, lowest level" not in after
    assert "Traceback" in after
    assert "on purpose" in after


@pytest.mark.slow
def test_in_a_pipe() -> None:
    """Though the environment asks for colours."""
    process = python("print(run(Walk(), True).estimates == run(Walk(), False).estimates)")
    stdout, stderr = process.communicate(timeout=60)
    assert stdout == "True\n"
    [line] = stderr.splitlines()
    assert re.fullmatch(LINE.replace(r"\d/3", "3/3") + r", running estimate \S+ \+- \S+", line)


@pytest.mark.slow
def test_nothing_is_shown_unless_asked_for() -> None:
    stdout, stderr = python("run(Walk(), False)").communicate(timeout=60)
    assert (stdout, stderr) == ("", "")


@pytest.mark.slow
def test_whole_runs_are_made_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """To show how it goes is no observer, for whom an SDE would go step by step."""
    model = pytams.SDE(
        drift=lambda x, t, p: (x[0] - x[0] * x[0] * x[0],),
        diffusion=lambda x, t, p: (p.sigma,),
        score=lambda x, t, p: x[0],
        initial=(-1.0,),
        sigma=0.5,
    )
    tams = pytams.TAMS(model, end_time=2, step_size=0.01, target_score=0.5, n_trajectories=20)
    with tams.study(4, seed=1) as study:
        study.finish(progress=True)
        assert study.splittings == {}
        log_mean, relative_error = study.log_estimate
        result = study.result()
    assert "4/4 runs" in capsys.readouterr().err
    assert (log_mean, relative_error) == pytest.approx((result.log_probability, result.relative_error))
    assert result.runs == tams.run(4, seed=1).runs


def test_the_estimate_so_far() -> None:
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20)
    with tams.study(3, seed=1) as study:
        assert study.log_estimate[0] == -float("inf")
        study.finish()
        result = study.result()
        assert study.log_estimate == pytest.approx((result.log_probability, result.relative_error))


@pytest.mark.slow
def test_of_rounds_of_learning(capsys: pytest.CaptureFixture[str]) -> None:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=20)
    pytams.improve(tams, seed=1, rounds=1, progress=True)
    assert "4/4 runs" in capsys.readouterr().err


NOTEBOOK = """
import json, sys
import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(source) for source in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=120, allow_errors=True, kernel_name="python3").execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""


def outputs(*cells: str) -> list[list[dict[str, Any]]]:
    """Execute cells in a kernel: what is then below each of them."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK]
    done = subprocess.run(
        command, input=json.dumps([CODE, *cells]), capture_output=True, text=True, check=False, cwd=TESTS
    )
    assert done.returncode == 0, done.stderr
    first, *found = json.loads(done.stdout)
    assert first == []
    return found  # type: ignore[no-any-return] # JSON


@pytest.mark.slow
def test_in_a_notebook() -> None:
    shown, same, broken = outputs(
        "result = run(Slow(), True)",
        "print(result.estimates == run(Walk(), False).estimates)",
        "run(Broken(), True)",
    )
    [display] = shown  # updated in its place
    data = display["data"]
    assert re.fullmatch(LINE.replace(r"\d/3", "3/3") + r", running estimate \S+ \+- \S+", data["text/plain"])
    assert data["text/html"].startswith("<progress value='1.000' max='1'></progress> 3/3 runs, ")
    assert [output["text"] for output in same] == ["True\n"]
    kinds = [output["output_type"] for output in broken]
    assert sorted(set(kinds)) == ["display_data", "error", "stream"]
    assert kinds.count("display_data") == kinds.count("error") == 1
