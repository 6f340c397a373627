"""Whether a state that was written is whole, as far as its size tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.models.program.programs import ProgramError

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.models.program.work import Work

_VARIES = 2
"""Once sizes have grown so many times, they tell nothing."""


class Sizes:
    """Knows the size of a program's states, as long as it is one.

    Parameters
    ----------
    work
        Says whether the disk is full.
    n_tries
        How often something is tried.
    """

    def __init__(self, work: Work, n_tries: int) -> None:
        self._work, self._n_tries = work, n_tries
        self._known: int | None = None
        self._n_grown = 0
        self._tried: list[int] = []
        """Sizes that one launch has come to, try after try."""

    def begin(self, restart: Path | None) -> None:
        """Take note that something is to be written, from this state."""
        self._tried.clear()
        if self._known is None and restart is not None and restart.exists():
            self._known = _size_of(restart)

    def check(self, path: Path) -> None:
        """See that a state is there, and is no shorter than all before were.

        One that comes out equally short at each try is believed, if there is room on the disk: sizes vary, then.

        Raises
        ------
        ProgramError
            If it is not.
        """
        if path.is_symlink():
            raise ProgramError(f"{path.name} ({{next}}) is a link: the state itself must be written there")
        if not path.exists():
            raise ProgramError(f"it ended with exit code 0, and has not written {path.name} ({{next}})")
        beside = sorted(other.name for other in path.parent.iterdir() if other != path)
        if beside:
            raise ProgramError(
                f"it has written {beside[0]} beside {path.name} ({{next}}): all of a state goes there, into a folder "
                "of that name if it is several files"
            )
        size = _size_of(path)
        self._tried.append(size)
        is_short = self._known is not None and size < self._known and self._n_grown < _VARIES
        is_alike = len(self._tried) >= max(2, self._n_tries) and len({*self._tried}) == 1
        is_sure = is_alike and not self._work.lack_of_room()
        if is_short and not is_sure:
            raise ProgramError(
                f"it has written {size} bytes to {path.name} ({{next}}), and before {self._known}: is it truncated?"
            )
        if is_short:
            self._n_grown = _VARIES
        elif self._known is not None and size > self._known:
            self._n_grown += 1
        self._known = size


def _size_of(path: Path) -> int:
    """Sum up what is in a file or a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
