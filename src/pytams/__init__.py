"""Rare-event probabilities by trajectory-adaptive multilevel splitting (TAMS)."""

from importlib.metadata import version

from pytams.errors import ModelError, PytamsError, SettingsError
from pytams.model import Model
from pytams.result import Result, RunResult, Settings
from pytams.study import Study
from pytams.tams import TAMS

__version__ = version("pytams")

__all__ = [
    "TAMS",
    "Model",
    "ModelError",
    "PytamsError",
    "Result",
    "RunResult",
    "Settings",
    "SettingsError",
    "Study",
]
