"""The documentation site: what it says of the ledger, that it needs no network, and what a browser makes of it."""

from __future__ import annotations

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
from pages import PAGES

ROOT = Path(__file__).parents[2]
CONTRACT = Path(__file__).parent / "approved" / "pytams.sqldb.rst"
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
    sources, html = folder / "docs", folder / "html"
    shutil.copytree(ROOT / "docs", sources, ignore=shutil.ignore_patterns("api", "conf.py", "__pycache__"))
    options = ["-q", "-W", "--keep-going", "-c", str(ROOT / "docs"), "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, "-D", "autoapi_keep_files=1", str(sources), str(html)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Built(sources, html, f"http://127.0.0.1:{server.server_port}")
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


SEEN = ["index", "models", "settings", "cluster", "results", "tutorials/first", "api/pytams/index"]
SEEN += ["api/pytams/sqldb/index"]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (1280, "light"), (1280, "dark")])
def test_site_in_a_browser(site: Built, browser: Browser, width: int, scheme: str) -> None:
    for name in SEEN:
        page, said = opened(browser, f"{site.url}/{name}.html", width, scheme)
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
    page.goto(f"{url}/search.html?q=lock_trajectory")
    page.wait_for_selector("#search-results li a")
    assert "lock_trajectory" in page.inner_text("#search-results")
    page.close()
