"""Text for people. A name from anybody must not move the cursor, or make lines of its own."""

from __future__ import annotations


def printable(text: str) -> str:
    """Write out what a terminal would act on: control characters, line ends, and what turns text around."""
    return "".join(map(_printable, text))


def printable_lines(text: str) -> str:
    """Do so with a text whose lines are meant."""
    return "\n".join(map(printable, text.split("\n")))


def size_text(n_bytes: float) -> str:
    """Write a number of bytes, for people."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} B"


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
