"""Pictures, tables and reports from the command line, also before any run is finished."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pytams

EXAMPLE = Path(__file__).parents[2] / "examples" / "double_well_2d"
MODEL = (EXAMPLE / "double_well_2d.py").read_text()
SETTINGS = ["tams.ntrajectories=10", "trajectory.end_time=4", "trajectory.targetscore=0.9", "tams.nruns=3"]


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytams", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a study in `dw.tams`, of three runs."""
    (tmp_path / "double_well_2d.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text((EXAMPLE / "input.toml").read_text())
    sets = [word for one in SETTINGS for word in ("--set", one)]
    done = command("run", "input.toml", "--out", "dw.tams", *sets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def stopped(path: Path, n: int) -> pytams.TAMS:
    """Leave a study after so many blocks."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        from double_well_2d import DoubleWell2D  # noqa: PLC0415 - of the example
    finally:
        sys.path.pop(0)
    tams = pytams.TAMS(DoubleWell2D(), n_trajectories=10, end_time=4.0, step_size=0.01, target_score=0.9)
    with tams.study(2, seed=1, out=pytams.Storage(path=path, checkpoint_interval=1e-6)) as study:
        for i, _ in enumerate(study):
            if i == n:
                break
    return tams


@pytest.mark.slow
def test_before_a_run_is_finished(tmp_path: Path) -> None:
    stopped(tmp_path / "dw.tams", 100)
    shown = command("show", "dw.tams", cwd=tmp_path).stdout
    assert "0 of 2 runs finished" in shown
    assert re.search(r"probability +\S+ so far: PROVISIONAL", shown)
    said = json.loads(command("show", "dw.tams", "--json", cwd=tmp_path).stdout)["result"]
    assert said["provisional"]
    rows = csv.DictReader(io.StringIO(command("show", "dw.tams", "--csv", cwd=tmp_path).stdout))
    assert [row["finished"] for row in rows] == ["False", "False"]
    for kind in ("overview", "discarded"):
        done = command("plot", "dw.tams", "--kind", kind, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"wrote dw-{kind}.png\n"), done.stderr
    done = command("report", "dw.tams", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<b>Provisional.</b>" in (tmp_path / "dw.html").read_text()


@pytest.mark.slow
def test_before_anything_is_known(tmp_path: Path) -> None:
    stopped(tmp_path / "dw.tams", 0)
    for line in ("show dw.tams", "plot dw.tams", "report dw.tams"):
        done = command(*line.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_report_reproduces_its_study(study: Path) -> None:
    assert command("report", "dw.tams", cwd=study).returncode == 0
    page = (study / "dw.html").read_text()
    found = re.search(r"<h2>To reproduce it</h2>\s*<pre>(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    text = html.unescape(found[1])
    assert text.startswith("# pytams run input.toml --out study.tams\n# python 3.")
    assert tomllib.loads(text)["tams"] == {"ntrajectories": 10, "ndiscard": 2, "nruns": 3, "seed": 1}
    (study / "again.toml").write_text(text)
    done = command("run", "again.toml", "--json", cwd=study)
    assert done.returncode == 0, done.stderr
    with pytams.load(study / "dw.tams") as saved:
        assert json.loads(done.stdout)["estimates"] == list(saved.result.estimates)


@pytest.mark.slow
def test_sizes_axes_and_tables(study: Path) -> None:
    for options, path in (
        (["--kind", "levels", "--width", "89mm", "--out", "a.svg"], "a.svg"),
        (["--kind", "density", "--x", "time", "--y", "score"], "dw-density.png"),
        (["--kind", "exceedance", "--out", "p.csv"], "p.csv"),
    ):
        done = command("plot", "dw.tams", *options, cwd=study)
        assert (done.returncode, done.stdout) == (0, f"wrote {path}\n"), done.stderr
    assert (study / "p.csv").read_text().startswith("z,log_probability,probability,low,high\n")
    for options, said in (
        (["--width", "89"], "pytams: --width: '89' is no width: write 89mm, 8.9cm or 3.5in"),
        (["--width", "1..2mm"], "pytams: --width: '1..2mm' is no width"),
        (["--width", "2mm"], "pytams: --width: 2 mm: it must be between 20 and 1000 mm"),
        (["--kind", "levels", "--x", "time"], "pytams: --x: the picture 'levels' has no such option"),
        (["--kind", "paths", "--y", "z"], "pytams: --y: there is no component 'z'; there are"),
        (["--kind", "scores", "--out", "s.csv"], "pytams: --out: there is no table of the picture 'scores'"),
        (["--kind", "levels", "--feature", "x"], "pytams: --feature: one or two, of the picture of a learned score"),
    ):
        done = command("plot", "dw.tams", *options, cwd=study)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
