"""What pytams is called where it is installed. On the index, another project has its name, and imports by it, too."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

VERSION = "0.1.0"
NAME = "pytams-splitting"

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def installing(extra: str) -> str:
    """Say how an extra is installed, so that every shell takes it."""
    return f'pip install "{NAME}[{extra}]"'


def imported_from(extra: str, module: str, what: str) -> Any:
    """Import a module that comes with an extra.

    Raises
    ------
    ImportError
        If it is not there: the message says what needs it, and how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs {module}: {installing(extra)} ({error})") from error


def refuse_another(package: str = _PACKAGE) -> None:
    """Make sure that this package's files are its own.

    Raises
    ------
    ImportError
        If a distribution called ``pytams`` was installed into the same folder, over this one or under it.
    """
    site, import_name = os.path.split(package)
    try:
        others = [name for name in os.listdir(site) if _is_another(name) and _owns(site, name, import_name)]
    except OSError:  # it is in no folder, as in a zip file
        return
    if others:
        raise ImportError(
            f"another project called pytams is installed in {site} ({others[0]}), and its files are mixed up "
            f"with those of {NAME}: pip uninstall pytams {NAME} && pip install {NAME}"
        )


def _is_another(name: str) -> bool:
    return name.lower().startswith("pytams-") and name.endswith(".dist-info")


def _owns(site: str, name: str, import_name: str) -> bool:
    """Whether a distribution has the file that ``import`` reads; one installed as editable has not."""
    try:
        with open(os.path.join(site, name, "RECORD"), encoding="utf-8") as record:
            return any(line.startswith(f"{import_name}/__init__.py,") for line in record)
    except FileNotFoundError:
        return False
