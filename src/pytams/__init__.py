"""Rare-event probabilities by trajectory-adaptive multilevel splitting (TAMS)."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from pytams.errors import ModelError, PytamsError, RunDirectoryError, SettingsError, StoreError
from pytams.model import Model
from pytams.result import Result
from pytams.runresult import RunResult, Settings
from pytams.study import Study
from pytams.tams import TAMS

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.saved import SavedStudy

__version__ = version("pytams")


def load(path: str | Path) -> SavedStudy:
    """Open a run directory for reading, also while the study is going on. No code from it is run."""
    from pytams.saved import SavedStudy  # noqa: PLC0415 - reading files takes heavy imports

    return SavedStudy(path)


__all__ = [
    "TAMS",
    "Model",
    "ModelError",
    "PytamsError",
    "Result",
    "RunDirectoryError",
    "RunResult",
    "Settings",
    "SettingsError",
    "StoreError",
    "Study",
    "load",
]
