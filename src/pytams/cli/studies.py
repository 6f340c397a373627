"""From a command to a study: begun or gone on with, with a score that is learned first or without."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from pytams.cli.config import Config
from pytams.cli.drive import Driven, Driving, config_of
from pytams.cli.effects import warn, without_effect
from pytams.cli.output import say_aside
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def begin(
    input_file: Path,
    overrides: Sequence[str],
    n_runs: int | None,
    seed: int | None,
    out: Path | None,
    *,
    overwrite: bool = False,
) -> Driven:
    """Run the study that an input file asks for, and learn its score first, if it asks for that."""
    config = Config.load(input_file, overrides)
    if overwrite and out is None:
        raise SettingsError("--overwrite", "there is nothing to move aside: say which directory, by --out DIR")
    if overwrite and out is not None and out.exists():
        _move_aside(out)
    shared = config.runner.runs_at_once is not None
    if out is not None and (out / "study.json").exists() and not shared:
        raise SettingsError(
            "--out", f"{out} holds a study already; go on with it: pytams resume {out}; or --overwrite"
        )
    warn(without_effect(config, has_directory=out is not None, begins=True))
    n_runs = config.arguments.n_runs if n_runs is None else n_runs
    seed = config.arguments.seed if seed is None else seed
    storage = None if out is None else config.storage(out)
    driving = Driving.begin(config, input_file, out)
    if config.learning.learn:
        from pytams.cli.learn import learn_and_run  # noqa: PLC0415 - takes SciPy

        return learn_and_run(driving, n_runs, seed, storage)
    result = driving.run(driving.make_tams(), n_runs, seed, storage)
    return Driven(result, was_stopped=driving.was_stopped)


def _move_aside(out: Path) -> None:
    """Move a run directory that nobody drives out of the way; SettingsError if it is none, or is driven."""
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - what only run directories need

    directory = RunDirectory(out)  # or it is none
    for run in directory.begun():
        with directory.ledger(run, read_only=True) as ledger:
            if (driver := ledger.driver()) is not None:
                raise SettingsError("--overwrite", f"run {run} of {out} is driven by {driver.label}: stop that first")
    names = (out.with_name(f"{out.name}.old{i}") for i in count(1))
    aside = next(name for name in names if not name.exists())
    out.rename(aside)
    say_aside(f"{out} is {aside} now")


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
    warn(without_effect(config, has_directory=True, begins=False))
    driving = Driving.begin(config, settings_file, directory)
    result = driving.run(driving.make_tams(), n_runs, config.arguments.seed, storage)
    if not lessons.are_there:
        return Driven(result, was_stopped=driving.was_stopped)
    from pytams.cli.learn import gain_in  # noqa: PLC0415 - likewise

    return Driven(result, gain_in(lessons, result, url), driving.was_stopped)
