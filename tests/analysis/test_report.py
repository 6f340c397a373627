"""Pictures and reports of a run directory, and what a real browser makes of them."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

import pytams
from exact import DoubleWell2D
from pytams import Storage, plot
from pytams.analysis.report import write_picture, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EXAMPLE = Path(__file__).parents[2] / "examples" / "double_well_2d" / "double_well_2d.py"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "dw.tams"
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20, n_discard=2)
    tams.run(4, seed=1, out=Storage(path=path, sparse_freq=1))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (375, "light"),
        (1280, "dark"),
        pytest.param(375, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
    ],
)
def test_report_in_a_browser(directory: Path, tmp_path: Path, browser: Browser, width: int, scheme: str) -> None:
    report = tmp_path / "report.html"
    with pytams.load(directory) as saved:
        write_report(saved.result, report, provenance=saved.provenance, reference=5.5e-4, paths=True)
        result = saved.result
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    widths = page.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert len(widths) == len(plot.KINDS)
    assert min(widths) > 500
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.evaluate("document.images[0].currentSrc == document.images[0].src")
    assert shown == (scheme == "light")
    text = page.inner_text("body")
    for word in (f"{result.probability:.3e}", result.health.word, result.health.reason, "SHA-256", "target_score"):
        assert word in text
    assert page.pdf().startswith(b"%PDF")
    page.close()


@pytest.mark.slow
def test_a_report_says_where_it_is_from(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        write_report(saved.result, tmp_path / "report.html", provenance=saved.provenance)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("seed", "runs", "n_trajectories", "report written"):
        assert re.search(rf"<t[hd][^>]*>{name}</t[hd]>", text), name


@pytest.mark.slow
def test_report_is_escaped(directory: Path, tmp_path: Path) -> None:
    moved = tmp_path / "<img src=x onerror=alert(1)>.tams"
    shutil.copytree(directory, moved)
    with pytams.load(moved) as saved:
        write_report(saved.result, tmp_path / "report.html", provenance=saved.provenance)
    text = (tmp_path / "report.html").read_text()
    assert "onerror" in text
    assert "<img src=x" not in text
    assert "reference" not in text


@pytest.mark.slow
def test_the_notebook_shows_the_same_summary(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        write_report(saved.result, tmp_path / "report.html", provenance=saved.provenance)
        for name, value in saved.result.rows:
            assert name in saved.result._repr_html_()
            assert value.replace(">", "&gt;").replace("<", "&lt;") in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("kind", ["overview", *plot.KINDS])
def test_pictures_as_files(directory: Path, tmp_path: Path, kind: str) -> None:
    with pytams.load(directory) as saved:
        for suffix in ("png", "svg"):
            write_picture(saved.result, kind, tmp_path / f"picture.{suffix}")
    pixels = plt.imread(tmp_path / "picture.png")[..., :3]
    height, width, _ = pixels.shape
    assert (height, width) == ((1800, 1920) if kind == "overview" else (600, 960))
    is_coloured = np.ptp(pixels, axis=2) > 0.2
    assert is_coloured.sum() > 300, "curves are drawn in colour"
    assert 0.001 < (pixels.min(axis=2) < 0.5).mean() < 0.5, "text and axes are dark, the rest is not"
    drawn = ElementTree.parse(tmp_path / "picture.svg").getroot()
    assert drawn.tag.endswith("}svg")
    assert len(drawn.findall(".//{*}g[@id]")) > 20
    assert len(drawn.findall(".//{*}path")) > 20


@pytest.mark.slow
def test_on_a_dark_page_nothing_is_dark(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        write_report(saved.result, tmp_path / "report.html", reference=5.5e-4)
    found = re.findall(r'"data:image/png;base64,([^"]+)"', (tmp_path / "report.html").read_text())
    pixels = [plt.imread(io.BytesIO(base64.b64decode(image))) for image in found]
    assert all((image[0, :, 3] == 0.0).all() for image in pixels), "the page shows through"
    darkest = [image[image[..., 3] > 0.9][:, :3].max(axis=1).min() for image in pixels]
    assert len(darkest) == 2 * (len(plot.KINDS) - 1)
    pale = sorted(darkest)[len(darkest) // 2 :]
    assert min(pale) > 0.4
    assert max(darkest[0:2]) > 0.4
    assert sorted(darkest)[len(darkest) // 2 - 1] < 0.2, "on a light one, text and axes are"


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import pytams.analysis.report"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith('pip install "pytams-splitting[plot]"')


@pytest.mark.slow
def test_bad_input(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        with pytest.raises(pytams.SettingsError, match="no kind of picture"):
            write_picture(saved.result, "levels", tmp_path / "picture.xyz")
        with pytest.raises(pytams.SettingsError, match="run: the overview shows the first one: choose a kind of pic"):
            write_picture(saved.result, "overview", tmp_path / "picture.png", run=1)
        with pytest.raises(pytams.SettingsError, match="did you mean levels"):
            write_picture(saved.result, "level", tmp_path / "picture.png")
        with pytest.raises(pytams.PytamsError, match="cannot be written: No such file or directory"):
            write_picture(saved.result, "levels", tmp_path / "nowhere" / "picture.png")
        with pytest.raises(pytams.PytamsError, match="cannot be written: No such file or directory"):
            write_report(saved.result, tmp_path / "nowhere" / "report.html")
