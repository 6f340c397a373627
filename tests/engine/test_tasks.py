"""The task queue, on workers that lose what they are told to: who is to blame for what does not come back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

import pytest

import pytams
from pytams.core.segments import Point, Problem, Progress, SegmentKey
from pytams.core.verification import Beginning, Outline
from pytams.engine import line, tasks, watchdog
from pytams.engine.contract import SETTINGS, Drifting
from pytams.engine.options import Runner
from pytams.engine.tasks import BreakdownError, Outcome, TaskQueue
from pytams.engine.worker import advance, begin_again, pack

Trouble = Callable[[Sequence[Point]], str]
"""What befalls a task of these segments: "hangs", "dies", "raises" or nothing."""


class Workers:
    """Workers in this process. One that is to die takes the others with it, as in a pool of processes."""

    is_up = True

    def __init__(self, problem: Problem, n_workers: int, trouble: Trouble) -> None:
        self.n_workers, self.trouble = n_workers, trouble
        self.packed = pack(problem)
        self.names = count()
        self.out: dict[Hashable, tuple[list[Point], str]] = {}
        """Tasks, and what befalls them."""
        self.sent: list[list[SegmentKey]] = []
        """What went out in each task."""
        self.ended: list[list[SegmentKey]] = []
        """What was taken for hung."""
        self.idle: set[Hashable] = set()
        """Tasks that no worker has begun with."""

    def submit(self, points: list[Point]) -> Hashable:
        name = next(self.names)
        self.out[name] = points, self.trouble(points)
        self.sent.append([point.key for point in points])
        return name

    def wait(self, seconds: float) -> list[Outcome]:
        if any(what == "dies" for _, what in self.out.values()):
            lost = [Outcome(name, None, BreakdownError("it is dead"), is_lost=True) for name in self.out]
            self.out.clear()
            return lost
        outcomes = [self.outcome(name, *task) for name, task in self.out.items() if task[1] != "hangs"]
        for outcome in outcomes:
            del self.out[outcome.task]
        if not outcomes:
            time.sleep(0.01)
        return outcomes

    def outcome(self, name: Hashable, points: list[Point], what: str) -> Outcome:
        if what == "raises":
            return Outcome(name, None, OSError("a disk is full"))
        return Outcome(name, advance("drifting", self.packed, points, 0.001))

    def begun(self, tasks: Sequence[Hashable]) -> Sequence[Hashable]:
        return [task for task in tasks if task not in self.idle]

    def recover(self, hung: Sequence[Hashable]) -> bool:
        self.ended += [[point.key for point in self.out[task][0]] for task in hung]
        self.out.clear()
        return True

    def fetch(self, points: list[Point]) -> list[Point]:
        return points

    def begin_again(self, lists: Sequence[Sequence[Beginning]], timeout: float) -> list[list[Outline]]:
        return [begin_again("drifting", self.packed, beginnings) for beginnings in lists]

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 1e-4)
    monkeypatch.setattr(line, "FIRST_PAUSE", 1e-4)
    monkeypatch.setattr(line, "_LONGEST_PAUSE", 1e-3)
    monkeypatch.setattr(tasks, "_LOOK_SECONDS", 0.0)


N_SLOTS = 6


def going(workers: Workers, **options: Any) -> TaskQueue:
    queue = TaskQueue(workers, Runner(type="process", **options))
    for slot in range(N_SLOTS):
        queue.join(Point(SegmentKey(0, slot, 0), 0, 0, -math.inf, None))
    return queue


def ended(queue: TaskQueue, reports: Sequence[Progress] = ()) -> set[int]:
    """Advance it until all segments have ended; their slots."""
    reports = list(reports)
    while sum(report.ended for report in reports) < N_SLOTS:
        reports += queue.advance(None)
    return {report.key.slot for report in reports if report.ended}


@pytest.fixture
def problem() -> Problem:
    return Problem.of(Drifting(), SETTINGS, seed=5)


def of(slot: int, what: str, times: float = math.inf) -> Trouble:
    """Something that befalls the tasks with the segment of one slot, so many times."""
    left = times

    def trouble(points: Sequence[Point]) -> str:
        nonlocal left
        if left > 0 and slot in {point.key.slot for point in points}:
            left -= 1
            return what
        return ""

    return trouble


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("what", ["hangs", "dies", "raises"])
def test_what_fails_always_is_named_after_three_tries(
    problem: Problem, what: str, n_workers: int, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers(problem, n_workers, of(3, what))
    queue = going(workers, batch=batch, timeout=0.02)
    message = {
        "hangs": r"^run 0, slot 3, from step 0 on: not done within 0.02 s, 3 times. .* raise .*block_timeout",
        "dies": r"^run 0, slot 3, from step 0 on: its worker ended, 3 times .*it is dead.*os._exit",
        "raises": r"^run 0, slot 3, from step 0 on: failed 3 times: OSError: a disk is full",
    }
    with pytest.raises(pytams.WorkersLostError, match=message[what]):
        ended(queue)
    alone = [keys for keys in workers.sent if keys == [SegmentKey(0, 3, 0)]]
    assert len(alone) >= 2, "what failed in a batch is tried by itself"
    if what == "hangs":
        assert len(workers.ended) == 3


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("what", ["hangs", "dies", "raises"])
def test_what_fails_twice_is_done(problem: Problem, what: str, batch: int) -> None:
    assert ended(going(Workers(problem, 3, of(3, what, times=2)), batch=batch, timeout=0.02)) == set(range(N_SLOTS))


def test_segments_that_are_sent_again_because_of_others_were_not_tried(problem: Problem) -> None:
    """Each of five hangs once or twice, and loses what the others were at: none has failed three times."""
    hangs = {0: 2, 1: 2, 2: 1, 4: 2, 5: 2}
    troubles = [of(slot, "hangs", times) for slot, times in hangs.items()]

    def each_in_turn(points: Sequence[Point]) -> str:
        return max(trouble(points) for trouble in troubles)

    workers = Workers(problem, 3, each_in_turn)
    assert ended(going(workers, timeout=0.02)) == set(range(N_SLOTS))
    assert len(workers.ended) == sum(hangs.values())


def test_nobody_is_blamed_for_workers_that_are_lost_again_and_again(problem: Problem) -> None:
    """Where it befalls all alike, before they have done anything, it ends as a breakdown of the workers."""
    workers = Workers(problem, 3, lambda points: "dies")
    workers.is_up = False
    with pytest.raises(pytams.WorkersLostError, match="the workers broke down 21 times in a row: .*it is dead"):
        ended(going(workers))


def test_a_task_that_waits_for_a_worker_does_not_hang(problem: Problem) -> None:
    """On a cluster whose queue is full, tasks are out for hours."""
    workers = Workers(problem, 3, of(3, "hangs"))
    queue = going(workers, timeout=0.02)
    reports: list[Progress] = []
    for _ in range(20):
        reports += queue.advance(None)
        workers.idle = set(workers.out)
    [(name, (points, _))] = workers.out.items()
    workers.out[name] = points, ""
    assert ended(queue, reports) == set(range(N_SLOTS))
    assert workers.ended == []


def test_a_task_that_takes_long_is_said_aloud_once(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.02)
    workers = Workers(problem, 3, of(3, "hangs"))
    queue = going(workers)
    reports: list[Progress] = []
    for _ in range(20):
        reports += queue.advance(None)
    said = [record.getMessage() for record in caplog.records if "has taken" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("run 0, slot 3, from step 0 on: this task has taken 0.0")
    assert "block_timeout (timeout=) would end it" in said[0]
    assert workers.ended == []
