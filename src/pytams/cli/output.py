"""Standard output is for results: what a model prints goes to the log."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

import typer

from pytams.core.errors import PytamsError


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
            typer.echo(text, file=self._file)
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
