"""One launch: a command in a working folder, tried again if it fails, and what it has written."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytams.models.program.names import as_environment, filled
from pytams.models.program.programs import Command, ProgramError, Programs, last_lines, outcome
from pytams.models.program.reading import read
from pytams.models.program.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytams.models.answers import Where
    from pytams.models.program.declaration import Declaration
    from pytams.models.program.reading import Reading
    from pytams.models.program.work import Work


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
        self._sizes = Sizes(work, declared.launch.retries + 1)

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
        key, at = self._place()
        where = key, at if step is None else step
        command = command_of(self._declared, words, self.work.folder, values, prefix)
        self._sizes.begin(values["restart"])

        def attempt() -> dict[str, list[float]]:
            self.work.make_ready(values)
            emptied(self.work.next)
            self._execute(command, self.work.out, self.work.err)
            self._sizes.check(values["next"])
            return {name: self.read(reading, values, n) for name, reading in readings.items()}

        found = self._programs.tried(
            attempt,
            where,
            failed=lambda: self.work.log(*where),
            explained=lambda error: self._explained(error, command, values, where),
        )
        if self._declared.launch.logs == "all":
            self.work.log(*where)
        return found

    def _execute(self, command: Command, out: Path, err: Path) -> None:
        timeout = self._declared.launch.timeout
        with out.open("wb") as stdout, err.open("wb") as stderr:
            self._programs.start(command, stdin=None, stdout=stdout, stderr=stderr)
            status = self._programs.wait(timeout)
        if status is None:
            self._programs.end()
        if status != 0:
            raise ProgramError(outcome(status, timeout))

    def read(self, reading: Reading, values: Mapping[str, Any], n: int) -> list[float]:
        """Read n numbers that a launch has written."""
        if reading.command is None:
            path = self.work.out if reading.file is None else self.work.folder / filled(reading.file, values)
        else:
            path = self.work.out.with_name("score")
            self._read_by(command_of(self._declared, reading.command, self.work.folder, values), path)
        numbers = read(reading, path, n, is_one=self._declared.steps_per_launch == 1)
        if not all(map(math.isfinite, numbers)):
            raise ProgramError(f"it gave {', '.join(map(repr, numbers))}: numbers must be finite")
        return numbers

    def _read_by(self, command: Command, out: Path) -> None:
        """Execute a command that prints a score."""
        err = out.with_name("score.err")
        try:
            self._execute(command, out, err)
        except ProgramError as error:
            said = last_lines(err, out)
            quoted = f"; it said: {said}" if said else ""
            raise ProgramError(f"what it is to be read by, {command}: {error}{quoted}") from error

    def _explained(self, error: Exception, command: Command, values: Mapping[str, Any], where: Where) -> ProgramError:
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
    if before and "/" in before[0]:
        before[0] = str(declared.at(before[0]))
    return Command([*before, found, *arguments], folder, as_environment(values))


def emptied(folder: Path) -> Path:
    """Make a folder anew; one that is empty stays."""
    with suppress(OSError):
        if not os.listdir(folder):
            return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
