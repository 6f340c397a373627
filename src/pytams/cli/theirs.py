"""Every key of pyTAMS, and what it becomes here.

They are those of pyTAMS 0.0.5 and 1.0.0, and of its repository since (``[ams]``, ``[montecarlo]``, ``[gktl]``,
``[runtime]``, ``[sampler]``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pytams.core.settings import choices, nearest

SAME, CHANGED, NONE, UNKNOWN = "same", "changed", "none", "unknown"


class Outcome(NamedTuple):
    """What a key becomes: section, key and value of ours, if there are any."""

    word: str
    why: str
    ours: tuple[tuple[str, str, Any], ...] = ()


class Said(NamedTuple):
    """A value of theirs, the section that it is in, and the whole file."""

    value: Any
    keys: dict[str, Any]
    file: dict[str, Any]


Rule = Outcome | Callable[[Said], Outcome]


def _kept(section: str, key: str) -> Rule:
    return lambda said: Outcome(SAME, "", ((section, key, said.value),))


def _moved(section: str, key: str) -> Rule:
    return lambda said: Outcome(CHANGED, f"[{section}] {key}", ((section, key, said.value),))


def _gone(why: str) -> Outcome:
    return Outcome(NONE, why)


def _no_such_value(value: Any, known: list[str]) -> Outcome:
    return Outcome(UNKNOWN, f"{value!r}: pyTAMS has {choices(str(value), known)}")


def section_of(file: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the keys of a section, none if there is no such section."""
    keys = file.get(name)
    return keys if isinstance(keys, dict) else {}


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


def _splits(file: dict[str, Any]) -> bool:
    """Whether more than the initial ensemble is wanted, whichever section says so."""
    sections, keys = [section_of(file, name) for name in ("tams", "ams")], ("init_ensemble_only", "pool_only")
    if any(section.get(key) is True for section in sections for key in keys):
        return False
    return section_of(file, "sampler").get("strategy") != "montecarlo"


def _cap(said: Said) -> Outcome:
    if not _splits(said.file):
        return Outcome(CHANGED, "0, since only the initial ensemble is wanted")
    return Outcome(SAME, "", (("tams", "nsplititer", said.value),))


def _moved_cap(said: Said) -> Outcome:
    cap = _cap(said)
    return cap._replace(word=CHANGED, why="[tams] nsplititer") if cap.ours else cap


def _variant(said: Said) -> Outcome:
    if said.value == "tams":
        return Outcome(SAME, "this is what pytams does")
    if said.value in _VARIANTS:
        return Outcome(NONE, "a model that has stopped() ends trajectories there, for example back at their start")
    return _no_such_value(said.value, _VARIANTS)


def _strategy(said: Said) -> Outcome:
    if said.value == "ams":
        return Outcome(SAME, "this is what pytams does")
    if said.value == "montecarlo":
        return Outcome(CHANGED, "[tams] nsplititer = 0: nothing is split", (("tams", "nsplititer", 0),))
    return _ANOTHER_METHOD if said.value == "gktl" else _no_such_value(said.value, ["ams", "montecarlo", "gktl"])


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


def _same_workers(said: Said) -> Outcome:
    n_workers = _workers(said)
    return n_workers._replace(word=SAME, why="") if n_workers.ours else n_workers


def _discarded(said: Said) -> Outcome:
    n_workers = _workers(said)
    if "l_j" in section_of(said.file, "ams"):
        return n_workers
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


_WORKERS = {"nworker_init", "nworker_iter", "nworkers_init", "nworkers_iter", "nworkers"}
_VARIANTS = ["tams", "ams", "hams"]
_ANOTHER_METHOD = _gone("GKTL is another method: here is splitting only")
_STOPPED = "a model that has stopped() ends trajectories where it says"
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
    "ams": _SPLITTING
    | {
        "ntrajectories": _moved("tams", "ntrajectories"),
        "nsplititer": _moved_cap,
        "l_j": _moved("tams", "ndiscard"),
        "variant": _variant,
        "end_time": _moved("trajectory", "end_time"),
        "min_score": _gone(_STOPPED),
        "use_custom_termination": _gone(f"{_STOPPED}: there it was called check_termination"),
    },
    "montecarlo": {
        "ntrajectories": _moved("tams", "ntrajectories"),
        "end_time": _moved("trajectory", "end_time"),
    },
    "gktl": dict.fromkeys(
        ("ntrajectories", "end_time", "resampling_interval", "k", "use_custom_termination"), _ANOTHER_METHOD
    ),
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
        "nworkers": _same_workers,
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
        "one_worker_with_scheduler": _gone("the driver is a process of its own"),
        "queue": _queue,
        "ncores_per_worker": _for_slurm("cores"),
        "job_prologue": _for_slurm("job_script_prologue"),
        "worker_walltime": _for_slurm("walltime"),
        "ntasks_per_job": _tasks,
        "ntasks_per_node": _tasks,
    },
}
"""What each key of theirs becomes."""


def outcome(section: str, key: str, value: Any, keys: dict[str, Any], file: dict[str, Any]) -> Outcome:
    """Say what a key of a section, of a file, becomes."""
    rule = RULES[section].get(key)
    if rule is None:
        return Outcome(UNKNOWN, f"pyTAMS takes no notice of it; {nearest(key, RULES[section])}")
    return _applied(rule, Said(value, keys, file))


def contradictions(file: dict[str, Any]) -> Iterator[str]:
    """Say which settings a file gives twice, and differently."""
    said: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for section, rules in RULES.items():
        for key, value in section_of(file, section).items():
            if callable(rules.get(key)):
                said[key.replace("nworkers_", "nworker_")].append((f"[{section}] {key}", value))
    for places in said.values():
        if any(value != places[0][1] for _, value in places):
            yield " and ".join(f"{place} = {value!r}" for place, value in places)
