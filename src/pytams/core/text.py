"""Text from anybody, as it may be shown: a name must not move the cursor, or make lines of its own."""

from __future__ import annotations


def printable(text: str) -> str:
    """Write out what a terminal would act on: control characters, line ends, and what turns text around."""
    return "".join(map(_printable, text))


def printable_lines(text: str) -> str:
    """Do so with a text whose lines are meant."""
    return "\n".join(map(printable, text.split("\n")))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
