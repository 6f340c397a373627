"""Making a run directory, or opening the one that is there if it holds this study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.streams import draw_seed
from pytams.models.loading import source_sha256
from pytams.sqldb.urls import without_password
from pytams.storage.directory import RunDirectory
from pytams.storage.manifest import ModelSource, StudyInfo

if TYPE_CHECKING:
    from pytams.core.ports import Steppable
    from pytams.core.settings import RunArguments, Settings
    from pytams.storage.options import Storage


def make_or_open(model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage) -> RunDirectory:
    """Make a run directory, or open the one that is there if it holds this study.

    Raises
    ------
    RunDirectoryError
        If it holds another study, is in use, or the model's source has changed.
    SettingsError
        If it was made with another seed, or with more runs.
    """
    if arguments.first_run:
        raise SettingsError("first_run", "the runs of a run directory are numbered from 0")
    there = storage.path / "study.json"
    if not there.exists():
        try:
            info = _info(model, settings, arguments, storage)
            return RunDirectory.create(storage.path, info, storage.database_url)
        except RunDirectoryError:
            if not there.exists():  # else another driver was quicker to make it
                raise
    return _open(model, settings, arguments, storage)


def _info(model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage) -> StudyInfo:
    return StudyInfo(
        settings=settings,
        seed=draw_seed() if arguments.seed is None else arguments.seed,
        n_runs=arguments.n_runs,
        model=ModelSource(
            name=model.name,
            reference=storage.model_reference,
            arguments=storage.model_arguments,
            sha256=source_sha256(model),
        ),
        sparse_freq=storage.sparse_freq,
        archive_discarded=storage.archive_discarded,
        database_url=storage.database_url and without_password(storage.database_url),
        runner=storage.runner,
    )


def _open(model: Steppable, settings: Settings, arguments: RunArguments, storage: Storage) -> RunDirectory:
    directory = RunDirectory(storage.path, storage.database_url)
    info = directory.info
    if arguments.seed is not None and arguments.seed != info.seed:
        raise SettingsError("seed", f"{storage.path} was made with seed {info.seed}, not {arguments.seed}")
    asked = settings.to_dict()
    for name, made_with in info.settings.to_dict().items():
        if name != "max_branchings" and asked[name] != made_with:
            raise SettingsError(name, f"{storage.path} was made with {made_with!r}, not {asked[name]!r}")
    if model.name != info.model.name:
        raise RunDirectoryError(f"{storage.path} is of the model {info.model.name}, not {model.name}")
    if source_sha256(model) != info.model.sha256 and not storage.force:
        raise RunDirectoryError(
            f"the source of {info.model.name} has changed since {storage.path} was made: put it back, start a new "
            "study, or go on at your own risk with --force (Storage(force=True))"
        )
    directory.extend(n_runs=arguments.n_runs, max_branchings=settings.max_branchings)
    return directory
