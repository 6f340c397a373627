"""Input files of pyTAMS as ours: written beside them, and told key by key."""

from __future__ import annotations

import copy
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from pytams.cli.config import Config, read_table
from pytams.cli.theirs import CHANGED, NONE, RULES, SAME, UNKNOWN, Outcome, contradictions, outcome, section_of
from pytams.core.errors import SettingsError
from pytams.core.text import printable

TO_DO = "to do"
_TARGET = 0.95
"""What pyTAMS takes for ``targetscore`` if it is not said."""
_OTHER_DEFAULTS = {
    ("tams", "walltime"): "86400 s in pyTAMS, no limit here",
    ("tams", "loglevel"): "'INFO' in pyTAMS, 'WARNING' here",
    ("trajectory", "sparse_freq"): "1 in pyTAMS, all states; 0 here, those at which a branch can start",
}
_CLUSTER_DEFAULTS = {"queue": "regular", "cores": 1, "walltime": "04:00:00"}
_POSSIBLE: dict[str, dict[str, Any]] = {
    "[tams] ntrajectories": {"ntrajectories": 2**31},
    "[trajectory] end_time": {"end_time": 1.0, "step_size": 1.0},
    "[trajectory] step_size": {"end_time": 1.0, "step_size": 1.0},
    "[trajectory] targetscore": {"targetscore": _TARGET},
}
"""What is put in the place of a setting that is wrong, and needed, to see what else is."""


class Row(NamedTuple):
    """What became of a key."""

    theirs: str
    word: str
    why: str


@dataclass
class Migrated:
    """An input file of ours, and how it came about."""

    table: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, theirs: str, becomes: Outcome) -> None:
        """Put what a key becomes where it belongs."""
        for section, key, value in becomes.ours:
            self.table.setdefault(section, {})[key] = value
        self.rows.append(Row(theirs, becomes.word, becomes.why))


def migrated(theirs: dict[str, Any], model: str | None = None) -> Migrated:
    """Say the same in our keys.

    Parameters
    ----------
    theirs
        The content of an input file of pyTAMS.
    model
        The class of the model, ``path/to/file.py:ClassName``: pyTAMS gets it in a script.
    """
    theirs = _with_dask_outside(theirs)
    new = Migrated()
    new.table = {section: {} for section in ("tams", "trajectory", "runner", "dask", "database", "model")}
    for section, keys in theirs.items():
        if section == "model" and isinstance(keys, dict):
            _take_model(new, keys)
        elif section in RULES and isinstance(keys, dict):
            said = {"type": "asyncio"} | keys if section == "runner" else keys
            for key, value in said.items():
                new.add(f"[{section}] {key}", outcome(section, key, value, said, theirs))
        else:
            _take_for_model(new, section, keys)
    _take_what_is_unsaid(new)
    _take_cluster(new, section_of(theirs, "dask"))
    for (section, key), why in _OTHER_DEFAULTS.items():
        if key not in new.table[section]:
            new.rows.append(Row("", CHANGED, f"[{section}] {key} is not said: {why}"))
    for twice in contradictions(theirs):
        new.rows.append(Row("", TO_DO, f"{twice}: say which is meant"))
    if model is None:
        new.rows.append(Row("", TO_DO, "[model] class = 'FILE.py:CLASS': pyTAMS gets it in a script"))
    else:
        new.table["model"] = {"class": model, **new.table["model"]}
    new.table = {section: keys for section, keys in new.table.items() if keys}
    return new


def _take_model(new: Migrated, keys: dict[str, Any]) -> None:
    for key, value in keys.items():
        if key == "class":
            new.add("[model] class", Outcome(NONE, "here it is where the model is: call it something else"))
        else:
            new.add(f"[model] {key}", Outcome(SAME, "", (("model", key, value),)))


def _take_for_model(new: Migrated, name: str, value: Any) -> None:
    """Keep what only a model can read: ``params["name"]`` is the same as before."""
    kind = f"[{name}]" if isinstance(value, dict) else name
    if name in {*RULES, "model", "class", "type"}:
        new.rows.append(Row(kind, UNKNOWN, f"{value!r} is not a section"))
    else:
        new.add(kind, Outcome(CHANGED, f"[model] {name}, where params[{name!r}] finds it", (("model", name, value),)))


def _with_dask_outside(theirs: dict[str, Any]) -> dict[str, Any]:
    """Take ``[runner.dask]``, as it was called later, for ``[dask]``."""
    runner = section_of(theirs, "runner")
    if not isinstance(runner.get("dask"), dict):
        return theirs
    return {"dask": runner["dask"]} | theirs | {"runner": {key: runner[key] for key in runner if key != "dask"}}


def _take_what_is_unsaid(new: Migrated) -> None:
    if "targetscore" not in new.table["trajectory"]:
        why = f"[trajectory] targetscore = {_TARGET}, which pyTAMS takes if it is not said"
        new.add("", Outcome(CHANGED, why, (("trajectory", "targetscore", _TARGET),)))


def _take_cluster(new: Migrated, dask: dict[str, Any]) -> None:
    """Say what pyTAMS asks Slurm for without being told."""
    if dask.get("backend") != "slurm" or "slurm_config_file" in dask:
        return
    n_tasks = dask.get("ntasks_per_job", 1)
    unsaid = {key: value for key, value in _CLUSTER_DEFAULTS.items() if key not in new.table["dask"]}
    new.table["dask"] |= unsaid | {
        "memory": "144GB",
        "interface": "ib0",
        "job_extra_directives": [
            f"--ntasks={n_tasks}",
            f"--tasks-per-node={dask.get('ntasks_per_node', n_tasks)}",
            "--exclusive",
        ],
        "job_directives_skip": ["--cpus-per-task=", "--mem"],
    }
    why = "[dask] memory, interface, job_extra_directives, job_directives_skip are fixed in pyTAMS: say your own"
    new.rows.append(Row("", CHANGED, why))
    for key, value in unsaid.items():
        new.rows.append(Row("", CHANGED, f"[dask] {key} = {value!r}, which pyTAMS takes if it is not said"))


def migrate_file(path: Path, out: Path | None = None, model: str | None = None) -> str:
    """Write an input file of ours beside one of pyTAMS, and say what changed.

    Parameters
    ----------
    path
        Theirs.
    out
        Ours; ``<name>_ours.toml`` if not given. What is there is not overwritten.
    model
        The class of the model; its path is relative to the working directory, or to theirs.

    Raises
    ------
    SettingsError
        If theirs cannot be read, the model is no reference, or ours cannot be written or is there already.
    """
    theirs = read_table(path)
    out = path.with_name(f"{path.stem}_ours.toml") if out is None else out
    new = migrated(theirs, None if model is None else _as_seen_from(out.parent, model, path.parent))
    line = _line(theirs, out)
    head = f"# {printable(path.name)} of pyTAMS, in the keys of pytams.\n# {printable(line)}\n\n"
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(head + tomli_w.dumps(new.table))
    except FileExistsError:
        raise SettingsError("--out", f"{out} is there already, and nothing is overwritten") from None
    except OSError as error:
        raise SettingsError("--out", f"{out} cannot be written: {error.strerror}") from error
    wrong = _still_wrong(new, out)
    is_left = bool(wrong) or any(row.word == TO_DO for row in new.rows)
    said = [*(f"to mend:  {problem}" for problem in wrong), f"{'then:' if is_left else 'try: '} {line}"]
    return "\n".join([_as_table(new.rows), "", f"wrote {out}", *said])


def _as_seen_from(folder: Path, model: str, theirs: Path) -> str:
    """Refer to a model from the folder of ours: its file is seen from the working directory, or else from theirs."""
    where, colon, name = model.rpartition(":")
    if not (where and colon and name):
        raise SettingsError("--model", f"{model!r} is neither path/to/file.py:ClassName nor package.module:ClassName")
    if not where.endswith(".py") or Path(where).is_absolute():
        return model
    file = next((start / where for start in (Path(), theirs) if (start / where).is_file()), Path(where))
    return f"{Path(os.path.relpath(file.parent.resolve() / file.name, folder.resolve())).as_posix()}:{name}"


def _line(theirs: dict[str, Any], out: Path) -> str:
    """Say how it is run."""
    said = section_of(theirs, "database")
    path = said.get("path") or said.get("DB_prefix")
    where = ["--out", shlex.quote(str(Path(str(path)).with_suffix(".tams")))] if path else []
    return " ".join(["pytams run", shlex.quote(str(out)), *where])


def _as_table(rows: list[Row]) -> str:
    names = [printable(row.theirs) for row in rows]
    width = max(map(len, names))
    return "\n".join(
        f"{name:{width}}  {row.word:7}  {printable(row.why)}".rstrip() for name, row in zip(names, rows, strict=True)
    )


def _still_wrong(new: Migrated, out: Path) -> list[str]:
    """Say what has to be mended before it can be run; that there is no class has been said.

    What is wrong by itself hides what is wrong together, so it is set aside, and the rest looked at again.
    """
    folder = out.absolute().parent
    table = copy.deepcopy(new.table)
    table.setdefault("model", {}).setdefault("class", "file.py:Class")
    found: dict[str, str] = {}
    where = str(new.table.get("model", {}).get("class", "")).rpartition(":")[0]
    if where.endswith(".py") and not (folder / where).is_file():
        found["[model] class"] = f"there is no file {folder / where}"
    while errors := {error.setting: error for error in _errors(table, folder) if error.setting not in found}:
        for setting, error in errors.items():
            found[setting] = error.problem
            section, _, key = setting.removeprefix("[").partition("] ")
            table.setdefault(section, {}).pop(key, None)
            table[section] |= _POSSIBLE.get(setting, {})
    return [printable(f"{setting}: {problem}") for setting, problem in found.items()]


def _errors(table: dict[str, dict[str, Any]], folder: Path) -> list[SettingsError]:
    try:
        Config(table, folder)
    except SettingsError as error:
        return [error, *error.others]
    return []
