"""What is said of a program, checked before anything runs: each error names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from programs import needs, script, tams
from pytams.core.labels import Labels
from pytams.models.program.names import check_names, filled, filled_template

TOLD: dict[str, Any] = {
    "command": ["sh", "-c", 'cp "$PYTAMS_RESTART" "$PYTAMS_NEXT"; echo 0'],
    "initial": "init",
    "score": {"format": "text"},
    "initial_score": 0.0,
}
PIPE: dict[str, Any] = {"command": ["sh"], "protocol": "pipe", "initial_score": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "init").write_bytes(b"12345678")
    (tmp_path / "name.list").write_text("{seed} {branch}")
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "nml").write_text("{seed}")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"command": []}, "command: empty: which program is it?"),
        ({"command": "sh"}, "command: 'sh': input should be a valid list"),
        ({"command": ["./no"]}, "command: there is no .*/no$"),
        ({"command": ["no-such-program"]}, "command: no-such-program is no program that can be found"),
        ({"command": ["sh", "{sed}"]}, r"command: \{sed\} stands for nothing .*; did you mean seed\?"),
        ({"command": ["sh", "{inner}"]}, r"inner_step: missing: command has \{inner\}"),
        ({"comand": ["sh"]}, "comand: unknown key; did you mean command?"),
        ({"initial": "no"}, "initial: there is no .*/no$"),
        ({"initial": None}, "initial: missing: which file is the state at t = 0?"),
        ({"initial_command": ["sh"]}, "initial_command: either `initial` or `initial_command`, not both"),
        ({"inputs": ["no"]}, "inputs: there is no .*/no$"),
        ({"templates": ["no"]}, "templates: there is no .*/no$"),
        ({"folder": "/no/such"}, "folder: there is no folder /no/such"),
        ({"restart": "a/b"}, "restart: 'a/b' must be a name of a file"),
        ({"restart": "before"}, "restart: 'before' must be a name of a file, and none of"),
        ({"inputs": ["init", "{folder}/init"]}, "inputs: two of them have one name in the working folder"),
        ({"inputs": ["sub"], "templates": ["sub/nml"]}, "templates: sub/nml would be in or in the place of"),
        ({"inputs": ["init"], "templates": {"name.list": "init"}}, "templates: init would be in or in the place of"),
        ({"templates": {"name.list": "../x"}}, "templates: ../x would be outside the working folder"),
        ({"templates": ["sub"]}, "templates: .*/sub is no file of text"),
        ({"score": {"command": ["./no"]}}, "score.command: there is no program .*/no$"),
        ({"launch": {"command": "./no -n 2"}}, "launch.command: there is no program .*/no$"),
        ({"launch": {"timeout": 1e18}}, "launch.timeout: 1e.18 is too large"),
        ({"perturb": ["sh", "{t}"]}, r"perturb: \{t\} stands for nothing"),
        ({**PIPE, "score": None, "initial_score": 1.0}, "initial_score: a program that stays says itself"),
        ({**PIPE, "score": None, "launch": {"logs": "all"}}, 'launch.logs: "all" is for launches'),
        ({"score": None}, "score: missing: where is the score"),
        ({"score": {"format": "f9"}}, "score.format: 'f9' is none of text, json, netcdf"),
        ({"score": {"format": "jsn"}}, "score.format: 'jsn' is none of .*; did you mean json?"),
        ({"score": {"format": "f8"}}, "score.file: missing: format = 'f8' is read from a file"),
        ({"score": {"format": "netcdf", "file": "x"}}, "score.variable: missing"),
        ({"score": {"pattern": "("}}, "score.pattern: '\\(' is no regular expression"),
        ({"score": {"pattern": "a"}}, "score.pattern: 'a' must have one group"),
        ({"score": {"file": "a", "command": ["b"]}}, "score.command: either a file is read, or"),
        ({"score": {"fil": "a"}}, "score.fil: unknown key; did you mean file?"),
        ({"score": {"file": "{nxt}"}}, r"score: \{nxt\} stands for nothing"),
        ({"reached": True}, "reached: say where it is to be read"),
        ({"perturb": True}, "perturb: say the command"),
        ({"steps_per_launch": 0}, "steps_per_launch: 0 is too small"),
        ({"steps_per_launch": 2, "ended": {"pattern": "(.)"}}, "steps_per_launch: with ended, .* it must be 1"),
        ({"launch": {"command": "a 'b"}}, "launch.command: .* cannot be read as a command"),
        ({"launch": {"retry": 1}}, "launch.retry: unknown key; did you mean retries?"),
        ({"launch": {"command": "run {rank}"}}, r"launch.command: \{rank\} stands for nothing"),
        ({**PIPE, "score": None, "steps_per_launch": 2}, "steps_per_launch: a program that stays"),
        (PIPE, 'score: a program that stays .* is asked for it'),
        ({**PIPE, "score": None, "perturb": ["sh"]}, "perturb: true, for a program that stays"),
        ({**PIPE, "score": None, "command": ["sh", "{seed}"]}, r"command: .* is told \{seed\} when it is due"),
        ({**PIPE, "score": None, "templates": ["name.list"]}, r"templates: .* is told \{branch\}, \{seed\} when"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(changed: dict[str, Any], said: str, folder: Path) -> None:
    inputs = [path.replace("{folder}", f"{folder}/sub/..") for path in changed.get("inputs", [])]
    with pytest.raises(pytams.SettingsError, match=said):
        tams(pytams.Program(**{**TOLD, "folder": str(folder), **changed, "inputs": inputs}))


def test_what_it_is_called_makes_it_no_other_program(folder: Path) -> None:
    labels: dict[str, Any] = {"title": "A code", "units": {"time": "s"}, "state_names": ["T"]}
    plain, labelled = (pytams.Program(**TOLD, **more, folder=str(folder)) for more in ({}, labels))
    assert plain.made_of == labelled.made_of
    assert Labels.of(labelled).to_dict() == labels
    with pytest.raises(pytams.SettingsError, match="^units: 's' is not a table of keys and values"):
        pytams.Program(**TOLD, units="s", folder=str(folder))


def test_a_step_must_be_a_multiple_of_the_programs_own(folder: Path) -> None:
    model = pytams.Program(**{**TOLD, "command": [*TOLD["command"], "{inner}"]}, inner_step=0.03, folder=str(folder))
    with pytest.raises(pytams.ModelError, match="inner_step: the step size, 0.1, is no multiple of 0.03"):
        tams(model).run(1, seed=1)


def test_names_are_filled_in() -> None:
    values = {"seed": 7, "next": Path("a b")}
    assert filled("{seed}-{{seed}}-{next}", values) == "7-{seed}-a b"
    check_names("command", ["{{nothing}} {seed} {}"])
    assert filled_template("x = {seed}; {other} {{seed}} {", values) == "x = 7; {other} {7} {"


LOOKS = """
cat name.list real.nml > "$PYTAMS_NEXT"
echo "$@" >> "$PYTAMS_NEXT"
env | grep -E '^(PYTAMS|OMPI|OMP|MINE)_' | sort >> "$PYTAMS_NEXT"
ls >> "$PYTAMS_NEXT"
cat sub/forcing >> "$PYTAMS_NEXT"
cp "$PYTAMS_NEXT" "$PYTAMS_FOLDER/seen"
echo 0.5
"""


def test_what_a_program_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates and inputs in its working folder, the same values in the environment, and no MPI's of ours."""
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    monkeypatch.setenv("MINE_TOO", "mine")
    (folder / "sub" / "forcing").write_text("forced\n")
    (folder / "nml.in").write_text("n = {steps}, {unknown}\n")
    model = pytams.Program(
        command=[script(folder, LOOKS), "{seed}", "{t}", "{dt}", "{step}"],
        initial="init",
        templates={"name.list": "name.list", "nml.in": "real.nml"},
        inputs=["sub/forcing"],
        folder=str(folder),
        score={},
        initial_score=0.0,
        launch=pytams.Launch(threads=3),
    )
    tams(model, end_time=0.2).run(1, seed=1, verify=False)
    lines = (folder / "seen").read_text().splitlines()
    assert "OMPI_COMM_WORLD_RANK=3" not in lines
    assert {"MINE_TOO=mine", "OMP_NUM_THREADS=3", "PYTAMS_STEPS=1", "PYTAMS_THREADS=3", "forced"} <= {*lines}
    seed, t, dt, step = lines[1].split()[-4:]
    assert lines[0] == f"{seed} 1n = 1, {{unknown}}"
    assert (t, dt, step) == ("0.1", "0.1", "1")
    assert f"PYTAMS_SEED={seed}" in lines
    assert 1 <= int(next(line for line in lines if line.startswith("PYTAMS_SEED31=")).split("=")[1]) < 2**31
    assert {"name.list", "real.nml", "sub"} <= {*lines}


# --- where scores are -----------------------------------------------------------------------------------------------


def netcdf(path: Path, field: Any, *, is_classic: bool) -> None:
    if is_classic:
        from scipy.io import netcdf_file  # noqa: PLC0415 - for this alone

        with netcdf_file(path, "w") as dataset:
            for i, size in enumerate(field.shape):
                dataset.createDimension(f"d{i}", size)
            dataset.createVariable("psi", "d", tuple(f"d{i}" for i in range(field.ndim)))[:] = field
    else:
        import h5netcdf  # noqa: PLC0415 - likewise

        with h5netcdf.File(path, "w") as dataset:
            dataset.dimensions = {f"d{i}": size for i, size in enumerate(field.shape)}
            dataset.create_variable("psi", tuple(f"d{i}" for i in range(field.ndim)), data=field)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("reading", "name"),
    [
        ({"pattern": r"score=(\S+)"}, "text"),
        ({"file": "text", "pattern": r"score=(\S+)"}, "text"),
        ({"command": ["grep", "-o", "score=.*", "text"], "pattern": r"score=(\S+)"}, "text"),
        ({"file": "numbers", "format": ">f4", "offset": 3}, "numbers"),
        ({"file": "{folder}/a.json", "format": "json", "key": "some.1.score"}, "a.json"),
        ({"file": "a.nc", "format": "netcdf", "variable": "psi", "reduction": "max"}, "a.nc"),
        ({"file": "classic.nc", "format": "netcdf", "variable": "psi", "reduction": "max"}, "classic.nc"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_score_may_be_anywhere(reading: dict[str, Any], name: str, steps: int, folder: Path) -> None:
    scores = [0.125, 0.25, 0.5][-steps:]
    (folder / "text").write_text("".join(f"and score={score:.3e}\n" for score in [9.0, *scores]).replace("e", "D", 1))
    (folder / "numbers").write_bytes(b"abc" + np.array(scores, dtype=">f4").tobytes())
    value = scores if steps > 1 else scores[0]
    (folder / "a.json").write_text(f'{{"some": [0, {{"score": {value}}}]}}')
    field = np.minimum(np.array(scores)[:, None, None], np.linspace(-1, 1, 6).reshape(2, 3))
    for file, is_classic in (("a.nc", False), ("classic.nc", True)):
        netcdf(folder / file, field if steps > 1 else field[0], is_classic=is_classic)
    model = pytams.Program(
        command=["sh", "-c", 'cp "$PYTAMS_RESTART" "$PYTAMS_NEXT"; cat text'],
        initial="init",
        initial_score=0.0,
        inputs=["text", "numbers", "a.nc", "classic.nc"],
        score=reading,
        steps_per_launch=steps,
        folder=str(folder),
    )
    assert name
    result = tams(model, end_time=0.1 * steps, target_score=0.6).run(1, seed=1)
    assert {final.maximum for run in result.runs for final in run.members} == {0.5}


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ({"file": "none"}, "there is no none to read a score from"),
        ({"file": "init", "format": "f8", "offset": 1}, "init is truncated: 9 bytes are needed"),
        ({"file": "init", "format": "json", "key": "a"}, "init cannot be read as json"),
        ({"file": "init", "format": "netcdf", "variable": "psi"}, "init cannot be read as netcdf"),
        ({"command": ["sh", "-c", "exit 3"]}, "it ended with exit code 3"),
        ({"command": ["echo", "nan"]}, r"returned nan .*a score must be|nan"),
        ({"command": ["echo", "1e999"]}, "inf"),
    ],
    ids=str,
)
def test_a_score_that_is_not_there(reading: dict[str, Any], said: str, folder: Path) -> None:
    told = {**TOLD, "score": reading, "inputs": ["init"], "launch": {"retries": 0}, "folder": str(folder)}
    with pytest.raises(pytams.ModelError, match=said):
        tams(pytams.Program(**told)).run(1, seed=1)


@needs("gcc")
def test_the_score_at_the_start_may_be_unknown(folder: Path) -> None:
    told = {**TOLD, "initial_score": None, "folder": str(folder)}
    with pytest.raises(pytams.ModelError, match="the score at t = 0 is not known: .* Say it: initial_score = "):
        tams(pytams.Program(**told)).run(1, seed=1)


@pytest.mark.slow
def test_a_start_may_be_made_by_a_command(folder: Path) -> None:
    """And is another one for each trajectory."""
    told = {**TOLD, "initial": None, "initial_score": None, "folder": str(folder)}
    told["initial_command"] = ["sh", "-c", "echo 0.$PYTAMS_SEED31 > $PYTAMS_NEXT"]
    told["command"] = ["sh", "-c", "cp $PYTAMS_RESTART $PYTAMS_NEXT"]
    told["score"] = {"file": "{next}"}
    result = tams(pytams.Program(**told), target_score=2.0, max_branchings=0).run(1, seed=1)
    assert len({final.maximum for run in result.runs for final in run.members}) == 6
