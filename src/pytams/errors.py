"""What can go wrong, as one tree.

::

    PytamsError
    ├── SettingsError      a setting is unknown, missing or impossible (also a ValueError)
    └── ModelError         the user's model broke its contract (also a RuntimeError)

Every message names the setting, or the run, slot, step and time, and says what to do.
"""

from __future__ import annotations


class PytamsError(Exception):
    """Base class of every error that pytams raises on purpose."""


class SettingsError(PytamsError, ValueError):
    """A setting is unknown, missing or impossible.

    Parameters
    ----------
    setting
        Name of the setting, as the user wrote it.
    problem
        What is wrong with it and what would be right.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class ModelError(PytamsError, RuntimeError):
    """The user's model raised, or returned something that cannot be used."""
