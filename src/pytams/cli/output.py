"""What the command line prints and logs. Standard output is for results: what a model prints goes to the log.

Names from anybody are in it, so nothing of it acts on a terminal.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from functools import reduce
from typing import Any, TextIO, cast

import typer
from rich.console import Console

from pytams.core.errors import PytamsError, SettingsError
from pytams.core.text import printable_lines

STANDARD_ERROR = 2


def open_standard_files() -> None:
    """Open what was closed of standard input, output and error: or a ledger would get its number, and a C print."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


class Output:
    """Writes results to standard output, and keeps what models print out of it."""

    def __init__(self) -> None:
        self._file: TextIO | None = None
        """Where standard output went to; None as long as it still does."""

    def keep_from_models(self, log: int) -> None:
        """From now on, let all others that write to standard output write to a log: code of the user's, C, workers.

        Nothing is put back: C and Fortran may have kept something until the process ends.

        Parameters
        ----------
        log
            A file descriptor.
        """
        if sys.stdout is not sys.__stdout__:  # somebody has taken it over: it is not ours to move
            return
        if self._file is None and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.flush()
            self._file = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
            sys.stdout.reconfigure(line_buffering=True)  # in order with what others write to the log
        os.dup2(log, 1)

    def say(self, text: str) -> None:
        """Write a line of results.

        Raises
        ------
        PytamsError
            If it cannot be written; nothing is said if nobody reads it any more.
        """
        try:
            typer.echo(printable_lines(text), file=self._file)
        except OSError as error:
            self._give_up()
            if isinstance(error, BrokenPipeError):
                raise typer.Exit(1) from None
            raise PytamsError(f"standard output cannot be written: {error.strerror}") from error

    def _give_up(self) -> None:
        """Let what is left go nowhere, or Python complains when it ends."""
        file = self._file or sys.stdout
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


_output = Output()
say, keep_from_models = _output.say, _output.keep_from_models


_is_quiet = False


def be_quiet() -> None:
    """Say nothing aside from now on but errors."""
    global _is_quiet  # noqa: PLW0603 - as long as the process
    _is_quiet = True


class _MayBeClosed:
    """Standard error; what nobody reads any more, since a terminal was closed, is no error."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def aside(*, is_error: bool = False) -> Console:
    """Make a console for what is no result: on standard error."""
    file = None if sys.stderr is None else cast("TextIO", _MayBeClosed(sys.stderr))  # None: it was never open
    return Console(file=file, stderr=True, quiet=_is_quiet and not is_error)


def say_aside(text: str, style: str | None = None, *, is_error: bool = False) -> None:
    """Print what is no result, to standard error."""
    console = aside(is_error=is_error)
    console.print(printable_lines(text), style=style, markup=False, highlight=False, soft_wrap=True)


_HERE = {"Storage(force=True)": "--force"}
"""What is asked for in Python, and how here."""


def explained(error: Exception) -> str:
    """Say what went wrong, as the message of a command."""
    if isinstance(error, PytamsError | ImportError):
        return reduce(lambda text, names: text.replace(*names), _HERE.items(), str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def set_up_logging(level: str, file: str | None) -> int:
    """Log to a file, or to standard error; return its descriptor.

    Raises
    ------
    SettingsError
        If the file cannot be written.
    """
    handler: logging.Handler = logging.StreamHandler()
    log = STANDARD_ERROR
    if file:
        try:
            stream = open(file, "a", encoding="utf-8")  # noqa: SIM115 - as long as the process
        except OSError as error:
            raise SettingsError("logfile", f"{file} cannot be written: {error.strerror}") from error
        handler, log = logging.StreamHandler(stream), stream.fileno()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("pytams")
    logger.setLevel(level)
    logger.handlers[:] = [handler]
    return log


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))
