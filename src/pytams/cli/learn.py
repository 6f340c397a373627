"""Learning the score of a study from the command line: in the study's own directory, or in memory."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

import pytams
from pytams.analysis.work import Work, cautious
from pytams.cli.drive import Driven, Driving, config_of
from pytams.cli.effects import warn, without_effect
from pytams.cli.output import say_aside
from pytams.cli.signals import InterruptError
from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.streams import draw_seed
from pytams.core.text import printable
from pytams.models.learned.model import her_model
from pytams.models.simulator.simulator import Simulator
from pytams.storage.lessons import Lessons, Plan, read_score
from pytams.storage.manifest import read_manifest
from pytams.tams.gain import Gain
from pytams.tams.improving import Rounds, check_seed, improve, nothing_to_gain
from pytams.tams.plan import Learning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytams.models.learned.score import LearnedScore
    from pytams.storage.options import Storage
    from pytams.storage.reader import SavedStudy
    from pytams.tams.tams import TAMS


_WAIT_SECONDS = 1.0
"""Between looks at runs that others drive."""


class _Driven(Rounds):
    """Rounds that are driven as any study is: in ``learning/``, if there is a directory."""

    def __init__(self, seed: int, driving: Driving, lessons: Lessons | None) -> None:
        super().__init__(seed)
        self._driving, self._lessons = driving, lessons
        self._said: set[int] = set()
        self._saved: dict[int, SavedStudy] = {}

    def score(self, number: int) -> LearnedScore | None:
        """Read the score that a round was begun with."""
        return None if self._lessons is None else self._lessons.score(number)

    def run(self, number: int, tams: TAMS, n_runs: int) -> pytams.Result:
        """Make the runs of a round, or what is missing of them."""
        if number not in self._said:
            say_aside("pilot, with its own score:" if number == 0 else f"round {number}, with a learned score:")
            self._said.add(number)
        self._let_go(number)
        storage = None
        if self._lessons is not None:
            storage = self._driving.config.storage(self._lessons.round(number))
            n_runs = max(n_runs, self._lessons.n_runs(number))  # more had been asked for when it was left
        result = self._driving.run(tams, n_runs, self.seed(number), storage, is_lesson=True)
        while result.n_unfinished:  # others drive them: if one of them gives up, its runs are free
            sleep(_WAIT_SECONDS)
            result = self._driving.run(tams, n_runs, self.seed(number), storage, is_lesson=True)
        if storage is None or not isinstance(her_model(tams.model), Simulator):
            return result
        self._saved[number] = pytams.load(storage.path, database_url=storage.database_url)
        return self._saved[number].result  # it has what the simulator has said: nothing is computed again

    def _let_go(self, number: int) -> None:
        saved = self._saved.pop(number, None)
        if saved is not None:
            saved.close()

    def close(self) -> None:
        """Let go of what has been read."""
        for number in list(self._saved):
            self._let_go(number)


def learn_and_run(driving: Driving, n_runs: int, seed: int | None, storage: Storage | None) -> Driven:
    """Learn a score, and run the study with it, or with the user's own if that is better."""
    how, lessons = driving.config.learning, None if storage is None else Lessons(storage.path)
    if seed is None:
        seed = lessons.plan().seed if lessons is not None and lessons.are_there else draw_seed()
    if lessons is not None and not (lessons.path / "study.json").exists():
        lessons.begin(Plan(n_runs=n_runs, seed=seed, pilot_runs=how.pilot_runs, rounds=how.rounds))
    return _learned(driving, n_runs, seed, storage, lessons)


def _learned(
    driving: Driving,
    n_runs: int,
    seed: int,
    storage: Storage | None,
    lessons: Lessons | None,
    pilot: pytams.Result | Work | None = None,
) -> Driven:
    how = driving.config.learning
    where = _Driven(seed, driving, lessons)
    try:
        with driving.stop.listening(), closing(where):  # also between the studies
            tams = driving.make_tams()
            own = None if lessons is None else lessons.pilot_score
            tams = tams if own is None else tams.with_score(own)
            improvement = improve(tams, pilot, pilot_runs=how.pilot_runs, rounds=how.rounds, where=where)
            which = "the pilot's" if improvement.score is None else "the learned"
            say_aside(f"study, with {which} score:")
            result = driving.run(improvement.tams, n_runs, seed, storage)
    except KeyboardInterrupt:
        raise InterruptError from None
    return Driven(result, improvement.gain.measured_by(result), driving.was_stopped)


def improve_study(
    pilot: Path,
    out: Path,
    n_runs: int | None,
    seed: int | None,
    how: Sequence[str],
    settings_file: Path | None,
    url: str | None,
) -> Driven:
    """Learn a score from the study in a run directory, check it, and run the same study with it in another."""
    lessons = Lessons(out)
    if (out / "study.json").exists() or lessons.has_begun(1):
        raise SettingsError("--out", f"{out} holds a study already; go on with it: pytams resume {out}")
    overrides = [*how, *([] if url is None else [f"database.url={url}"])]
    info = read_manifest(pilot / "study.json")
    if info.model.reference is None:
        text = "was made in Python: improve it there, by pytams.improve(tams, pytams.load(...))"
        raise SettingsError("PILOT", f"{printable(info.model.name)} {text}")
    config = config_of(pilot, overrides, settings_file)
    with pytams.load(pilot, database_url=url) as saved:
        result = saved.result
        if result.n_unfinished:
            raise RunDirectoryError(f"{pilot} is not finished: go on with it first, by pytams resume {pilot}")
        check_seed(seed, result)
        driving = Driving.begin(config, settings_file, out)
        if seed is None:
            seed = lessons.plan().seed if lessons.are_there else draw_seed()
        n_runs = config.arguments.n_runs if n_runs is None else n_runs
        learning = config.learning
        plan = Plan(
            n_runs=n_runs,
            seed=seed,
            pilot_runs=learning.pilot_runs,
            rounds=learning.rounds,
            pilot=Work.of(result.runs).to_dict(),
            pilot_path=os.path.relpath(pilot.resolve(), out.resolve()),
        )
        lessons.begin(plan, read_score(pilot) if info.model.taught_by else None)
        return _learned(driving, n_runs, seed, config.storage(out), lessons, result)


def go_on_learning(
    lessons: Lessons, n_runs: int | None, overrides: Sequence[str], settings_file: Path | None, *, force: bool
) -> Driven:
    """Go on where a score was being learned."""
    plan = lessons.plan()
    first = 0 if plan.pilot is None else 1
    if not lessons.has_begun(first):
        raise RunDirectoryError(
            f"{lessons.path}: nothing has been computed yet: give the command again that has begun it"
        )
    config = config_of(lessons.round(first), overrides, settings_file, force=force, own_score=True)
    warn(without_effect(config, has_directory=True, begins=False))
    config.learning = Learning(pilot_runs=plan.pilot_runs, rounds=plan.rounds)
    driving = Driving.begin(config, settings_file, lessons.path)
    n_runs = plan.n_runs if n_runs is None else n_runs
    storage = config.storage(lessons.path, force=force)
    go_on = partial(_learned, driving, n_runs, plan.seed, storage, lessons)
    path = lessons.pilot_path
    if path is None:
        return go_on(plan.pilot_work)
    with pytams.load(path, database_url=storage.database_url) as saved:
        pilot = saved.result
        return go_on(pilot if Work.of(pilot.runs) == plan.pilot_work else plan.pilot_work)


def gain_in(lessons: Lessons, study: pytams.Result | None, url: str | None) -> Gain | None:
    """Say what has been learned in a run directory, as far as it has got; None if not even the pilot has ended."""
    plan = lessons.plan()
    pilot = plan.pilot_work
    works: list[Work] = [] if pilot is None else [pilot]
    most = [work.value for work in works]
    scores: list[LearnedScore | None] = [None] * len(works)
    for number in range(len(works), plan.rounds + 1):
        if not lessons.has_begun(number):
            break
        with pytams.load(lessons.round(number), database_url=url) as saved:
            if not _is_finished(saved):
                break
            works.append(Work.of(saved.result.runs))
            most.append(cautious(saved.result.runs))
            scores.append(lessons.score(number))
    if not works:
        return None
    gain = Gain(works=tuple(works), cautious=tuple(most), scores=tuple(scores), ended=nothing_to_gain(works[0]))
    return gain if study is None else gain.measured_by(study)


def _is_finished(saved: SavedStudy) -> bool:
    return saved.n_finished == saved.directory.info.n_runs
