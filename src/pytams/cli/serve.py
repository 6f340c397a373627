"""The page of a study while it goes on: an HTTP server for this machine only, which reads and writes nothing."""

from __future__ import annotations

import json
import re
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from pytams.core.distribution import installing
from pytams.core.errors import RunDirectoryError, SettingsError

try:
    from pytams.analysis.page import in_lines, templates
except ImportError as error:
    raise ImportError(f"the page needs jinja2: {installing('serve')}") from error
from pytams.analysis import summary
from pytams.analysis.interactive import PICTURES, kinds
from pytams.analysis.page_tables import TABLES, as_csv, page_tables, tells
from pytams.cli.followed import Followed, Snapshot
from pytams.cli.output import explained
from pytams.cli.reproduce import to_reproduce
from pytams.cli.watch import COLUMNS
from pytams.storage.lessons import Lessons

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.analysis.result import Result
    from pytams.storage.reader import SavedStudy

HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing but the page itself gets at it, and the page gets nothing from anywhere else."""


class Answer(NamedTuple):
    """What is sent."""

    content: bytes
    kind: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


_NOT_FOUND = Answer(b"there is nothing here\n", status=HTTPStatus.NOT_FOUND)
_OTHER_HOST = Answer(b"ask for 127.0.0.1 or localhost\n", status=HTTPStatus.MISDIRECTED_REQUEST)


class Page:
    """What there is below the address of a study.

    Parameters
    ----------
    path, interval, url
        See `Followed`.
    """

    def __init__(self, path: Path, interval: float, url: str | None = None) -> None:
        self._path, self._followed, self._templates = path, Followed(path, interval, url), templates()
        scripts = {
            "bokeh.min.js": files("bokeh") / "server" / "static" / "js" / "bokeh.min.js",
            "live.js": files("pytams.analysis") / "templates" / "live.js",
        }
        self._scripts = {name: file.read_bytes() for name, file in scripts.items()}

    def answer(self, name: str, query: dict[str, list[str]]) -> Answer:
        """Answer what is asked for below the address."""
        if name == "":
            text = self._templates.get_template("live.html").render(title=self._path.name, pictures=PICTURES)
            return Answer(text.encode(), "text/html; charset=utf-8")
        if name in self._scripts:
            return Answer(self._scripts[name], "text/javascript; charset=utf-8")
        if name == "state":
            return _json(self._state(query.get("version", [""])[0]))
        if name.endswith(".csv"):
            return self._csv(name.removesuffix(".csv"))
        kind, run = query.get("kind", [""])[0], query.get("run", ["all"])[0]
        if name == "picture" and kind in PICTURES and re.fullmatch(r"all|\d{1,9}", run, re.ASCII):
            return _json(self._followed.picture(kind, None if run == "all" else int(run)))
        return _NOT_FOUND

    def _csv(self, kind: str) -> Answer:
        """Give all numbers of a table of the page."""
        saved = self._followed.look().saved
        result = saved.result if saved is not None and saved.has_begun else None
        if kind not in TABLES or result is None or not tells(result):
            return _NOT_FOUND
        return Answer(as_csv(kind, result).encode(), "text/csv; charset=utf-8")

    def _state(self, version: str) -> dict[str, Any]:
        """Say how the study goes, and all that is text on the page if the reader's version of it is another one."""
        seen = self._followed.look()
        state = {
            "version": seen.version,
            "age": monotonic() - seen.read_at,
            "words": seen.words,
            "error": seen.error,
            "going_on": self._template("going_on")(COLUMNS, seen.rows) if seen.rows else "",
        }
        return state if version == str(seen.version) else state | self._texts(seen)

    def _texts(self, seen: Snapshot) -> dict[str, Any]:
        saved = seen.saved
        if saved is None:
            return {"title": self._path.name, "top": "", "bottom": "", "kinds": [], "runs": []}
        info, result = saved.directory.info, saved.result if saved.has_begun else None
        settings = {**info.settings.to_dict(), "seed": info.seed, "runs": info.n_runs}
        name = info.model.labels.title or info.model.name
        return {
            "title": name if result is None else f"{name}: {summary.headline(result)}",
            "top": self._template("top")(name, result, *_numbers(result)),
            "bottom": self._template("bottom")(
                [] if result is None else page_tables(result),
                "{}.csv".format,
                settings.items(),
                in_lines(_reproduced(saved)),
                saved.provenance,
            ),
            "kinds": [] if result is None else kinds(result),
            "runs": _runs(saved),
        }

    def _template(self, name: str) -> Any:
        return getattr(self._templates.get_template("live_parts.html").module, name)


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value, allow_nan=False).encode(), "application/json")


def _numbers(result: Result | None) -> tuple[str, str]:
    """Write the probability and its interval."""
    return ("", "") if result is None else (summary.headline(result), summary.interval(result, ".2e"))


def _reproduced(saved: SavedStudy) -> str:
    """Write the input file that reproduces it."""
    try:
        return to_reproduce(saved.directory.path, saved.directory.info)
    except Exception as error:  # whatever somebody has put into the directory, the page says it
        return f"# {explained(error)}"


def _runs(saved: SavedStudy) -> list[list[str]]:
    """Name the runs that have begun, each with what to call it."""
    runs = saved.so_far.runs if saved.has_begun else ()
    return [[str(run.run), f"run {run.run}" + ("" if run.finished else ", going on")] for run in runs]


class Server(ThreadingHTTPServer):
    """Serves a page on this machine only, at an address that nobody guesses.

    Parameters
    ----------
    page
        What is served.
    port
        Where; 0: at any that is free.

    Raises
    ------
    SettingsError
        If the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, page: Page, port: int = 0) -> None:
        self.page, self.token = page, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise SettingsError("--port", f"{port} cannot be had: {why}; choose another one, or none") from error

    def server_bind(self) -> None:
        """Bind to the port, without asking a name server who this is."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def answer(self, host: str, target: str) -> Answer:
        """Answer a request, if it knows the token; one that a foreign name has led here gets nothing."""
        if host not in {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}:
            return _OTHER_HOST
        path, _, query = target.partition("?")
        token, slash, name = path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.token.encode()):
            return _NOT_FOUND
        return self.page.answer(name, parse_qs(query))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless it is that the reader has gone away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "pytams", ""
    timeout = 60  # seconds without a word

    def do_GET(self) -> None:
        self._send(self.server.answer(self.headers.get("Host", ""), self.path))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address has the token in it."""


def open_server(path: Path, port: int, interval: float, url: str | None) -> Server:
    """Make the server of a run directory.

    Raises
    ------
    RunDirectoryError
        If there is none.
    SettingsError
        If the port cannot be had.
    """
    if not ((path / "study.json").exists() or Lessons(path).are_there):
        raise RunDirectoryError(f"{path} is no run directory: it has no study.json")
    return Server(Page(path, interval, url), port)
