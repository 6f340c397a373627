"""Advance segments with one simulator: one after another, each as far as it goes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.errors import ModelError
from pytams.core.ports import BLOCK_LENGTH, BLOCK_SECONDS
from pytams.core.segments import Point
from pytams.models.block import Block
from pytams.models.simulator.live import CheckedSimulator

if TYPE_CHECKING:
    from pytams.core.segments import Problem, Progress, SegmentKey
    from pytams.core.states import State
    from pytams.models.learned.score import LearnedScore
    from pytams.models.simulator.live import Live


class Simulators:
    """Goes on with the segment that the simulator holds until it ends; then with the lowest key that waits."""

    n_busy = 1

    def __init__(self, problem: Problem, live: Live, learned: LearnedScore | None = None) -> None:
        self._problem, self._live = problem, live
        self._simulator = CheckedSimulator(problem, live, learned)
        self._waiting: dict[SegmentKey, Point] = {}
        self._running: Point | None = None
        """Where the simulator is: its state is not saved. None: it holds nothing of ours that goes on."""
        self._lost: BaseException | None = None
        self._last: SegmentKey | None = None
        self.n_steps = 0
        live.used_by(self)

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""
        self._waiting[point.key] = point

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance one segment by at most `block_length` steps."""
        with self._live.held_by(self):
            if self._lost is not None:
                raise ModelError(f"a trajectory could not be put down, and is lost: {self._lost}") from self._lost
            point = self._running or self._take_next()
            return [] if point is None else [self._advance(point, block_length)]

    def _take_next(self) -> Point | None:
        if not self._waiting:
            return None
        key = self._last if self._last in self._waiting else min(self._waiting)
        assert key is not None
        self._last = key
        return self._waiting.pop(key)

    def _advance(self, point: Point, block_length: int | None) -> Progress:
        """Advance a segment until it ends, for at most `block_length` steps or `BLOCK_SECONDS`."""
        key, start_step, step = point[:3]
        simulator, block = self._simulator, Block(self._problem, point)

        def get_state() -> State:
            return simulator.state((key, step))

        def has_ended() -> bool:
            where = key, step
            is_over = block.add(step, *simulator.scored(where), get_state)
            return is_over or (simulator.may_end and simulator.ended(where))

        def go_on() -> bool:
            """Make a step, or many at once; say whether the segment has ended."""
            nonlocal step
            if not simulator.makes_many:
                simulator.step(key, start_step, step)
                step += 1
                return has_ended()
            scores = simulator.steps(
                key, start_step, step, self._n_at_once(step, None if block_length is None else last)
            )
            for score in scores[:-1]:  # the states there are gone
                step += 1
                if block.add(step, score, None, None):
                    return True
            step += 1
            return block.add(step, scores[-1], None, get_state)

        if point is not self._running:
            simulator.take(point)
        self._running = None  # until it is known where it gets
        ended = point.state is None and step == 0 and has_ended()
        deadline = perf_counter() + BLOCK_SECONDS
        last = step + (block_length or BLOCK_LENGTH)
        while not ended and step < last:
            before = step
            ended = go_on()
            self.n_steps += step - before
            if perf_counter() > deadline:
                break
        if not ended:
            self._running = Point(key, start_step, step, block.best, None, block.stored)
        return block.progress(step, ended=ended)

    def _n_at_once(self, step: int, last: int | None) -> int:
        """Make so many steps at once: up to where a state is stored, or the trajectory ends.

        Without another limit than their own, simulators make as many as they like to.
        """
        problem, likes = self._problem, self._live.simulator.steps_at_once
        multiples = [size for size in (problem.sparse_freq if problem.traced else 0, likes or 0) if size]
        most = likes or BLOCK_LENGTH if last is None else last - step
        return min([most, problem.n_steps - step, *(size - step % size for size in multiples)])

    def put_down(self) -> None:
        """Save where the simulator is: somebody else wants it, or to know it."""
        if self._running is not None:
            point, self._running = self._running, None
            try:
                state = self._simulator.state((point.key, point.step))
            except BaseException as error:
                self._lost = error
                raise
            self.join(point._replace(state=state))

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Give the point that every segment is at; all has been reported."""
        with self._live.held_by(self):
            self.put_down()
        return [], list(self._waiting.values())

    def where(self) -> str:
        """Say what the simulator was asked last."""
        return self._simulator.where()

    def close(self) -> None:
        """Let go of the simulator."""
        self._live.left_by(self)
