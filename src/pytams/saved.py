"""Reading a run directory: the result, how far each run is, and the trajectories. Imports no user's code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams import _state
from pytams.durable import DurableStudy
from pytams.ensemble import Course
from pytams.errors import RunDirectoryError
from pytams.loading import make_model, source_sha256
from pytams.model import Model
from pytams.replay import Replay
from pytams.rundir import RunDirectory
from pytams.splitting import all_starts
from pytams.trajectory import Link, Problem, SegmentKey, chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.past import Past
    from pytams.result import Result
    from pytams.splitting import Splitting
    from pytams.trajectory import Point, Progress, Start


class SavedStudy:
    """What a run directory holds at the moment it is opened; the study may be going on.

    Parameters
    ----------
    path
        The run directory.

    Raises
    ------
    RunDirectoryError, StoreError, LedgerError
        If there is none, or something in it is damaged: the message names it.
    """

    def __init__(self, path: str | Path) -> None:
        self.directory = RunDirectory(Path(path))
        info = self.directory.info
        settings = info.settings
        self._problem = Problem(
            model=_Absent(info.model.name),
            n_steps=round(settings.end_time / settings.step_size),
            step_size=settings.step_size,
            target_score=settings.target_score,
            seed=info.seed,
        )
        self._study = DurableStudy(self.directory, self._problem, range(info.n_runs), _Nobody, driving=False)
        self._study.read()
        self._starts: dict[SegmentKey, Start] = {}
        for run, splitting in self.splittings.items():
            self._starts |= all_starts(run, len(splitting.members), splitting.iterations)

    @property
    def splittings(self) -> dict[int, Splitting]:
        """The state of each run that has begun."""
        return self._study.splittings

    @cached_property
    def result(self) -> Result:
        """The result of the finished runs; RunDirectoryError if none is."""
        try:
            result = self._study.result()
        except RuntimeError:
            raise RunDirectoryError(f"{self.directory.path}: no run is finished yet") from None
        return replace(result, n_unfinished=self.directory.info.n_runs - len(result.runs), source=self)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON: the result, if a run is finished, and how far each run is."""
        info = self.directory.info
        finished = any(splitting.finished for splitting in self.splittings.values())
        return {
            "directory": str(self.directory.path),
            "model": info.model.name,
            "seed": info.seed,
            "created": info.created,
            "versions": info.versions,
            "result": self.result.to_dict() if finished else None,
            "runs": [
                {
                    "run": run,
                    "finished": splitting.finished,
                    "level": splitting.level if splitting.iterations else None,
                    "n_iterations": len(splitting.iterations),
                    "n_branchings": splitting.n_branchings,
                    "driver": self._study.driver(run),
                }
                for run, splitting in self.splittings.items()
            ],
        }

    def __str__(self) -> str:
        info, splittings = self.directory.info, self.splittings
        n_finished = sum(splitting.finished for splitting in splittings.values())
        lines = [f"{self.directory.path}: {n_finished} of {info.n_runs} runs finished, begun {info.created}"]
        if n_finished:
            lines += ["", str(self.result)]
        unfinished = {run: splitting for run, splitting in splittings.items() if not splitting.finished}
        if unfinished:
            target = info.settings.target_score
            lines += ["", f"{'run':>5}  {'level':>10} of {target:g}  {'branchings':>10}  driver"]
            for run, splitting in unfinished.items():
                level = f"{splitting.level:.4g}" if splitting.iterations else "-"
                driver = self._study.driver(run) or "none: pytams resume goes on with it"
                lines.append(f"{run:>5}  {level:>10} of {target:g}  {splitting.n_branchings:>10}  {driver}")
        return "\n".join(lines)

    def trajectories(self, run: int) -> list[SavedTrajectory]:
        """Get the ensemble of a run, by slot."""
        members = self._splitting(run).members
        return [self.trajectory(run, slot, member.start.key.branch) for slot, member in enumerate(members)]

    def discarded(self, run: int) -> list[SavedTrajectory]:
        """Get the trajectories that a run has killed, in order."""
        iterations = self._splitting(run).iterations
        return [self.trajectory(*key) for iteration in iterations for key in iteration.killed]

    def trajectory(self, run: int, slot: int, branch: int | None = None) -> SavedTrajectory:
        """One trajectory: the last one of a slot, or an earlier branch.

        Raises
        ------
        KeyError
            If there was no such trajectory.
        """
        if branch is None:
            branch = self._splitting(run).members[slot].start.key.branch
        return self._found(chain(self._starts, SegmentKey(run, slot, branch)))

    def _found(self, links: Iterable[Link]) -> SavedTrajectory:
        """Find on disk what there is of a trajectory."""
        pasts = ((link, self._study.past(link.start)) for link in links)
        return SavedTrajectory(self, tuple(_Link(*link, past) for link, past in pasts if past is not None))

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        """Get trajectories, as `Result.ensemble` asks for them."""
        found = [self._found(links) for links in chains]
        if not states:
            return [Course(trajectory.scores, []) for trajectory in found]
        if self.directory.info.sparse_freq == 1:
            return [Course(trajectory.scores, trajectory.states) for trajectory in found]
        return self.replayed(found, self.make_model())

    def replayed(self, trajectories: Sequence[SavedTrajectory], model: Model) -> list[Course]:
        """Compute trajectories again, and make sure that their scores are those on disk."""
        chains = [[Link(link.start, link.last_step) for link in trajectory.links] for trajectory in trajectories]
        courses = Replay(replace(self._problem, model=model)).courses(chains, states=True)
        for trajectory, course in zip(trajectories, courses, strict=True):
            if not np.array_equal(course.scores, trajectory.scores):
                key = trajectory.key
                raise RunDirectoryError(
                    f"replaying run {key.run}, slot {key.slot}, branch {key.branch} gives other scores: "
                    "is it the same model, on the same library versions?"
                )
        return courses

    def _splitting(self, run: int) -> Splitting:
        if run not in self.splittings:
            raise KeyError(f"{self.directory.path} has no run {run}")
        return self.splittings[run]

    def make_model(self) -> Model:
        """Import the model by its recorded reference: this runs the user's code.

        Raises
        ------
        RunDirectoryError
            If there is no reference, or the source has changed.
        """
        source = self.directory.info.model
        if source.reference is None:
            raise RunDirectoryError(f"{source.name} was made in Python: pass the model")
        model = make_model(source.reference, source.arguments, Path())
        if source_sha256(model) != source.sha256:
            raise RunDirectoryError(f"the source of {source.name} has changed since {self.directory.path} was made")
        return model

    def close(self) -> None:
        """Close every file."""
        self._study.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Link:
    """A segment of a chain."""

    start: Start
    last: int | None
    """The step at which the chain leaves it; None: its own last one."""
    past: Past

    @property
    def last_step(self) -> int:
        return self.past.step if self.last is None else self.last

    @property
    def scores(self) -> NDArray[np.float64]:
        return self.past.scores[: self.last_step - self.past.first_step + 1]


@dataclass(frozen=True)
class SavedTrajectory:
    """A trajectory: a chain of segments, each simulated once and shared by all who descend from it."""

    study: SavedStudy
    links: tuple[_Link, ...]

    @property
    def key(self) -> SegmentKey:
        """Its last segment: its own, or the one it shares, if there was nothing left to simulate."""
        return self.links[-1].start.key

    @property
    def segments(self) -> list[tuple[SegmentKey, int, int]]:
        """Each segment with its first and last step in this trajectory."""
        return [(link.start.key, link.past.first_step, link.last_step) for link in self.links]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The score at every step from 0 on, shape ``(steps,)``."""
        return np.concatenate([link.scores for link in self.links])

    @property
    def times(self) -> NDArray[np.float64]:
        """The time of every score, in the model's unit."""
        return np.arange(len(self.scores)) * np.float64(self.study.directory.info.settings.step_size)

    @cached_property
    def _stored(self) -> tuple[list[int], list[State]]:
        steps: list[int] = []
        states: list[State] = []
        for link in self.links:
            for step, state in link.past.stored():
                if step <= link.last_step:
                    steps.append(step)
                    states.append(state)
        return steps, states

    @property
    def state_times(self) -> NDArray[np.float64]:
        """The times of the stored states."""
        return np.array(self._stored[0], dtype=np.float64) * self.study.directory.info.settings.step_size

    @property
    def states(self) -> Sequence[State]:
        """The stored states: at records, unless more was asked for."""
        return self._stored[1]

    def replay(self, model: Model | None = None) -> list[State]:
        """Compute the state at every step again, to the same bits.

        Parameters
        ----------
        model
            The model; by default it is imported by its recorded reference.

        Raises
        ------
        RunDirectoryError
            If the model cannot be had, or does not give the recorded scores.
        """
        [course] = self.study.replayed([self], model or self.study.make_model())
        return list(course.states)

    def to_xarray(self) -> Any:
        """Make an `xarray.Dataset`: scores over `time`, stored states over `state_time`.

        Raises
        ------
        ImportError
            Without xarray: ``pip install pytams[xarray]``.
        """
        import xarray as xr  # noqa: PLC0415 - an extra

        variables: dict[str, Any] = {"score": ("time", self.scores)}
        for name, column in _state.columns(self.states).items():
            inner = [f"{name}_{i}" for i in range(column.ndim - 1)]
            variables[name] = (["state_time", *inner], column)
        return xr.Dataset(
            variables,
            {"time": self.times, "state_time": self.state_times},
            dict(zip(SegmentKey._fields, self.key, strict=True)),
        )


class _Absent(Model):
    """Stands for the model of a study that is only read."""

    noise_shape = ()

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def initial_state(self, rng: np.random.Generator) -> Any:
        raise NotImplementedError

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        raise NotImplementedError

    def score(self, state: Any, t: Any) -> Any:
        raise NotImplementedError


class _Nobody:
    """The engine of a study that is only read."""

    n_steps = n_busy = 0

    def __init__(self, problem: Problem) -> None:
        pass

    def start(self, starts: Iterable[Start]) -> None:
        """Start nothing."""

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Hold nothing."""

    def pass_level(self, run: int, level: float) -> None:
        """Hold nothing."""

    def advance(self) -> list[Progress]:
        """Advance nothing."""
        return []

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Have nothing to tell."""
        return [], []

    def resume(self, start: Start, past: Progress, point: Point | None) -> None:
        """Go on with nothing."""

    def close(self) -> None:
        """Hold nothing."""
