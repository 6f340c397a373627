"""What a study would take, from the command line."""

from __future__ import annotations

import json
import math
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING

import pytams
from pytams.cli.output import STANDARD_ERROR, keep_from_models, say_aside
from pytams.core.errors import SettingsError
from pytams.core.segments import Problem
from pytams.core.splitting import initial_starts
from pytams.core.verification import Beginning
from pytams.engine.local import InProcess
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
_TIMED_SECONDS = 0.2


def plan_study(
    config: Config, n_workers: int, pilot: Path | None, error: float, url: str | None, *, as_json: bool
) -> str:
    """Say what studies would take that have this relative error."""
    if not 0.0 < error < 1.0:
        raise SettingsError("--error", f"{error:g} is no relative error: it must be between 0 and 1")
    keep_from_models(STANDARD_ERROR)
    tams = config.make_tams()
    seconds = _seconds_a_step(tams)
    known = (
        _from_directory(tams, pilot, url, seconds)
        if pilot is not None
        else Experience.of(_made(tams, seconds), seconds)
    )
    found = choices(known, tams.settings.n_trajectories, error, n_workers, _MESSAGE_SECONDS[config.runner.type])
    if as_json:
        return json.dumps([one._asdict() for one in found], allow_nan=False)
    return _table(known, found, n_workers)


def _seconds_a_step(tams: TAMS) -> float:
    """Time the model, for longer and longer, until it can be told."""
    with closing(InProcess(Problem.of(tams.model, tams.settings, 0))) as engine:
        n = 1
        while True:
            begin = perf_counter()
            [[outline]] = engine.begin_again([[Beginning(initial_starts(0, 1)[0], n)]])
            seconds, n_made = perf_counter() - begin, len(outline.scores) - 1
            if seconds > _TIMED_SECONDS or n_made < n:
                return seconds / max(1, n_made)
            n *= 4


def _from_directory(tams: TAMS, pilot: Path, url: str | None, seconds: float) -> Experience:
    with pytams.load(pilot, database_url=url) as saved:
        then, now = saved.result.settings, tams.settings
        for name in ("end_time", "step_size", "target_score"):
            if getattr(then, name) != getattr(now, name):
                text = f"its {name} is {getattr(then, name):g}, not {getattr(now, name):g}: it is of another event"
                raise SettingsError("--pilot", text)
        size = sum(path.stat().st_size for path in pilot.rglob("*") if path.is_file() and not path.is_symlink())
        return Experience.of(saved.result, seconds, size)


def _made(tams: TAMS, seconds: float) -> Result:
    """Make a short pilot."""
    settings = tams.settings
    n = min(_PILOT_N, settings.n_trajectories)
    most = _PILOT_RUNS * n * settings.n_steps * (1.0 + _BRANCHES) * seconds
    if most > _MOST_PILOT_SECONDS:
        text = f"a step takes {seconds:.2g} s, so a pilot may take {_duration(most)}: run one as a study of its own"
        raise SettingsError(
            "--pilot", f"{text}, for instance of {_PILOT_RUNS} runs of {n} trajectories, and give it here"
        )
    say_aside(f"a pilot of {_PILOT_RUNS} runs of {n} trajectories:")
    small = pytams.TAMS(
        tams.model,
        end_time=settings.end_time,
        step_size=settings.step_size,
        target_score=settings.target_score,
        n_trajectories=n,
        n_discard=max(1, n // 10),
        variant=tams.variant,
    )
    return small.run(_PILOT_RUNS)


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
        size = "-" if one.n_bytes is None else f"{one.n_bytes / 1e6:,.0f} MB"
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
