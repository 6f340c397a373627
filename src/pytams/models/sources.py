"""The source files that a model is made of, found without executing any: its own, and those that it imports.

A module is the user's own if it is neither of Python's library, nor installed, nor pytams: what those are is said by
versions. A model that is itself installed has the modules of its own package.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import sysconfig
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PYTAMS = Path(__file__).resolve().parents[1]


def file_of(reference: str, folder: Path) -> Path | None:
    """Find the file of ``path/to/file.py:ClassName`` or ``package.module:ClassName``; None if there is none."""
    where = reference.rpartition(":")[0]
    if where.endswith(".py"):
        path = (folder / where).resolve()
        return path if path.is_file() else None
    importlib.invalidate_caches()
    spec = _spec(where, sys.path)
    return None if spec is None else _origin(spec)


def source_hashes(files: Iterable[Path]) -> dict[str, str]:
    """Hash files, and the modules of the user's own tree that they import, however deep.

    Returns
    -------
    dict
        SHA-256 by the name of the file, or of the module.
    """
    importlib.invalidate_caches()
    found: dict[Path, str] = {}
    waiting = [(_name(path), path) for path in map(Path.resolve, files)]
    roots = [path for _, path in waiting]
    while waiting:
        name, path = waiting.pop()
        if path not in found:
            found[path] = name
            waiting += [entry for entry in _imported(name, path, roots) if entry[1] not in found]
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for path, name in sorted(found.items())}


def is_own(path: Path) -> bool:
    """Whether a file is neither of Python's library nor of an installed package."""
    return not (
        {"site-packages", "dist-packages"} & set(path.parts)
        or any(path.is_relative_to(folder) for folder in _library_folders())
    )


@cache
def _library_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(folder).resolve() for name in names if (folder := sysconfig.get_path(name))]


def _name(path: Path) -> str:
    """Name the module that a file is, or the file if it is in no package."""
    top = _top(path)
    return path.name if top == path else ".".join(path.relative_to(top.parent).with_suffix("").parts)


def _imported(name: str, path: Path, roots: list[Path]) -> Iterator[tuple[str, Path]]:
    """Find the modules that a file imports, anywhere in it, and that belong to the model."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # the import will say so
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    search = [str(path.parent), *(str(_top(root).parent) for root in roots), *sys.path]
    for node in ast.walk(tree):
        for imported in _names(node, package):
            for module, file in _files(imported, search):
                if not file.is_relative_to(_PYTAMS) and (is_own(file) or _are_of_one_package(file, roots)):
                    yield module, file


def _names(node: ast.AST, package: str) -> list[str]:
    """Names that a node of a module in a package may import modules by."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parts, *([node.module] if node.module else [])])
        return [base if alias.name == "*" else f"{base}.{alias.name}" for alias in node.names]
    return []


def _files(name: str, folders: list[str]) -> Iterator[tuple[str, Path]]:
    """Find the files of a module and of the packages that it is in, as far as there are such."""
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        module = ".".join(parts[:n])
        spec = _spec(module, folders)
        if spec is None:
            return
        origin = _origin(spec)
        if origin is not None:
            yield module, origin


def _spec(name: str, folders: list[str]) -> ModuleSpec | None:
    """Find a module as an import would, but for executing the packages that it is in."""
    parts = name.split(".")
    search: list[str] | None = folders
    spec = None
    for n in range(1, len(parts) + 1):
        if search is None:
            return None
        spec = PathFinder.find_spec(".".join(parts[:n]), search)
        if spec is None:
            return None
        search = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    return spec


def _origin(spec: ModuleSpec) -> Path | None:
    return Path(spec.origin).resolve() if spec.origin and Path(spec.origin).is_file() else None


def _are_of_one_package(file: Path, roots: list[Path]) -> bool:
    """Whether a file is in the installed package that a root is in."""
    return any(not is_own(root) and file.is_relative_to(_top(root)) for root in roots)


def _top(file: Path) -> Path:
    """Find the outermost package that a file is in; the file itself if it is in none."""
    outermost = file
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        outermost = folder
    return outermost
