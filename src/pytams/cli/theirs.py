"""Every key of pyTAMS, and what it becomes here.

They are those of pyTAMS 0.0.5 and 1.0.0, and of its repository since (``[ams]``, ``[runtime]``, ``[sampler]``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pytams.core.settings import nearest

SAME, CHANGED, NONE, UNKNOWN = "same", "changed", "none", "unknown"


class Outcome(NamedTuple):
    """What a key becomes: section, key and value of ours, if there are any."""

    word: str
    why: str
    ours: tuple[tuple[str, str, Any], ...] = ()


class Said(NamedTuple):
    """A value of theirs, and the section that it is in."""

    value: Any
    keys: dict[str, Any]


Rule = Outcome | Callable[[Said], Outcome]


def _kept(section: str, key: str) -> Rule:
    return lambda said: Outcome(SAME, "", ((section, key, said.value),))


def _moved(section: str, key: str) -> Rule:
    return lambda said: Outcome(CHANGED, f"[{section}] {key}", ((section, key, said.value),))


def _gone(why: str) -> Rule:
    return Outcome(NONE, why)


def _loglevel(said: Said) -> Outcome:
    return Outcome(SAME, "", (("tams", "loglevel", str(said.value).upper()),))


def _moved_loglevel(said: Said) -> Outcome:
    return _loglevel(said)._replace(word=CHANGED, why="[tams] loglevel")


def _deterministic(said: Said) -> Outcome:
    if said.value is True:
        return Outcome(CHANGED, "[tams] seed = 1: every study is a function of its seed", (("tams", "seed", 1),))
    return Outcome(NONE, "a seed is drawn, and printed; every study is a function of it")


def _no_splitting(said: Said) -> Outcome:
    if said.value is True:
        why = "[tams] nsplititer = 0; pytams resume DIR --set tams.nsplititer=... goes on"
        return Outcome(CHANGED, why, (("tams", "nsplititer", 0),))
    return Outcome(NONE, "splitting is what a study does")


def _cap(said: Said) -> Outcome:
    if said.keys.get("init_ensemble_only") is True or said.keys.get("pool_only") is True:
        return Outcome(CHANGED, "0, since only the initial ensemble is wanted")
    return Outcome(SAME, "", (("tams", "nsplititer", said.value),))


def _variant(said: Said) -> Outcome:
    if said.value == "tams":
        return Outcome(SAME, "this is what pytams does")
    return Outcome(NONE, "a model that has stopped() ends trajectories there, for example back at their start")


def _strategy(said: Said) -> Outcome:
    if said.value == "montecarlo":
        return Outcome(CHANGED, "[tams] nsplititer = 0: nothing is split", (("tams", "nsplititer", 0),))
    return Outcome(SAME, "this is what pytams does")


def _runner(said: Said) -> Outcome:
    kind = _kind(said.keys)
    if kind is None:
        return Outcome(UNKNOWN, f"{said.value!r}: pyTAMS has asyncio and dask; here all is done in one process")
    return Outcome(CHANGED if kind != said.value else SAME, f"[runner] type = '{kind}'", (("runner", "type", kind),))


def _kind(keys: dict[str, Any]) -> str | None:
    """Find our name of a runner; None if it is none of theirs."""
    kind = {"asyncio": "process", "dask": "dask"}.get(str(keys["type"]).lower())
    return "inprocess" if kind == "process" and _n_workers(keys) == 1 else kind


def _n_workers(keys: dict[str, Any]) -> int:
    """Count the workers that there are at most."""
    return max([1, *(value for key, value in keys.items() if key in _WORKERS and isinstance(value, int))])


def _workers(said: Said) -> Outcome:
    if _kind(said.keys) in {"inprocess", None}:
        return Outcome(CHANGED, "left away: all is done in one process")
    n_workers = _n_workers(said.keys)
    why = f"[runner] nworkers = {n_workers}, for all of the study"
    return Outcome(CHANGED, why, (("runner", "nworkers", n_workers),))


def _discarded(said: Said) -> Outcome:
    n_workers = _workers(said)
    why = f"[tams] ndiscard = {said.value}: there l is the number of workers; {n_workers.why}"
    return Outcome(CHANGED, why, (("tams", "ndiscard", said.value), *n_workers.ours))


def _for_slurm(key: str) -> Rule:
    def rule(said: Said) -> Outcome:
        if said.keys.get("backend") != "slurm":
            return Outcome(NONE, "this is for backend = 'slurm'")
        return Outcome(CHANGED, f"[dask] {key}", (("dask", key, said.value),))

    return rule


def _queue(said: Said) -> Outcome:
    queue = _applied(_for_slurm("queue"), said)
    return queue if queue.word == NONE else queue._replace(word=SAME, why="")


def _tasks(said: Said) -> Outcome:
    if said.keys.get("backend") != "slurm":
        return Outcome(NONE, "this is for backend = 'slurm'")
    return Outcome(CHANGED, "[dask] job_extra_directives")


def _applied(rule: Rule, said: Said) -> Outcome:
    return rule if isinstance(rule, Outcome) else rule(said)


_WORKERS = {"nworker_init", "nworker_iter", "nworkers_init", "nworkers_iter"}
_PICTURES = _gone("pytams plot DIR --kind scores, or another kind, at any moment")
_SPLITTING: dict[str, Rule] = {
    "ntrajectories": _kept("tams", "ntrajectories"),
    "nsplititer": _cap,
    "deterministic": _deterministic,
    "init_ensemble_only": _no_splitting,
    "pool_only": _no_splitting,
}
_SESSION: dict[str, Rule] = {
    "walltime": _kept("tams", "walltime"),
    "loglevel": _loglevel,
    "logfile": _kept("tams", "logfile"),
    "diagnostics": _PICTURES,
}
_SAID_ON_THE_LINE = "said on the command line: pytams run ... --out DIR"
RULES: dict[str, dict[str, Rule]] = {
    "tams": _SPLITTING | _SESSION,
    "ams": _SPLITTING | {"variant": _variant, "end_time": _moved("trajectory", "end_time")},
    "runtime": {
        "walltime": _moved("tams", "walltime"),
        "loglevel": _moved_loglevel,
        "logfile": _moved("tams", "logfile"),
        "diagnostics": _PICTURES,
        "plot_diagnostics": _PICTURES,
    },
    "sampler": {"strategy": _strategy, "deterministic": _deterministic},
    "trajectory": {
        "end_time": _kept("trajectory", "end_time"),
        "step_size": _kept("trajectory", "step_size"),
        "targetscore": _kept("trajectory", "targetscore"),
        "sparse_freq": _kept("trajectory", "sparse_freq"),
        "sparse_start": _gone("states at records are always stored, others every sparse_freq steps from t = 0 on"),
        "chkfile_dump_all": _gone("[database] checkpoint_interval, in seconds: nothing that was reported is lost"),
        "stoichforcing": _gone("say it in [model], if the model is to know it"),
    },
    "runner": {
        "type": _runner,
        "nworker_init": _workers,
        "nworkers_init": _workers,
        "nworker_iter": _discarded,
        "nworkers_iter": _discarded,
    },
    "database": {
        "path": _gone(_SAID_ON_THE_LINE),
        "restart": _gone("pytams run ... --out DIR --overwrite moves what is there aside"),
        "format": _gone("scores and states are NetCDF, the rest is SQL and JSON"),
        "archive_discarded": _kept("database", "archive_discarded"),
        "DB_save": _gone(_SAID_ON_THE_LINE),
        "DB_prefix": _gone(_SAID_ON_THE_LINE),
        "DB_restart": _gone("pytams resume DIR; a database of pyTAMS cannot be gone on with"),
    },
    "dask": {
        "backend": _kept("dask", "backend"),
        "slurm_config_file": _gone("dask_jobqueue reads what is in ~/.config/dask: put the file there yourself"),
        "queue": _queue,
        "ncores_per_worker": _for_slurm("cores"),
        "job_prologue": _for_slurm("job_script_prologue"),
        "worker_walltime": _for_slurm("walltime"),
        "ntasks_per_job": _tasks,
        "ntasks_per_node": _tasks,
    },
}
"""What each key of theirs becomes."""


def outcome(section: str, key: str, value: Any, keys: dict[str, Any]) -> Outcome:
    """Say what a key of a section becomes."""
    rule = RULES[section].get(key)
    if rule is None:
        return Outcome(UNKNOWN, f"pyTAMS takes no notice of it; {nearest(key, RULES[section])}")
    return _applied(rule, Said(value, keys))
