"""What a study would take, from the command line."""

from __future__ import annotations

import json
import math
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING

import pytams
from pytams.cli.output import keep_from_models, say_aside, set_up_logging
from pytams.core.errors import Name, SettingsError
from pytams.core.segments import Problem
from pytams.core.splitting import initial_starts
from pytams.core.streams import Streams, draw_seed
from pytams.core.text import printable, size_text
from pytams.core.verification import Beginning
from pytams.engine.local import InProcess
from pytams.models.fingerprint import changes
from pytams.storage.state_keeper import StateKeeper
from pytams.tams.forecast import Experience, choices

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.analysis.result import Result
    from pytams.cli.config import Config
    from pytams.tams.forecast import Forecast
    from pytams.tams.tams import TAMS

_MESSAGE_SECONDS = {"inprocess": 0.0, "process": 3e-4, "launch": 3e-4, "dask": 1.5e-3}
"""What a task costs the driver, by the type of its workers: `benchmarks/parallel.py`."""
_PILOT_RUNS, _PILOT_N = 4, 50
_MOST_PILOT_SECONDS = 600.0
_BRANCHES = 5.0
"""Steps of branches over those of the initial ensemble, at most, for a pilot of an event that is not known."""
_TIMED, _TIMED_SECONDS = 4, 0.2
"""Trajectories that are timed, and for how long at least."""


def plan_study(
    config: Config, n_workers: int, pilot: Path | None, error: float, url: str | None, *, as_json: bool
) -> str:
    """Say what studies would take that have this relative error."""
    if not 0.0 < error < 1.0:
        raise SettingsError("--error", f"{error:g} is no relative error: it must be between 0 and 1")
    if config.learning.learn:
        text = "plan the study with your own score, or give a pilot with a learned one, by --pilot"
        raise SettingsError("[score] learn", f"what a score would gain is not known yet: {text}")
    keep_from_models(set_up_logging(config.session.loglevel, config.session.logfile))
    tams = config.make_tams()
    seconds = _seconds_a_step(tams, config)
    if pilot is None:
        known = Experience.of(_made(tams, seconds, config.arguments.seed), seconds)
    else:
        known = _from_directory(tams, pilot, url, seconds)
    settings, runner = tams.settings, config.runner
    found = choices(
        known,
        settings.n_trajectories,
        settings.n_discard,
        error,
        n_workers,
        _MESSAGE_SECONDS[runner.type],
        runner.seconds,
    )
    if as_json:
        return json.dumps([one._asdict() for one in found], allow_nan=False)
    return _table(known, found, n_workers)


def _seconds_a_step(tams: TAMS, config: Config) -> float:
    """Time the model: what more steps of several trajectories take than few, without what starting it takes."""
    store = StateKeeper(config.states, in_memory=True)
    with closing(InProcess(Problem.of(tams.model, tams.settings, 0, store=store))) as engine:

        def timed(n: int) -> tuple[float, int]:
            starts = initial_starts(0, min(_TIMED, tams.settings.n_trajectories))
            begin = perf_counter()
            [outlines] = engine.begin_again([[Beginning(start, n) for start in starts]])
            return perf_counter() - begin, sum(len(outline.scores) - 1 for outline in outlines)

        few, n_few = timed(1)
        if not n_few:  # all begin at the target, which whoever runs them says
            return 0.0
        n = 4
        while True:
            many, n_many = timed(n)
            if many - few > _TIMED_SECONDS or n >= tams.settings.n_steps or n_many <= n_few:
                return max(many - few, 0.0) / max(1, n_many - n_few) or few / max(1, n_few)
            n *= 4


def _from_directory(tams: TAMS, pilot: Path, url: str | None, seconds: float) -> Experience:
    with pytams.load(pilot, database_url=url) as saved:
        then, now, info = saved.result.settings, tams.settings, saved.directory.info
        for name in ("end_time", "step_size", "target_score", "variant"):
            was, wanted = getattr(then, name), getattr(now, name)
            if was != wanted:
                differs = f" is {was!r}, not {wanted!r}: it is of another event"
                raise SettingsError("--pilot", "its ", Name(name), differs)
        differing = changes(info.model.made_of or {}, tams.model.made_of)
        if differing and not info.model.taught_by:
            raise SettingsError("--pilot", printable(f"it is of another model: model.{'; model.'.join(differing)}"))
        size = sum(path.stat().st_size for path in pilot.rglob("*") if path.is_file() and not path.is_symlink())
        return Experience.of(saved.result, seconds, size)


def _made(tams: TAMS, seconds: float, seed: int | None) -> Result:
    """Make a short pilot."""
    settings = tams.settings
    n = min(_PILOT_N, settings.n_trajectories)
    most = _PILOT_RUNS * n * settings.n_steps * (1.0 + _BRANCHES) * seconds
    if most > _MOST_PILOT_SECONDS:
        text = f"a step takes {seconds:.2g} s, so a pilot may take {_duration(most)}: run one as a study of its own"
        raise SettingsError("--pilot", f"{text}, for instance of {_PILOT_RUNS} runs of {n} trajectories, and give it")
    small = pytams.TAMS(
        tams.model,
        end_time=settings.end_time,
        step_size=settings.step_size,
        target_score=settings.target_score,
        n_trajectories=n,
        n_discard=max(1, n // 10),
        variant=tams.variant,
    )
    seed = draw_seed() if seed is None else Streams(seed).learning_seed(0)
    say_aside(f"a pilot of {_PILOT_RUNS} runs of {n} trajectories, seed {seed}")
    return small.run(_PILOT_RUNS, seed=seed)


def _table(known: Experience, found: list[Forecast], n_workers: int) -> str:
    best = found[0]
    lines = [
        f"P is about {math.exp(known.log_probability):.2g}; a step takes {known.step_seconds:.2g} s; "
        f"{n_workers} workers",
        "",
        f"{'N':>7}{'l':>6}{'runs':>6}{'error':>8}{'steps':>10}{'wall time':>12}{'core hours':>12}{'busy':>7}"
        f"{'on disk':>10}",
    ]
    for one in found:
        hours = one.seconds * n_workers / 3600.0
        size = "-" if one.n_bytes is None else size_text(one.n_bytes)
        lines.append(
            f"{one.n_trajectories:>7}{one.n_discard:>6}{one.n_runs:>6}{one.relative_error:>8.1%}{one.n_steps:>10.2g}"
            f"{_duration(one.seconds):>12}{hours:>12,.2g}{one.efficiency:>7.0%}{size:>10}"
        )
    which = f"ntrajectories = {best.n_trajectories}, ndiscard = {best.n_discard}, nruns = {best.n_runs}"
    return "\n".join([*lines, "", f"recommended: {which}"])


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
