"""The house is as ``docs/architecture.md`` says: the table of rooms and floors is read from that page."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pytams

PACKAGE = Path(pytams.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
MOST_LINES = {"sqldb.sqlfile": 400}
MOST_CLASS_LINES = 200


def rooms() -> dict[str, tuple[int, str]]:
    """Floor and room of each entry, from the page: rows like ``| 3 | `engine/` | ...``."""
    rows = re.findall(r"^\| (\d) \| ((?:`[^`]+`(?:, )?)+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {
        re.sub(r"(\.py|/)$", "", name): (int(floor), names)
        for floor, names in rows
        for name in re.findall(r"`([^`]+)`", names)
    }


ROOMS = rooms()


def modules() -> dict[str, Path]:
    """Every module of the package by its name below `pytams`."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__") or "__init__"] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def imported(node: ast.AST) -> list[str]:
    """Full names that a node imports; a lazy import by name, too."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"a relative import: {ast.unparse(node)}"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and re.fullmatch(r"pytams(\.\w+)+", str(node.value)):
        return [str(node.value)]
    return []


def imports(path: Path, *, at_run_time: bool = False) -> set[str]:
    """Modules of ours that a module imports, wherever in the file; those for type checkers, too, unless told not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger":
            skipped.update(node.args)
    names = set()
    for full in (name for node in ast.walk(tree) if node not in skipped for name in imported(node)):
        if room(full) == "pytams":
            below = full.removeprefix("pytams").removeprefix(".")
            while below and below not in MODULES:
                below = below.rpartition(".")[0]
            names.add(below or "__init__")
    return names


def test_the_table_has_every_room_and_no_other() -> None:
    assert set(ROOMS) == {room(name) for name in MODULES}
    assert len({floor for floor, _ in ROOMS.values()}) <= 6


def test_few_entries() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__init__.py", "__main__.py", "__pycache__"}
    assert len(entries) <= 8, entries


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name: str) -> None:
    for other in imports(MODULES[name]):
        ours, theirs = ROOMS[room(name)], ROOMS[room(other)]
        assert ours == theirs or theirs[0] < ours[0], f"{name} imports {other}"


def test_no_circle_in_a_room() -> None:
    graph = {
        name: {other for other in imports(path, at_run_time=True) if room(other) == room(name) and other != name}
        for name, path in MODULES.items()
    }
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_and_classes_can_be_read_in_one_sitting(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES.get(name, 350)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name != "SQLFile" and not node.name.endswith("Contract"):
            assert (node.end_lineno or 0) - node.lineno + 1 <= MOST_CLASS_LINES, node.name


def test_import_is_light() -> None:
    heavy = ["dask", "matplotlib", "numba", "pydantic", "rich", "scipy", "sqlalchemy", "typer", "xarray"]
    code = (
        f"import sys, pytams; pytams.TAMS, pytams.Model, pytams.SDE; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_light() -> None:
    code = """
import sys
from pytams.cli.main import app
try:
    app(["--help"])
finally:
    heavy = ["numba", "numpy", "pydantic", "scipy", "sqlalchemy"]
    print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "improve" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_public_names() -> None:
    asked = "TAMS Model SDE Study Result RunResult Settings load Engine Journal Stepper Source PytamsError"
    assert set(asked.split()) <= set(pytams.__all__) <= set(dir(pytams))
    assert {"plot", "migrate"} <= set(dir(pytams))
    assert callable(pytams.plot.levels)
    for name in pytams.__all__:
        assert getattr(pytams, name) is not None
    errors = re.findall(r"(\w+Error)", (PACKAGE / "core" / "errors.py").read_text().split('"""')[1])
    assert {name for name in errors if name not in {"ValueError", "RuntimeError", "OSError"}} - {
        "SQLAlchemyError"
    } == {name for name in pytams.__all__ if name.endswith("Error")}
    with pytest.raises(AttributeError, match="has no attribute 'fast'"):
        pytams.fast  # noqa: B018 - that is the point


@pytest.mark.parametrize(
    "code",
    [
        "import pytams.plot; print(pytams.plot.levels.__name__)",
        "from pytams.plot import levels; print(levels.__name__)",
        "from pytams import plot; print(plot.levels.__name__)",
        "import pytams; print(pytams.plot.levels.__name__)",
        "import pytams.plot as plot, pytams.analysis.plot as home; print(plot.levels.__name__, end=''); "
        "print('' if plot.levels is home.levels else 'another')",
    ],
)
def test_public_modules_are_imported_in_every_way(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("levels\n", "")


@pytest.mark.slow
def test_all_names_without_extras() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(['matplotlib', 'jinja2', 'numba', 'distributed', 'xarray'])\n"
        "from pytams import *; print(TAMS.__name__, NoLedgerError.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("TAMS NoLedgerError\n", "")


def test_the_ledgers_public_names_are_the_documented_ones() -> None:
    from pytams import sqldb  # noqa: PLC0415 - what this test is about

    documented = ["ArchivedTrajectory", "Base", "SQLFile", "SplittingIterations", "Trajectory", "valid_statuses"]
    assert sorted(sqldb.__all__) == documented


def test_the_version_to_cite_is_this_one() -> None:
    root = Path(__file__).parents[1]
    assert f"version: {pytams.__version__}\n" in (root / "CITATION.cff").read_text()
