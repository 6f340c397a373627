"""Which database a run directory may make us connect to: one that its user has named herself, and no other.

A directory may come from anybody, and whoever is connected to may ask for the password that is in the environment. So
what `study.json` says is only compared with what its user says: on the command line or in Python, in the environment,
or in a settings file of hers. What she said is what is connected to.
"""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from sqlalchemy import URL

from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.settings import SECRET, Checked
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.urls import parsed, shown, without_password, without_secrets

_VARIABLE = "PYTAMS_DATABASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings(Checked):
    """What a user says once for all run directories, in ``~/.config/pytams/config.toml``."""

    trusted_databases: Annotated[list[str], SECRET] = field(default_factory=list)
    """URLs of databases that any run directory may name."""


def check_url(url: str) -> None:
    """Make sure that a user's URL is of a database that ledgers can be in.

    Raises
    ------
    SettingsError
        If it is not.
    """
    try:
        backend = parsed(url).get_backend_name()
    except LedgerError as error:
        raise SettingsError("database_url", str(error)) from None
    if backend != "postgresql":
        raise SettingsError(
            "database_url", f"{shown(url)} is no PostgreSQL database; without one, ledgers are SQLite files"
        )


def as_named(folder: Path, stored: str | None, given: str | None) -> str | None:
    """Find the URL of the database that a run directory names, as its user has said it.

    Parameters
    ----------
    folder
        The run directory.
    stored
        The URL that is in it; None: its ledgers are SQLite files.
    given
        The URL that its user has given for it.

    Raises
    ------
    RunDirectoryError
        If she has not named this database: the message has the command that does.
    SettingsError
        If she has given another one.
    """
    if stored is None:
        if given is not None:
            raise SettingsError(
                "database_url", f"the ledgers of {folder} are SQLite files in it, not in {shown(given)}"
            )
        return None
    place = _stored_place(folder, stored)
    if given is not None:
        check_url(given)
        if _place(given) != place:
            raise SettingsError(
                "database_url",
                f"the ledgers of {folder} are in {shown(stored)}, not in {shown(given)}; if that database has moved, "
                "write its new URL into study.json",
            )
        return given
    found = next((url for where, url in _said() if _place(url, where) == place), None)
    if found is None:
        url = without_password(stored)
        command = shlex.join(["pytams", "show", str(folder), "--url", url])
        raise RunDirectoryError(
            f"{folder / 'study.json'} says that its ledgers are in {url}. A database is connected to only if you "
            f"name it yourself:\n\n    {command}\n\nand likewise resume, repair, plot, report and watch; in Python, "
            f"database_url=...; or once for all in {_VARIABLE}, or in the trusted_databases of {_settings_file()}"
        )
    return found


def _stored_place(folder: Path, stored: str) -> URL:
    try:
        check_url(stored)
    except SettingsError as error:
        raise RunDirectoryError(f"{folder / 'study.json'} is not what was written: {error}") from None
    return _place(stored)


def _place(url: str, where: str = "database_url") -> URL:
    """Reduce a URL to what all URLs of one database share: they differ in passwords, schema and driver."""
    try:
        found = without_secrets(parsed(url)).difference_update_query(["schema"])
    except LedgerError as error:
        raise SettingsError(where, str(error)) from None
    host = found.host and found.host.lower()
    return found._replace(drivername=found.get_backend_name(), host=host, port=found.port or 5432)


def _settings_file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "pytams" / "config.toml"


def _said() -> Iterator[tuple[str, str]]:
    """Every URL that the user has said once for all, and where."""
    url = os.environ.get(_VARIABLE)
    if url:
        yield _VARIABLE, url
    path = _settings_file()
    try:
        settings = UserSettings.checked(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # SettingsError is one
        raise SettingsError(str(path), f"cannot be used: {error}") from error
    for url in settings.trusted_databases:
        yield str(path), url
