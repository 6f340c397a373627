"""A run directory: what the study is, its ledgers and its segment files.

::

    dw.tams/
        study.json              settings, seed, model, versions: readable, written once
        ledgers/run00000.db     one ledger a run (or a schema each of a PostgreSQL database)
        segments/*.nc           immutable segment files, which the ledgers point at

Nothing in it is a path that leads out of it, so that it can be moved; opening it runs no code from it.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import make_url

from pytams.errors import RunDirectoryError, SettingsError
from pytams.runresult import Settings
from pytams.sqldb import NoLedgerError, RunLedger
from pytams.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
"""Version of the layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where a model came from."""

    name: str
    reference: str | None = None
    """``path/to/file.py:Class`` (an absolute path) or ``package.module:Class``; None if it was made in Python."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What its constructor was given."""
    sha256: str | None = None
    """Hash of the file that defines it; None if there is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInfo:
    """What a study is: the content of ``study.json``."""

    settings: Settings
    seed: int
    n_runs: int
    model: ModelSource
    sparse_freq: int = 0
    archive_discarded: bool = True
    database_url: str | None = None
    """Of a PostgreSQL database; without the password."""
    runner: dict[str, Any] = field(default_factory=dict)
    """The settings of the engine, which change no bit of the result."""
    identity: str = field(default_factory=lambda: uuid4().hex[:12])
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: _versions())  # noqa: PLW0108 - defined below

    def facts(self) -> dict[str, Any]:
        """Return what every bit of the runs depends on, and what is stored of them."""
        return {
            **asdict(self.settings),
            "seed": self.seed,
            "model": self.model.name,
            "arguments": self.model.arguments,
            "sparse_freq": self.sparse_freq,
            "archive_discarded": self.archive_discarded,
            "identity": self.identity,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How a study is written."""

    path: Path
    """The run directory."""
    sparse_freq: int = 0
    """Store the state at every n-th step, beside those at records; 1: all, 0: records only."""
    archive_discarded: bool = True
    """Whether discarded trajectories go to the archive, with their states."""
    checkpoint_interval: float = 60.0
    """Seconds after which running segments are written, too."""
    database_url: str | None = None
    """Of a PostgreSQL database for the ledgers; None: SQLite files in the run directory."""
    model_reference: str | None = None
    """How to import the model again: `ModelSource.reference`."""
    model_arguments: dict[str, Any] = field(default_factory=dict)
    runner: dict[str, Any] = field(default_factory=dict)
    """Settings of the engine, to be used again."""
    runs_at_once: int | None = None
    """Claim so many runs at most, those that nobody drives and that are not finished: for drivers that share a study.
    None: all that nobody drives."""
    force: bool = False
    """Go on although the model's source has changed."""


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
        self.info = _read(path / "study.json")
        self.store = Store(path)
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
            (path / Store.subfolder).mkdir(exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be made: {error.strerror}") from error
        shown = info.database_url and make_url(info.database_url).set(password=None).render_as_string()
        _write(path / "study.json", replace(info, database_url=shown), new=True)
        directory = cls(path)
        directory.database_url = info.database_url
        return directory

    def extend(self, *, n_runs: int, max_branchings: int | None) -> None:
        """Ask for more runs, or for more branchings in each."""
        old = self.info.settings.max_branchings
        if n_runs < self.info.n_runs:
            raise SettingsError("n_runs", f"{self.path} has {self.info.n_runs} runs already; a study can only grow")
        if (max_branchings or float("inf")) < (old or float("inf")):
            raise SettingsError("max_branchings", f"{self.path} was made with {old}; it can only be raised")
        changed = replace(
            self.info, n_runs=n_runs, settings=replace(self.info.settings, max_branchings=max_branchings)
        )
        if changed != self.info:
            _write(self.path / "study.json", changed)
            self.info = changed

    def ledger(self, run: int, *, read_only: bool = False) -> RunLedger:
        """Open the ledger of a run, and make sure that it is of this study."""
        if not read_only and self.database_url is None and not self.has_ledger(run):
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
        temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
        if self._template is None:
            with RunLedger(str(temporary)) as ledger:
                ledger.put_info("study", json.dumps(self.info.facts()))
            self._template = temporary.read_bytes()
        temporary.write_bytes(self._template)
        with suppress(FileExistsError):  # another driver was quicker
            path.hardlink_to(temporary)
        temporary.unlink()

    def has_ledger(self, run: int) -> bool:
        """Whether a run has been begun."""
        if self.database_url is None:
            return Path(self._location(run)).is_file()
        try:
            RunLedger(self._location(run), ro_mode=True).close()
        except NoLedgerError:
            return False
        return True

    def _location(self, run: int) -> str:
        if self.database_url is None:
            return str(self.path / "ledgers" / f"run{run:05d}.db")
        url = make_url(self.database_url)
        schema = f"{url.query.get('schema', 'pytams')}_{self.info.identity}_run{run:05d}"
        return url.update_query_dict({"schema": schema}).render_as_string(hide_password=False)

    def _check(self, ledger: RunLedger, run: int, *, read_only: bool) -> None:
        """Compare the settings with those of the ledger; only the cap on branchings may have risen."""
        facts = self.info.facts()
        text = ledger.get_info("study")
        if text is None:
            if not read_only:
                ledger.put_info("study", json.dumps(facts))
            return
        made_with = json.loads(text)
        cap = "max_branchings"
        if (made_with.get(cap) or float("inf")) < (facts[cap] or float("inf")):
            made_with[cap] = facts[cap]
            if not read_only:
                ledger.put_info("study", json.dumps(facts))
        for name in facts | made_with:
            if facts.get(name) != made_with.get(name):
                raise RunDirectoryError(
                    f"{self.path / 'study.json'}: {name} is {facts.get(name)!r}, but run {run} was made with "
                    f"{made_with.get(name)!r}: put it back, or start a new study"
                )

    def clean_up(self, ledgers: Iterable[RunLedger]) -> list[str]:
        """Remove segment files that none of these ledgers, which must be all there are, points at."""
        return self.store.remove_others(name for ledger in ledgers for name in ledger.files())


def _is_ours(name: str) -> bool:
    """Whether another driver may have made this just now."""
    return name in {"ledgers", Store.subfolder} or name.startswith("study.json")


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in ("pytams", "numpy", "sqlalchemy")}


def _write(path: Path, info: StudyInfo, *, new: bool = False) -> None:
    """Write the whole file or nothing; a new one only if there is none yet."""
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(info)}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    if not new:
        temporary.rename(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise RunDirectoryError(f"{path.parent} holds a study already: somebody was quicker to make it") from None
    finally:
        temporary.unlink()


def _read(path: Path) -> StudyInfo:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunDirectoryError(f"{path.parent} is no run directory: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {error}") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != FORMAT:
        raise RunDirectoryError(f"{path} is of format {found}; this pytams reads format {FORMAT}: use a newer one")
    try:
        return StudyInfo(
            **content | {"settings": Settings(**content["settings"]), "model": ModelSource(**content["model"])}
        )
    except (KeyError, TypeError) as error:
        raise RunDirectoryError(f"{path} is not what was written: {error}") from error
