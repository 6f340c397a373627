"""``study.json``: what a study is. Readable, versioned, and checked like any other settings."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import make_url

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.settings import Checked, Count, NotNegative, Seed, Settings
from pytams.storage.files import write_atomically

FORMAT = 2
"""Version of the layout of a run directory. 1: before variants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource(Checked):
    """Where a model came from."""

    name: str
    reference: str | None = None
    """``path/to/file.py:Class`` (an absolute path) or ``package.module:Class``; None if it was made in Python."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What its constructor was given."""
    sha256: str | None = None
    """Hash of the file that defines it; None if there is no such file."""


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in ("pytams", "numpy", "sqlalchemy")}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInfo(Checked):
    """What a study is: the content of ``study.json``."""

    settings: Settings
    seed: Seed
    n_runs: Count
    model: ModelSource
    sparse_freq: NotNegative = 0
    archive_discarded: bool = True
    database_url: str | None = None
    """Of a PostgreSQL database; without the password."""
    runner: dict[str, Any] = field(default_factory=dict)
    """The settings of the engine, which change no bit of the result."""
    identity: str = field(default_factory=lambda: uuid4().hex[:12])
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=_versions)

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
    def provenance(self) -> list[tuple[str, str]]:
        """Where it comes from: names and values, as people read them."""
        return [
            ("study", f"{self.identity}, begun {self.created}"),
            ("model", self.model.reference or f"{self.model.name} (made in Python)"),
            ("its arguments", json.dumps(self.model.arguments)),
            ("SHA-256 of its source", self.model.sha256 or "none"),
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
        ]


def facts_from(text: str) -> dict[str, Any]:
    """Read the facts that a ledger was made with, by whatever version."""
    facts: dict[str, Any] = {"variant": "tams"} | json.loads(text)
    return facts


def write_manifest(path: Path, info: StudyInfo, *, new: bool = False) -> None:
    """Write ``study.json``; a new one only if there is none yet.

    Raises
    ------
    FileExistsError
        If there is one.
    """
    url = info.database_url and make_url(info.database_url).set(password=None).render_as_string()
    content = {"format": FORMAT, **replace(info, database_url=url).to_dict()}
    write_atomically(path, json.dumps(content, indent=2).encode(), replace=not new)


def read_manifest(path: Path) -> StudyInfo:
    """Read ``study.json``, of this format or an older one.

    Raises
    ------
    RunDirectoryError
        If there is none, or it is not what was written: the message names the key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunDirectoryError(f"{path.parent} is no run directory: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {error}") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found not in _READERS:
        raise RunDirectoryError(
            f"{path} is of format {found}; this pytams reads formats up to {FORMAT}: use a newer one"
        )
    try:
        return StudyInfo.checked(_READERS[found](content))
    except SettingsError as error:
        raise RunDirectoryError(f"{path} is not what was written: {error}") from error


def _as_it_is(content: dict[str, Any]) -> dict[str, Any]:
    return content


_READERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _as_it_is, 2: _as_it_is}
"""Turn what an older format has into what this one has. Format 1 has no `variant`, whose default is what it was."""
