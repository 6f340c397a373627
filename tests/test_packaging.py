"""Recipes for containers and conda ask for what pyproject.toml asks for, and have all that they install."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it has no types
from packaging.requirements import Requirement

import pytams

ROOT = Path(__file__).parents[1]
CONDA = ROOT / "packaging" / "conda"
IMAGE = ROOT / "packaging" / "apptainer" / "pytams.def"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ON_CONDA = {"matplotlib": "matplotlib-base"}
"""What has another name there."""


def asked(requirements: list[str]) -> dict[str, str]:
    """Name and bounds of each, by its name on conda-forge."""
    wanted = map(Requirement, requirements)
    return {ON_CONDA.get(one.name, one.name): str(one.specifier) for one in wanted}


NEEDED = asked(PROJECT["project"]["dependencies"])
OPTIONAL = asked([one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra])
PYTHON = {"python": PROJECT["project"]["requires-python"]}
BUILDER = asked(PROJECT["build-system"]["requires"])


def recipe() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((CONDA / "recipe.yaml").read_text(encoding="utf-8"))
    return table


def section(name: str) -> list[str]:
    """Lines of a section of the image's recipe."""
    text = re.split(r"^%", IMAGE.read_text(encoding="utf-8"), flags=re.M)
    (lines,) = (part.splitlines()[1:] for part in text if part.splitlines()[0].strip() == name)
    return [line.strip() for line in lines if line.strip()]


def test_the_conda_package_is_this_one() -> None:
    table = recipe()
    project = PROJECT["project"]
    assert table["context"]["version"] == pytams.__version__
    assert table["package"]["name"] == project["name"]
    assert table["about"]["license"] == project["license"]
    assert table["about"]["summary"] == project["description"]
    scripts = [f"{name} = {function}" for name, function in project["scripts"].items()]
    assert table["build"]["python"]["entry_points"] == scripts
    assert (CONDA / table["source"]["path"]).resolve() == ROOT


def test_the_conda_package_asks_for_what_the_project_asks_for() -> None:
    requirements = recipe()["requirements"]
    assert asked(requirements["run"]) == PYTHON | NEEDED
    assert asked(requirements["run_constraints"]) == OPTIONAL
    assert asked(requirements["host"]) == PYTHON | {"pip": ""} | BUILDER


def test_the_conda_environment_has_everything() -> None:
    table = yaml.safe_load((CONDA / "environment.yml").read_text(encoding="utf-8"))
    assert asked(table["dependencies"]) == PYTHON | {"pip": ""} | NEEDED | OPTIONAL | BUILDER


def test_the_image_installs_the_checkout_and_tries_it() -> None:
    copied = [line.split() for line in section("files")]
    assert all((ROOT / source).exists() and target == f"/opt/pytams/{source}" for source, target in copied)
    install, *_ = section("post")
    match = re.fullmatch(r'python -m pip install --no-cache-dir "/opt/pytams\[(.*)\]"', install)
    assert match is not None
    extras = PROJECT["project"]["optional-dependencies"]
    got = [one for extra in match[1].split(",") for one in extras[extra]]
    assert {*got} == {one for extra in extras.values() for one in extra}
    assert "pytams --version" in section("test")


@pytest.mark.slow
def test_what_the_image_copies_is_enough_to_install(tmp_path: Path) -> None:
    for line in section("files"):
        source, _ = line.split()
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
        copy(ROOT / source, tmp_path / source)
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    names = set(zipfile.ZipFile(tmp_path / done.stdout.split()[-1]).namelist())
    package = ROOT / "src" / "pytams"
    modules = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*.py")}
    assert modules | {"pytams/py.typed"} <= names


def test_rattler_build_takes_the_recipe() -> None:
    rattler_build = pytest.importorskip("rattler_build", reason="pip install --group packaging")
    (variant,) = rattler_build.Stage0Recipe.from_file(str(CONDA / "recipe.yaml")).render(
        rattler_build.VariantConfig()
    )
    rendered = variant.recipe.to_dict()
    assert rendered["package"] == {"name": PROJECT["project"]["name"], "version": pytams.__version__}
    assert asked(rendered["requirements"]["run"]) == PYTHON | NEEDED


def test_spython_takes_the_image() -> None:
    parsers = pytest.importorskip("spython.main.parse.parsers", reason="pip install --group packaging")
    found = parsers.SingularityParser(str(IMAGE)).parse()["spython-base"]
    assert found.fromHeader == "python:3.12-slim-bookworm"
    assert set(found.files) == set(section("files"))
    assert section("post")[0] in found.install
