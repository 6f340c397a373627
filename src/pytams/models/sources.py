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
from collections import Counter
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_IS_SCRIPT = {"__name__ == '__main__'", "'__main__' == __name__"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_PYTAMS = Path(__file__).resolve().parents[1]
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Sources(NamedTuple):
    """Hashes of source files, by the name of the module, or of the file if it is in no package."""

    sha256: dict[str, str]
    """Of what they are, byte by byte."""
    code: dict[str, str]
    """Of what this version of Python, which it begins with, makes of them: without comments, layout and docstrings.
    Only of those that are Python."""


class _File(NamedTuple):
    sha256: str
    code: str | None
    tree: ast.Module


def file_of(reference: str, folder: Path) -> Path | None:
    """Find the file of ``path/to/file.py:ClassName`` or ``package.module:ClassName``; None if there is none."""
    where = reference.rpartition(":")[0]
    if where.endswith(".py"):
        path = (folder / where).resolve()
        return path if path.is_file() else None
    importlib.invalidate_caches()
    specs = [*_specs(where, sys.path)]
    found = _origin(specs[-1]) if len(specs) == len(where.split(".")) else None
    return None if found is None or found.is_relative_to(_PYTAMS) else found


def source_hashes(files: Iterable[Path]) -> dict[str, str]:
    """Hash files, byte by byte, and all that they import: see `sources_in`."""
    return sources_in(files).sha256


def sources_in(files: Iterable[Path]) -> Sources:
    """Hash files, and the modules of the user's own tree that they import, however deep.

    What stands under ``if __name__ == "__main__":`` is left out, as far as nothing else can depend on it: it is not
    executed where a model is imported.
    """
    importlib.invalidate_caches()
    roots = [path.resolve() for path in files]
    waiting = [*roots]
    found: dict[Path, _File] = {}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = _hashed(path)
            waiting += [*_packages(path), *_imported(path, found[path].tree, roots)]
    hashes = Sources({}, {})
    n_of_name: Counter[str] = Counter()
    for path in sorted(found, key=lambda path: (path not in roots[:1], path)):
        name = _name(path)
        n_of_name[name] += 1
        key = name if n_of_name[name] == 1 else f"{name} ({n_of_name[name]})"
        hashes.sha256[key] = found[path].sha256
        if (code := found[path].code) is not None:
            hashes.code[key] = code
    return hashes


def is_own(path: Path) -> bool:
    """Whether a file is neither of Python's library nor of an installed package, nor of pytams."""
    return not (
        {"site-packages", "dist-packages"} & set(path.parts)
        or path.name.startswith("<frozen ")
        or any(path.is_relative_to(folder) for folder in [*_library_folders(), _PYTAMS])
    )


def modules_found(names: Iterable[str], folder: Path) -> list[Path]:
    """Find the files of modules that are the user's own, as they are imported by a file of a folder."""
    found = {file for name in names for file in _files(name, [str(folder), *sys.path]) if is_own(file)}
    return sorted(found)


@cache
def _library_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [Path(folder) for name in names if (folder := sysconfig.get_path(name))]
    return [*folders, *map(Path.resolve, folders)]


def _name(path: Path) -> str:
    """Name the module that a file is, or the file if it is in no package."""
    top = _top(path)
    if top == path:
        return path.name
    module = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return ".".join(module.relative_to(top.parent).parts)


def _packages(path: Path) -> list[Path]:
    """Find the ``__init__.py`` of the packages that a file is in: they are executed before it."""
    top = _top(path)
    return [folder / "__init__.py" for folder in path.parents if folder.is_relative_to(top)]


def _hashed(path: Path) -> _File:
    """Hash what of a file is executed where it is imported, and parse it if it is Python."""
    if path.suffix != ".py":  # and maybe large
        with path.open("rb") as file:
            return _File(hashlib.file_digest(file, "sha256").hexdigest(), None, ast.Module([], []))
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # the import will say so
        return _File(hashlib.sha256(content).hexdigest(), None, ast.Module([], []))
    content = _without_script(content, tree)
    return _File(hashlib.sha256(content).hexdigest(), _code(content, tree), tree)


def _without_script(content: bytes, tree: ast.Module) -> bytes:
    """Leave out what is only for the script, of the text and of the tree."""
    lines = content.splitlines(keepends=True)
    for node in reversed(tree.body):
        if _is_for_the_script(node, tree):
            del lines[node.lineno - 1 : node.end_lineno]
            tree.body.remove(node)
    return b"".join(lines)


def _code(content: bytes, tree: ast.Module) -> str | None:
    """Hash what Python makes of a file: its tree without docstrings, and a first line that names who runs it."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    try:
        text = ast.dump(tree)
    except RecursionError:  # of a sum of thousands of terms
        return None
    runs_it = content.splitlines()[0] if content.startswith(b"#!") else b""
    return f"{_PYTHON} {hashlib.sha256(runs_it + text.encode(errors='backslashreplace')).hexdigest()}"


def _is_for_the_script(node: ast.stmt, tree: ast.Module) -> bool:
    """Whether a statement is ``if __name__ == "__main__":``, and nothing in it is of use for the rest of the file."""
    if not isinstance(node, ast.If) or node.orelse or ast.unparse(node.test) not in _IS_SCRIPT:
        return False
    inside = list(ast.walk(node))
    rest = [other for statement in tree.body if statement is not node for other in ast.walk(statement)]
    bound = {inner.id for inner in inside if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load)}
    bound.update((alias.asname or alias.name).partition(".")[0] for alias in inside if isinstance(alias, ast.alias))
    used = {other.id for other in rest if isinstance(other, ast.Name) and isinstance(other.ctx, ast.Load)}
    return not bound & used and not any(map(_defines, inside))


def _defines(node: ast.AST) -> bool:
    """Whether a node defines what may be a model, or changes something that may be one's part."""
    if isinstance(node, ast.Name):
        return node.id in {"setattr", "delattr", "exec", "eval", "globals", "vars"}
    if isinstance(node, ast.Attribute | ast.Subscript):
        return not isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


def _imported(path: Path, tree: ast.Module, roots: list[Path]) -> Iterator[Path]:
    """Find the modules that a file imports, anywhere in it, and that belong to the model."""
    search = [str(path.parent), *(str(_top(root).parent) for root in roots), *sys.path]
    for node in ast.walk(tree):
        for name in _names(node):
            level = len(name) - len(name.lstrip("."))
            near = [str(folder) for folder in path.parents[level - 1 : level]]
            for file in _files(name[level:], near, relative=True) if level else _files(name, search):
                if is_own(file) or (_are_of_one_package(file, roots) and not file.is_relative_to(_PYTAMS)):
                    yield file


def _names(node: ast.AST) -> list[str]:
    """Names that a node may import modules by, with their dots."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        inside = f"{base}." if node.module else base
        return [base if alias.name == "*" else inside + alias.name for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
        literals = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        return [literal for literal in literals if isinstance(literal, str)]
    return []


def _files(name: str, folders: list[str], *, relative: bool = False) -> Iterator[Path]:
    """Find the files of a module and of the packages that it is in, as far as there are such."""
    for spec in _specs(name, folders, relative=relative):
        origin = _origin(spec)
        if origin is not None:
            yield origin


def _specs(name: str, folders: list[str], *, relative: bool = False) -> Iterator[ModuleSpec]:
    """Find a module, after the packages that it is in, as an import would, but for executing them."""
    top, *inner = name.split(".")
    if not top:  # `from . import *`
        return
    if relative:
        spec = PathFinder.find_spec(top, folders)
    else:
        spec = _spec_of_imported(top) or PathFinder.find_spec(top, folders) or _spec_off_the_path(top)
    for part in inner:
        if spec is None:
            return
        yield spec
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations or []))
    if spec is not None:
        yield spec


def _spec_of_imported(name: str) -> ModuleSpec | None:
    """Find a module that has been imported: an import takes it from there, whatever the path is now."""
    return getattr(sys.modules.get(name), "__spec__", None)


def _spec_off_the_path(name: str) -> ModuleSpec | None:
    """Find a module that is on no path, such as one of a package that is installed in editable mode."""
    finders = [finder for finder in sys.meta_path if finder is not PathFinder and hasattr(finder, "find_spec")]
    return next((spec for finder in finders if (spec := finder.find_spec(name, None)) is not None), None)


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
