"""A run directory: what the study is, its ledgers and its segment files.

::

    dw.tams/
        study.json              settings, seed, model, versions: see `manifest`
        ledgers/run00000.db     one ledger a run (or a schema each of a PostgreSQL database)
        segments/*.nc           immutable segment files, which the ledgers point at: see `segment_files`

Nothing in it is a path that leads out of it, so that it can be moved; opening it runs no code from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from sqlalchemy import make_url

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.sqldb.errors import NoLedgerError
from pytams.sqldb.runledger import RunLedger
from pytams.storage.files import write_atomically
from pytams.storage.manifest import StudyInfo, facts_from, read_manifest, write_manifest
from pytams.storage.segment_files import SegmentFiles


class RunDirectory:
    """The files of a study.

    Parameters
    ----------
    path
        The directory; it must hold a study.

    Raises
    ------
    RunDirectoryError
        If it does not, or one that this version does not understand.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = read_manifest(path / "study.json")
        self.segment_files = SegmentFiles(path)
        self._template: bytes | None = None
        self.database_url = self.info.database_url
        """May be replaced by one with a password."""

    @classmethod
    def create(cls, path: Path, info: StudyInfo) -> RunDirectory:
        """Make a new one.

        Raises
        ------
        RunDirectoryError
            If there is something at this path already, or it cannot be made.
        """
        if (path / "study.json").exists():
            raise RunDirectoryError(f"{path} holds a study already: resume it, or choose another directory")
        if path.exists() and not (path.is_dir() and all(map(_is_ours, os.listdir(path)))):
            raise RunDirectoryError(f"{path} exists and is no run directory: choose another one")
        try:
            (path / "ledgers").mkdir(parents=True, exist_ok=True)
            (path / SegmentFiles.subfolder).mkdir(exist_ok=True)
            write_manifest(path / "study.json", info, new=True)
        except FileExistsError:
            raise RunDirectoryError(f"{path} holds a study already: somebody was quicker to make it") from None
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be made: {error.strerror}") from error
        directory = cls(path)
        directory.database_url = info.database_url
        return directory

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
            old = self.info.settings.max_branchings
            raise SettingsError("max_branchings", f"{self.path} was made with {old}; it can only be raised")
        self.info = replace(self.info, n_runs=n_runs, settings=settings)

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
        if not read_only and self.database_url is None and not self.has_ledger(run):
            self._copy_template(Path(self._location(run)))
        ledger = RunLedger(self._location(run), ro_mode=read_only)
        try:
            self._check(ledger, run)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def _copy_template(self, path: Path) -> None:
        """Put an empty ledger of this study in place: quicker than to make its tables again for every run."""
        if self._template is None:
            temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
            with RunLedger(str(temporary)) as ledger:
                ledger.put_info("study", json.dumps(self.info.facts()))
            self._template = temporary.read_bytes()
            temporary.unlink()
        with suppress(FileExistsError):  # another driver was quicker
            write_atomically(path, self._template, replace=False, sync=False)

    def has_ledger(self, run: int) -> bool:
        """Whether a run has been begun."""
        if self.database_url is None:
            return Path(self._location(run)).is_file()
        try:
            RunLedger(self._location(run), ro_mode=True).close()
        except NoLedgerError:
            return False
        return True

    def check_runs(self) -> None:
        """Make sure that no more runs were computed than the study has.

        Raises
        ------
        RunDirectoryError
            If there is a ledger of another one: ``study.json`` was edited, or is damaged.
        """
        for path in sorted((self.path / "ledgers").glob("run*.db")):
            number = path.stem.removeprefix("run")
            if number.isdigit() and int(number) >= max(self.info.n_runs, self.n_runs_now()):
                with RunLedger(str(path), ro_mode=True) as ledger:
                    if ledger.get_info("wall_time") is not None:
                        raise RunDirectoryError(
                            f"{self.path / 'study.json'} says that there are {self.info.n_runs} runs, but {path} was "
                            "computed, too: put the number back"
                        )

    def ledger_files(self, run: int) -> list[Path]:
        """List the files of a ledger on SQLite that are there: itself, its log, and the index of that."""
        path = Path(self._location(run))
        files = [path.with_name(f"{path.name}{suffix}") for suffix in ("", "-wal", "-shm")]
        return [path for path in files if path.exists()]

    def _location(self, run: int) -> str:
        if self.database_url is None:
            return str(self.path / "ledgers" / f"run{run:05d}.db")
        url = make_url(self.database_url)
        schema = f"{url.query.get('schema', 'pytams')}_{self.info.identity}_run{run:05d}"
        return url.update_query_dict({"schema": schema}).render_as_string(hide_password=False)

    def note(self, ledger: RunLedger) -> None:
        """Note in a ledger that is driven here what the study is now."""
        facts = json.dumps(self.info.facts())
        if ledger.get_info("study") != facts:
            ledger.put_info("study", facts)

    def _check(self, ledger: RunLedger, run: int) -> None:
        """Compare the settings with those of the ledger; only the cap on branchings may have risen."""
        facts = self.info.facts()
        text = ledger.get_info("study")
        made_with = facts if text is None else facts_from(text)
        cap = "max_branchings"
        if _as_cap(made_with.get(cap)) < self.info.settings.cap:
            made_with = made_with | {cap: facts[cap]}
        for name in facts | made_with:
            if facts.get(name) != made_with.get(name):
                raise RunDirectoryError(
                    f"{self.path / 'study.json'}: {name} is {facts.get(name)!r}, but run {run} was made with "
                    f"{made_with.get(name)!r}: put it back, or start a new study"
                )

    def clean_up(self, ledgers: Iterable[RunLedger]) -> list[Path]:
        """Remove what nothing points at: left behind between a file and its commit, or half written.

        Parameters
        ----------
        ledgers
            Of all runs, none of which anybody else drives. If the study has more runs by now, nothing is removed:
            what was found may belong to one of them, and what was found before they were asked for does not.
        """
        found = [*self.segment_files.paths(), *self.path.glob("*.tmp"), *(self.path / "ledgers").glob("*.tmp")]
        if self.n_runs_now() != self.info.n_runs:
            return []
        known = {self.path / name for ledger in ledgers for name in ledger.files()}
        unused = [path for path in found if path not in known]
        for path in unused:
            path.unlink(missing_ok=True)
        return unused


def _extended(there: StudyInfo, asked: StudyInfo) -> StudyInfo | None:
    """Merge what a study has with what is asked for; None if it has as much."""
    settings = asked.settings if asked.settings.cap > there.settings.cap else there.settings
    extended = replace(there, n_runs=max(there.n_runs, asked.n_runs), settings=settings)
    return None if extended == there else extended


def _as_cap(max_branchings: int | None) -> float:
    return float("inf") if max_branchings is None else max_branchings


def _is_ours(name: str) -> bool:
    """Whether another driver may have made this just now."""
    return name in {"ledgers", SegmentFiles.subfolder} or name.startswith("study.json")
