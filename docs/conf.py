"""The documentation site, built by ``make docs``: these pages as they lie here, and the public names."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.ext.napoleon import NumpyDocstring

SOURCES = Path(__file__).parents[1] / "src"
sys.path.insert(0, str(SOURCES))  # also for astroid, which looks up what a class inherits

import pytams  # noqa: E402 - it can be found now

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.writers.html5 import HTML5Translator

MOVED: dict[str, str] = pytams._MODULES  # noqa: SLF001 - public modules that stand in a room
PAGES = {"pytams", "pytams.sqldb", *(f"pytams.{name}" for name in MOVED)}

project = "pytams"
release = pytams.__version__
extensions = ["myst_parser", "autoapi.extension"]
highlight_language = "none"
default_role = "py:obj"  # in docstrings

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"pytams {release}"
html_favicon = "icon.svg"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"  # the usual one comes from the network

autoapi_root = "api"
autoapi_add_toctree_entry = False
autoapi_options = [
    "members", "undoc-members", "inherited-members", "imported-members", "show-inheritance", "show-module-summary",
]  # fmt: skip
suppress_warnings = ["autoapi.python_import_resolution"]  # of what is not public, and so was not laid out


def as_it_is_used(text: str) -> str:
    """Write a package's ``__init__`` as if its public names were imported at once, in the order of ``__all__``."""
    tree = ast.parse(text)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    homes = {alias.name: f"from {node.module} import {alias.name}" for node in imports for alias in node.names}
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    public = next(ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__")
    here = [ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [name for name in homes if name not in {*public, *MOVED}]
    lines = [homes[name] for name in [*public, *others] if name in homes]
    return "\n".join([repr(ast.get_docstring(tree)), *lines, *here, f"__all__ = {public}"])


def lay_out(app: Sphinx, config: Config) -> None:
    """Copy what is public to where it is imported from: it is read there, and not imported."""
    copy = Path(app.doctreedir) / "source"
    shutil.rmtree(copy, ignore_errors=True)
    texts: dict[str, str] = {}
    for package in ("pytams", "pytams/sqldb"):
        texts[f"{package}/__init__.py"] = as_it_is_used((SOURCES / package / "__init__.py").read_text("utf-8"))
    for name, home in MOVED.items():
        texts[f"pytams/{name}.py"] = (SOURCES / home.replace(".", "/")).with_suffix(".py").read_text("utf-8")
    for home in re.findall(r"^from (pytams\.[\w.]+) import", "\n".join(texts.values()), re.M):
        path = SOURCES / home.replace(".", "/")
        if path.with_suffix(".py").is_file():
            texts[f"{home.replace('.', '/')}.py"] = path.with_suffix(".py").read_text("utf-8")
    for name, text in texts.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        for folder in list(Path(name).parents)[:-1]:
            (copy / folder / "__init__.py").touch()
    config.autoapi_dirs = [str(copy / "pytams")]


def is_left_out(_app: Sphinx, kind: str, name: str, member: Any, skip: bool, _options: list[str]) -> bool:
    """Leave out rooms, bases that are not public, and what is inherited from libraries, or by the ledger."""
    if kind in {"module", "package"}:
        return name not in PAGES
    if kind in {"class", "exception"}:
        member.bases = [
            base for base in member.bases if base.rpartition(".")[0] in PAGES or not base.startswith("pytams.")
        ]
    if member.inherited:
        home = member.obj["inherited_from"]["full_name"]
        return skip or not home.startswith("pytams.") or name.startswith("pytams.sqldb.")
    return skip


def as_fields(_app: Sphinx, kind: str, _name: str, _member: Any, _options: Any, lines: list[str]) -> None:
    """Turn numpydoc's sections into fields; what documents an attribute has none."""
    if kind in {"class", "exception", "function", "method"}:
        lines[:] = NumpyDocstring(lines).lines()


def without_the_checkout(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Show a link to what is in the checkout, and not on the site, as a path."""
    source[0] = re.sub(r"\[[^\]]*\]\((?:\.\./)+((?:examples|benchmarks|tests)[\w/.]*)\)", r"`\1`", source[0])


def inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula as MathML, which needs no script."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed_math(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that has a line of its own; it scrolls where it is too wide."""
    translator.body.append(f'<div style="overflow-x: auto">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Join what is above."""
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
    app.connect("config-inited", lay_out)
    app.connect("autoapi-skip-member", is_left_out)
    app.connect("autodoc-process-docstring", as_fields)
    app.connect("source-read", without_the_checkout)
