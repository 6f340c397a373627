"""Keys of TOML files: where each setting stands, and what it is called there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytams.cli.model import ModelKind
from pytams.core.settings import Checked, Positive, RunArguments, Settings
from pytams.engine.options import Cluster, Runner
from pytams.models.program.launch import Launch
from pytams.storage.options import States, Storage
from pytams.tams.plan import Learning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.core.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Checked):
    """What concerns this process alone."""

    walltime: Positive | None = None
    loglevel: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    logfile: str | None = None
    verify: bool = True


KEYS: dict[str, dict[str, tuple[type[Checked], str]]] = {
    "tams": {
        "ntrajectories": (Settings, "n_trajectories"),
        "ndiscard": (Settings, "n_discard"),
        "nsplititer": (Settings, "max_branchings"),
        "nruns": (RunArguments, "n_runs"),
        "seed": (RunArguments, "seed"),
        "walltime": (Session, "walltime"),
        "loglevel": (Session, "loglevel"),
        "logfile": (Session, "logfile"),
        "verify": (Session, "verify"),
    },
    "trajectory": {
        "end_time": (Settings, "end_time"),
        "step_size": (Settings, "step_size"),
        "targetscore": (Settings, "target_score"),
        "sparse_freq": (Storage, "sparse_freq"),
    },
    "runner": {
        "type": (Runner, "type"),
        "block_length": (Runner, "block_length"),
        "nthreads": (Runner, "threads"),
        "nworkers": (Runner, "n_workers"),
        "slots": (Runner, "slots"),
        "batch": (Runner, "batch"),
        "block_seconds": (Runner, "seconds"),
        "block_timeout": (Runner, "timeout"),
        "runs_at_once": (Runner, "runs_at_once"),
    },
    "states": {name: (States, name) for name in States.names()},
    "dask": {name: (Cluster, name) for name in Cluster.names() if name != "options"},
    "database": {
        "url": (Storage, "database_url"),
        "archive_discarded": (Storage, "archive_discarded"),
        "checkpoint_interval": (Storage, "checkpoint_interval"),
    },
    "model": {"class": (ModelKind, "reference"), "type": (ModelKind, "kind")},
    "score": {name: (Learning, name) for name in Learning.names()},
    "launch": {name: (Launch, name) for name in Launch.names()},
}
"""Every key of every section, and the setting that it is."""
NOT_FOR = {
    "inprocess": {"nworkers", "batch", "block_seconds", "block_timeout", "slots"},
    "process": {"nthreads", "block_length", "slots"},
    "dask": {"nthreads", "block_length", "slots"},
    "launch": {"nthreads", "block_length", "nworkers", "batch", "block_timeout"},
}
"""Keys of ``[runner]`` that are nothing for a type of runner."""

_OUTSIDE_LAUNCH = {section: keys for section, keys in KEYS.items() if section != "launch"}
TOML_NAMES = {
    name: f"[{section}] {key}" for section, keys in _OUTSIDE_LAUNCH.items() for key, (_, name) in keys.items()
} | {
    "model": "[model] class",
    "arguments": "[model]",
}
"""What a setting is called in the file."""


_OPTIONS = {"--runs": "n_runs", "--seed": "seed", "--url": "[database] url", "--rounds": "[score] rounds"}
"""What an option says; --url and --rounds say it as a file would."""


def in_toml_names(error: SettingsError) -> SettingsError:
    """Name settings as they are named in the file: with its section first, without it in the text."""
    return error.renamed({name: toml_name.split()[-1] for name, toml_name in TOML_NAMES.items()}, _toml_name)


def in_names_of_line(error: SettingsError, arguments: Iterable[str]) -> SettingsError:
    """Name what is said by an option of a command line by that option, and all else as in the file."""
    given = {argument.partition("=")[0] for argument in arguments}
    names = {setting: option for option, setting in _OPTIONS.items() if option in given}
    return in_toml_names(error.renamed(names, lambda name: names.get(name, names.get(_toml_name(name), name))))


def _toml_name(setting: str) -> str:
    of, dot, argument = setting.partition(".")
    if of == "launch":
        return f"[launch] {argument}"
    return f"[model] {argument}" if of == "arguments" and dot else TOML_NAMES.get(setting, setting)
