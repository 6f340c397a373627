"""The documentation site: what it says of the ledger, that it needs no network, and what a browser makes of it."""

from __future__ import annotations

import doctest
import html
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page

import pytams
from browsers import chromium
from exact import DoubleWell2D
from pages import PAGES, ROOT

CONTRACT = Path(__file__).parent / "approved" / "pytams.sqldb.rst"
READMES = {Path(page).parent.name: text for page, text in PAGES.items() if page.startswith("examples/")}
PUBLISHED = [folder / "shared" / "reference" / "pytams.sqldb.rst" for folder in ROOT.parents]


class Built(NamedTuple):
    sources: Path
    html: Path
    url: str


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The site as `make docs` makes it, of a copy of the pages, and served on this machine."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    sources, made = folder / "docs", folder / "html"
    shutil.copytree(
        ROOT / "docs", sources, ignore=shutil.ignore_patterns("api", "examples", "conf.py", "__pycache__")
    )
    options = ["-q", "-W", "--keep-going", "-c", str(ROOT / "docs"), "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, "-D", "autoapi_keep_files=1", str(sources), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(made))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Built(sources, made, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def directives(page: str) -> list[str]:
    """List a page's directives, with their indentation, options and bases; not what is said in between."""
    lines = [line.rstrip() for line in page.splitlines()]
    return [line for line in lines if re.match(r" *(\.\. [\w:-]+::|:(type|value|\w*method):|Bases:)", line)]


def test_the_contract_is_the_published_one() -> None:
    published = [path for path in PUBLISHED if path.exists()]
    if not published:
        pytest.skip("it is beside the checkout where this was written")
    assert CONTRACT.read_bytes() == published[0].read_bytes()


def test_directives_are_found() -> None:
    found = directives(CONTRACT.read_text())
    assert sum(".. py:class::" in line for line in found) == 5
    assert sum(".. py:method::" in line for line in found) == 23
    assert sum(":type:" in line for line in found) == 16
    assert found[-1].strip() == ".. py:method:: dump_file_json(json_file: str | None = None) -> None"


@pytest.mark.slow
def test_the_page_of_the_ledger_is_the_contract(site: Built) -> None:
    page = site.sources / "api" / "pytams" / "sqldb" / "index.rst"
    assert directives(page.read_text()) == directives(CONTRACT.read_text())


@pytest.mark.slow
def test_every_public_name_is_on_the_site_and_no_room(site: Built) -> None:
    text = (site.html / "api" / "pytams" / "index.html").read_text()
    shown = set(re.findall(r'id="pytams\.(\w+)"', text))
    assert shown == set(pytams.__all__)
    pages = {str(path.parent.relative_to(site.html / "api")) for path in (site.html / "api").rglob("index.html")}
    assert pages == {"pytams", "pytams/sqldb", *(f"pytams/{name}" for name in pytams._MODULES)}  # noqa: SLF001 - or a list


@pytest.mark.slow
def test_code_on_the_api_pages_runs(site: Built) -> None:
    pytest.importorskip("xarray")
    names = {"pytams": pytams} | {name: getattr(pytams, name) for name in pytams.__all__}
    tams = pytams.TAMS(DoubleWell2D(), end_time=5, step_size=0.02, target_score=0.8, n_trajectories=20)
    ran = set()
    for page in (site.html / "api").rglob("index.html"):
        for block in re.findall(r"<pre>(.*?)</pre>", page.read_text(), re.S):
            text = html.unescape(re.sub("<[^>]*>", "", block))
            parts = doctest.DocTestParser().parse(f"{text}\n")
            sessions = [part for part in parts if isinstance(part, doctest.Example)]
            assert all(not part.options for part in sessions), f"not run: {text}"
            test = doctest.DocTest(sessions, names | {"result": tams.run(4, seed=1)}, page.parent.name, None, 0, text)
            assert doctest.DocTestRunner().run(test).failed == 0, text
            if not sessions:
                exec(compile(text, str(page), "exec"), dict(names))
            ran.add(text.split("(")[0])
    assert {"def drift", ">>> steps = result.expectation"} <= ran


def test_the_gallery_shows_every_example() -> None:
    gallery = PAGES["docs/gallery.md"]
    for name, text in READMES.items():
        title = text.partition("\n")[0].removeprefix("# ")
        assert f"## [{title}](../examples/{name}/README.md)\n" in gallery
        assert re.search(rf"^!\[[^\]]+\]\(gallery/{name}\.png\)$", gallery, re.M)
        assert f"`pytams run examples/{name}/input.toml`" in gallery


def test_pictures_have_a_text_for_who_cannot_see_them() -> None:
    for page, text in PAGES.items():
        assert "![](" not in text, page


@pytest.mark.slow
def test_every_example_has_its_page(site: Built, browser: Browser) -> None:
    for name, text in READMES.items():
        assert f'href="examples/{name}/index.html"' in (site.html / "gallery.html").read_text()
        page, said = opened(browser, f"{site.url}/examples/{name}/index.html", 1280, "light")
        assert said == []
        shown = page.inner_text("article")
        assert page.inner_text("h1").startswith(text.partition("\n")[0].removeprefix("# "))
        for line in ("input.toml", f"{name}.py"):
            assert (ROOT / "examples" / name / line).read_text().strip() in shown
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S):
            assert block.strip() in shown
        for doi in re.findall(r"\]\((https:[^)]+)\)", text):
            assert page.locator(f'article a[href="{doi}"]').count(), doi
        pictures = page.locator("article img")
        assert pictures.count() == text.count("](../../docs/gallery/") > 0
        room = page.evaluate("document.querySelector('article p').clientWidth")
        for picture in pictures.all():
            assert picture.get_attribute("alt")
            assert picture.evaluate("image => image.clientWidth") > 0.95 * room
        page.close()


@pytest.mark.slow
def test_links_are_called_by_titles(site: Built) -> None:
    for page in site.html.rglob("*.html"):
        assert not re.search(r">\w+\.md(</span>)?</a>", page.read_text()), page


@pytest.mark.slow
def test_formulas(site: Built, browser: Browser) -> None:
    """Braces are as high as what is in them, functions stand apart, and a wide formula scrolls by itself."""
    text = (site.html / "theory.html").read_text()
    assert "<mo>{</mo>" not in text
    assert re.search(r"<mi>N</mi><mspace[^>]*></mspace><mi>log</mi><mo>[^<]*</mo><mspace", text)
    page, _ = opened(browser, f"{site.url}/theory.html", 375, "light")
    heights = page.evaluate("[...document.querySelectorAll('p math')].map(one => one.getBoundingClientRect().height)")
    assert max(heights) < 2 * page.evaluate("parseFloat(getComputedStyle(document.querySelector('p')).lineHeight)")
    page.close()


@pytest.mark.slow
def test_pages_need_no_network(site: Built) -> None:
    pages = [*site.html.rglob("*.html"), *site.html.rglob("*.css")]
    assert len(pages) > 20
    for path in pages:
        text = path.read_text()
        loaded = re.findall(r'<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]*)"', text)
        loaded += re.findall(r"(?:@import\s*|url\()[\"']?((?:https?:)?//[^\"')]*)", text)
        assert loaded == [], path


def test_links_between_pages_work_where_they_lie() -> None:
    for page, text in PAGES.items():
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            if not link.startswith("api/"):  # made with the site
                assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


@pytest.mark.slow
def test_links_between_pages_work_on_the_site(site: Built) -> None:
    for page in site.html.rglob("*.html"):
        for link in re.findall(r'href="(?!https?:)([^"#?]+)', page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def opened(browser: Browser, url: str, width: int, scheme: str) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type] # a literal
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(url[:10]) else None)
    page.goto(url)
    return page, said


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (1280, "light"), (1280, "dark")])
def test_site_in_a_browser(site: Built, browser: Browser, width: int, scheme: str) -> None:
    pages = [str(path.relative_to(site.html)) for path in site.html.rglob("*.html")]
    assert len(pages) > 30
    for name in pages:
        page, said = opened(browser, f"{site.url}/{name}", width, scheme)
        assert said == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert min(page.evaluate("[1, ...[...document.images].map(image => image.naturalWidth)]")) > 0, name
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (min(map(int, re.findall(r"\d+", colour)[:3])) > 128) == (scheme == "light"), (name, colour)
        page.close()


@pytest.mark.slow
@pytest.mark.parametrize("served", [True, False])
def test_search_works_offline(site: Built, browser: Browser, served: bool) -> None:
    url = site.url if served else site.html.as_uri()
    page, said = opened(browser, f"{url}/search.html?q=requeue", 1280, "light")
    page.wait_for_selector("#search-results li a")
    assert "On a cluster" in page.inner_text("#search-results")
    if served:  # from a file, there are no excerpts, and the browser says so
        assert said == []
    for words, found in {
        "lock_trajectory": "lock_trajectory",
        "heat wave": "A hot season",
        "Atlantic overturning": "The Atlantic overturning in five boxes",
    }.items():
        page.goto(f"{url}/search.html?q={words}")
        page.wait_for_selector("#search-results li a")
        page.wait_for_function("!document.querySelector('#search-progress')?.innerText.startsWith('Preparing')")
        assert found in page.inner_text("#search-results")
    page.close()
