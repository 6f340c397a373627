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
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.sqldb.errors import NoLedgerError
from pytams.sqldb.runledger import RunLedger
from pytams.sqldb.schemas import schemas
from pytams.sqldb.urls import parsed
from pytams.storage.databases import as_named
from pytams.storage.files import why_not, write_atomically
from pytams.storage.manifest import StudyInfo, facts_from, read_manifest, write_manifest
from pytams.storage.segment_files import SegmentFiles


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
        self.info = read_manifest(path / "study.json")
        for name in ("ledgers", SegmentFiles.subfolder):
            self._refuse_what_leads_out(path / name)
        self.segment_files = SegmentFiles(path)
        self._template: bytes | None = None
        self._database_url = as_named(path, self.info.database_url, database_url)

    @classmethod
    def create(cls, path: Path, info: StudyInfo, database_url: str | None = None) -> RunDirectory:
        """Make a new one. The URL of its database is given with its password.

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
        return cls(path, database_url)

    def extend(self, *, n_runs: int, max_branchings: int | None) -> None:
        """Ask for more runs, or for more branchings in each.

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
        changed = replace(self.info, n_runs=n_runs, settings=settings)
        if changed != self.info:
            write_manifest(self.path / "study.json", changed)
            self.info = changed

    def ledger(self, run: int, *, read_only: bool = False) -> RunLedger:
        """Open the ledger of a run, and make sure that it is of this study."""
        if self._database_url is None:
            for suffix in ("", "-wal", "-shm", "-journal"):
                self._refuse_what_leads_out(Path(self._location(run) + suffix))
            if not read_only and not self.has_ledger(run):
                self._copy_template(Path(self._location(run)))
        ledger = RunLedger(self._location(run), ro_mode=read_only)
        try:
            self._check(ledger, run, read_only=read_only)
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

    def begun(self) -> list[int]:
        """List the runs that have been begun: those that have a ledger."""
        if self._database_url is None:
            names = os.listdir(self.path / "ledgers") if (self.path / "ledgers").is_dir() else []
            pattern = r"run(\d{5,})\.db"
        else:
            names = schemas(self._database_url)
            pattern = rf"{re.escape(self._schema)}_run(\d{{5,}})"
        runs = [int(found[1]) for name in names if (found := re.fullmatch(pattern, name))]
        return sorted(run for run in runs if run < self.info.n_runs)

    def has_ledger(self, run: int) -> bool:
        """Whether a run has been begun."""
        if self._database_url is None:
            return os.path.lexists(self._location(run))
        try:
            RunLedger(self._location(run), ro_mode=True).close()
        except NoLedgerError:
            return False
        return True

    def _location(self, run: int) -> str:
        if self._database_url is None:
            return str(self.path / "ledgers" / f"run{run:05d}.db")
        url = parsed(self._database_url).update_query_dict({"schema": f"{self._schema}_run{run:05d}"})
        return url.render_as_string(hide_password=False)

    @property
    def _schema(self) -> str:
        """What the schemas of its ledgers begin with."""
        assert self.info.database_url is not None
        return f"{parsed(self.info.database_url).query.get('schema', 'pytams')}_{self.info.identity}"

    def _refuse_what_leads_out(self, path: Path) -> None:
        problem = why_not(path, self.path)
        if problem is not None:
            raise RunDirectoryError(f"{path} {problem}: nothing is read from it, or written to it")

    def _check(self, ledger: RunLedger, run: int, *, read_only: bool) -> None:
        """Compare the settings with those of the ledger; only the cap on branchings may have risen."""
        facts = self.info.facts()
        n_rows, n = ledger.get_trajectory_count(), self.info.settings.n_trajectories
        if n_rows not in {0, n}:
            raise RunDirectoryError(
                f"{self.path / 'study.json'}: n_trajectories is {n}, but {ledger.name()} has {n_rows} of them: "
                "one of the two was edited, or is damaged"
            )
        text = ledger.get_info("study")
        try:
            made_with = facts if text is None else facts_from(text)
        except (TypeError, ValueError) as error:
            what = f"{ledger.name()}: what it says of its study is not what was written"
            raise RunDirectoryError(f"{what}: {error}") from error
        cap = made_with.get("max_branchings")
        if isinstance(cap, int) and cap < self.info.settings.cap:
            made_with = made_with | {"max_branchings": facts["max_branchings"]}
        for name in facts | made_with:
            if facts.get(name) != made_with.get(name):
                raise RunDirectoryError(
                    f"{self.path / 'study.json'}: {name} is {facts.get(name)!r}, but run {run} was made with "
                    f"{made_with.get(name)!r}: put it back, or start a new study"
                )
        if not read_only and text != json.dumps(facts):
            ledger.put_info("study", json.dumps(facts))

    def clean_up(self, ledgers: Iterable[RunLedger]) -> list[str]:
        """Remove segment files that none of these ledgers, which must be all there are, points at."""
        return self.segment_files.remove_others(name for ledger in ledgers for name in ledger.files())


def _is_ours(name: str) -> bool:
    """Whether another driver may have made this just now."""
    return name in {"ledgers", SegmentFiles.subfolder} or name.startswith("study.json")
