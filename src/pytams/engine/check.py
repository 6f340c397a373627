"""Whether a model is fit for a study: a few trajectories, computed in the ways that a study may ask for.

What a study asks is that a trajectory is a function of its seed: whoever computes it, whatever was computed before,
and wherever it was put down and taken up again. All is asked of a process of its own.
"""

from __future__ import annotations

import copy
import math
import os
from concurrent.futures import BrokenExecutor
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.core.errors import ModelError, SettingsError
from pytams.core.segments import Point, SegmentKey
from pytams.core.states import digest
from pytams.core.stored import size_of
from pytams.engine.pool import CLOSING_SECONDS, end
from pytams.engine.processes import make_executor
from pytams.engine.worker import name_of, pack, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.core.segments import Problem

_UNSEEDED = (
    "does it draw from a generator that is not seeded (np.random, random, one of a library's own), or keep something "
    "from before: an attribute that `start` does not set, a global of its module?"
)
_UNSAVED = (
    "does the next step depend on what `save` leaves out, or `load` does not set: an attribute, a global of its "
    "module, a file, a generator?"
)
_FEW, _MANY, _SECONDS = 4, 100, 10.0
"""So many trajectories are computed at least, to count records, and at most; and no more after this time."""
_NO_EFFECT = (
    "the seed has no effect: does `load` undo what `branch` has seeded, or does it draw from another generator? For "
    "a deterministic model, define `perturb`"
)


class Finding(NamedTuple):
    """What came of one question."""

    claim: str
    is_true: bool
    advice: str
    """What may be the cause, if it is not."""


class Cost(NamedTuple):
    """What a trajectory takes."""

    step: float
    """Seconds a step, with what is saved at records."""
    save: float
    """Seconds to put a trajectory down and give its state."""
    load: float
    """Seconds to take one up."""
    n_bytes: int
    """Of a state."""
    n_stored: Count
    """States that are stored in a step, but for the first one of a trajectory."""


class Count(NamedTuple):
    """A mean over trajectories, and its standard error."""

    mean: float
    error: float


class Report(NamedTuple):
    """What is to be said of a model."""

    findings: list[Finding]
    cost: Cost


def check_model(problem: Problem, n_steps: int) -> Report:
    """Compute trajectories of so many steps in several ways.

    Raises
    ------
    ModelError
        If the model raises, answers what cannot be used, or ends its process.
    SettingsError
        If a trajectory ends before half of the steps.
    """
    problem = replace(problem, traced=True, sparse_freq=0)
    n_steps = min(n_steps, problem.n_steps)
    packed = pack(problem)
    before = {*os.listdir(), "__pycache__"}
    findings, cost, rest, middle = _in_a_process(packed, _ask, n_steps)
    again = _in_a_process(packed, _go_on, middle, n_steps)
    findings.append(Finding("in another process, it goes on to the same bits", again == rest, _UNSAVED))
    left = ", ".join(sorted({*os.listdir()} - before)[:5])
    advice = f"it left {left}, and so would every worker: use a folder of its own (place.scratch)"
    findings.append(Finding("it leaves nothing in the working directory", not left, advice))
    return Report(findings, cost)


def _in_a_process(packed: bytes, function: Callable[..., Any], *arguments: Any) -> Any:
    name = name_of(packed)
    executor = make_executor(1, name, packed)
    patience = 0.0
    try:
        found = executor.submit(function, name, packed, *arguments).result()
        patience = CLOSING_SECONDS
    except BrokenExecutor as error:
        raise ModelError(f"the model ended its process ({error}): a crash, os._exit, or no memory left") from error
    finally:
        end(executor, patience)
    return found


# --- in the process -------------------------------------------------------------------------------------------------


class _Course(NamedTuple):
    """A part of a trajectory."""

    scores: list[float]
    state: str
    """A hash of the last one; none if the trajectory has ended."""


def _ask(name: str, packed: bytes, n_steps: int) -> tuple[list[Finding], Cost, _Course, Point]:
    """Compute trajectories in the ways that one process has."""
    problem = problem_of(name, packed)
    start = Point(SegmentKey(0, 0, 0), 0, 0, -math.inf, None)
    _walk(problem, start, n_steps)  # compiles what is compiled
    whole, _, seconds, _ = _walk(problem, start, n_steps)
    half, middle, _, _ = _walk(problem, start, max(1, n_steps // 2))
    if middle is None:
        raise SettingsError("steps", f"the first trajectory ends after {len(half.scores) - 1} steps: check fewer")
    assert middle.state is not None
    rest = _Course(whole.scores[len(half.scores) :], whole.state)
    branch = Point(SegmentKey(0, 0, 1), middle.step, middle.step, middle.best, middle.state)

    def follow(point: Point, *, with_model_of: Problem = problem) -> _Course:
        return _walk(with_model_of, point, n_steps)[0]

    saved, _, seconds_saved, _ = _walk(problem, start, n_steps, block=1)
    _, _, seconds_loaded, _ = _walk(problem, middle, middle.step + 1)
    n_stored = _counted(problem, start, n_steps)
    after_another = follow(middle)
    branched = follow(branch)
    fresh = replace(problem, model=copy.deepcopy(problem.model))
    findings = [
        Finding("the same seed gives the same bits", follow(start) == whole, _UNSEEDED),
        Finding("another seed gives another trajectory", follow(_with_another_seed(start)) != whole, _NO_EFFECT),
        Finding("to save it changes nothing", saved == whole, "does `save` change the state, or draw numbers?"),
        Finding("saved and loaded, it goes on to the same", follow(middle, with_model_of=fresh) == rest, _UNSAVED),
        Finding("also if another trajectory was computed in between", after_another == rest, _UNSAVED),
        Finding("a branch is the same twice", follow(branch) == branched, _UNSEEDED),
        Finding("two branches from one state part", follow(_with_another_seed(branch)) != branched, _NO_EFFECT),
    ]
    n_scores = len(whole.scores)
    step = seconds / max(1, n_scores - 1)
    save = max(0.0, seconds_saved / max(1, n_scores - 1) - step)
    load = max(0.0, seconds_loaded - step - save)
    return findings, Cost(step, save, load, size_of(middle.state), n_stored), rest, middle


def _counted(problem: Problem, start: Point, n_steps: int) -> Count:
    """Count the states that trajectories store, until the mean is known to a tenth, or it takes long."""
    begin = perf_counter()
    counts: list[float] = []
    while True:
        key = SegmentKey(0, len(counts) + 1, 0)
        course, _, _, n_stored = _walk(problem, start._replace(key=key), n_steps)
        counts.append((n_stored - 1) / max(1, len(course.scores) - 1))
        mean, error = float(np.mean(counts)), math.inf
        if len(counts) >= _FEW:
            error = float(np.std(counts, ddof=1)) / math.sqrt(len(counts))
        is_long = len(counts) >= _MANY or (len(counts) >= _FEW and perf_counter() - begin > _SECONDS)
        if error <= 0.1 * mean or is_long:
            return Count(mean, error)


def _with_another_seed(point: Point) -> Point:
    """Name another segment that begins where this one does: in the initial ensemble, from the same state."""
    return point._replace(key=point.key._replace(branch=point.key.branch + 1))


def _go_on(name: str, packed: bytes, point: Point, n_steps: int) -> _Course:
    return _walk(problem_of(name, packed), point, n_steps)[0]


def _walk(
    problem: Problem, point: Point, n_steps: int, block: int | None = None
) -> tuple[_Course, Point | None, float, int]:
    """Follow a trajectory up to a step, put down after each block; where it is then, seconds, and states stored."""
    scores: list[float] = []
    n_stored = 0
    with closing(problem.model.make_stepper(problem)) as stepper:
        begin = perf_counter()
        stepper.join(point)
        step, has_ended, points = point.step, False, [point]
        while step < n_steps and not has_ended:
            reports = stepper.advance(min(block or n_steps, n_steps - step))
            more, points = stepper.checkpoint()
            for report in reports + more:
                assert report.trace is not None
                scores.extend(map(float, report.trace.scores))
                n_stored += sum(state is not None for state in report.states)
                step, has_ended = report.step, report.ended
        seconds = perf_counter() - begin
    if has_ended:
        return _Course(scores, ""), None, seconds, n_stored
    [last] = points
    assert last.state is not None
    return _Course(scores, digest(last.state)), last, seconds, n_stored
