"""What a command says that cannot do what it should: one line that names what it is about, in our words."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import pytams
from exact import Walk
from pytams.cli.main import main
from pytams.storage.options import Storage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=10)
    tams.run(2, seed=1, out=folder / "walk.tams")
    tams.run(2, seed=1, out=Storage(path=folder / "by_class.tams", model_reference="exact:Walk"))
    (folder / "file").write_text("")
    (folder / "typing.toml").write_text("[runer]\ntype = 'process'\n[tams]\nwalltim = 3\n")
    (folder / "folder.png").mkdir()
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("run nope.toml", 2, "nope.toml: cannot be read: No such file or directory"),
        ("run walk.tams", 2, "walk.tams: cannot be read: Is a directory"),
        ("run /proc/self/mem", 2, "/proc/self/mem: cannot be read: Input/output error"),
        (f"run input.toml --out {'x' * 300}", 1, f"{'x' * 300}/study.json: File name too long"),
        ("show nothing", 1, "nothing is no run directory: it has no study.json"),
        ("show file", 1, "file is no run directory: it has no study.json"),
        ("watch file", 1, "file is no run directory: it has no study.json"),
        ("resume file", 1, "file is no run directory: it has no study.json"),
        ("plot file", 1, "file is no run directory: it has no study.json"),
        ("report file", 1, "file is no run directory: it has no study.json"),
        (
            "plot walk.tams --out no/folder.png",
            1,
            "no/folder.png cannot be written: No such file or directory",
        ),
        ("plot walk.tams --out folder.png", 1, "folder.png cannot be written: Is a directory"),
        (
            "plot walk.tams --out x.foo",
            2,
            "--out: x.foo is no kind of picture: .png, .pdf, .svg or .csv, a table",
        ),
        (
            "plot walk.tams --kind foo",
            2,
            "--kind: no picture is called 'foo'; there are overview, levels, ",
        ),
        ("plot walk.tams --reference 3", 2, "--reference: 3.0 is no probability"),
        ("report walk.tams --reference -1", 2, "--reference: -1.0 is no probability"),
        (
            "plot walk.tams --kind paths",
            1,
            "Walk was made in Python: pass the model there, as in ",
        ),
        ("run input.toml --runs 0", 2, "--runs: 0 is too small; it must be at least 1"),
        ("run input.toml --runs=0", 2, "--runs: 0 is too small; it must be at least 1"),
        ("run input.toml --seed -1", 2, "--seed: -1 is too small; it must be at least 0"),
        ("run input.toml --set tams.nruns=0", 2, "[tams] nruns: 0 is too small; it must be at least 1"),
        ("run input.toml --runs 3 --set tams.nruns=0", 2, "[tams] nruns: 0 is too small; it must be at least 1"),
        ("show walk.tams --url postgresql://h/db", 2, "--url: the ledgers of walk.tams are SQLite files in it"),
        (
            "run input.toml --set nruns=3",
            2,
            "--set: 'nruns=3' is not of the form section.key=value; did you mean tams.nruns=3?",
        ),
        (
            "plan input.toml --workers 2 --pilot walk.tams --set trajectory.targetscore=3",
            2,
            "--pilot: its targetscore is 4.0",
        ),
        ("report walk.tams --out no/r.html", 1, "no/r.html cannot be written: No such file or directory"),
        ("resume by_class.tams --settings typing.toml", 2, "[runer]: unknown section; did you mean runner?"),
        ("resume by_class.tams --runs 1", 2, "--runs: "),
        ("resume by_class.tams --set tams.nsplititer=3", 2, "[tams] nsplititer: "),
        ("resume by_class.tams --url mysql://h/db", 2, "--url: mysql://h/db is no PostgreSQL database"),
        ("improve by_class.tams --out y.tams --rounds 0", 2, "--rounds: 0 is too small; it must be at least 1"),
        ("new /proc/well", 2, "NAME: /proc/well cannot be written: No such file or directory"),
        ("new file/well", 2, "NAME: file/well cannot be written: Not a directory"),
    ],
)
def test_one_line_in_our_words(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    code: int,
    message: str,
) -> None:
    (folder / "input.toml").write_text(
        "[tams]\nntrajectories = 10\n[trajectory]\nend_time = 20\nstep_size = 1\ntargetscore = 4\n"
        '[model]\nclass = "exact:Walk"\n'
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["pytams", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (code, "")
    first, *more = said.err.splitlines()
    assert first.startswith("pytams: " + message)
    assert more in ([], ["(--debug shows where)"], ["[tams] walltim: unknown key; did you mean walltime?"])
    assert not re.search(r"Errno|Error|Traceback|Expecting", said.err)
