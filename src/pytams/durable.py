"""Studies that are written to a run directory, resumed from one, and read back from one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytams._random import draw_seed
from pytams.errors import RunDirectoryError, SettingsError
from pytams.loading import source_sha256
from pytams.recorder import Recorder
from pytams.rundir import ModelSource, RunDirectory, Storage, StudyInfo
from pytams.study import Study
from pytams.trajectory import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from pytams.engine import Engine
    from pytams.model import Model
    from pytams.past import Past
    from pytams.runresult import Settings
    from pytams.splitting import Iteration, Splitting
    from pytams.trajectory import Point, Progress, Start


class DurableStudy(Study):
    """A study that is recorded as it goes: iterating it computes what its run directory does not have yet.

    Leaving it (it is a context manager) brings everything to disk.
    """

    def __init__(
        self,
        directory: RunDirectory,
        problem: Problem,
        runs: Iterable[int],
        make_engine: Callable[[Problem], Engine],
        *,
        checkpoint_interval: float = 60.0,
        driving: bool = True,
        runs_at_once: int | None = None,
    ) -> None:
        super().__init__(problem, directory.info.settings, list(runs), make_engine)
        self.directory = directory
        self._broken = self._closed = False
        self._known: list[Progress] = []
        try:
            self._recorder = Recorder(
                directory,
                self._splittings,
                step_size=problem.step_size,
                n_steps=problem.n_steps,
                checkpoint_interval=checkpoint_interval,
                driving=driving,
                runs_at_once=runs_at_once,
            )
        except BaseException:
            self._engine.close()
            raise
        self._driving = driving
        self._starts_checked = not driving
        self._wall_time = self._earlier_wall_time = self._recorder.wall_time
        self.runs = self._recorder.runs
        """Numbers of the runs that are driven here."""
        self._splittings = {run: self._splittings[run] for run in self.runs}

    def _begin_runs(self) -> None:
        super()._begin_runs()
        self._take([])

    def _advance(self) -> None:
        super()._advance()
        if self._recorder.is_checkpoint_due():
            self.checkpoint()
        elif self._recorder.is_due() or self.n_finished == len(self.runs):
            self._flush()
        self._recorder.beat(self._at_work)

    @property
    def splittings(self) -> dict[int, Splitting]:
        """The state of each run."""
        return self._splittings

    def past(self, start: Start) -> Past | None:
        """Find what is on disk of a segment; None if there is nothing."""
        return self._recorder.past(start)

    def driver(self, run: int) -> str | None:
        """Who drives a run; None if nobody does."""
        return self._recorder.driver(run)

    def read(self) -> None:
        """Take in what is on disk, and compute nothing."""
        self._started = True
        self._begin_runs()

    @property
    def _at_work(self) -> dict[str, float]:
        """What there is to tell of the engine."""
        return {"n_busy": self._engine.n_busy, "steps_per_second": self.steps_per_second}

    def checkpoint(self) -> None:
        """Bring everything to disk, running segments included."""
        reports, points = self._engine.checkpoint()
        self._take(reports)
        self._flush(points)

    def _flush(self, points: Iterable[Point] = (), *, closing: bool = False) -> None:
        try:
            self._recorder.flush(points, self._at_work, wall_time=self._wall_time, closing=closing)
        except BaseException:
            self._broken = True  # nothing may be written on top of what may be missing
            raise

    def close(self) -> None:
        """Bring everything to disk and let go of the run directory."""
        self._leave(can_checkpoint=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(can_checkpoint=kind is None)

    def _leave(self, *, can_checkpoint: bool) -> None:
        """Flush; running segments only if the engine was not left in the middle of a step."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._driving and self._started and not self._broken:
                reports, points = self._engine.checkpoint() if can_checkpoint else ([], [])
                self._take(reports)
                self._flush(points, closing=True)
        finally:
            self._recorder.close()
            self._engine.close()

    def _begin(self, starts: Iterable[Start]) -> None:
        """Start segments, and go on with those that are on disk."""
        starts = list(starts)
        self._recorder.start(starts)
        fresh, known = [], []
        for start in starts:
            past = None if start.ended else self._recorder.past(start)
            if past is not None:
                self._recorder.take_up(past)
                self._engine.resume(start, past.progress, past.point if self._driving else None)
                known.append(past.progress)
            elif not start.ended:
                fresh.append(start)
        self._engine.start(fresh)
        self._known += known

    def _take(self, reports: Iterable[Progress]) -> None:
        for progress in reports:
            self._recorder.add(progress)
            super()._take([progress])
        while self._known:
            known, self._known = self._known, []
            super()._take(known)

    def _carry_out(self, iteration: Iteration) -> None:
        self._recorder.decide(iteration)
        super()._carry_out(iteration)


def durable_study(
    settings: Settings,
    make_problem: Callable[[int], Problem],
    n_runs: int,
    seed: int | None,
    *,
    first_run: int,
    engine: Callable[[Problem], Engine],
    out: str | Path | Storage,
) -> DurableStudy:
    """Make a run directory, or open the one that is there if it holds this study, and prepare to go on with it.

    Parameters
    ----------
    settings, n_runs, seed, first_run, engine, out
        As in `TAMS.study`.
    make_problem
        Makes the problem of a seed.

    Raises
    ------
    RunDirectoryError
        If it holds another study, is in use, or the model's source has changed.
    SettingsError
        If it was made with another seed, or with more runs.
    """
    storage = out if isinstance(out, Storage) else Storage(path=Path(out))
    if first_run:
        raise SettingsError("first_run", "the runs of a run directory are numbered from 0")
    directory = None
    there = storage.path / "study.json"
    if not there.exists():
        problem = make_problem(draw_seed() if seed is None else seed)
        try:
            directory = RunDirectory.create(storage.path, _info(settings, problem, n_runs, storage))
        except RunDirectoryError:
            if not there.exists():  # else another driver was quicker to make it
                raise
    if directory is None:
        directory = _open(settings, make_problem(0).model, n_runs, seed, storage)
    info = directory.info
    problem = replace(make_problem(info.seed), traced=True, sparse_freq=info.sparse_freq)
    return DurableStudy(
        directory,
        problem,
        range(info.n_runs),
        engine,
        checkpoint_interval=storage.checkpoint_interval,
        runs_at_once=storage.runs_at_once,
    )


def _info(settings: Settings, problem: Problem, n_runs: int, storage: Storage) -> StudyInfo:
    return StudyInfo(
        settings=settings,
        seed=problem.seed,
        n_runs=n_runs,
        model=ModelSource(
            name=problem.model.name,
            reference=storage.model_reference,
            arguments=storage.model_arguments,
            sha256=source_sha256(problem.model),
        ),
        sparse_freq=storage.sparse_freq,
        archive_discarded=storage.archive_discarded,
        database_url=storage.database_url,
        runner=storage.runner,
    )


def _open(settings: Settings, model: Model, n_runs: int, seed: int | None, storage: Storage) -> RunDirectory:
    directory = RunDirectory(storage.path)
    info = directory.info
    if seed is not None and seed != info.seed:
        raise SettingsError("seed", f"{storage.path} was made with seed {info.seed}, not {seed}")
    for name in settings.__slots__:
        made_with = getattr(info.settings, name)
        if name != "max_branchings" and getattr(settings, name) != made_with:
            raise SettingsError(name, f"{storage.path} was made with {made_with!r}, not {getattr(settings, name)!r}")
    if model.name != info.model.name:
        raise RunDirectoryError(f"{storage.path} is of the model {info.model.name}, not {model.name}")
    sha256 = source_sha256(model)
    if sha256 != info.model.sha256 and not storage.force:
        raise RunDirectoryError(
            f"the source of {info.model.name} has changed since {storage.path} was made: put it back, start a new "
            "study, or go on at your own risk with --force (Storage(force=True))"
        )
    if storage.database_url is not None:
        directory.database_url = storage.database_url
    directory.extend(n_runs=n_runs, max_branchings=settings.max_branchings)
    return directory
