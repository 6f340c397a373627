"""A run directory: what the study is, its ledgers and its segment files.

::

    dw.tams/
        study.json              settings, seed, model, versions: see `manifest`
        ledgers/run00000.db     one ledger a run (or a schema each of a PostgreSQL database)
        score.npz               its score, if that was learned: see `lessons`
        learning/               what it was learned from, if that was done here, too: see `lessons`
        segments/*.nc           immutable segment files, which the ledgers point at: see `segment_files`
        states/00000/ab/*       large states, if there are any: see `state_files`

Nothing in it is a path that leads out of it, so that it can be moved; opening it runs no code from it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.sqldb.runledger import RunLedger
from pytams.storage.agreement import check_ledger
from pytams.storage.databases import as_named
from pytams.storage.files import REPAIR, cannot_be_written, why_not, write_atomically
from pytams.storage.ledgers import Ledgers
from pytams.storage.manifest import LEARNING, SCORE, ModelSource, StudyInfo, read_manifest, write_manifest
from pytams.storage.segment_files import SegmentFiles
from pytams.storage.state_files import StateFiles

_LEFT_SECONDS = 3600.0
"""After that, nobody is writing a temporary file any more: it takes less than a second, and clocks differ by less."""


class RunDirectory:
    """The files of a study.

    Parameters
    ----------
    path
        The directory; it must hold a study.
    database_url
        Of the database that its ledgers are in, as its user has said it; None: in files, or in one that she has named
        elsewhere (see `databases`).

    Raises
    ------
    RunDirectoryError
        If it does not, or one that this version does not understand, or something in it leads out of it.
    SettingsError
        If its ledgers are in another database.
    """

    def __init__(self, path: Path, database_url: str | None = None) -> None:
        self.path = path
        self.is_new = False
        """Whether the study was made here."""
        self._own: list[Path] = []
        """Its folder, if that was made here, too."""
        self.info = read_manifest(path / "study.json")
        for folder in (path / Ledgers.subfolder, path / SegmentFiles.subfolder, path / StateFiles.subfolder):
            if (problem := why_not(folder, path)) is not None:
                raise RunDirectoryError(f"{folder} {problem}: nothing is read from it, or written to it")
        self.segment_files = SegmentFiles(path)
        self._ledgers = Ledgers(path, self.info, as_named(path, self.info.database_url, database_url))

    @classmethod
    def create(
        cls, path: Path, info: StudyInfo, database_url: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> RunDirectory:
        """Make a new one, with files of more than ``study.json``. The URL of its database has its password.

        Raises
        ------
        RunDirectoryError
            If there is something at this path already, or it cannot be made.
        """
        if (path / "study.json").exists():
            raise RunDirectoryError(f"{path} holds a study already: resume it, or choose another directory")
        if path.exists() and not (path.is_dir() and all(map(_is_ours, os.listdir(path)))):
            raise RunDirectoryError(f"{path} exists and is no run directory: choose another one")
        was_there = path.exists()
        try:
            (path / Ledgers.subfolder).mkdir(parents=True, exist_ok=True)
            (path / SegmentFiles.subfolder).mkdir(exist_ok=True)
            for name, content in (files or {}).items():
                write_atomically(path / name, content)
            write_manifest(path / "study.json", info, new=True)
        except FileExistsError:
            raise RunDirectoryError(f"{path} holds a study already: somebody was quicker to make it") from None
        except OSError as error:
            _, remedy = cannot_be_written(path, error)
            raise RunDirectoryError(f"{path} cannot be made: {error.strerror}; {remedy}, and try again") from error
        directory = cls(path, database_url)
        directory.is_new, directory._own = True, [] if was_there else [path]
        return directory

    def remove(self, ledgers: Mapping[int, RunLedger]) -> bool:
        """Unmake it, if nothing was computed. One with other ledgers than these, or with a database, stays.

        Parameters
        ----------
        ledgers
            By run. They are claimed, so that nobody else begins with them meanwhile.

        Returns
        -------
        bool
            Whether it was removed. Then the ledgers are closed.
        """
        if self.info.database_url is not None or set(self._ledgers.numbers()) != ledgers.keys():
            return False
        files = [path for run in ledgers for path in self.ledger_files(run)]
        for ledger in ledgers.values():
            ledger.close()
        with suppress(OSError):  # something else is there, or it may not be removed: it can be gone on with
            for path in (self.path / "study.json", self.path / SCORE, *files):
                path.unlink(missing_ok=True)
            for folder in (self.path / Ledgers.subfolder, self.path / SegmentFiles.subfolder, *self._own):
                folder.rmdir()
        return True

    def extend(self, *, n_runs: int, max_branchings: int | None) -> None:
        """Ask for more runs, or for more branchings in each; `save` makes it last.

        Raises
        ------
        SettingsError
            If it would be fewer.
        """
        settings = replace(self.info.settings, max_branchings=max_branchings)
        if n_runs < self.info.n_runs:
            raise SettingsError("n_runs", f"{self.path} has {self.info.n_runs} runs already; a study can only grow")
        if settings.cap < self.info.settings.cap:
            old = self.info.settings.max_branchings or "no limit"
            raise SettingsError("max_branchings", f"{self.path} was made with {old}; it can only be raised")
        self.info = replace(self.info, n_runs=n_runs, settings=settings)

    def note_model(self, model: ModelSource) -> None:
        """Note more of the model of a study from before that was noted; `save` makes it last."""
        self.info = replace(self.info, model=model)

    def save(self) -> None:
        """Write down what was asked for, if it is more than the study has by now: others may ask for more, too."""
        path = self.path / "study.json"
        if _extended(read_manifest(path), self.info) is None:
            return
        with self.ledger(0) as ledger, ledger.transaction():  # one driver at a time
            extended = _extended(read_manifest(path), self.info)
            if extended is not None:
                write_manifest(path, extended)

    def n_runs_now(self) -> int:
        """Read how many runs the study has by now: somebody may have asked for more."""
        return read_manifest(self.path / "study.json").n_runs

    def ledger(self, run: int, *, read_only: bool = False) -> RunLedger:
        """Open the ledger of a run, and make sure that it is of this study."""
        ledger = self._ledgers.open(run, read_only=read_only)
        try:
            check_ledger(self.path, self.info, ledger, run)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def begun(self) -> list[int]:
        """List the runs that have been begun: those that have a ledger."""
        return [run for run in self._ledgers.numbers() if run < self.info.n_runs]

    def has_ledger(self, run: int) -> bool:
        """Whether a run has been begun."""
        return self._ledgers.exists(run)

    def ledger_files(self, run: int) -> list[Path]:
        """List the files of a ledger that are there; none in a database."""
        return self._ledgers.files(run)

    def check_open_files(self, n_runs: int) -> None:
        """Make sure that this process may have so many ledgers open at a time."""
        self._ledgers.check_open_files(n_runs)

    def ledgers_are_lost(self) -> bool:
        """Whether there are segment files, and no ledger that could point at them."""
        return not self._ledgers.numbers() and not self._ledgers.set_aside() and bool(self.segment_files.paths())

    def check_runs(self) -> None:
        """Make sure that the runs that were computed have ledgers, and are no more than the study has.

        Raises
        ------
        RunDirectoryError
            If all ledgers are gone, or there is one of another run: ``study.json`` was edited, or is damaged.
        """
        if self.ledgers_are_lost():
            raise RunDirectoryError(
                f"{self._ledgers.place} is damaged: the ledgers of this study are missing, run00000.db and all "
                f"others, while its segment files are there: put them back, or {REPAIR}"
            )
        others = [run for run in self._ledgers.numbers() if run >= self.info.n_runs]
        for run in others:
            with self.ledger(run, read_only=True) as ledger:
                if run >= self.n_runs_now() and ledger.get_info("wall_time") is not None:
                    raise RunDirectoryError(
                        f"{self.path / 'study.json'} says that there are {self.info.n_runs} runs, but "
                        f"{ledger.name()} was computed, too: put the number back"
                    )

    def note(self, ledger: RunLedger) -> None:
        """Note in a ledger that is driven here what the study is now."""
        if ledger.get_info("study") != (facts := json.dumps(self.info.facts())):
            ledger.put_info("study", facts)

    def clean_up(self, ledgers: Iterable[RunLedger]) -> list[Path]:
        """Remove what nothing points at: left behind between a file and its commit, or half written.

        Parameters
        ----------
        ledgers
            Of all runs, none of which anybody else drives. If the study has more runs by now, nothing is removed:
            what was found may belong to one of them, and what was found before they were asked for does not.
        """
        found = [
            *self.segment_files.paths(),
            *filter(_is_left, [*self.path.glob("*.tmp*"), *(self.path / Ledgers.subfolder).glob("*.tmp*")]),
        ]
        if self.n_runs_now() != self.info.n_runs:
            return []
        known = {self.path / name for ledger in ledgers for name in ledger.files()}
        unused = [path for path in found if path not in known]
        for path in unused:
            with suppress(OSError):  # it is in nobody's way
                path.unlink()
        return unused


def _extended(there: StudyInfo, asked: StudyInfo) -> StudyInfo | None:
    """Merge what a study has with what is asked for; None if it has as much."""
    settings = asked.settings if asked.settings.cap > there.settings.cap else there.settings
    model = (
        asked.model
        if there.model.made_of is None
        else replace(there.model, caveat=asked.model.caveat, labels=asked.model.labels)
    )
    extended = replace(there, n_runs=max(there.n_runs, asked.n_runs), settings=settings, model=model)
    return None if extended == there else extended


def _is_left(path: Path) -> bool:
    """Whether a temporary file was left behind, by its age: study and ledgers are written by who holds no run yet."""
    try:
        return time.time() - path.stat().st_mtime > _LEFT_SECONDS
    except OSError:
        return False


def _is_ours(name: str) -> bool:
    """Whether another driver may have made this just now."""
    folders = {Ledgers.subfolder, SegmentFiles.subfolder, StateFiles.subfolder, LEARNING}
    return name in folders or name.startswith(("study.json", SCORE))
