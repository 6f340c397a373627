"""Independent runs under way: the state machines, one engine between them, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from pytams import _state
from pytams.engine.checked import CheckedModel
from pytams.ensemble import Final
from pytams.errors import SettingsError
from pytams.replay import Replay
from pytams.result import Result
from pytams.runresult import RunResult, Settings
from pytams.splitting import Splitting
from pytams.trajectory import Problem, SegmentKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from pytams.engine import Engine
    from pytams.splitting import Iteration
    from pytams.trajectory import Progress, Start


class Study:
    """Independent runs under way, advanced by one engine.

    Iterating advances it and yields the study itself after every block, so that a loop can watch, and stop it by
    leaving. Iterating again goes on. A context manager: leaving it closes the engine.
    """

    def __init__(
        self, problem: Problem, settings: Settings, runs: Sequence[int], make_engine: Callable[[Problem], Engine]
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._engine = make_engine(problem)
        self._started = False
        self._starts_checked = False
        self._finished: set[int] = set()
        self._wall_time = self._earlier_wall_time = 0.0
        self.runs = runs
        """Numbers of the runs."""
        self._splittings = {
            run: Splitting(
                n_trajectories=settings.n_trajectories,
                n_discard=settings.n_discard,
                target_score=settings.target_score,
                max_branchings=settings.max_branchings,
                seed=problem.seed,
                run=run,
            )
            for run in runs
        }

    @property
    def n_finished(self) -> int:
        """Runs whose estimate is known."""
        return len(self._finished)

    @property
    def note(self) -> str:
        """What the engine has to say before it starts, such as where its dashboard is."""
        return getattr(self._engine, "note", "")

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""
        return self._engine.n_steps

    @property
    def steps_per_second(self) -> float:
        """Model steps a second, the mean since it was begun or resumed."""
        return self.n_steps / max(self._wall_time - self._earlier_wall_time, 1e-9)

    @property
    def target_score(self) -> float:
        """The score to reach."""
        return self._settings.target_score

    @property
    def progress(self) -> float:
        """How far the levels have risen from each run's first to the target: 0 to 1, the mean over runs."""
        return sum(splitting.progress for splitting in self._splittings.values()) / len(self.runs)

    @property
    def n_running(self) -> int:
        """Segments running now, in all runs."""
        return sum(splitting.n_running for splitting in self._splittings.values())

    @property
    def lowest_level(self) -> float:
        """Level that every unfinished run has passed, -inf if one has none yet; the target once all are finished."""
        levels = (splitting.level for splitting in self._splittings.values() if not splitting.finished)
        return min(levels, default=self._settings.target_score)

    def close(self) -> None:
        """Let go of what the engine holds: workers, threads, states. `result` stays."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Study]:
        if not self._started:
            self._started = True
            with self._timed():
                self._begin_runs()
        while self.n_finished < len(self.runs):
            with self._timed():
                self._advance()
            yield self

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = perf_counter()
        yield
        self._wall_time += perf_counter() - start

    def _begin_runs(self) -> None:
        for splitting in self._splittings.values():
            self._begin(splitting.initial_starts)

    def _advance(self) -> None:
        self._take(self._engine.advance())

    def _take(self, reports: Iterable[Progress]) -> None:
        """Tell the state machines, and do what they decide."""
        for progress in reports:
            if progress.ended and progress.step == 0 and not self._starts_checked:
                self._check_starts(progress)
            splitting = self._splittings[progress.key.run]
            for iteration in splitting.tell(progress):
                self._carry_out(iteration)
            if splitting.finished:
                self._finished.add(progress.key.run)
                self._engine.drop(member.start.key for member in splitting.members)

    def _carry_out(self, iteration: Iteration) -> None:
        self._begin(iteration.starts)
        self._engine.drop(iteration.killed)
        self._engine.pass_level(iteration.killed[0].run, iteration.level)

    def _begin(self, starts: Iterable[Start]) -> None:
        self._engine.start(start for start in starts if not start.ended)

    def _check_starts(self, progress: Progress) -> None:
        """Refuse a fixed start that is at the target: there is nothing to estimate. A random one may happen to be."""
        score, target = progress.scores[0], self._settings.target_score
        if score < target:
            return
        self._starts_checked = True
        model = CheckedModel(self._problem)
        first, second = (model.initial_state(SegmentKey(0, slot, 0)) for slot in (0, 1))
        if _state.equal(first, second):
            raise SettingsError(
                "target_score",
                f"{target:g} is already reached at t = 0, where the score is {score:g}; "
                "set a higher target, or another initial state",
            )

    def result(self) -> Result:
        """Sum up the finished runs.

        Raises
        ------
        RuntimeError
            If no run is finished.
        """
        finished = {run: s for run, s in self._splittings.items() if s.finished}
        if not finished:
            raise RuntimeError("no run is finished: iterate the study first")
        return Result(
            model=self._problem.model.name,
            settings=self._settings,
            seed=self._problem.seed,
            runs=tuple(_run_result(run, splitting) for run, splitting in finished.items()),
            n_unfinished=len(self.runs) - len(finished),
            wall_time=self._wall_time,
            source=Replay(self._problem),
        )


def _run_result(run: int, splitting: Splitting) -> RunResult:
    return RunResult(
        run=run,
        estimate=splitting.estimate,
        log_weight=splitting.log_weight,
        n_reached=splitting.n_reached,
        n_branchings=splitting.n_branchings,
        n_steps=splitting.n_steps,
        iterations=tuple(splitting.iterations),
        members=tuple(
            Final(member.start.key, member.maximum, member.step, member.root, member.generation)
            for member in splitting.members
        ),
        target_score=splitting.target,
    )
