"""Where the ledgers of a run directory are: a file each, or a schema each of a PostgreSQL database."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.core.errors import RunDirectoryError
from pytams.sqldb.errors import NoAccessError, NoLedgerError
from pytams.sqldb.runledger import RunLedger
from pytams.sqldb.schemas import schemas
from pytams.sqldb.sqlite import SHARED_FILE_SYSTEMS, file_system
from pytams.sqldb.urls import parsed, shown
from pytams.storage.files import cannot_be_written, temporary, why_not, write_atomically

if TYPE_CHECKING:
    from pytams.storage.manifest import StudyInfo


class Ledgers:
    """The ledgers of a study.

    Parameters
    ----------
    folder
        The run directory.
    info
        What it is of.
    url
        Of the database that they are in, as its user has said it; None: in files.
    """

    subfolder = "ledgers"

    def __init__(self, folder: Path, info: StudyInfo, url: str | None) -> None:
        self._folder, self._facts, self._url = folder, info.facts(), url
        self._schema = ""
        """What the schemas of its ledgers begin with."""
        if info.database_url is not None:
            self._schema = f"{parsed(info.database_url).query.get('schema', 'pytams')}_{info.identity}"
        self._template: bytes | None = None

    def open(self, run: int, *, read_only: bool) -> RunLedger:
        """Open the ledger of a run; make it, if it may be written and is not there."""
        if self._url is None:
            for suffix in ("", "-wal", "-shm", "-journal"):
                path = Path(self._location(run) + suffix)
                problem = why_not(path, self._folder)
                if problem is not None:
                    raise RunDirectoryError(f"{path} {problem}: nothing is read from it, or written to it")
            if not read_only and not self.exists(run):
                self._copy_template(Path(self._location(run)))
        return RunLedger(self._location(run), ro_mode=read_only)

    def _copy_template(self, path: Path) -> None:
        """Put an empty ledger of this study in place: quicker than to make its tables again for every run."""
        try:
            path.parent.mkdir(exist_ok=True)
            if self._template is None:
                with temporary(path) as where:
                    with RunLedger(str(where)) as ledger:
                        ledger.put_info("study", json.dumps(self._facts))
                    self._template = where.read_bytes()
            with suppress(FileExistsError):  # another driver was quicker
                write_atomically(path, self._template, replace=False, sync=False)
        except OSError as error:
            raise NoAccessError(*cannot_be_written(path, error)) from error

    def numbers(self) -> list[int]:
        """List the runs that have a ledger."""
        if self._url is None:
            names, pattern = _names(self._folder / self.subfolder), r"run(\d{5,})\.db"
        else:
            names, pattern = schemas(self._url), rf"{re.escape(self._schema)}_run(\d{{5,}})"
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(pattern, name)))

    def set_aside(self) -> list[str]:
        """List the files of ledgers that `repair` has set aside."""
        return [name for name in _names(self._folder / self.subfolder) if ".db.damaged-" in name]

    def check_open_files(self, n_runs: int) -> None:
        """Make sure that this process may have so many of them open at a time.

        Raises
        ------
        RunDirectoryError
            If the system does not allow it.
        """
        if self._url is not None or not hasattr(os, "sysconf"):
            return
        is_shared = file_system(self._folder / self.subfolder) in SHARED_FILE_SYSTEMS
        n_files = n_runs * (1 if is_shared else 3)  # itself, its log, and the index of that
        limit = os.sysconf("SC_OPEN_MAX")  # -1 if there is none
        if 0 < limit < n_files:
            raise RunDirectoryError(
                f"{self._folder}: to drive {n_runs} runs at a time takes {n_files} open files, and this process may "
                f"have {limit}: allow more (ulimit -n), or drive fewer at a time (runs_at_once)"
            )

    @property
    def place(self) -> str:
        """Where they are, without a password."""
        return str(self._folder / self.subfolder) if self._url is None else shown(self._url)

    def exists(self, run: int) -> bool:
        """Whether a run has a ledger."""
        if self._url is None:
            return os.path.lexists(self._location(run))
        try:
            RunLedger(self._location(run), ro_mode=True).close()
        except NoLedgerError:
            return False
        return True

    def files(self, run: int) -> list[Path]:
        """List the files of a ledger that are there: itself, its log and the index of that; none in a database."""
        if self._url is not None:
            return []
        path = Path(self._location(run))
        files = [path.with_name(f"{path.name}{suffix}") for suffix in ("", "-wal", "-shm")]
        return [path for path in files if path.exists()]

    def _location(self, run: int) -> str:
        if self._url is None:
            return str(self._folder / self.subfolder / f"run{run:05d}.db")
        url = parsed(self._url).update_query_dict({"schema": f"{self._schema}_run{run:05d}"})
        return url.render_as_string(hide_password=False)


def _names(folder: Path) -> list[str]:
    """List what is in a folder; nothing if there is none."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunDirectoryError(
            f"{folder} cannot be read: {error.strerror}; see that it may be, and try again"
        ) from error
