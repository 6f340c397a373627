"""Making a run directory, or opening the one that is there if it holds this study."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.labels import Labels
from pytams.core.ports import caveat_of
from pytams.core.segments import Problem
from pytams.core.streams import draw_seed
from pytams.core.text import printable
from pytams.models.fingerprint import warnings_of
from pytams.models.learned.model import learned_score
from pytams.sqldb.urls import without_password
from pytams.storage.directory import RunDirectory
from pytams.storage.identity import check_model, sources_of
from pytams.storage.journal import RunJournal
from pytams.storage.lessons import by_seed, score_files
from pytams.storage.manifest import ModelSource, StudyInfo
from pytams.storage.options import States, Storage
from pytams.storage.state_keeper import keeper_of

if TYPE_CHECKING:
    from pytams.core.ports import Steppable
    from pytams.core.selection import Variant
    from pytams.core.settings import RunArguments, Settings

MOST_RUNS = 1_000_000
"""In a run directory: each has a ledger, and who goes on with a study looks at every run."""

_logger = logging.getLogger("pytams")


def open_study(
    model: Steppable,
    settings: Settings,
    variant: Variant,
    arguments: RunArguments,
    out: str | Path | Storage,
    states: States | None,
) -> tuple[Problem, range, RunJournal]:
    """Open a run directory to write to: what to solve, which runs there are, and the journal.

    Raises
    ------
    RunDirectoryError, SettingsError
        As `make_or_open`.
    """
    storage = out if isinstance(out, Storage) else Storage(path=Path(out))
    for text in warnings_of(model.name, model.made_of):
        _logger.warning(text)
    directory = make_or_open(model, settings, arguments, storage, states)
    info = directory.info
    store = keeper_of(directory.path, info, states)
    problem = Problem.of(
        model,
        info.settings,
        info.seed,
        traced=True,
        sparse_freq=info.sparse_freq,
        store=store,
        every=1 if store is None else store.options.every,
    )
    journal = RunJournal(
        directory,
        variant,
        checkpoint_interval=storage.checkpoint_interval,
        runs_at_once=storage.runs_at_once,
        store=store,
    )
    return problem, range(info.n_runs), journal


def make_or_open(
    model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage, states: States | None = None
) -> RunDirectory:
    """Make a run directory, or open the one that is there if it holds this study.

    Raises
    ------
    RunDirectoryError
        If it holds another study, or is of another model.
    SettingsError
        If it was made with another seed, or with more runs.
    """
    if arguments.first_run:
        raise SettingsError("first_run", "the runs of a run directory are numbered from 0")
    if arguments.n_runs > MOST_RUNS:
        raise SettingsError(
            "n_runs", f"{arguments.n_runs} is more than the {MOST_RUNS:,} runs of a run directory at most"
        )
    there = storage.path / "study.json"
    if not there.exists():
        try:
            info = _info(model, settings, arguments, storage, states or States())
            with_it = score_files(learned_score(model))
            return RunDirectory.create(storage.path, info, storage.database_url, with_it)
        except RunDirectoryError:
            if not there.exists():  # else another driver was quicker to make it
                raise
    return _open(model, settings, arguments, storage)


def _info(
    model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage, states: States
) -> StudyInfo:
    learned = learned_score(model)
    sources = sources_of(model, storage.model_reference)
    return StudyInfo(
        settings=settings,
        seed=draw_seed() if arguments.seed is None else arguments.seed,
        n_runs=arguments.n_runs,
        model=ModelSource(
            name=model.name,
            reference=storage.model_reference,
            arguments=storage.model_arguments,
            made_of=dict(model.made_of),
            sources=sources.sha256,
            code=sources.code,
            taught_by=by_seed(learned),
            caveat=caveat_of(model),
            labels=Labels.of(model),
        ),
        sparse_freq=storage.sparse_freq,
        archive_discarded=storage.archive_discarded,
        database_url=storage.database_url and without_password(storage.database_url),
        states=replace(states, store=None, local=None),
        states_are="here" if states.store is None else "elsewhere",
        runner=storage.runner,
    )


def _open(model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage) -> RunDirectory:
    directory = RunDirectory(storage.path, storage.database_url)
    info, said = directory.info, storage.path / "study.json"
    if arguments.seed is not None and arguments.seed != info.seed:
        raise SettingsError("seed", f"{said} says that it was made with seed {info.seed}, not {arguments.seed}")
    asked = settings.to_dict()
    for name, made_with in info.settings.to_dict().items():
        if name != "max_branchings" and asked[name] != made_with:
            raise SettingsError(name, f"{said} says that it was made with {made_with!r}, not {asked[name]!r}")
    if model.name != info.model.name:
        raise RunDirectoryError(f"{said} is of the model {printable(info.model.name)}, not {model.name}")
    if not storage.force:
        check_model(storage.path, info.model, model, storage.model_reference)
    directory.extend(n_runs=arguments.n_runs, max_branchings=settings.max_branchings)
    noted = replace(info.model, caveat=caveat_of(model), labels=Labels.of(model))
    if noted.made_of is None:  # before format 3
        sources = sources_of(model, storage.model_reference)
        noted = replace(noted, made_of=dict(model.made_of), sources=sources.sha256, code=sources.code)
    directory.note_model(noted)
    directory.check_runs()
    return directory
