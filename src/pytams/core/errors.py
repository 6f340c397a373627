"""What can go wrong, as one tree.

::

    PytamsError
    ├── SettingsError          a setting is unknown, missing or impossible (also a ValueError)
    ├── ModelError             the user's model broke its contract (also a RuntimeError)
    ├── RunDirectoryError      a run directory is missing, damaged or in use
    ├── StoreError             a segment file cannot be read or written, or is damaged (also an OSError)
    ├── CannotLearnError       a pilot study does not tell enough to learn a score from it
    ├── NothingToDrawError     a picture is of something that has not happened (also a ValueError)
    ├── WorkersLostError       the workers break down again and again, or cannot be started
    └── LedgerError            a ledger is missing, foreign or replaced (also a SQLAlchemyError); see `pytams.sqldb`
        ├── NoLedgerError          there is a database, and no ledger in it
        ├── NoTrajectoryError      a trajectory id does not exist (also a ValueError)
        └── NoIterationError       there is no splitting iteration yet (also a ValueError)

Every message names the setting, or the run, slot, step and time, and says what to do. What a message is made of stays
in the error's attributes, so that whoever prints it can put it in other words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytams.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class PytamsError(Exception):
    """Base class of every error that pytams raises on purpose."""


class Name(str):
    """The name of a setting in the text of an error: `SettingsError.renamed` puts another in its place."""

    __slots__ = ()


class SettingsError(PytamsError, ValueError):
    """A setting is unknown, missing or impossible, or several are.

    Parameters
    ----------
    setting
        Name of the setting, as the user wrote it.
    *problem
        What is wrong with it and what would be right, in parts: those that name another setting are a `Name`.
    others
        What else was found to be wrong, an error a setting.
    """

    def __init__(self, setting: str, *problem: str, others: Iterable[SettingsError] = ()) -> None:
        super().__init__(setting, *problem)
        self.setting = setting
        self.problem = "".join(problem)
        self.others = tuple(others)

    def __str__(self) -> str:
        return "\n".join([f"{printable(self.setting)}: {self.problem}", *map(str, self.others)])

    def renamed(self, in_text: Mapping[str, str], in_front: Callable[[str], str]) -> SettingsError:
        """Say the same with other names of settings, here and in `others`; text that is no name stays as it is.

        Parameters
        ----------
        in_text
            What to call settings in the text.
        in_front
            Says what to call one that is wrong.
        """
        setting, *problem = self.args
        return SettingsError(
            in_front(setting),
            *(in_text.get(part, part) if isinstance(part, Name) else part for part in problem),
            others=(other.renamed(in_text, in_front) for other in self.others),
        )


class RunDirectoryError(PytamsError):
    """A run directory is missing, damaged, in use, or does not fit what was asked of it."""


class StoreError(PytamsError, OSError):
    """A segment file cannot be written, is missing, damaged, or not where it may be."""


class DamagedFileError(StoreError):
    """A segment file is missing, or not what was written: `pytams repair` computes it again."""


class CannotLearnError(PytamsError):
    """A pilot study does not tell enough to learn a score from it."""


class NothingToDrawError(PytamsError, ValueError):
    """A picture is of something that has not happened: nothing has reached the target, or nothing was killed."""


class WorkersLostError(PytamsError):
    """The workers break down again and again, or cannot be started."""


class Place(NamedTuple):
    """Where a trajectory was when something happened."""

    run: int
    slot: int
    branch: int
    step: int
    time: float
    """t = step * step_size, in the model's unit."""

    def __str__(self) -> str:
        return f"run {self.run}, slot {self.slot}, step {self.step} (t = {self.time:g})"


class ModelError(PytamsError, RuntimeError):
    """The user's model raised, or returned something that cannot be used.

    Parameters
    ----------
    message
        What happened, where, and what to do.
    method
        Name of the method at fault, if it is one.
    place
        Where the trajectory was, if it was anywhere.
    was_tried
        Whether it was tried again already, so that nobody else needs to.
    """

    def __init__(
        self, message: str, method: str | None = None, place: Place | None = None, *, was_tried: bool = False
    ) -> None:
        super().__init__(message, method, place)
        self.was_tried = was_tried
        self.method = method
        self.place = place

    def __str__(self) -> str:
        return str(self.args[0])
