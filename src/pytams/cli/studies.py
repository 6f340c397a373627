"""From a command to a study: begun or gone on with, with a score that is learned first or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.cli.drive import Driven, Driving, config_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytams.cli.config import Config
    from pytams.storage.options import Storage


def drive(
    config: Config,
    n_runs: int,
    seed: int | None,
    storage: Storage | None,
    settings_file: Path | None,
    directory: Path | None,
) -> Driven:
    """Run a study, and learn its score first, if that is asked for."""
    driving = Driving.begin(config, settings_file, directory)
    if config.learning.learn:
        from pytams.cli.learn import learn_and_run  # noqa: PLC0415 - takes SciPy

        return learn_and_run(driving, n_runs, seed, storage)
    return Driven(driving.run(config.make_tams(), n_runs, seed, storage))


def go_on(
    directory: Path,
    n_runs: int | None,
    settings: Sequence[str],
    settings_file: Path | None,
    url: str | None,
    *,
    force: bool,
) -> Driven:
    """Go on with the study in a run directory, if it is of the same model."""
    from pytams.storage.lessons import Lessons  # noqa: PLC0415 - what only run directories need

    overrides = [*settings, *([] if url is None else [f"database.url={url}"])]
    lessons = Lessons(directory)
    if lessons.are_there and not (directory / "study.json").exists():
        from pytams.cli.learn import go_on_learning  # noqa: PLC0415 - takes SciPy

        return go_on_learning(lessons, n_runs, overrides, settings_file, force=force)
    config = config_of(directory, overrides, settings_file, force=force)
    n_runs = config.arguments.n_runs if n_runs is None else n_runs
    storage = config.storage(directory, force=force)
    driving = Driving.begin(config, settings_file, directory)
    result = driving.run(config.make_tams(), n_runs, config.arguments.seed, storage)
    if not lessons.are_there:
        return Driven(result)
    from pytams.cli.learn import gain_in  # noqa: PLC0415 - likewise

    return Driven(result, gain_in(lessons, result, url))
