"""The documentation site, built by ``make docs``: these pages, those of the gallery, and the public names."""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.ext.napoleon import NumpyDocstring

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
DOCS = ROOT / "docs"
GALLERY = {readme.parent for readme in (ROOT / "examples").glob("*/README.md")}
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
html_static_path = ["_static"]
html_css_files = ["site.css"]
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


FILE = """
## {heading}

[{name}]({name}), in a checkout `{path}`:

```{{literalinclude}} {name}
:language: {language}
```
"""


def lay_out_gallery(app: Sphinx, _config: Config) -> None:
    """Make a page of each README of the gallery, with the input file and the model below."""
    clear_gallery(app)
    for folder in GALLERY:
        copy = Path(app.srcdir) / "examples" / folder.name
        copy.mkdir(parents=True)
        text = (folder / "README.md").read_text("utf-8")
        for heading, name, language in (
            ("Input file", "input.toml", "toml"),
            ("Model", f"{folder.name}.py", "python"),
        ):
            shutil.copy(folder / name, copy)
            path = (folder / name).relative_to(ROOT)
            text += FILE.format(heading=heading, name=name, path=path, language=language)
        (copy / "index.md").write_text(text, "utf-8")


def clear_gallery(app: Sphinx, _error: Exception | None = None) -> None:
    """Take the pages of the gallery away again; the READMEs are what is kept."""
    shutil.rmtree(Path(app.srcdir) / "examples", ignore_errors=True)


def on_the_site(link: re.Match[str], page: str) -> str:
    """Write a link of the checkout as one of the site, called by the title; what is not there is shown as a path."""
    text, target, anchor = link.groups(default="")
    home = (ROOT if page.startswith("examples/") else DOCS) / page
    path = Path(os.path.normpath(home.parent / target))
    if not path.exists():  # a page that is made, or no link
        return link[0]
    if path in GALLERY:
        path /= "README.md"
    if not path.is_relative_to(DOCS) and path.parent not in GALLERY:
        return f"`{path.relative_to(ROOT)}`"
    place = path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT)
    if place.name == "README.md":
        place = place.with_name("index.md")
    if text == path.name and path.suffix == ".md":
        text = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{text}]({os.path.relpath(place, Path(page).parent)}{anchor})"


def with_links(_app: Sphinx, page: str, source: list[str]) -> None:
    """Turn the links of a page into those of the site."""
    source[0] = re.sub(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)", lambda link: on_the_site(link, page), source[0])


THIN = '<mspace width="0.167em"></mspace>'
FUNCTION = r"<mi[^>]*>\w{2,}</mi><mo>&ApplyFunction;</mo>"


def mathml(formula: str, *, as_block: bool) -> str:
    r"""Write a formula as MathML, which needs no script, with TeX's spaces around log; braces grow by \left only."""
    text = re.sub(r">\s+<", "><", tex2mathml(formula, as_block=as_block))
    if r"\left" not in formula:
        text = re.sub(r"<mo>([{}])</mo>", r'<mo stretchy="false">\1</mo>', text)
    text = re.sub(rf"({FUNCTION})(?!<mo[ >]|<mspace)", rf"\1{THIN}", text)
    return re.sub(rf"(</m(?!o>|space>)\w+>)(?={FUNCTION})", rf"\1{THIN}", text)


def inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    translator.body.append(mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed_math(translator: HTML5Translator, node: nodes.math_block) -> None:
    r"""Write formulas that have a line of their own; what \qquad parts may come one below the other."""
    parts = [f"<div>{mathml(part, as_block=True)}</div>" for part in node.astext().split(r"\qquad")]
    translator.body.append(f'<div class="formula">{"".join(parts)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Join what is above."""
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
    app.connect("config-inited", lay_out)
    app.connect("config-inited", lay_out_gallery)
    app.connect("build-finished", clear_gallery)
    app.connect("autoapi-skip-member", is_left_out)
    app.connect("autodoc-process-docstring", as_fields)
    app.connect("source-read", with_links)
