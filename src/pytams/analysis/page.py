"""Templates of pages. Names may come from anybody: all that is put into one is escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pytams.core.text import printable, printable_lines


def templates() -> Environment:
    """Give the templates of reports and of the page that is served."""
    return Environment(
        loader=PackageLoader("pytams.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
    )


def in_lines(text: str) -> Markup:
    """Escape a text of several lines, which stay lines."""
    return escape(printable_lines(text))


def _printable(value: Any) -> Any:
    """Write out what would turn text around or hide it, but for what a template has made."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
