"""What can go wrong, as one tree.

::

    PytamsError
    ├── SettingsError          a setting is unknown, missing or impossible (also a ValueError)
    ├── ModelError             the user's model broke its contract (also a RuntimeError)
    ├── RunDirectoryError      a run directory is missing, damaged or in use
    ├── StoreError             a segment file cannot be written, or is damaged (also an OSError)
    └── sqldb.LedgerError      a ledger is missing, foreign or replaced (also a SQLAlchemyError)

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


class RunDirectoryError(PytamsError):
    """A run directory is missing, damaged, in use, or does not fit what was asked of it."""


class StoreError(PytamsError, OSError):
    """A segment file cannot be written, is missing, damaged, or not where it may be."""


class ModelError(PytamsError, RuntimeError):
    """The user's model raised, or returned something that cannot be used."""
