from __future__ import annotations

import pytest

from pytams.core.text import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ornstein-Uhlenbeck", "Ornstein-Uhlenbeck"),
        ("Überströmung 2 °C ≥ 3 模型", "Überströmung 2 °C ≥ 3 模型"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u202egnp.exe\u2066\u2029", r"\u202egnp.exe\u2066\u2029"),
        ("\udcff", r"\udcff"),  # what Python makes of bytes that are no text
        ("", ""),
    ],
)
def test_what_would_act_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_lines_that_are_meant() -> None:
    assert printable_lines("a\n\n\x1bb\r\n") == "a\n\n\\x1bb\\r\n"
