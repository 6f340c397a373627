"""Input files of pyTAMS as ours: written beside them, and told key by key."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from pytams.cli.config import Config, read_table
from pytams.cli.theirs import CHANGED, NONE, RULES, SAME, UNKNOWN, Outcome, outcome
from pytams.core.errors import SettingsError
from pytams.core.text import printable

TO_DO = "to do"
_TARGET = 0.95
"""What pyTAMS takes for ``targetscore`` if it is not said."""


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
    new = Migrated()
    new.table = {section: {} for section in ("tams", "trajectory", "runner", "dask", "database", "model")}
    for section, keys in theirs.items():
        if section == "model" and isinstance(keys, dict):
            _take_model(new, keys)
        elif section in RULES and isinstance(keys, dict):
            said = {"type": "asyncio"} | keys if section == "runner" else keys
            for key, value in said.items():
                new.add(f"[{section}] {key}", outcome(section, key, value, said))
        else:
            _take_for_model(new, section, keys)
    _take_what_is_unsaid(new, theirs)
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


def _take_what_is_unsaid(new: Migrated, theirs: dict[str, Any]) -> None:
    """Say what is fixed there, or has another default."""
    if "targetscore" not in new.table["trajectory"]:
        why = f"[trajectory] targetscore = {_TARGET}, which pyTAMS takes if it is not said"
        new.add("", Outcome(CHANGED, why, (("trajectory", "targetscore", _TARGET),)))
    dask = theirs.get("dask")
    if not isinstance(dask, dict) or dask.get("backend") != "slurm" or "slurm_config_file" in dask:
        return
    n_tasks = dask.get("ntasks_per_job", 1)
    ours = {"queue": "regular", "cores": 1, "walltime": "04:00:00"} | new.table["dask"]
    new.table["dask"] = ours | {
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


def migrate_file(path: Path, out: Path | None = None, model: str | None = None) -> str:
    """Write an input file of ours beside one of pyTAMS, and say what changed.

    Parameters
    ----------
    path
        Theirs.
    out
        Ours; ``<name>_ours.toml`` if not given. What is there is not overwritten.
    model
        The class of the model.

    Raises
    ------
    SettingsError
        If theirs cannot be read, or ours cannot be written or is there already.
    """
    theirs = read_table(path)
    new = migrated(theirs, model)
    out = path.with_name(f"{path.stem}_ours.toml") if out is None else out
    line = _line(theirs, out)
    head = f"# {printable(path.name)} of pyTAMS, in the keys of pytams.\n# {printable(line)}\n\n"
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(head + tomli_w.dumps(new.table))
    except FileExistsError:
        raise SettingsError("--out", f"{out} is there already, and nothing is overwritten") from None
    except OSError as error:
        raise SettingsError("--out", f"{out} cannot be written: {error.strerror}") from error
    return "\n".join([_as_table(new.rows), "", f"wrote {out}", *_still_wrong(new, out), f"try:  {line}"])


def _line(theirs: dict[str, Any], out: Path) -> str:
    """Say how it is run."""
    database = theirs.get("database")
    said = database if isinstance(database, dict) else {}
    path = said.get("path") or said.get("DB_prefix")
    where = ["--out", shlex.quote(str(Path(str(path)).with_suffix(".tams")))] if path else []
    return " ".join(["pytams run", shlex.quote(str(out)), *where])


def _as_table(rows: list[Row]) -> str:
    width = max(len(row.theirs) for row in rows)
    return "\n".join(f"{row.theirs:{width}}  {row.word:7}  {row.why}".rstrip() for row in rows)


def _still_wrong(new: Migrated, out: Path) -> list[str]:
    """Say what has to be mended before it can be run; that there is no class has been said."""
    table = new.table | {"model": {"class": "file.py:Class", **new.table.get("model", {})}}
    try:
        Config(table, out.absolute().parent)
    except SettingsError as error:
        return [f"to mend:  {line}" for line in str(error).splitlines()]
    return []
