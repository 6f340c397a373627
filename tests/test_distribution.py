"""What is installed under which name; the extras that are named are there, and have what they are for."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytams.core import distribution

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *SOURCES]
ADVICE = "pip uninstall pytams pytams-splitting && pip install pytams-splitting"


def test_the_name_is_the_projects() -> None:
    assert PROJECT["name"] == distribution.NAME


def test_what_pages_say_can_be_pasted() -> None:
    found = set()
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for before, what, extras in re.findall(r"pip install (\"?)([\w.-]+)\[([\w,]+)\]", text):
            assert (before, what in {".", distribution.NAME}) == ('"', True), f"{path}: for zsh, and ours"
            found |= set(extras.split(","))
    assert found == set(EXTRAS)


def test_pages_install_from_a_checkout() -> None:
    """The index does not have it yet; once installed, an extra can be asked for by name, too."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        found = re.findall(rf"pip install \"?{distribution.NAME}\b", path.read_text(encoding="utf-8"))
        assert not found, path


def test_how_an_extra_is_installed() -> None:
    assert distribution.installing("plot") == 'pip install "pytams-splitting[plot]"'


def advice() -> Iterator[tuple[str, str, set[str]]]:
    """Where code says that an extra is missing: the file, the extra, and the modules that it is said of."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "imported_from":
                extra, module, _ = (ast.literal_eval(argument) for argument in node.args)
                yield path.name, extra, {module}
            if isinstance(node, ast.Try):
                handlers = "".join(map(ast.unparse, node.handlers))
                for extra in re.findall(r"installing\('(\w+)'\)", handlers):
                    yield path.name, extra, {name for statement in node.body for name in foreign(statement)}


def foreign(tree: ast.AST) -> set[str]:
    """Modules of others that code imports, by itself or by a module of ours that it imports."""
    found = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            ours = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
            if not name.startswith("pytams"):
                found.add(name.partition(".")[0])
            elif ours.is_file() and isinstance(tree, ast.stmt):
                found |= foreign(ast.parse(ours.read_text(encoding="utf-8")))
    return found - set(sys.stdlib_module_names)


@cache
def installed_with(requirement: str) -> frozenset[str]:
    """Distributions that are there once one is installed."""
    wanted = Requirement(requirement)
    environments = [{"extra": extra} for extra in ["", *wanted.extras]]
    try:
        further = map(Requirement, requires(wanted.name) or [])
    except PackageNotFoundError:
        return frozenset()
    needed = [r for r in further if r.marker is None or any(map(r.marker.evaluate, environments))]
    name: str = canonicalize_name(wanted.name)
    return frozenset({name}).union(*(installed_with(str(r)) for r in needed))


def test_an_extra_has_what_its_messages_are_about() -> None:
    found = list(advice())
    assert {extra for _, extra, _ in found} == set(EXTRAS)
    of_modules = packages_distributions()
    for file, extra, modules in found:
        required = [*PROJECT["dependencies"], *EXTRAS[extra]]
        there = set().union(*map(installed_with, required))
        for module in modules:
            assert there & set(map(canonicalize_name, of_modules[module])), f"{file}: {extra} lacks {module}"
    assert "psycopg" in set().union(*map(installed_with, EXTRAS["postgresql"])), "which SQLAlchemy imports"


def as_installed(site: Path, name: str, record: str | None) -> str:
    (site / name).mkdir(parents=True)
    if record is not None:
        (site / name / "RECORD").write_text(record)
    return str(site / "pytams")


@pytest.mark.parametrize("name", ["pytams-1.0.0.dist-info", "pyTAMS-1.0.dist-info"])
def test_another_project_among_our_files_is_refused(tmp_path: Path, name: str) -> None:
    package = as_installed(tmp_path, name, "pytams/tams.py,,\npytams/__init__.py,sha256=x,1\n")
    with pytest.raises(ImportError, match=re.escape(ADVICE)) as error:
        distribution.refuse_another(package)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("pytams_splitting-0.1.0.dist-info", "pytams/__init__.py,,\n"),  # our own
        (
            "pytams-0.1.0.dist-info",
            "_editable_impl_pytams.pth,,\npytams/py.typed,,\n",
        ),  # ours, before
        ("pytams-0.1.0.dist-info", None),
        ("pytamsmore-0.1.0.dist-info", "pytams/__init__.py,,\n"),
    ],
)
def test_what_has_no_files_among_ours_is_not(tmp_path: Path, name: str, record: str | None) -> None:
    distribution.refuse_another(as_installed(tmp_path, name, record))


def test_in_a_zip_file(tmp_path: Path) -> None:
    distribution.refuse_another(str(tmp_path / "all.zip" / "pytams"))


def wheel_of_another(folder: Path) -> Path:
    path = folder / "pytams-1.0.0-py3-none-any.whl"
    info = "pytams-1.0.0.dist-info"
    contents = {
        "pytams/__init__.py": '__version__ = "1.0.0"\n',
        "pytams/sqldb.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pytams\nVersion: 1.0.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"])
    with ZipFile(path, "w") as wheel:
        for name, text in [*contents.items(), (f"{info}/RECORD", record)]:
            wheel.writestr(name, text)
    return path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    how = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *how, str(ROOT)], check=True)
    [ours] = folder.glob("pytams_splitting-*.whl")
    return {"ours": ours, "another": wheel_of_another(folder)}


class Environment:
    """A virtual environment, with the dependencies of this one, and without what is installed as editable in it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        [site] = folder.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def install(self, *wheels: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install"]
        for wheel in wheels:
            subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        words = [str(self.bin / program), *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=self.bin)


@pytest.mark.slow
def test_alone_it_works(wheels: dict[str, Path], tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.install(wheels["ours"])
    assert environment.run("pytams", "--version").stdout == f"{distribution.VERSION}\n"
    done = environment.run("python", "-c", "import pytams; print(pytams.TAMS, pytams.__file__)")
    assert str(tmp_path) in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("order", [("another", "ours"), ("ours", "another")])
def test_beside_another_project_it_says_so(wheels: dict[str, Path], order: tuple[str, str], tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.install(*(wheels[name] for name in order))
    asked = [environment.run("pytams", "show", "nowhere")]
    if order[-1] == "ours":
        asked.append(environment.run("python", "-c", "import pytams"))
    for done in asked:
        assert done.returncode == 1
        assert ADVICE in done.stderr
    assert ("Traceback" in asked[0].stderr) == (order[-1] == "ours"), "the command starts by importing the package"
