"""One launch: a command in a working folder, tried again if it fails, and what it has written."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytams.models.program.names import as_environment, filled
from pytams.models.program.programs import Command, ProgramError, Programs, last_lines, outcome
from pytams.models.program.reading import read
from pytams.models.program.work import InputChangedError, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytams.core.segments import SegmentKey
    from pytams.models.answers import Where
    from pytams.models.program.declaration import Declaration
    from pytams.models.program.reading import Reading

_logger = logging.getLogger("pytams")


class Launcher:
    """Launches commands that write a state.

    Parameters
    ----------
    declared
        What is said of the program.
    work
        Where it works.
    programs
        What starts it.
    place
        Says which segment it is, and at which step.
    """

    def __init__(self, declared: Declaration, work: Work, programs: Programs, place: Callable[[], Where]) -> None:
        self._declared, self._programs, self._place = declared, programs, place
        self.work = work
        self._least_size = 0
        """Bytes of the smallest restart so far."""
        self._sizes: list[int] = []
        """Those of the restarts that one launch has written, at each try."""

    def launch(
        self,
        words: Sequence[str],
        values: Mapping[str, Any],
        readings: Mapping[str, Reading],
        n: int = 0,
        *,
        step: int | None = None,
        prefix: Sequence[str] = (),
    ) -> dict[str, list[float]]:
        """Launch a command that writes the next state, and again if it fails; give what is read."""
        launch = self._declared.launch
        key, at = self._place()
        at = at if step is None else step
        command = command_of(self._declared, words, self.work.folder, values, prefix)
        self._sizes.clear()
        for n_failed in range(launch.retries + 1):
            try:
                self.work.make_ready(values)
                emptied(self.work.next)
                self._execute(command, self.work.out)
                self._check_next(values["restart"], values["next"])
                found = {name: self.read(reading, values, n) for name, reading in readings.items()}
            except InputChangedError:
                raise
            except (ProgramError, OSError) as error:
                self.work.log(key, at)
                if n_failed == launch.retries or self._programs.stopped.is_set():
                    raise self._explained(error, command, values, (key, at)) from error
                _logger.info("%s: run %d, slot %d, step %d: %s", command.words[0], *key[:2], at, error)
                self._programs.stopped.wait(launch.backoff * 2**n_failed)
            else:
                if launch.logs == "all":
                    self.work.log(key, at)
                return found
        raise AssertionError

    def _execute(self, command: Command, out: Path) -> None:
        timeout = self._declared.launch.timeout
        with out.open("wb") as stdout, self.work.err.open("wb") as stderr:
            self._programs.start(command, stdin=None, stdout=stdout, stderr=stderr)
            status = self._programs.wait(timeout)
        if status is None:
            self._programs.end()
        if status != 0:
            raise ProgramError(outcome(status, timeout))

    def _check_next(self, restart: Path, path: Path) -> None:
        """See that there is a state, and not fewer bytes of it than ever before, unless that is so time and again."""
        if not path.exists():
            raise ProgramError(f"it ended with exit code 0, and has not written {path.name} ({{next}})")
        size, least = _size_of(path), self._least_size or _size_of(restart)
        self._sizes.append(size)
        is_sure = len(self._sizes) > self._declared.launch.retries and len({*self._sizes}) == 1
        if size < least and not is_sure:
            raise ProgramError(
                f"it has written {size} bytes to {path.name} ({{next}}): is it truncated? Before, there were never "
                f"fewer than {least}"
            )
        self._least_size = min(size, self._least_size or size)

    def read(self, reading: Reading, values: Mapping[str, Any], n: int) -> list[float]:
        """Read n numbers that a launch has written."""
        if reading.command is None:
            path = self.work.out if reading.file is None else self.work.folder / filled(reading.file, values)
        else:
            path = self.work.out.with_name("score")
            self._execute(command_of(self._declared, reading.command, self.work.folder, values), path)
        return read(reading, path, n)

    def _explained(
        self, error: Exception, command: Command, values: Mapping[str, Any], where: tuple[SegmentKey, int]
    ) -> ProgramError:
        """Say what failed, with what to paste to try it by hand, and the end of what it printed."""
        n_tries, room = self._declared.launch.retries + 1, self.work.lack_of_room()
        kept = self.work.keep(*where, values)
        if kept is None:
            folder = "(with a run directory, its working folder and logs would have been kept)"
        else:
            command, folder = command.moved(self.work.scratch, kept), f"Its logs: {kept}.out, {kept}.err"
        said = last_lines(self.work.err, self.work.out)
        lines = [
            f"{error}{f' ({n_tries} times)' if n_tries > 1 else ''}{room}",
            f"To try it by hand: {command}",
            folder,
            f"Its output ends with:\n{said}" if said else "It has printed nothing.",
        ]
        return ProgramError("\n".join(lines))


def command_of(
    declared: Declaration,
    words: Sequence[str],
    folder: Path,
    values: Mapping[str, Any],
    prefix: Sequence[str] = (),
) -> Command:
    """Fill in names; a path of a program is relative to the study's folder, not to the working folder."""
    program, *arguments = [filled(word, values) for word in words]
    found = str(declared.at(program)) if "/" in program else program
    before = [filled(word, values) for word in prefix]
    return Command([*before, found, *arguments], folder, as_environment(values))


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def emptied(folder: Path) -> Path:
    """Make a folder anew; one that is empty stays."""
    with suppress(OSError):
        if not os.listdir(folder):
            return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
