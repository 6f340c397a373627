"""The weighted ensemble: the trajectories of finished runs and what each of them stands for, as xarray."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.distribution import imported_from
from pytams.core.errors import ModelError, PytamsError
from pytams.core.segments import Final, chain
from pytams.core.states import state_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult
    from pytams.core.ports import Source
    from pytams.core.segments import Course
    from pytams.core.settings import Settings


def weighted_ensemble(
    source: Source | None,
    runs: Sequence[RunResult],
    settings: Settings,
    *,
    run: int | None = None,
    reached: bool = False,
    states: bool = False,
    n_most: int | None = None,
) -> Any:
    """Put the final trajectories of runs, or of one, into an `xarray.Dataset`: see `pytams.Result.ensemble`.

    Raises
    ------
    PytamsError
        Without a source.
    KeyError
        If the run is not among them.
    ModelError
        If the source gives other scores than the runs had.
    """
    if source is None:
        raise PytamsError("this result was made without a source of its trajectories")
    runs = [one for one in runs if run in {None, one.run}]
    if not runs:
        raise KeyError(f"run {run} is not finished")
    finals = [(one, final) for one in runs for final in (one.reached if reached else one.members)]
    finals = [
        (one, final) for one, final in finals if final.last_step >= 0
    ]  # of a run that goes on, it may be queued
    if n_most is not None:
        finals = [finals[i] for i in evenly(len(finals), n_most)]
    starts = {one.run: one.starts for one in runs}
    chains = [chain(starts[one.run], final.key) for one, final in finals]
    courses = source.courses(chains, states=states)
    check_courses([final for _, final in finals], courses)
    return dataset(
        [final for _, final in finals],
        [one.weight / len(runs) for one, _ in finals],
        [one.log_weight - math.log(one.n * len(runs)) for one, _ in finals],
        courses,
        settings,
    )


def discarded_ensemble(result: Result, run: int, n_most: int | None = None) -> Any:
    """Give the trajectories that a run has killed, in order: as `pytams.Result.ensemble` does.

    `weight` is what each stood for when it was killed, in its run; `killed_in` in which iteration that was.

    Parameters
    ----------
    run
        Its number.
    n_most
        Give so many at most, chosen evenly.

    Raises
    ------
    KeyError
        If the run is not finished, or not in this result.
    ImportError
        Without xarray: ``pip install "pytams-splitting[xarray]"``.
    ModelError
        If the model gives other scores than it did.
    """
    source, settings = result.source, result.settings
    if source is None:
        raise PytamsError("this result was made without a source of its trajectories")
    found = {one.run: one for one in result.runs}
    if run not in found:
        raise KeyError(f"run {run} is not finished")
    outcome = found[run]
    killed = [
        (one.index, *pair) for one in outcome.iterations for pair in zip(one.killed, one.killed_maxima, strict=True)
    ]
    if n_most is not None:
        killed = [killed[i] for i in evenly(len(killed), n_most)]
    starts = outcome.starts
    chains = [chain(starts, key) for _, key, _ in killed]
    courses = source.courses(chains, states=False)
    born = {start.key: one.index + 1 for one in outcome.iterations for start in one.starts}
    finals = [
        Final(key, maximum, len(course.scores) - 1, links[0].start.key.slot, born.get(key, 0))
        for (_, key, maximum), links, course in zip(killed, chains, courses, strict=True)
    ]
    check_courses(finals, courses)
    before = [0.0, *outcome.iterations.log_weights]
    log_weights = [before[i] - math.log(outcome.n) for i, _, _ in killed]
    made = dataset(finals, np.exp(log_weights).tolist(), log_weights, courses, settings)
    return made.assign(killed_in=("trajectory", np.array([i for i, _, _ in killed], dtype=np.int64)))


def check_courses(finals: Sequence[Final], courses: Sequence[Course]) -> None:
    """Make sure that trajectories have the scores that runs had; ModelError if not."""
    for final, course in zip(finals, courses, strict=True):
        if len(course.scores) != final.last_step + 1 or course.scores.max() != final.maximum:
            raise ModelError(
                f"run {final.key.run}, slot {final.key.slot}, computed again, has other scores: is it the same "
                "model, and a function of what it is given alone?"
            )


def dataset(
    finals: Sequence[Final],
    weights: Sequence[float],
    log_weights: Sequence[float],
    courses: Sequence[Course],
    settings: Settings,
) -> Any:
    """Put trajectories into an `xarray.Dataset`.

    Raises
    ------
    ImportError
        Without xarray.
    """
    xr = imported_from("xarray", "xarray", "ensemble()")
    maxima = np.array([final.maximum for final in finals])
    variables: dict[str, Any] = {
        "weight": ("trajectory", np.array(weights)),
        "log_weight": ("trajectory", np.array(log_weights)),
        "maximum": ("trajectory", maxima),
        "reached": ("trajectory", maxima >= settings.target_score),
        "end_time": ("trajectory", settings.times(np.array([final.last_step for final in finals]))),
        "root": ("trajectory", np.array([final.root for final in finals], dtype=np.int64)),
        "generation": ("trajectory", np.array([final.generation for final in finals], dtype=np.int64)),
        "score": (("trajectory", "time"), _padded([course.scores for course in courses])),
    }
    if any(isinstance(course.states[0], bytes | Path) for course in courses if len(course.states)):
        raise ValueError("the states are bytes or folders of a simulator, and no arrays: they cannot be put together")
    columns = [state_columns(course.states) for course in courses]
    for name in columns[0] if columns else ():
        column = _padded([of_course[name] for of_course in columns])
        variables[name] = (["trajectory", "time", *(f"{name}_{i}" for i in range(column.ndim - 2))], column)
    n_times = variables["score"][1].shape[1]
    coordinates: dict[str, Any] = {
        name: ("trajectory", np.array([final.key[i] for final in finals], dtype=np.int64))
        for i, name in enumerate(("run", "slot", "branch"))
    }
    return xr.Dataset(variables, coordinates | {"time": settings.times(np.arange(n_times))})


def evenly(n: int, n_most: int) -> list[int]:
    """Choose at most `n_most` of n."""
    chosen: list[int] = np.unique(np.linspace(0, n - 1, min(n, n_most)).round().astype(np.int64)).tolist()
    return chosen


def _padded(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays that differ in length; what is past the end of one is NaN (an empty text)."""
    if not rows:
        return np.empty((0, 0))
    first = rows[0]
    fill: Any = "" if first.dtype.kind in "SU" else np.nan
    dtype = first.dtype if first.dtype.kind in "SUfc" else np.dtype(np.float64)
    padded = np.full((len(rows), max(map(len, rows)), *first.shape[1:]), fill, dtype)
    for into, row in zip(padded, rows, strict=True):
        into[: len(row)] = row
    return padded
