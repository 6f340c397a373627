"""Input files as users of pyTAMS have them, in the keys of its versions, become ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pytams
from pytams.cli.config import Config
from pytams.cli.main import main
from pytams.cli.migrate import Migrated, migrated
from pytams.cli.theirs import RULES

DOUBLE_WELL = """
[tams]
ntrajectories = 32
nsplititer = 2000
walltime = 500.0
loglevel = "warning"
deterministic = true
diagnostics = true

[trajectory]
end_time = 2.0
step_size = 0.01
sparse_freq = 10

[runner]
type = "asyncio"
nworker_init = 1
nworker_iter = 2

[database]
path = "well.tdb"
archive_discarded = false

[model]
epsilon = 0.5
"""
MODEL = """
import numpy as np
from pytams.migrate import ForwardModel as ForwardModelBaseClass

class DoubleWell(ForwardModelBaseClass):
    def _init_model(self, m_id, params):
        self.x, self.rng = np.array([-1.0, 0.0]), np.random.default_rng(m_id)
        self.epsilon = params["model"]["epsilon"]
    def _advance(self, step, time, dt, noise, need_end_state):
        a, b = self.x
        self.x = self.x + dt * np.array([a - a**3, -2 * b]) + np.sqrt(self.epsilon * dt) * noise
        return dt
    def get_current_state(self):
        return self.x
    def set_current_state(self, state):
        self.x = state
    def score(self):
        return self.x[0]
    def make_noise(self):
        return self.rng.standard_normal(2)
"""
SLURM = """
[tams]
ntrajectories = 64
nsplititer = 5000
init_ensemble_only = true

[trajectory]
end_time = 20.0
step_size = 0.5
targetscore = 0.9

[runner]
type = "Dask"
nworker_init = 32
nworker_iter = 8

[dask]
backend = "slurm"
queue = "genoa"
worker_walltime = "48:00:00"
ntasks_per_job = 64
job_prologue = ["module load 2023"]
"""
AFTER_1_0 = """
[ams]
ntrajectories = 25
nsplititer = 200
variant = "tams"
end_time = 10.0

[sampler]
strategy = "ams"

[runtime]
loglevel = "INFO"
walltime = 3600
plot_diagnostics = true

[trajectory]
step_size = 0.01

[runner]
nworkers_init = 2
nworkers_iter = 1
"""


def words(new: Migrated) -> dict[str, str]:
    return {row.theirs: row.word for row in new.rows}


def why(new: Migrated, theirs: str) -> str:
    return next(row.why for row in new.rows if row.theirs == theirs)


def from_text(text: str) -> Migrated:
    new = migrated(tomllib.loads(text), "model.py:Model")
    Config(new.table, Path())
    return new


def test_the_double_well() -> None:
    new = from_text(DOUBLE_WELL)
    assert new.table == {
        "tams": {
            "ntrajectories": 32,
            "nsplititer": 2000,
            "walltime": 500.0,
            "loglevel": "WARNING",
            "seed": 1,
            "ndiscard": 2,
        },
        "trajectory": {"end_time": 2.0, "step_size": 0.01, "sparse_freq": 10, "targetscore": 0.95},
        "runner": {"type": "process", "nworkers": 2},
        "database": {"archive_discarded": False},
        "model": {"class": "model.py:Model", "epsilon": 0.5},
    }
    told = words(new)
    assert told["[tams] ntrajectories"] == told["[model] epsilon"] == "same"
    assert told["[runner] nworker_iter"] == told["[tams] deterministic"] == "changed"
    assert told["[tams] diagnostics"] == told["[database] path"] == "none"
    assert "targetscore = 0.95" in why(new, "")


def test_slurm() -> None:
    new = from_text(SLURM)
    assert new.table["tams"] == {"ntrajectories": 64, "nsplititer": 0, "ndiscard": 8}
    assert new.table["runner"] == {"type": "dask", "nworkers": 32}
    assert new.table["dask"] == {
        "backend": "slurm",
        "queue": "genoa",
        "cores": 1,
        "walltime": "48:00:00",
        "job_script_prologue": ["module load 2023"],
        "memory": "144GB",
        "interface": "ib0",
        "job_extra_directives": ["--ntasks=64", "--tasks-per-node=64", "--exclusive"],
        "job_directives_skip": ["--cpus-per-task=", "--mem"],
    }
    assert "say your own" in why(new, "")


def test_a_dask_cluster_that_is_no_slurm_gets_nothing_of_it() -> None:
    new = from_text(SLURM.replace('"slurm"', '"local"'))
    assert new.table["dask"] == {"backend": "local"}
    assert words(new)["[dask] queue"] == words(new)["[dask] ntasks_per_job"] == "none"


def test_what_came_after_1_0() -> None:
    new = from_text(AFTER_1_0)
    assert new.table["tams"] == {
        "ntrajectories": 25,
        "nsplititer": 200,
        "loglevel": "INFO",
        "walltime": 3600,
        "ndiscard": 1,
    }
    assert new.table["trajectory"] == {"end_time": 10.0, "step_size": 0.01, "targetscore": 0.95}
    assert new.table["runner"] == {"type": "process", "nworkers": 2}


def test_one_worker_is_this_process() -> None:
    new = from_text(DOUBLE_WELL.replace("nworker_iter = 2", "nworker_iter = 1"))
    assert new.table["runner"] == {"type": "inprocess"}
    assert new.table["tams"]["ndiscard"] == 1


def test_monte_carlo_whatever_stands_first() -> None:
    sampler = '[sampler]\nstrategy = "montecarlo"\n'
    there = AFTER_1_0.replace('[sampler]\nstrategy = "ams"\n', "")
    for text in (sampler + there, there + sampler):
        assert from_text(text).table["tams"]["nsplititer"] == 0
    own = there.replace("[ams]", "[montecarlo]").replace('nsplititer = 200\nvariant = "tams"\n', "")
    new = from_text(own + sampler)
    assert new.table["tams"]["nsplititer"] == 0
    assert new.table["tams"]["ntrajectories"] == 25
    assert new.table["trajectory"]["end_time"] == 10.0


def test_l_as_a_setting_of_its_own() -> None:
    new = from_text(
        AFTER_1_0.replace("end_time = 10.0", "end_time = 10.0\nl_j = 3").replace("nworkers_iter = 1", "nworkers = 4")
    )
    assert new.table["tams"]["ndiscard"] == 3
    assert new.table["runner"] == {"type": "process", "nworkers": 4}
    new = from_text(AFTER_1_0.replace("end_time = 10.0", "end_time = 10.0\nl_j = 3"))
    assert new.table["tams"]["ndiscard"] == 3


def test_dask_in_the_section_of_the_runner() -> None:
    new = from_text(SLURM.replace("[dask]", "[runner.dask]"))
    assert new.table["dask"] == from_text(SLURM).table["dask"]
    assert not [word for word in words(new).values() if word == "unknown"]


def test_what_is_moved_is_called_changed() -> None:
    new = from_text(AFTER_1_0)
    for key in ("ntrajectories", "nsplititer"):
        assert words(new)[f"[ams] {key}"] == "changed"
        assert why(new, f"[ams] {key}") == f"[tams] {key}"


def test_what_is_given_twice_and_differently_is_told() -> None:
    text = AFTER_1_0 + "\n[tams]\nntrajectories = 50\nnsplititer = 200\ndeterministic = true\n"
    new = from_text(text.replace("[sampler]", "[sampler]\ndeterministic = false"))
    assert [row.why for row in new.rows if row.word == "to do"] == [
        "[tams] ntrajectories = 50 and [ams] ntrajectories = 25: say which is meant",
        "[tams] deterministic = True and [sampler] deterministic = False: say which is meant",
    ]


@pytest.mark.parametrize(("key", "wrong", "meant"), [("strategy", "amsx", "ams"), ("variant", "tam", "tams")])
def test_a_value_that_nobody_knows_is_told(key: str, wrong: str, meant: str) -> None:
    new = from_text(AFTER_1_0.replace(f'{key} = "{meant}"', f'{key} = "{wrong}"'))
    row = next(row for row in new.rows if row.theirs.endswith(key))
    assert row.word == "unknown"
    assert f"did you mean {meant}?" in row.why


def test_what_has_no_counterpart() -> None:
    new = from_text(AFTER_1_0.replace('strategy = "ams"', 'strategy = "gktl"').replace('"tams"', '"hams"'))
    assert words(new)["[sampler] strategy"] == words(new)["[ams] variant"] == "none"


def test_other_defaults_are_told() -> None:
    told = "\n".join(row.why for row in from_text(SLURM).rows)
    assert "[tams] walltime is not said: 86400 s in pyTAMS, no limit here" in told
    assert "[tams] loglevel is not said" in told
    assert "[trajectory] sparse_freq is not said" in told
    assert "[dask] cores = 1, which pyTAMS takes if it is not said" in told
    assert "[dask] queue" not in told
    assert "is not said:" not in "\n".join(row.why for row in from_text(DOUBLE_WELL).rows)


def test_a_runner_that_nobody_knows() -> None:
    new = from_text(DOUBLE_WELL.replace("asyncio", "mpi"))
    assert "runner" not in new.table
    assert words(new)["[runner] type"] == "unknown"


def test_monte_carlo() -> None:
    new = from_text(AFTER_1_0.replace('strategy = "ams"', 'strategy = "montecarlo"'))
    assert new.table["tams"]["nsplititer"] == 0


def test_unknown_keys_are_told_and_what_only_a_model_reads_is_kept() -> None:
    text = DOUBLE_WELL + "\n[ocean]\ndepth = 4000.0\n[tams.ntrajectorie]\nx = 1\n"
    new = from_text('title = "run 3"\n' + text.replace("[model]", '[model]\nclass = "A"\ntype = "B"'))
    assert "did you mean ntrajectories?" in why(new, "[tams] ntrajectorie")
    assert new.table["model"] == {
        "class": "model.py:Model",
        "title": "run 3",
        "type": "B",
        "epsilon": 0.5,
        "ocean": {"depth": 4000.0},
    }
    assert words(new)["[model] class"] == "none"
    assert "params['ocean']" in why(new, "[ocean]")


@pytest.mark.parametrize("section", RULES)
def test_every_key_of_theirs_is_told(section: str) -> None:
    values: dict[str, Any] = {"type": "dask", "backend": "slurm", "loglevel": "info", "job_prologue": []}
    values |= {"ntrajectories": 50, "strategy": "ams", "variant": "tams"}
    needed = {"tams": {"ntrajectories": 50}, "trajectory": {"end_time": 2, "step_size": 1}}
    keys = {key: values.get(key, 2) for key in RULES[section]}
    keys |= {"walltime": 9.0, "logfile": "log"} if section in {"tams", "runtime"} else {}
    keys |= {"archive_discarded": True} if section == "database" else {}
    new = migrated({**needed, section: {**needed.get(section, {}), **keys}}, "model.py:Model")
    assert {f"[{section}] {key}" for key in RULES[section]} <= words(new).keys()
    assert "unknown" not in words(new).values()
    Config(new.table, Path())


def ended(
    code: int, arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setattr(sys, "argv", ["pytams", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code
    return capsys.readouterr()


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    return str(ended(2, arguments, capsys, monkeypatch).err)


def said_of(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    return str(ended(0, arguments, capsys, monkeypatch).out)


def test_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("their.toml").write_text(DOUBLE_WELL)
    Path("their_ours.toml").write_text("mine")
    assert "--out: their_ours.toml is there already" in fails(["migrate", "their.toml"], capsys, monkeypatch)
    assert "is there already" in fails(["migrate", "their.toml", "--out", "their.toml"], capsys, monkeypatch)
    assert Path("their_ours.toml").read_text() == "mine"
    assert Path("their.toml").read_text() == DOUBLE_WELL
    assert "cannot be written" in fails(["migrate", "their.toml", "--out", "no/x.toml"], capsys, monkeypatch)
    assert "nope.toml: cannot be read" in fails(["migrate", "nope.toml"], capsys, monkeypatch)
    Path("bad.toml").write_text("[tams\n")
    assert "bad.toml: is not valid TOML" in fails(["migrate", "bad.toml"], capsys, monkeypatch)


@pytest.mark.slow
def test_what_is_written_runs(tmp_path: Path) -> None:
    (tmp_path / "well.toml").write_text(DOUBLE_WELL.replace("0.95", "0.9"))
    (tmp_path / "well.py").write_text(MODEL)

    def command(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytams", *line.split()],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(pytams.__file__).parents[1])},
        )

    said = command("migrate well.toml --model well.py:DoubleWell").stdout
    assert "wrote well_ours.toml\ntry:  pytams run well_ours.toml --out well.tams\n" in said
    assert "to mend" not in said
    result = json.loads(command("run well_ours.toml --out well.tams --runs 2 --json").stdout)
    assert result["finished"]
    assert 0 < result["probability"] < 1


def test_what_ours_refuses_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = DOUBLE_WELL.replace("nworker_iter = 2", "nworker_iter = 32").replace("end_time = 2.0", "end_time = 2.005")
    Path("their.toml").write_text(text)
    out = said_of(["migrate", "their.toml"], capsys, monkeypatch)
    assert "to do    [model] class" in out
    assert "to mend:  [tams] ndiscard: 32 of 32 trajectories leaves none to restart from" in out
    assert "to mend:  [trajectory] end_time: 2.005 is not a multiple" in out
    assert "\nthen: pytams run their_ours.toml --out well.tams\n" in out
    assert "try:" not in out
    assert "class" not in tomllib.loads(Path("their_ours.toml").read_text())["model"]


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = DOUBLE_WELL.replace("= 32", '= "32"').replace("end_time = 2.0", "end_time = 2.005")
    Path("their.toml").write_text(text.replace('"warning"', '"loud"'))
    out = said_of(["migrate", "their.toml"], capsys, monkeypatch)
    mend = re.findall(r"^to mend:  (\[\w+\] \w+)", out, re.M)
    assert mend == ["[tams] ntrajectories", "[tams] loglevel", "[trajectory] end_time"]


def test_the_model_is_found_from_where_ours_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("sub", "theirs"):
        Path(folder).mkdir()
    for name in ("well.py", "theirs/model.py"):
        Path(name).write_text(MODEL)
    for name in ("their.toml", "theirs/their.toml"):
        Path(name).write_text(DOUBLE_WELL)

    def reference(theirs: str, model: str, out: str) -> str:
        said = said_of(["migrate", theirs, "--model", model, "--out", out], capsys, monkeypatch)
        assert ("to mend" in said) == ("nowhere" in model) == ("try:" not in said)
        return str(tomllib.loads(Path(out).read_text())["model"]["class"])

    assert reference("their.toml", "well.py:DoubleWell", "one.toml") == "well.py:DoubleWell"
    assert reference("their.toml", "well.py:DoubleWell", "sub/one.toml") == "../well.py:DoubleWell"
    assert reference("theirs/their.toml", "model.py:DoubleWell", "two.toml") == "theirs/model.py:DoubleWell"
    assert reference("theirs/their.toml", "model.py:DoubleWell", "theirs/two.toml") == "model.py:DoubleWell"
    assert reference("their.toml", f"{tmp_path}/well.py:W", "sub/two.toml") == f"{tmp_path}/well.py:W"
    assert reference("their.toml", "package.well:W", "sub/three.toml") == "package.well:W"
    assert reference("their.toml", "nowhere.py:W", "three.toml") == "nowhere.py:W"
    assert "--model: 'well.py' is neither" in fails(
        ["migrate", "their.toml", "--model", "well.py"], capsys, monkeypatch
    )


def test_files_as_editors_and_strangers_write_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = DOUBLE_WELL.replace("[model]", '[model]\n"a\\nb" = 1\n')
    Path("their.toml").write_text("\ufeff" + text + '\n["x\\ny"]\nz = 1\n', encoding="utf-8")
    out = said_of(["migrate", "their.toml"], capsys, monkeypatch)
    assert "[model] a\\nb" in out
    assert "[x\\ny]" in out
    assert out.split("\n\n")[0].count("\n") + 1 == len(migrated(tomllib.loads(text)).rows) + 1
