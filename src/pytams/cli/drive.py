"""Driving a study from the command line: until it ends, or is to stop."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from pytams.cli.config import Config
from pytams.cli.meter import Progress
from pytams.cli.output import keep_from_models, say_aside, set_up_logging
from pytams.cli.signals import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytams
    from pytams.storage.options import States, Storage


class InterruptError(Exception):
    """Ctrl-C, under a name that the command-line library leaves alone."""


def drive(
    config: Config,
    n_runs: int,
    seed: int | None,
    storage: Storage | None,
    settings_file: Path | None,
    directory: Path | None,
) -> pytams.Result:
    """Run a study until it ends or is to stop, and say how to go on if it has not ended.

    Settings file and directory are called as the user calls them. From here on, the model's code runs.
    """
    keep_from_models(set_up_logging(config.session.loglevel, config.session.logfile))
    stop = Stop(config.session.walltime)
    tams = config.make_tams()
    progress = Progress(Console(stderr=True), shows_prints=config.session.logfile is None)
    verify = config.session.verify
    try:
        with (
            stop.listening(),
            tams.study(
                n_runs,
                seed,
                engine=config.engine,
                out=storage,
                states=config.states,
                observers=[progress],
                verify=verify,
            ) as study,
        ):
            if study.note:
                say_aside(study.note)
            with progress:
                stop.is_at_once = True  # until it is verified
                for _ in study:
                    stop.is_at_once = False
                    if stop.reason:
                        break
    except KeyboardInterrupt:
        if not stop.is_at_once:
            raise InterruptError from None
    if stop.reason and study.n_finished < len(study.runs):
        file = settings_file if config.must_be_said_again else None
        _say_how_to_go_on(stop, study, [] if storage is None else _resuming(storage, config.states, file, directory))
    for first, last, why in _spans(study.unfinished_elsewhere):
        which = f"run {first} is" if first == last else f"runs {first} to {last} are"
        say_aside(f"{which} not finished: {why}")
    try:
        return study.result()
    except RuntimeError:
        say_aside("no run is finished yet")
        raise typer.Exit from None


def _spans(reasons: Mapping[int, str]) -> list[tuple[int, int, str]]:
    """Put runs together that follow each other and have the same reason: first, last, reason."""
    spans: list[tuple[int, int, str]] = []
    for run, why in sorted(reasons.items()):
        if spans and spans[-1][1:] == (run - 1, why):
            run_before, _, _ = spans.pop()
            spans.append((run_before, run, why))
        else:
            spans.append((run, run, why))
    return spans


def go_on(
    directory: Path,
    n_runs: int | None,
    settings: Sequence[str],
    settings_file: Path | None,
    url: str | None,
    *,
    force: bool,
) -> pytams.Result:
    """Go on with the study in a run directory, if it is of the same model."""
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - what only run directories need
    from pytams.storage.identity import check_sources  # noqa: PLC0415 - likewise
    from pytams.storage.manifest import read_manifest  # noqa: PLC0415 - likewise
    from pytams.storage.state_keeper import keeper_of  # noqa: PLC0415 - likewise

    info = read_manifest(directory / "study.json")
    overrides = [*settings, *([] if url is None else [f"database.url={url}"])]
    config = Config.of_study(directory, info, overrides, settings_file)
    storage = config.storage(directory, force=force)
    RunDirectory(directory, storage.database_url)  # what is refused is refused before any of it is executed
    keeper_of(directory, info, config.states)
    if not force:
        check_sources(directory, info.model)
    n_runs = config.arguments.n_runs if n_runs is None else n_runs
    return drive(config, n_runs, config.arguments.seed, storage, settings_file, directory)


def _resuming(storage: Storage, states: States, settings_file: Path | None, directory: Path | None) -> list[str]:
    """Make the command that goes on with a study: with what is not taken from its directory, but for passwords."""
    from pytams.sqldb.urls import without_password  # noqa: PLC0415 - what only run directories need

    words = ["pytams", "resume", str(directory)]
    if states.store is not None:
        words += ["--set", f"states.store={states.store}"]
    if storage.database_url is not None:
        words += ["--url", without_password(storage.database_url)]
    return words if settings_file is None else [*words, "--settings", str(settings_file)]


def _say_how_to_go_on(stop: Stop, study: pytams.Study, command: list[str]) -> None:
    """After a stop: print the command that goes on. Exit, unless finished runs can be reported."""
    text = f"stopped by {stop.reason}, {study.n_finished} of {len(study.runs)} runs finished"
    if command:
        text += f"; everything is on disk, go on with:  {shlex.join(command)}"
    say_aside(text)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)
    if not study.n_finished:
        raise typer.Exit
