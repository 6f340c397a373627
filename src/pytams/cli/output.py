"""What the command line prints and logs: names from anybody are in it, so nothing of it acts on a terminal."""

from __future__ import annotations

import logging

import typer
from rich.console import Console

from pytams.core.errors import SettingsError
from pytams.core.text import printable_lines


def say(text: str) -> None:
    """Print a result."""
    typer.echo(printable_lines(text))


def say_aside(text: str, style: str | None = None) -> None:
    """Print what is no result, to standard error."""
    Console(stderr=True).print(printable_lines(text), style=style, markup=False, highlight=False, soft_wrap=True)


def set_up_logging(level: str, file: str | None) -> None:
    """Log to a file, or to standard error.

    Raises
    ------
    SettingsError
        If the file cannot be written.
    """
    handler: logging.Handler
    try:
        handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    except OSError as error:
        raise SettingsError("[tams] logfile", f"{file} cannot be written: {error.strerror}") from error
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("pytams")
    logger.setLevel(level)
    logger.handlers[:] = [handler]


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))
