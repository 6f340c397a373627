"""Reading a run directory: the result, how far each run is, and the trajectories. Imports no user's code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import RunDirectoryError
from pytams.core.segments import Course, Link, Problem, SegmentKey, chain
from pytams.core.selection import checked_variant
from pytams.core.splitting import all_starts
from pytams.core.text import printable
from pytams.engine.replay import Replay
from pytams.models.learned.model import improved
from pytams.models.loading import make_model
from pytams.models.program.stored import REFERENCE, made_again
from pytams.storage.agreement import check_variant
from pytams.storage.directory import RunDirectory
from pytams.storage.identity import check_model, check_sources
from pytams.storage.lessons import read_score
from pytams.storage.saved_runs import SavedRuns
from pytams.storage.state_keeper import StateKeeper, keeper_of
from pytams.storage.trajectories import SavedLink, SavedTrajectory
from pytams.storage.views import study_html, study_plain, study_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pytams.analysis.result import Result
    from pytams.core.ports import Steppable
    from pytams.core.segments import Start
    from pytams.core.selection import Variant
    from pytams.core.splitting import Splitting
    from pytams.core.states import State
    from pytams.storage.history import History
    from pytams.storage.manifest import StudyInfo


class SavedStudy:
    """What a run directory holds at the moment it is opened; the study may be going on.

    Parameters
    ----------
    path
        The run directory.
    variant
        The splitting variant, if it is one of your own.
    database_url
        Of the database that its ledgers are in, if they are in one: it is connected to only if you name it, here or
        elsewhere (see docs/security.md).
    store
        The folder of its states, if that is not in it: ``States(store=...)``.

    Raises
    ------
    RunDirectoryError, StoreError, LedgerError
        If there is none, or something in it is damaged: the message names it.
    """

    def __init__(
        self,
        path: str | Path,
        variant: Variant | None = None,
        *,
        database_url: str | None = None,
        store: str | Path | None = None,
    ) -> None:
        self.directory = RunDirectory(Path(path), database_url)
        self.directory.check_runs()
        check_variant(self.directory.path, self.directory.info, checked_variant(variant))
        self._runs = SavedRuns(self.directory, checked_variant(variant))
        self._store = self._keeper(store)
        self._starts: dict[int, dict[SegmentKey, Start]] = {}

    @property
    def splittings(self) -> dict[int, Splitting]:
        """The state of each run of which something is recorded, by number: to look at."""
        return self._runs.splittings

    @property
    def damaged(self) -> list[int]:
        """Runs that were finished, and of which something is missing."""
        return self._runs.damaged

    def _keeper(self, store: str | Path | None) -> StateKeeper | None:
        """Find the states that are in files of their own; None if it is not said where they are."""
        info = self.directory.info
        if store is None:
            return None if info.states_are == "elsewhere" else keeper_of(self.directory.path, info)
        return keeper_of(self.directory.path, info, replace(info.states, store=store))

    def _history(self, start: Start) -> History | None:
        return self._runs.records(start.key.run).history(start, self.directory.segment_files)

    @property
    def n_finished(self) -> int:
        """Runs that are finished."""
        return len(self._runs.outcomes)

    @property
    def has_begun(self) -> bool:
        """Whether something of a run is recorded: whether there is a result."""
        return self._runs.have_begun

    @cached_property
    def result(self) -> Result:
        """The result of the finished runs; a provisional one, `so_far`, if there is none."""
        return self._runs.result(self) if self.n_finished else self.so_far

    @cached_property
    def so_far(self) -> Result:
        """All runs that have begun, as they are: provisional unless all are finished.

        Of a run that goes on, the estimate counts the trajectories that have reached the target so far.
        RunDirectoryError if none has begun.
        """
        return self._runs.result(self, so_far=True)

    def ensemble(self, **options: Any) -> Any:
        """Give the weighted ensemble, of what is finished or so far: `pytams.Result.ensemble` of `result`."""
        return self.result.ensemble(**options)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON: the result, if a run has begun, and how far each run is."""
        return study_plain(self, self._runs.to_dicts())

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """Where it all comes from: names and values."""
        return [("run directory", str(self.directory.path)), *self.directory.info.provenance]

    def __repr__(self) -> str:
        info = self.directory.info
        return f"<SavedStudy {self.directory.path}: {self.n_finished} of {info.n_runs} runs finished>"

    def _repr_html_(self) -> str:
        return study_html(self, self._runs.to_dicts())

    def __str__(self) -> str:
        return study_text(self, self._runs.to_dicts())

    def trajectories(self, run: int) -> list[SavedTrajectory]:
        """Get the ensemble of a run, by slot."""
        return [self.trajectory(run, slot, branch) for slot, branch in enumerate(self._runs.branches(run))]

    def at(self, run: int, k: int) -> list[SavedTrajectory]:
        """Get the ensemble that iteration k of a run began with, by slot; what runs now, as far as it is on disk.

        Raises
        ------
        KeyError
            If there is no such run, or it has not come so far.
        """
        iterations = self._runs.iterations(run)
        if not 0 <= k <= len(iterations):
            raise KeyError(f"run {run} has had {len(iterations)} iterations so far, not {k}")
        branches = [0] * self.directory.info.settings.n_trajectories
        for iteration in iterations[:k]:
            for start in iteration.starts:
                branches[start.key.slot] = start.key.branch
        return [self.trajectory(run, slot, branch) for slot, branch in enumerate(branches)]

    def discarded(self, run: int) -> list[SavedTrajectory]:
        """Get the trajectories that a run has killed, in order."""
        return [self.trajectory(*key) for iteration in self._runs.iterations(run) for key in iteration.killed]

    def trajectory(self, run: int, slot: int, branch: int | None = None) -> SavedTrajectory:
        """One trajectory: the last one of a slot, or an earlier branch.

        Raises
        ------
        KeyError
            If there was no such trajectory.
        """
        branches = self._runs.branches(run)
        if not 0 <= slot < len(branches):
            raise KeyError(f"run {run} has the slots 0 to {len(branches) - 1}, not {slot}")
        branch = branches[slot] if branch is None else branch
        if not 0 <= branch <= branches[slot]:
            raise KeyError(f"slot {slot} of run {run} has the branches 0 to {branches[slot]}, not {branch}")
        if run not in self._starts:
            n = self.directory.info.settings.n_trajectories
            self._starts[run] = all_starts(run, n, self._runs.iterations(run))
        key = SegmentKey(run, slot, branch)
        return self._found(chain(self._starts[run], key), key)

    def _found(self, links: Iterable[Link], key: SegmentKey | None = None) -> SavedTrajectory:
        """Find on disk what there is of a trajectory."""
        found = ((link, self._history(link.start)) for link in links)
        saved = tuple(SavedLink(*link, history) for link, history in found if history is not None)
        info = self.directory.info
        return SavedTrajectory(saved, info.settings, info.seed, self._states_of, self.make_model, self._store, key)

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        """Get trajectories, as `Result.ensemble` asks for them."""
        found = [self._found(links) for links in chains]
        if not states:
            return [Course(trajectory.scores, [], trajectory.features) for trajectory in found]
        if all(len(trajectory.states) == len(trajectory.scores) for trajectory in found):
            return [Course(trajectory.scores, trajectory.states) for trajectory in found]
        return replayed(found, self.make_model(), self.directory.info)

    def _states_of(self, trajectory: SavedTrajectory, model: Steppable | None) -> Sequence[State]:
        [course] = replayed([trajectory], model or self.make_model(), self.directory.info)
        return course.states

    def make_model(self) -> Steppable:
        """Import the model by its recorded reference: this runs the user's code.

        Raises
        ------
        RunDirectoryError
            If there is no reference, or its source has changed.
        """
        return _made(self.directory.path, self.directory.info)

    def close(self) -> None:
        """Close every file."""
        self.directory.segment_files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _made(path: Path, info: StudyInfo) -> Steppable:
    source = info.model
    if source.reference is None:
        raise RunDirectoryError(
            f"{printable(source.name)} was made in Python: pass the model there, as in trajectory.replay(model)"
        )
    check_sources(path, source)
    if source.reference == REFERENCE:
        model: Steppable = made_again(source.arguments, info.runner.get("launch", {}), path)
    else:
        model = make_model(source.reference, source.arguments, Path())
    if source.taught_by:
        model = improved(model, read_score(path), info.settings)
    check_model(path, source, model, source.reference)
    return model


def replayed(trajectories: Sequence[SavedTrajectory], model: Steppable, info: StudyInfo) -> list[Course]:
    """Compute trajectories again, and make sure that their scores are those on disk.

    Raises
    ------
    RunDirectoryError
        If they are not.
    """
    chains = [[Link(link.start, link.last_step) for link in trajectory.links] for trajectory in trajectories]
    store = StateKeeper(info.states, in_memory=True)
    courses = Replay(Problem.of(model, info.settings, info.seed, store=store)).courses(chains, states=True)
    for trajectory, course in zip(trajectories, courses, strict=True):
        if not np.array_equal(course.scores, trajectory.scores):
            key = trajectory.key
            raise RunDirectoryError(
                f"replaying run {key.run}, slot {key.slot}, branch {key.branch} gives other scores: "
                "is it the same model, on the same library versions?"
            )
    return courses
