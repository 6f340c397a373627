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
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.core.segments import Problem

_UNSEEDED = (
    "does it draw from a generator that is not seeded (np.random, random, one of a library's own), or keep something "
    "from before: an attribute that `start` does not set, a global of its module?"
)
_UNSAVED = (
    "does the next step depend on what `save` leaves out, or `load` does not set: an attribute, a global of its "
    "module, a file, a generator?"
)
_ELSEWHERE = (
    "does it depend on its process (`os.getpid`, the time, an environment variable, a file), or is something of its "
    "module drawn at random where that is imported? Else " + _UNSAVED
)
_FEW, _MANY, _SECONDS = 4, 100, 10.0
"""So many trajectories are computed at least, to count records, and at most; and no more after this time."""
_MADE = (
    "does its constructor draw random numbers, or take something from its surroundings (the time, a counter, the "
    "number of its process)?"
)
_MIXED = (
    "a member's step or score must not depend on which others are computed with it: is there a sum or a mean over "
    "members, or a shape that is broadcast over them?"
)
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
    rises: Rises
    """Of the score."""


class Rises(NamedTuple):
    """How the score gets towards the target in short trajectories."""

    n_records: float
    """Steps of a trajectory at which it rose above all that had been, the mean."""
    n_steps: float
    """Of how many."""
    highest: float
    """Share of the way from the start to the target that the best trajectory made."""
    largest: float
    """Share that was made in a single step, the most of all."""


class Count(NamedTuple):
    """A mean over trajectories, and its standard error."""

    mean: float
    error: float


class Report(NamedTuple):
    """What is to be said of a model."""

    findings: list[Finding]
    cost: Cost | None
    """None if it cannot be known."""


def check_model(problem: Problem, n_steps: int, made_again: Steppable | None = None) -> Report:
    """Compute trajectories of so many steps in several ways.

    Parameters
    ----------
    problem, n_steps
        What to compute.
    made_again
        The same model, made a second time.

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
    other = packed if made_again is None else pack(replace(problem, model=made_again))
    before = {*os.listdir(), "__pycache__"}
    start = _in_a_process(packed, _begin)
    findings = _of_start(start, problem)
    if not all(finding.is_true for finding in findings):
        return Report(findings, None)
    more, cost, rest, middle = _in_a_process(packed, _ask, start.point, n_steps, other)
    again = _in_a_process(packed, _go_on, middle, n_steps, method="spawn")
    findings += [*more, Finding("in another process, it goes on to the same bits", again == rest, _ELSEWHERE)]
    left = ", ".join(sorted({*os.listdir()} - before)[:5])
    advice = f"it left {left}, and so would every worker: use a folder of its own (place.scratch)"
    findings.append(Finding("it leaves nothing in the working directory", not left, advice))
    return Report(findings, cost)


def _of_start(start: _Start, problem: Problem) -> list[Finding]:
    """Say whether a study can begin where the model does. A random start may be at the target."""
    is_below = start.score < problem.target_score or not start.is_fixed
    claim = f"it starts below the target ({start.score:.4g}, of {problem.target_score:.4g})"
    if not start.is_fixed:
        claim = f"it starts at random ({start.score:.4g} once, of {problem.target_score:.4g})"
    at_once = "its own stop condition holds at t = 0"
    return [
        Finding("states, noise and scores have their shapes, and scores are finite", True, ""),
        Finding(claim, is_below, "there is nothing to estimate: set a higher target, or another initial state"),
        *([] if start.goes_on or not is_below else [Finding("it goes on from where it starts", False, at_once)]),
    ]


def _in_a_process(packed: bytes, function: Callable[..., Any], *arguments: Any, method: str = "forkserver") -> Any:
    name = name_of(packed)
    executor = make_executor(1, name, packed, method)
    patience = 0.0
    try:
        found = executor.submit(function, name, packed, *arguments).result()
        patience = CLOSING_SECONDS
    except BrokenExecutor as error:
        raise ModelError(f"the model ended its process ({error}): a crash, os._exit, or no memory left") from error
    except SettingsError as error:
        if error.setting != "reference":
            raise
        raise ModelError(f"in a worker process, {error.problem}") from error
    finally:
        end(executor, patience)
    return found


# --- in the process -------------------------------------------------------------------------------------------------


class _Course(NamedTuple):
    """A part of a trajectory."""

    scores: list[float]
    state: str
    """A hash of the last one; none if the trajectory has ended."""


class _Start(NamedTuple):
    """Where a trajectory begins."""

    point: Point
    score: float
    is_fixed: bool
    goes_on: bool
    """Whether it makes a step, as one in a hundred random starts must."""


def _begin(name: str, packed: bytes) -> _Start:
    """Find the first trajectory that does not end where it starts."""
    problem = problem_of(name, packed)
    is_fixed = problem.model.has_fixed_start(problem.seed)
    for slot in range(1 if is_fixed else _MANY):
        point = Point(SegmentKey(0, slot, 0), 0, 0, -math.inf, None)
        course, after, _, _ = _walk(problem, point, 1)
        goes_on = after is not None or len(course.scores) > 1
        if goes_on:
            break
    return _Start(point, course.scores[0], is_fixed, goes_on)


def _ask(
    name: str, packed: bytes, start: Point, n_steps: int, other: bytes
) -> tuple[list[Finding], Cost, _Course, Point]:
    """Compute trajectories in the ways that one process has."""
    problem = problem_of(name, packed)
    _walk(problem, start, n_steps)  # compiles what is compiled
    whole, _, seconds, _ = _walk(problem, start, n_steps)
    half, middle, _, _ = _walk(problem, start, max(1, n_steps // 2))
    if middle is None:
        raise SettingsError("steps", f"the first trajectory ends after {len(half.scores) - 1} steps: check fewer")
    assert middle.state is not None
    rest = _Course(whole.scores[len(half.scores) :], whole.state)
    branch = Point(start.key._replace(branch=1), middle.step, middle.step, middle.best, middle.state)

    def follow(point: Point, *, with_model_of: Problem = problem) -> _Course:
        return _walk(with_model_of, point, n_steps)[0]

    saved, _, seconds_saved, _ = _walk(problem, start, n_steps, block=1)
    _, _, seconds_loaded, _ = _walk(problem, middle, middle.step + 1)
    n_stored, rises = _counted(problem, start, n_steps)
    after_another = follow(middle)
    branched = follow(branch)
    fresh = replace(problem, model=copy.deepcopy(problem.model))
    findings = [
        Finding("the same seed gives the same bits", follow(start) == whole, _UNSEEDED),
        Finding("so does the model, made a second time", _made_again(other, start, n_steps) == whole, _MADE),
        Finding("another seed gives another trajectory", follow(_with_another_seed(start)) != whole, _NO_EFFECT),
        Finding("to save it changes nothing", saved == whole, "does `save` change the state, or draw numbers?"),
        Finding("saved and loaded, it goes on to the same", follow(middle, with_model_of=fresh) == rest, _UNSAVED),
        Finding("also if another trajectory was computed in between", after_another == rest, _UNSAVED),
        Finding("a branch is the same twice", follow(branch) == branched, _UNSEEDED),
        Finding("two branches from one state part", follow(_with_another_seed(branch)) != branched, _NO_EFFECT),
    ]
    if getattr(problem.model, "vectorized", False):
        others = [start._replace(key=start.key._replace(run=1, slot=slot)) for slot in range(3)]
        in_batch, _, _, _ = _walk(problem, start, n_steps, beside=others)
        findings.append(Finding("in a batch with others it gives the same bits", in_batch == whole, _MIXED))
    n_scores = len(whole.scores)
    step = seconds / max(1, n_scores - 1)
    save = max(0.0, seconds_saved / max(1, n_scores - 1) - step)
    load = max(0.0, seconds_loaded - step - save)
    return findings, Cost(step, save, load, size_of(middle.state), n_stored, rises), rest, middle


def _made_again(packed: bytes, start: Point, n_steps: int) -> _Course:
    another = f"{name_of(packed)} again"  # what was made of the same bytes is not taken for it
    return _walk(problem_of(another, packed), start, n_steps)[0]


def _counted(problem: Problem, start: Point, n_steps: int) -> tuple[Count, Rises]:
    """Count the states that trajectories store, until the mean is known to a tenth, or it takes long; and rises."""
    begin = perf_counter()
    counts: list[float] = []
    courses: list[NDArray[np.float64]] = []
    while True:
        key = SegmentKey(0, len(counts) + 1, 0)
        course, _, _, n_stored = _walk(problem, start._replace(key=key), n_steps)
        counts.append((n_stored - 1) / max(1, len(course.scores) - 1))
        courses.append(np.array(course.scores))
        mean, error = float(np.mean(counts)), math.inf
        if len(counts) >= _FEW:
            error = float(np.std(counts, ddof=1)) / math.sqrt(len(counts))
        is_long = len(counts) >= _MANY or (len(counts) >= _FEW and perf_counter() - begin > _SECONDS)
        if error <= 0.1 * mean or is_long:
            return Count(mean, error), _rises(courses, problem.target_score)


def _rises(courses: Sequence[NDArray[np.float64]], target: float) -> Rises:
    """See how the scores of trajectories rise, as far as they start below the target."""
    ways = [(scores - scores[0]) / (target - scores[0]) for scores in courses if scores[0] < target]
    rises = [np.diff(np.maximum.accumulate(way)) for way in ways] or [np.zeros(1)]
    return Rises(
        n_records=float(np.mean([np.count_nonzero(rise) for rise in rises])),
        n_steps=float(np.mean([len(rise) for rise in rises])),
        highest=max(float(rise.sum()) for rise in rises),
        largest=max(float(rise.max(initial=0.0)) for rise in rises),
    )


def _with_another_seed(point: Point) -> Point:
    """Name another segment that begins where this one does: in the initial ensemble, from the same state."""
    return point._replace(key=point.key._replace(branch=point.key.branch + 1))


def _go_on(name: str, packed: bytes, point: Point, n_steps: int) -> _Course:
    return _walk(problem_of(name, packed), point, n_steps)[0]


def _walk(
    problem: Problem, point: Point, n_steps: int, block: int | None = None, beside: Sequence[Point] = ()
) -> tuple[_Course, Point | None, float, int]:
    """Follow a trajectory up to a step, put down after each block; where it is then, seconds, and states stored."""
    scores: list[float] = []
    n_stored = 0
    with closing(problem.model.make_stepper(problem)) as stepper:
        begin = perf_counter()
        for one in (point, *beside):
            stepper.join(one)
        step, has_ended, points = point.step, False, [point]
        while step < n_steps and not has_ended:
            reports = stepper.advance(min(block or n_steps, n_steps - step))
            more, points = stepper.checkpoint()
            for report in (report for report in reports + more if report.key == point.key):
                assert report.trace is not None
                scores.extend(map(float, report.trace.scores))
                n_stored += sum(state is not None for state in report.states)
                step, has_ended = report.step, report.ended
        seconds = perf_counter() - begin
    if has_ended:
        return _Course(scores, ""), None, seconds, n_stored
    [last] = [one for one in points if one.key == point.key]
    assert last.state is not None
    return _Course(scores, digest(last.state)), last, seconds, n_stored
