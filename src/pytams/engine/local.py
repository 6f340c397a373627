"""The engine for one machine, and what every engine does: keep the states that branches start from."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from pytams.core.ports import Locatable, MakesWholeRuns
from pytams.engine.again import outlines
from pytams.engine.options import Runner
from pytams.engine.recomputed import begun
from pytams.engine.records import Kept
from pytams.engine.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from pytams.core.compact import RunOutcome
    from pytams.core.ports import Stepper
    from pytams.core.segments import Past, Point, Problem, Progress, SegmentKey, Start
    from pytams.core.settings import Settings
    from pytams.core.verification import Beginning, Outline


class Keeping:
    """An engine that keeps the states at records, and leaves advancing to a stepper.

    Parameters
    ----------
    stepper
        What advances the segments.
    begin_again
        Computes beginnings again: `pytams.Engine.begin_again`.
    block_length
        Steps in a block of the stepper's; None: as many as suit it.
    problem
        What is solved.
    seconds_out
        Says for how long somebody elsewhere has been putting states there that are not known here: 0 if nobody is.
    """

    note = ""

    def __init__(
        self,
        stepper: Stepper,
        begin_again: Callable[[Sequence[Sequence[Beginning]]], list[list[Outline]]],
        block_length: int | None = None,
        *,
        problem: Problem,
        seconds_out: Callable[[], float] = float,
    ) -> None:
        self._block_length = block_length
        self._store, self._seconds_out = problem.store, seconds_out
        self._stepper, self._begin_again = stepper, begin_again
        self.kept = Kept(problem)
        """Where branches can start on each segment."""

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._stepper.n_steps

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return self._stepper.n_busy

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Compute the beginnings of segments, on the side, those in one list with one fresh model."""
        return self._begin_again(lists)

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""
        for start in starts:
            self.kept.begin(start)
            self._join(self.kept.start_of(start))

    def _join(self, point: Point) -> None:
        self._stepper.join(point)

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""
        self.kept.drop(keys)

    def pass_level(self, run: int, level: float) -> None:
        """Let go of states that no branch can start from any more, if they are large."""
        self.kept.pass_level(run, level)

    def advance(self) -> list[Progress]:
        """Advance all segments by a block."""
        if self._store is not None:  # first: the driver has just made sure that nobody else drives its runs
            self._store.sweep(self._seconds_out())
        return [self.kept.add(progress) for progress in self._stepper.advance(self._block_length)]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report what has not been, and give the points from which segments could be resumed after it."""
        reports, points = self._stepper.checkpoint()
        return [self.kept.add(progress) for progress in reports], points

    def resume(self, start: Start, past: Past) -> None:
        """Take in a segment that was recorded, and go on with it if it has not ended."""
        self.kept.begin(start)
        self.kept.add_past(past.progress)
        if past.point is not None:
            self._stepper.join(past.point)

    def close(self) -> None:
        """Forget everything."""
        self.kept.clear()
        self._stepper.close()
        if self._store is not None:
            self._store.close()


class InProcess(Keeping):
    """Advances all segments of all runs in the calling thread.

    Parameters
    ----------
    problem
        What to advance.
    block_length
        Steps after which progress is reported at the latest; by default what suits the model. Changes no bit of the
        result.
    threads
        Threads that a compiled model runs on. Changes no bit of the result.
    """

    def __init__(self, problem: Problem, block_length: int | None = None, threads: int = 1) -> None:
        options = Runner(block_length=block_length, threads=threads)
        stepper = problem.model.make_stepper(problem, options.threads)
        self._watchdog, self._was_left = Watchdog(), False
        self._where = partial(_where, problem, stepper)
        self._problem = problem
        super().__init__(stepper, partial(_outlines, problem), options.block_length, problem=problem)

    def _join(self, point: Point) -> None:
        super()._join(begun(self._problem, point))

    def advance(self) -> list[Progress]:
        """Advance all segments by a block; one that takes far longer than those before it is said aloud."""
        if self._was_left:
            raise RuntimeError("the study was left in the middle of a step: run it again, or resume its directory")
        self._was_left = True
        with self._watchdog.at(self._where):
            reports = super().advance()
        self._was_left = False
        return reports

    def whole_runs(self, settings: Settings, runs: Sequence[int]) -> Generator[RunOutcome | None]:
        """Make whole runs, if the model can, and nobody wants to hear of blocks or has another way to advance."""
        is_ours = type(self).advance is InProcess.advance and self._block_length is None
        if not is_ours or not isinstance(self._stepper, MakesWholeRuns):
            return
        with self._watchdog.at(self._where):
            yield from self._stepper.whole_runs(settings, runs)

    def close(self) -> None:
        """Forget everything."""
        self._watchdog.close()
        super().close()


def _where(problem: Problem, stepper: Stepper) -> str:
    return stepper.where() if isinstance(stepper, Locatable) else f"a block of {problem.model.name}"


def _outlines(problem: Problem, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
    watchdog = Watchdog()

    def watched(stepper: Stepper) -> Watchdog:
        return watchdog.at(partial(_where, problem, stepper))

    with closing(watchdog):
        return [outlines(problem, beginnings, watched) for beginnings in lists]
