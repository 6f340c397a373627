"""Driving a study from the command line: until it ends, or is to stop."""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytams.cli.config import Config
from pytams.cli.effects import threads_without_effect, warn
from pytams.cli.output import aside, keep_from_models, say_aside, set_up_logging
from pytams.cli.signals import INTERRUPTED, STOPPED, InterruptError, Stop
from pytams.tams.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

    import pytams
    from pytams.storage.options import Storage
    from pytams.tams.gain import Gain
    from pytams.tams.tams import TAMS


class Driven(NamedTuple):
    """What came of it."""

    result: pytams.Result
    gain: Gain | None = None
    """By a score that was learned; None if none was."""
    was_stopped: bool = False
    """Whether it is to be gone on with."""


class StoppedError(Exception):
    """There is no result to show, and why has been said.

    Parameters
    ----------
    code
        That the process exits with.
    """

    def __init__(self, code: int) -> None:
        super().__init__("no run is finished yet")
        self.code = code


@dataclass
class Driving:
    """How this process drives studies.

    Settings file and directory are called as the user calls them.
    """

    config: Config
    settings_file: Path | None
    directory: Path | None
    stop: Stop
    was_stopped: bool = False
    """Whether a study has not ended because it was to stop."""

    @classmethod
    def begin(cls, config: Config, settings_file: Path | None, directory: Path | None) -> Self:
        """Set up logging and signals. From here on, the model's code runs."""
        keep_from_models(set_up_logging(config.session.loglevel, config.session.logfile))
        return cls(config, settings_file, directory, Stop(config.session.walltime))

    def make_tams(self) -> TAMS:
        """Make the model, and TAMS; and say if it has no use for threads that were asked for."""
        tams = self.config.make_tams()
        warn(threads_without_effect(self.config, tams.model))
        return tams

    def run(
        self, tams: TAMS, n_runs: int, seed: int | None, storage: Storage | None, *, is_lesson: bool = False
    ) -> pytams.Result:
        """Run a study until it ends or is to stop, and say how to go on if it has not ended.

        Raises
        ------
        StoppedError
            If no run is finished, or a score is being learned, or somebody has pressed Ctrl-C.
        """
        config, stop = self.config, self.stop
        shows_prints = config.session.logfile is None
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
                    verify=verify,
                ) as study,
            ):
                if study.note:
                    say_aside(study.note)
                with Progress(study, aside(), shows_prints=shows_prints) as progress:
                    stop.is_at_once = True  # until it is verified
                    for _ in study.by_runs():
                        stop.is_at_once = False
                        progress.look()
                        if stop.reason:
                            break
        except KeyboardInterrupt:
            if not stop.is_at_once:
                raise InterruptError from None
        if stop.reason and study.n_finished < len(study.runs):
            self._say_how_to_go_on(study, is_lesson=is_lesson)
        unfinished = study.unfinished_elsewhere
        for first, last, why in _spans(unfinished):
            which = f"run {first} is" if first == last else f"runs {first} to {last} are"
            say_aside(f"{which} not finished: {why}")
        try:
            return study.result()
        except RuntimeError:
            say_aside("no run is finished yet")
            raise StoppedError(0) from None

    def _say_how_to_go_on(self, study: pytams.Study, *, is_lesson: bool) -> None:
        """After a stop: print the command that goes on; and raise, unless finished runs can be reported."""
        stop = self.stop
        while_learning = "while the score was learned, " if is_lesson else ""
        text = f"stopped by {stop.reason}, {while_learning}{study.n_finished} of {len(study.runs)} runs finished"
        if self.directory is not None and not _can_be_resumed(self.directory):
            text += "; nothing of it is on disk yet: begin again"
        elif self.directory is not None:
            command = self._resuming(self.directory)
            text += f"; everything is on disk, go on with:  {shlex.join(command)}"
        say_aside(text)
        self.was_stopped = True
        if is_lesson or not study.n_finished or stop.signal is signal.SIGINT:
            raise StoppedError(INTERRUPTED if stop.signal is signal.SIGINT else STOPPED)

    def _resuming(self, directory: Path) -> list[str]:
        """Make the command that goes on: with what is not taken from the directory, but for passwords."""
        from pytams.sqldb.urls import without_password  # noqa: PLC0415 - what only run directories need

        storage, states = self.config.storage(directory), self.config.states
        settings_file = self.settings_file if self.config.must_be_said_again else None
        words = ["pytams", "resume", str(directory)]
        if states.store is not None:
            words += ["--set", f"states.store={states.store}"]
        if storage.database_url is not None:
            words += ["--url", without_password(storage.database_url)]
        return words if settings_file is None else [*words, "--settings", str(settings_file)]


def _can_be_resumed(directory: Path) -> bool:
    """Whether a study has got so far that there is something to go on with."""
    from pytams.storage.lessons import Lessons  # noqa: PLC0415 - what only run directories need

    return (directory / "study.json").exists() or Lessons(directory).are_there


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


def config_of(
    directory: Path,
    overrides: Sequence[str],
    settings_file: Path | None,
    *,
    force: bool = False,
    own_score: bool = False,
) -> Config:
    """Get the settings of a study in a run directory: what is refused is refused before any of it is executed."""
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - what only run directories need
    from pytams.storage.identity import check_sources  # noqa: PLC0415 - likewise
    from pytams.storage.manifest import read_manifest  # noqa: PLC0415 - likewise
    from pytams.storage.state_keeper import keeper_of  # noqa: PLC0415 - likewise

    info = read_manifest(directory / "study.json")
    config = Config.of_study(directory, info, overrides, settings_file, own_score=own_score)
    RunDirectory(directory, config.storage(directory).database_url)
    keeper_of(directory, info, config.states)
    if not force:
        check_sources(directory, info.model)
    return config
