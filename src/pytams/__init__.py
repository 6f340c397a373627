"""Rare-event probabilities by trajectory-adaptive multilevel splitting (TAMS)."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytams.core.distribution import VERSION, refuse_another

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.analysis import plot as plot
    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult
    from pytams.core.errors import (
        CannotLearnError,
        ModelError,
        NothingToDrawError,
        PytamsError,
        RunDirectoryError,
        SettingsError,
        StoreError,
        WorkersLostError,
    )
    from pytams.core.observers import Observer
    from pytams.core.ports import Engine, Journal, Source, Stepper
    from pytams.core.selection import Variant
    from pytams.core.settings import Settings
    from pytams.models.learned.score import LearnedScore
    from pytams.models.plain.model import Model
    from pytams.models.program.launch import Launch
    from pytams.models.program.program import Program
    from pytams.models.sde.model import SDE
    from pytams.models.simulator import migrate as migrate
    from pytams.models.simulator.simulator import Simulator
    from pytams.sqldb.errors import LedgerError, NoIterationError, NoLedgerError, NoTrajectoryError
    from pytams.storage.options import States, Storage
    from pytams.storage.reader import SavedStudy
    from pytams.tams.improving import improve
    from pytams.tams.learning import learn_score
    from pytams.tams.simulate import simulate
    from pytams.tams.study import Study
    from pytams.tams.tams import TAMS

refuse_another()

__version__ = VERSION

_HOMES = {
    "pytams.analysis.result": ["Result"],
    "pytams.analysis.runs": ["RunResult"],
    "pytams.core.errors": [
        "CannotLearnError",
        "ModelError",
        "NothingToDrawError",
        "PytamsError",
        "RunDirectoryError",
        "SettingsError",
        "StoreError",
        "WorkersLostError",
    ],
    "pytams.core.observers": ["Observer"],
    "pytams.core.ports": ["Engine", "Journal", "Source", "Stepper"],
    "pytams.core.selection": ["Variant"],
    "pytams.core.settings": ["Settings"],
    "pytams.models.learned.score": ["LearnedScore"],
    "pytams.models.plain.model": ["Model"],
    "pytams.models.program.launch": ["Launch"],
    "pytams.models.program.program": ["Program"],
    "pytams.models.sde.model": ["SDE"],
    "pytams.models.simulator.simulator": ["Simulator"],
    "pytams.sqldb.errors": ["LedgerError", "NoIterationError", "NoLedgerError", "NoTrajectoryError"],
    "pytams.storage.options": ["States", "Storage"],
    "pytams.tams.improving": ["improve"],
    "pytams.tams.learning": ["learn_score"],
    "pytams.tams.simulate": ["simulate"],
    "pytams.tams.study": ["Study"],
    "pytams.tams.tams": ["TAMS"],
}
"""Where the public names live; they are imported when they are asked for."""
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = {"plot": "pytams.analysis.plot", "migrate": "pytams.models.simulator.migrate"}
"""Public modules that stand in a room."""

__all__ = [
    "SDE",
    "TAMS",
    "CannotLearnError",
    "Engine",
    "Journal",
    "Launch",
    "LearnedScore",
    "LedgerError",
    "Model",
    "ModelError",
    "NoIterationError",
    "NoLedgerError",
    "NoTrajectoryError",
    "NothingToDrawError",
    "Observer",
    "Program",
    "PytamsError",
    "Result",
    "RunDirectoryError",
    "RunResult",
    "Settings",
    "SettingsError",
    "Simulator",
    "Source",
    "States",
    "Stepper",
    "Storage",
    "StoreError",
    "Study",
    "Variant",
    "WorkersLostError",
    "improve",
    "learn_score",
    "load",
    "simulate",
]  # and the modules, of which `plot` needs an extra


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = import_module(_MODULES[name])
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'pytams' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOME, *_MODULES})


class _Door(ModuleType):
    """Lets ``import pytams.plot`` and ``from pytams.plot import levels`` in: imports the module when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(_MODULES[self.__name__.rpartition(".")[2]]), name)


sys.modules |= {f"{__name__}.{name}": _Door(f"{__name__}.{name}") for name in _MODULES}


def load(
    path: str | Path,
    variant: Variant | None = None,
    *,
    database_url: str | None = None,
    store: str | Path | None = None,
) -> SavedStudy:
    """Open a run directory for reading, also while the study is going on. No code from it is run.

    Parameters
    ----------
    path
        The run directory.
    variant
        The splitting variant that it was made with, if it is one of your own.
    database_url
        Of the database that its ledgers are in, if they are in one. What the directory says of it is not trusted: it
        is connected to only if you name it, here, in ``PYTAMS_DATABASE_URL`` or in your settings file.
    store
        The folder of its large states, if that was ``States(store=...)`` and not the run directory.
    """
    from pytams.storage.reader import SavedStudy  # noqa: PLC0415 - reading files takes heavy imports

    return SavedStudy(path, variant, database_url=database_url, store=store)
