"""The house has floors: a module imports strictly lower ones, `TYPE_CHECKING` imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytams

PACKAGE = Path(pytams.__file__).parent

# The order is the rule: everything on a line may import from the lines above it, and from nothing else.
FLOORS = [
    ["errors", "_random", "_state", "model", "stopping"],
    ["trajectory", "fast", "loading"],
    ["splitting", "estimator", "health"],
    ["ensemble", "engine.base", "sqldb.tables", "sqldb.database", "store"],
    ["runresult"],
    ["result"],
    ["sqldb.ledger"],
    ["sqldb.sqlfile"],
    ["sqldb.runledger"],
    ["sqldb"],
    ["past", "recorded", "rundir"],
    ["recorder"],
    ["engine.checked"],
    ["engine.batch", "engine.single", "engine.kernel"],
    ["engine.compiled"],
    ["engine.inprocess"],
    ["engine.pool"],
    ["engine.clusters", "engine.processes", "engine.remote"],
    ["engine", "replay"],
    ["study"],
    ["durable"],
    ["saved", "tams"],
    [""],  # the package itself: what users import
    ["plot"],
    ["config", "_new", "progress", "report"],
    ["watching"],
    ["cli"],
    ["__main__", "testing", "testing.ledger"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def modules() -> dict[str, Path]:
    """Every module of the package by its name below `pytams`."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """Names below `pytams` that a module imports, wherever in the file."""
    names = set()
    known = modules()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in full:
            if name.split(".")[0] == "pytams":
                below = name.removeprefix("pytams").removeprefix(".")
                names.add(below if below in known else below.rpartition(".")[0])
    return names


def test_every_module_has_a_floor() -> None:
    assert set(modules()) - set(FLOOR) == set()


def test_imports_go_down() -> None:
    wrong = [
        f"{name or 'pytams'} imports {other or 'pytams'}"
        for name, path in modules().items()
        for other in imports(path)
        if FLOOR[other] >= FLOOR[name]
    ]
    assert wrong == []


def test_modules_can_be_read_in_one_sitting() -> None:
    long = [name for name, path in modules().items() if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


def test_import_is_light() -> None:
    heavy = ["dask", "matplotlib", "numba", "pydantic", "rich", "scipy", "sqlalchemy", "typer", "xarray"]
    code = f"import sys, pytams; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
