"""Pictures and reports of a run directory, and what a real browser makes of them."""

from __future__ import annotations

import base64
import csv
import io
import math
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
from playwright.sync_api import Browser

import pytams
from browsers import chromium
from exact import DoubleWell2D
from pytams import Storage, plot
from pytams.analysis.picture_files import write_picture
from pytams.analysis.report import write_report
from pytams.analysis.summary import headline

EXAMPLE = Path(__file__).parents[2] / "examples" / "double_well_2d" / "double_well_2d.py"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "dw.tams"
    tams = pytams.TAMS(DoubleWell2D(), end_time=4, step_size=0.02, target_score=0.9, n_trajectories=20, n_discard=2)
    tams.run(4, seed=1, out=Storage(path=path, sparse_freq=1))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


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
    assert len(widths) == len(plot.KINDS)  # all can be drawn of this study
    assert min(widths) > 500
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.evaluate("document.images[0].currentSrc == document.images[0].src")
    assert shown == (scheme == "light")
    text = page.inner_text("body")
    for word in (headline(result), result.health.word, result.health.reason, "SHA-256", "target_score"):
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
    assert (height, width) == ((3000, 1920) if kind == "overview" else (600, 960))
    is_coloured = np.ptp(pixels, axis=2) > 0.2
    assert is_coloured.sum() > 300, "curves are drawn in colour"
    assert 0.001 < (pixels.min(axis=2) < 0.5).mean() < 0.5, "text and axes are dark, the rest is not"
    drawn = ElementTree.parse(tmp_path / "picture.svg").getroot()
    assert drawn.tag.endswith("}svg")
    assert len(drawn.findall(".//{*}g[@id]")) > 20
    assert len(drawn.findall(".//{*}path")) > 20


def test_pictures_for_a_journal(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        for suffix in ("svg", "pdf"):
            write_picture(saved.result, "levels", tmp_path / f"picture.{suffix}", width=89.0)
    drawn = ElementTree.parse(tmp_path / "picture.svg").getroot()
    assert float(drawn.attrib["width"].removesuffix("pt")) == pytest.approx(89.0 / 25.4 * 72.0, rel=1e-3)
    texts = [text for text in drawn.iter() if text.tag.endswith("}text")]
    assert "Levels of 4 runs" in [text.text for text in texts]
    assert {size for text in texts for size in re.findall(r"([0-9.]+)px", text.attrib["style"])} == {"7"}
    assert b"/FontFile2" in (tmp_path / "picture.pdf").read_bytes()


@pytest.mark.parametrize(
    "kind", ["exceedance", "return-times", "estimates", "convergence", "levels", "weights", "reaching-times"]
)
def test_the_numbers_of_a_picture(directory: Path, tmp_path: Path, kind: str) -> None:
    with pytams.load(directory) as saved:
        result = saved.result
        write_picture(result, kind, tmp_path / "numbers.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "numbers.csv").read_text())))
    n_reached = sum(run.n_reached for run in result.runs)
    n_rows = {"estimates": 4, "convergence": 4, "levels": result.n_iterations, "weights": result.n_iterations}
    assert len(rows) == (n_rows | {"reaching-times": n_reached}).get(kind, 300)
    if kind == "exceedance":
        low, middle, high = (float(rows[-1][name]) for name in ("low", "probability", "high"))
        assert middle == pytest.approx(result.probability)
        assert low < middle < high
    if kind == "convergence":
        assert math.exp(float(rows[-1]["log_probability"])) == pytest.approx(result.probability)
        assert [int(row["runs"]) for row in rows] == [1, 2, 3, 4]
    if kind == "reaching-times":
        assert sum(math.exp(float(row["log_weight"])) for row in rows) == pytest.approx(result.probability)


@pytest.mark.slow
def test_on_a_dark_page_nothing_is_dark(directory: Path, tmp_path: Path) -> None:
    with pytams.load(directory) as saved:
        write_report(saved.result, tmp_path / "report.html", reference=5.5e-4)
    found = re.findall(r'"data:image/png;base64,([^"]+)"', (tmp_path / "report.html").read_text())
    pixels = [plt.imread(io.BytesIO(base64.b64decode(image))) for image in found]
    assert all((image[0, :, 3] == 0.0).all() for image in pixels), "the page shows through"
    darkest = [image[image[..., 3] > 0.9][:, :3].max(axis=1).min() for image in pixels]
    assert len(darkest) == 2 * (len(plot.KINDS) - len(plot.OF_STATES))
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
        with pytest.raises(pytams.SettingsError, match="run: the overview has no such option: choose a kind of pic"):
            write_picture(saved.result, "overview", tmp_path / "picture.png", run=1)
        with pytest.raises(pytams.SettingsError, match="width: 5 mm: it must be between 20 and 1000 mm"):
            write_picture(saved.result, "levels", tmp_path / "picture.pdf", width=5.0)
        with pytest.raises(pytams.SettingsError, match="no table of the picture 'scores', only of exceedance"):
            write_picture(saved.result, "scores", tmp_path / "picture.csv")
        with pytest.raises(pytams.SettingsError, match="did you mean levels"):
            write_picture(saved.result, "level", tmp_path / "picture.png")
        with pytest.raises(pytams.PytamsError, match="cannot be written: No such file or directory"):
            write_picture(saved.result, "levels", tmp_path / "nowhere" / "picture.png")
        with pytest.raises(pytams.PytamsError, match="cannot be written: No such file or directory"):
            write_report(saved.result, tmp_path / "nowhere" / "report.html")
