"""The code blocks of the README and of the site's pages, and how one runs those of a page."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for where in ("README.md", "docs/*.md", "docs/tutorials/*.md", "examples/*/README.md")
    for path in sorted(ROOT.glob(where))
}
_BLOCK = re.compile(r"(?:^<!-- (not run|file): ([^\n]+) -->\n+)?^```([^\n]*)\n(.*?)^```$", re.M | re.S)
_LEFT_OUT = ("pip install", "make demo", "make test", "git clone", ".venv/", "pytams serve")
"""What installs, is a test itself, or goes on until it is ended."""
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")


class Block(NamedTuple):
    """A fenced block: where it begins, why it is not run if so, and the file that it is a part of, if it is."""

    language: str
    text: str
    line: int
    not_run: str
    file: str


def blocks(page: str) -> list[Block]:
    """Find the fenced blocks of a page, in order."""
    text = PAGES[page]
    found = []
    for match in _BLOCK.finditer(text):
        mark, said, language, content = match.groups()
        line = text.count("\n", 0, match.start(4)) + 1
        found.append(
            Block(language, content, line, said if mark == "not run" else "", said if mark == "file" else "")
        )
    return found


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Split a console's text into what was typed and what came."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        typed, _, came = part.partition("\n")
        while typed.endswith("\\"):
            more, _, came = came.partition("\n")
            typed = f"{typed[:-1]} {more}"
        yield typed, came


class Session:
    """What a reader has who does all that a page says, in order: a folder, a shell, and a Python.

    Parameters
    ----------
    page
        Its name.
    folder
        An empty one, which is the working directory.
    python, shell
        What is done first.
    """

    def __init__(self, page: str, folder: Path, python: str = "", shell: str = "") -> None:
        self._blocks = blocks(page)
        self._shell = shell
        self._script = folder / "page.py"
        self._main = ModuleType("__main__")
        self._main.__file__ = str(self._script)
        self._printed = ""
        texts = [python, *(block.text for block in self._blocks if self._runs(block, "python"))]
        self._script.write_text("\n".join(texts), encoding="utf-8")  # what classes are read from
        self._n_lines = 0
        self._execute(python)

    @staticmethod
    def _runs(block: Block, language: str) -> bool:
        return block.language == language and not block.not_run

    def run(self) -> None:
        """Run the blocks; what a page says comes out must do so."""
        for block in self._blocks:
            try:
                self._run(block)
            except BaseException as error:
                error.add_note(f"in the block at line {block.line}")
                raise

    def _run(self, block: Block) -> None:
        if block.file:
            with (self._script.parent / block.file).open("a", encoding="utf-8") as file:
                file.write(block.text)
        if self._runs(block, "python"):
            self._execute(block.text)
        elif self._runs(block, "text"):
            same(block.text, self._printed)
        elif self._runs(block, "console"):
            for typed, expected in commands(block.text):
                self._printed = self._typed(typed)
                if expected.strip():
                    same(expected, self._printed)
        elif self._runs(block, "bash"):
            self._printed = self._typed(block.text)

    def _execute(self, text: str) -> None:
        """Run Python as if it were in the script, at its place."""
        code = compile("\n" * self._n_lines + text, self._script, "exec")
        self._n_lines += text.count("\n") + 1
        before, sys.modules["__main__"] = sys.modules["__main__"], self._main
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                exec(code, self._main.__dict__)
            finally:
                sys.modules["__main__"] = before
        self._printed = printed.getvalue()

    def _typed(self, text: str) -> str:
        """Run a script, but for what installs; standard error is for people."""
        kept = [line for line in text.splitlines() if not line.startswith(_LEFT_OUT)]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join([self._shell, *kept])],
            env=os.environ | {"PATH": path, "COLUMNS": "120"},
            cwd=self._script.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout


def same(expected: str, got: str) -> None:
    """Compare what was to come out with what did: ``...`` stands for anything, numbers for about as much.

    Times depend on the machine (and core hours, which stand beside them in a table), and the last bit of a power
    or an exponential, too: trajectories part then. What is counted in tens was chosen, and is the same.
    """
    words, numbers = _NUMBER.split(" ".join(expected.split())), _NUMBER.findall(expected)
    texts = [re.escape(part).replace(re.escape("..."), ".*?") for part in words]
    match = re.fullmatch(f"({_NUMBER.pattern})".join(texts), " ".join(got.split()))
    assert match, f"expected:\n{expected}\ngot:\n{got}"
    for number, found, (before, after) in zip(numbers, match.groups(), itertools.pairwise(words), strict=True):
        one, other = (float(text.replace(",", "")) for text in (number, found))
        if not re.match(r" s\b", after) and before != " s ":
            is_about = one / 1.5 < other < one * 1.5 and not (number.isdigit() and one <= 64)
            assert one == other or is_about, f"expected {number}, got {found}:\n{got}"
