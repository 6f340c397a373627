"""The page of a study while it goes on, in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import pytams
from pytams.analysis import summary
from pytams.analysis.interactive import PICTURES
from pytams.analysis.page_tables import as_csv, page_tables

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 180_000.0  # ms
expect.set_options(timeout=PATIENCE)
MODEL = """
import time
from pathlib import Path
import pytams

class Slow(pytams.Model):
    title = "A slow walk"
    units = {"time": "d", "score": "m"}
    noise_shape = ()
    def initial_state(self, rng):
        return 0.0
    def step(self, state, noise, t, dt):
        while not Path("begun").exists():
            time.sleep(0.01)
        time.sleep(0.0 if Path("seen").exists() else 0.01)
        return 0.9 * state + noise
    def score(self, state, t):
        return state
"""
INPUT = """
[tams]
ntrajectories = 20
nruns = 3
seed = 1
[trajectory]
end_time = 20
step_size = 1
targetscore = 8
[database]
checkpoint_interval = 0.2
[runner]
type = "process"
nworkers = 2
[model]
class = "slow.py:Slow"
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytams", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture
def study(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A study that begins when there is a file ``begun``, and is slow until there is ``seen``."""
    (tmp_path / "slow.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    process = start(tmp_path, "run", "input.toml", "--out", "run.tams")
    deadline = time.monotonic() + 120
    while not (tmp_path / "run.tams" / "study.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process
    for name in ("begun", "seen"):
        (tmp_path / name).touch()
    process.communicate(timeout=120)


@pytest.fixture
def address(tmp_path: Path, study: subprocess.Popen[str]) -> Iterator[str]:
    server = start(tmp_path, "serve", "run.tams", "--interval", "0.2")
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def drawn(page: Page, kind: str) -> list[float]:
    """Give the range of the horizontal axis of a picture that is drawn."""
    page.wait_for_function("kind => shown.get(kind)?.figure.x_range.end > 0", arg=kind, timeout=PATIENCE)
    found: list[float] = page.evaluate("kind => [shown.get(kind).figure.x_range].map(r => [r.start, r.end])[0]", kind)
    return found


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light"), (1280, "dark")])
def test_it_follows_a_study(
    tmp_path: Path, study: subprocess.Popen[str], address: str, browser: Browser, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE)
    said: list[str] = []
    asked: set[str] = set()
    page.on("console", lambda message: said.append(message.text) if message.type in {"warning", "error"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    page.goto(address)

    expect(page.locator("h1")).to_have_text("A slow walk", timeout=PATIENCE)  # nothing has been computed yet
    assert "0 of 3 runs finished" in page.inner_text("#words")
    assert page.locator("#pictures canvas").count() == 0

    (tmp_path / "begun").touch()
    page.evaluate("mark = 'the same page'")
    expect(page.locator("#top")).to_contain_text("PROVISIONAL", timeout=PATIENCE)
    expect(page.locator("#going_on")).to_contain_text("process", timeout=PATIENCE)
    assert "driven by " in page.inner_text("#words")
    assert "s ago" in page.inner_text("#age")
    drawn(page, "levels")
    expect(page.locator("#figure-levels")).to_contain_text("Runs that go on are orange.")

    (tmp_path / "seen").touch()
    expect(page.locator("#words")).to_have_text("3 of 3 runs finished; the study has ended.", timeout=PATIENCE)
    with pytams.load(tmp_path / "run.tams") as saved:
        result = saved.result
    expect(page.locator(".number")).to_have_text(f"P = {summary.headline(result)}", timeout=PATIENCE)
    for kind in PICTURES:
        drawn(page, kind)
    assert page.evaluate("mark") == "the same page"
    assert page.evaluate(
        "[...document.querySelectorAll('#pictures [role=img]')].map(box => box.clientHeight > 200)"
    ) == ([True] * len(PICTURES))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("shown.get('levels').figure.below[0].major_label_text_color") == (
        "#1b1b1b" if scheme == "light" else "#e6e6e6"
    )
    for _, value in result.rows:
        assert value in page.inner_text("#top")

    expect(page.locator("pre")).to_contain_text("pytams run input.toml --out study.tams")
    for table in page_tables(result):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"{table.kind}.csv").click()
        assert download.value.suggested_filename == f"{table.kind}.csv"
        assert Path(download.value.path()).read_text() == as_csv(table.kind, result)

    page.screenshot(path=tmp_path / "page.png", full_page=True)
    run = page.get_by_label("Runs", exact=True)
    run.select_option("run 1")
    expect(page.locator("#note-scores")).to_contain_text("trajectories of run 1,")
    box = page.get_by_label("Return time of every level")
    box.first.uncheck()
    expect(page.locator("#figure-return-times")).to_be_hidden()
    assert said == []
    assert all(url.startswith((address, "data:")) for url in asked), asked
    page.close()


def test_zoom_stays_and_points_tell(
    tmp_path: Path, study: subprocess.Popen[str], address: str, browser: Browser
) -> None:
    (tmp_path / "begun").touch()
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    before = drawn(page, "levels")
    canvas = page.locator("#picture-levels")
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    page.mouse.move(x - 80, y - 60)
    page.mouse.down()
    page.mouse.move(x + 80, y + 60, steps=5)
    page.mouse.up()
    page.wait_for_function("start => shown.get('levels').figure.x_range.start !== start", arg=before[0])
    zoomed = drawn(page, "levels")
    assert before[0] < zoomed[0] < zoomed[1] < before[1]
    n = page.evaluate("shown.get('levels').figure.renderers[0].data_source.data.xs[0].length")
    (tmp_path / "seen").touch()
    expect(page.locator("#words")).to_contain_text("the study has ended", timeout=PATIENCE)
    page.wait_for_function("n => shown.get('levels').figure.renderers[0].data_source.data.xs[0].length > n", arg=n)
    assert drawn(page, "levels") == zoomed

    drawn(page, "estimates")
    figure = page.locator("#picture-estimates")
    figure.scroll_into_view_if_needed()
    at = page.evaluate(
        """() => {
          const { view, figure } = shown.get("estimates");
          const plot = view.roots[0];
          const { x, y } = figure.renderers.at(-1).data_source.data;
          const place = plot.canvas_view.el.getBoundingClientRect();
          return [place.x + plot.frame.x_scale.compute(x[0]), place.y + plot.frame.y_scale.compute(y[0])];
        }"""
    )
    page.mouse.move(at[0] - 30, at[1])
    page.mouse.move(*at, steps=5)
    expect(page.locator(".bk-Tooltip").filter(has_text="estimate").first).to_be_visible()
    page.close()


def test_when_the_server_is_gone(tmp_path: Path, study: subprocess.Popen[str], browser: Browser) -> None:
    server = start(tmp_path, "serve", "run.tams")
    assert server.stdout is not None
    page = browser.new_page()
    page.goto(server.stdout.readline().strip())
    expect(page.locator("h1")).to_have_text("A slow walk", timeout=PATIENCE)
    server.terminate()
    server.communicate(timeout=60)
    expect(page.locator("#trouble")).to_contain_text("pytams serve does not answer any more", timeout=PATIENCE)
    expect(page.locator("h1")).to_have_text("A slow walk")
    page.close()
