"""What runs on a worker: a task, which advances some segments from their points for a while."""

from __future__ import annotations

import hashlib
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import cloudpickle

from pytams.core.errors import ModelError
from pytams.engine.again import outlines
from pytams.engine.recomputed import begun
from pytams.models.loading import import_file, model_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.core.ports import Stepper
    from pytams.core.segments import Point, Problem, Progress
    from pytams.core.verification import Beginning, Outline


class Answer(NamedTuple):
    """What a task says."""

    reports: list[Progress]
    """In order."""
    points: list[Point]
    """Where the segments are that have not ended."""
    n_steps: int
    seconds: float
    """How long it took."""
    begun: Sequence[Point] = ()
    """Where segments began whose states were computed again, and what these were computed from, in order."""


_problems: dict[str, Problem] = {}
_open: dict[str, Stepper] = {}
"""Keeps open, from one task to the next, what steppers share: a simulator."""


def pack(problem: Problem) -> bytes:
    """Make bytes of a problem; a model from a file goes with the file's path, which workers import it from.

    Raises
    ------
    ModelError
        If the model holds what cannot be sent.
    """
    try:
        packed: bytes = cloudpickle.dumps((model_file(problem.model), cloudpickle.dumps(problem)))
    except Exception as error:
        raise ModelError(
            f"{problem.model.name} cannot be sent to workers ({type(error).__name__}: {error}): leave open files, "
            "locks and the like out of its attributes, or advance it in process"
        ) from error
    return packed


def name_of(packed: bytes) -> str:
    """Name a problem, by what it is packed into."""
    return hashlib.sha256(packed).hexdigest()


def set_problem(name: str, packed: bytes) -> None:
    """Build the problem and its model, once in a worker, and compile what is compiled: no clock runs yet."""
    if name not in _problems:
        file, pickled = cloudpickle.loads(packed)
        if file is not None:
            import_file(file)
        problem = cloudpickle.loads(pickled)
        _open[name] = problem.model.make_stepper(problem)
        _problems[name] = problem


def problem_of(name: str, packed: bytes) -> Problem:
    """Build the problem, or find it."""
    set_problem(name, packed)
    return _problems[name]


def forget(name: str) -> None:
    """Close what the threads of a problem have open."""
    for own in [own for own in [*_problems] if own.startswith(f"{name} ")]:
        _problems.pop(own, None)
        if own in _open:
            _open.pop(own).close()


def begin_again(name: str, packed: bytes, beginnings: Sequence[Beginning]) -> list[Outline]:
    """Compute beginnings again, on the side."""
    return outlines(problem_of(name, packed), beginnings)


def advance(name: str, packed: bytes, points: list[Point], seconds: float) -> Answer:
    """Advance some segments for some seconds, by a block at least: this is a task."""
    problem = problem_of(name, packed)
    again: list[Point] = []
    starts = [begun(problem, point, again) for point in points]
    with closing(problem.model.make_stepper(problem)) as stepper:
        for point in starts:
            stepper.join(point)
        reports: list[Progress] = []
        n_ended = 0
        start = perf_counter()
        deadline = start + seconds
        while True:
            new = stepper.advance(None)
            n_ended += sum(report.ended for report in new)
            reports += new
            if n_ended == len(points) or perf_counter() >= deadline:
                break
        more, left = stepper.checkpoint()
    return Answer(reports + more, left, stepper.n_steps, perf_counter() - start, again)
