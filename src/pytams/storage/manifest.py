"""``study.json``: what a study is. Readable, versioned, and checked like any other settings."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from pytams.core.distribution import VERSION
from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.labels import Labels
from pytams.core.settings import SECRET, Checked, NotNegative, RunCount, Seed, Settings
from pytams.sqldb.urls import without_password
from pytams.storage.files import cannot_be_written, why_not, write_atomically
from pytams.storage.options import States
from pytams.storage.strict_json import strict_json

FORMAT = 3
"""Version of the layout of a run directory. 1: before variants. 2: before what a model is made of was recorded."""
SCORE, LEARNING = "score.npz", "learning"
"""A learned score, and the folder of the rounds in which it was learned."""
_MOST_BYTES = 2**24
"""Of a ``study.json``: more is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource(Checked):
    """Where a model came from."""

    name: str
    reference: str | None = None
    """``path/to/file.py:Class`` (an absolute path) or ``package.module:Class``; None if it was made in Python."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What its constructor was given."""
    made_of: dict[str, str] | None = None
    """What its constructor was given, described: `pytams.models.fingerprint`. None before format 3."""
    sources: dict[str, str] | None = None
    """SHA-256 of its source files, by name: `pytams.models.sources`. None before format 3."""
    code: dict[str, str] = field(default_factory=dict)
    """Of the same: hashes of what Python makes of them. Empty before that was recorded."""
    sha256: str | None = None
    """Before format 3: hash of the one file that defines it; None if there is no such file."""
    taught_by: dict[str, list[int]] = field(default_factory=dict)
    """Runs, by seed, that its score was learned from; empty if it is the user's own. It is in ``score.npz``."""
    caveat: str = ""
    """Why its estimates are approximations, as it said itself; empty if they are not, or nobody asked it yet."""
    labels: Labels = field(default_factory=Labels)
    """What it is called in pictures."""

    @property
    def teachers(self) -> frozenset[tuple[int, int]]:
        """The same runs, by seed and number."""
        return frozenset((int(seed), run) for seed, runs in self.taught_by.items() for run in runs)

    def check_together(self) -> None:
        """Make sure that runs are by seeds."""
        if not all(seed.isdecimal() for seed in self.taught_by):
            raise SettingsError("taught_by", f"{', '.join(self.taught_by)}: seeds are whole numbers")

    def check_complete(self) -> None:
        """Make sure that it says what the model is made of: SettingsError if not."""
        for name in ("made_of", "sources"):
            if getattr(self, name) is None:
                raise SettingsError(f"model.{name}", "missing: without it, nobody knows which model it was")


def _versions() -> dict[str, str]:
    others = {name: version(name) for name in ("numpy", "sqlalchemy")}
    return {"python": platform.python_version(), "pytams": VERSION} | others


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInfo(Checked):
    """What a study is: the content of ``study.json``."""

    settings: Settings
    seed: Seed
    n_runs: RunCount
    model: ModelSource
    sparse_freq: NotNegative = 0
    archive_discarded: bool = True
    database_url: Annotated[str | None, SECRET] = field(default=None, repr=False)
    """Of a PostgreSQL database; without the password. It is only compared: see `databases`."""
    states: States = field(default_factory=States)
    """Which states get files of their own. Never says where they are: a directory may come from anybody."""
    states_are: Literal["along", "here", "elsewhere"] = "along"
    """Where such files are: in the directory, or outside, where the user has said; or there are none, as before there
    were such."""
    runner: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The settings of the engine, which change no bit of the result."""
    identity: str = field(default_factory=lambda: uuid4().hex[:12])
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=_versions)

    def check_together(self) -> None:
        """Make sure that its identity can be a part of names."""
        if not re.fullmatch("[0-9a-f]{1,32}", self.identity):
            raise SettingsError("identity", f"{self.identity!r} is not of hexadecimal digits")
        if self.states.store is not None or self.states.local is not None:
            raise SettingsError("states", "it names folders outside: pytams does not write that")

    def facts(self) -> dict[str, Any]:
        """Return what every bit of the runs depends on, and what is stored of them."""
        return {
            **self.settings.to_dict(),
            "seed": self.seed,
            "model": self.model.name,
            "arguments": self.model.arguments,
            "sparse_freq": self.sparse_freq,
            "archive_discarded": self.archive_discarded,
            "identity": self.identity,
        }

    @property
    def cap(self) -> str:
        """What a run is finished under, as its ledger has it: a higher cap on branchings may extend it."""
        return repr(self.settings.max_branchings)

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """Where it comes from: names and values, as people read them."""
        return [
            ("study", f"{self.identity}, begun {self.created}"),
            ("model", self.model.reference or f"{self.model.name} (made in Python)"),
            ("its arguments", json.dumps(self.model.arguments)),
            ("SHA-256 of its sources", self._sources),
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
        ]

    @property
    def _sources(self) -> str:
        sources = self.model.sources or {"its file": self.model.sha256 or "none"}
        return ", ".join(f"{name} {sha256}" for name, sha256 in sources.items())


def facts_from(text: str) -> dict[str, Any]:
    """Read the facts that a ledger was made with, by whatever version; ValueError or TypeError if they are none."""
    facts: dict[str, Any] = {"variant": "tams", "spin_up": 0} | strict_json(text)
    return facts


def write_manifest(path: Path, info: StudyInfo, *, new: bool = False) -> None:
    """Write ``study.json``; a new one only if there is none yet.

    Raises
    ------
    FileExistsError
        If there is one.
    RunDirectoryError
        If it cannot be written: then it is what it was.
    """
    url = info.database_url and without_password(info.database_url)
    content = {"format": FORMAT, **replace(info, database_url=url).to_dict()}
    try:
        write_atomically(path, json.dumps(content, indent=2).encode(), replace=not new)
    except FileExistsError:
        raise
    except OSError as error:
        raise RunDirectoryError("{}; {}, and try again".format(*cannot_be_written(path, error))) from error


def read_manifest(path: Path) -> StudyInfo:
    """Read ``study.json``, of this format or an older one.

    Raises
    ------
    RunDirectoryError
        If there is none, or it is not what was written: the message names the key.
    """
    try:
        content = strict_json(_text(path))
    except (FileNotFoundError, NotADirectoryError):
        if (path.parent / LEARNING / "plan.json").exists():
            text = "its score is still being learned, by what is in"
            raise RunDirectoryError(
                f"{path.parent}: {text} {path.parent / LEARNING}; pytams resume goes on"
            ) from None
        raise RunDirectoryError(f"{path.parent} is no run directory: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {error}") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if type(found) is not int:  # True is one, and 1.0 equals one
        raise RunDirectoryError(f"{path} is of format {found!r}, which is no number: was it edited?")
    if found not in _READERS:
        raise RunDirectoryError(
            f"{path} is of format {found}; this pytams reads formats up to {FORMAT}: use a newer one"
        )
    try:
        info = StudyInfo.checked(_READERS[found](content))
        if found == FORMAT:
            info.model.check_complete()
    except SettingsError as error:
        raise RunDirectoryError(f"{path} is not what was written: {error}") from error
    return info


def _text(path: Path) -> str:
    """Read it, if it is an ordinary file of this directory, and not a large one."""
    problem = why_not(path, path.parent)
    if problem is not None:
        raise RunDirectoryError(f"{path} {problem}: nothing is read from it")
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise RunDirectoryError(f"{path} has {size:,} bytes: pytams did not write that")
    return path.read_text(encoding="utf-8")


def _as_it_is(content: dict[str, Any]) -> dict[str, Any]:
    return content


_READERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _as_it_is, 2: _as_it_is, 3: _as_it_is}
"""Turn what an older format has into what this one has. What it lacks has defaults that say so."""
