"""The server of a study's page: who gets what, and that nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource

import pytams
from exact import DoubleWell2D
from pytams import Storage
from pytams.analysis import logs, plot, summary
from pytams.analysis.interactive import PICTURES
from pytams.analysis.page import in_lines
from pytams.analysis.page_tables import as_csv, page_tables
from pytams.cli import followed
from pytams.cli.reproduce import to_reproduce
from pytams.cli.serve import HEADERS, Page, Server, open_server
from pytams.storage.lessons import Lessons, Plan

SETTINGS: dict[str, Any] = {"end_time": 4.0, "step_size": 0.02, "target_score": 0.9, "n_trajectories": 20}


class Labelled(DoubleWell2D):
    title, units = "<b>A double well</b>", {"time": "s", "score": "$$m$$"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "dw.tams"
    pytams.TAMS(Labelled(), **SETTINGS).run(3, seed=1, out=Storage(path=path))
    return path


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "dw.tams")
    return tmp_path / "dw.tams"


@pytest.fixture(autouse=True)
def always_time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no reading be put off for others that took long."""
    monkeypatch.setattr(followed, "_SHARE", 1.0)


def stop_after(path: Path, n: int) -> None:
    """Leave a study after so many iterations and ends of runs."""
    with pytams.TAMS(Labelled(), **SETTINGS).study(3, seed=2, out=Storage(path=path)) as study:
        for i, _ in enumerate(study):
            if i == n:
                return


@contextmanager
def served(path: Path, interval: float = 0.0) -> Iterator[Server]:
    with open_server(path, 0, interval, None) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: Server, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def get(server: Server, what: str) -> Any:
    answer, content = ask(server, f"/{server.token}/{what}")
    assert answer.status == 200
    return json.loads(content)


def sources_of(answer: Any) -> dict[str, dict[str, Any]]:
    """Give the columns of the sources of a picture, by their names."""
    models = Document.from_json(answer["item"]["doc"]).models
    sources = [one for one in models if isinstance(one, ColumnDataSource)]
    return {str(one.name): {key: list(column) for key, column in one.data.items()} for one in sources}


def test_only_who_knows_the_token_gets_anything(directory: Path) -> None:
    with served(directory) as server, served(directory) as other:
        assert len(server.token) >= 32
        assert server.token != other.token
        assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
        wrong = server.token[:-1] + ("a" if server.token[-1] != "a" else "b")
        for path in (
            "/",
            "//",
            "",
            f"/{server.token}",
            f"/{wrong}/",
            "/%C3%A4/",
            "//[x/y",
            "/state",
        ):
            found, content = ask(server, path)
            assert (found.status, content) == (404, b"there is nothing here\n"), path
        assert ask(server, f"/{server.token}/")[0].status == 200
        for name in ("x", "../", "..%2f", "live.js/", "study.json", "picture?kind=x", "picture?kind=levels&run=-1"):
            assert ask(server, f"/{server.token}/{name}")[0].status == 404, name


def test_a_foreign_name_for_this_machine_gets_nothing(directory: Path) -> None:
    """A page from elsewhere may let its own name lead here: the browser tells which name it was."""
    with served(directory) as server:
        port, page = server.server_port, f"/{server.token}/"
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            assert ask(server, page, host=host)[0].status == 200
        for host in ("", "localhost", "127.0.0.1", f"127.0.0.1:{port + 1}", f"evil.example:{port}", f"[::1]:{port}"):
            assert ask(server, page, host=host)[0].status == 421, host
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            assert b" 421 " in connection.recv(100)


def test_it_can_only_be_read(directory: Path) -> None:
    with served(directory) as server:
        page = f"/{server.token}/state"
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"):
            assert ask(server, page, method)[0].status == 501, method
        answer, content = ask(server, page, "HEAD")
        assert (answer.status, content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json"


def test_headers(directory: Path) -> None:
    with served(directory) as server:
        for path in ("/", *(f"/{server.token}/{name}" for name in ("", "live.js", "bokeh.min.js", "state"))):
            answer, _ = ask(server, path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Server"].strip() == "pytams"
        assert ask(server, "/", "POST")[0].headers["Cache-Control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_it_listens_on_this_machine_only(directory: Path) -> None:
    with Server(Page(directory, 1.0)) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        with pytest.raises(
            pytams.SettingsError, match="--port: .* cannot be had: Address already in use; choose ano"
        ):
            Server(Page(directory, 1.0), server.server_port)


def test_names_are_escaped(directory: Path) -> None:
    moved = directory.with_name("<img src=x onerror=alert(1)>.tams")
    directory.rename(moved)
    with served(moved) as server:
        page = ask(server, f"/{server.token}/")[1].decode()
        state = get(server, "state")
        figure = json.dumps(get(server, "picture?kind=levels")["item"])
    for text in (page, state["top"], state["bottom"], state["going_on"]):
        assert "<img" not in text
        assert "<b>A double" not in text
    assert "&lt;img src=x" in page
    assert "&lt;b&gt;A double well&lt;/b&gt;" in state["top"]
    assert '{"type": "object", "name": "PlainText", ' in figure, "or MathJax would be asked for"
    assert "score ($$m$$)" in figure


@pytest.mark.slow
def test_what_it_shows_is_what_is_found(directory: Path) -> None:
    with served(directory) as server, pytams.load(directory) as saved:
        state = get(server, "state")
        assert state["words"] == "3 of 3 runs finished; the study has ended."
        assert state["going_on"] == state["error"] == ""
        assert state["title"] == f"<b>A double well</b>: {summary.headline(saved.result)}"
        for _, value in (*saved.result.rows, *saved.provenance):
            assert (
                value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
                in state["top"] + state["bottom"]
            )
        assert state["runs"] == [[str(run), f"run {run}"] for run in range(3)]
        assert state["kinds"] == list(PICTURES)
        for kind in state["kinds"]:
            for run in ("all", "2"):
                assert "item" in get(server, f"picture?kind={kind}&run={run}"), kind
        assert get(server, "picture?kind=levels&run=7")["why"] == "Nothing of this run is recorded yet."
        assert "top" not in get(server, f"state?version={state['version']}")


@pytest.mark.slow
def test_it_has_the_tables_and_the_input_file_of_the_report(directory: Path) -> None:
    with served(directory) as server, pytams.load(directory) as saved:
        bottom = get(server, "state")["bottom"]
        for table in page_tables(saved.result):
            assert f'<a href="{table.kind}.csv" download="{table.kind}.csv">' in bottom
            assert f"<h2>{table.title}</h2>" in bottom
            assert all(f"<td>{value}</td>" in bottom for row in table.rows for value in row)
            answer, content = ask(server, f"/{server.token}/{table.kind}.csv")
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
            assert content.decode() == as_csv(table.kind, saved.result)
        assert len(content.decode().splitlines()) == 301
        assert "<h2>To reproduce it</h2>" in bottom
        assert in_lines(to_reproduce(directory, saved.directory.info)) in bottom
        assert "# pytams run input.toml --out study.tams\n" in bottom
        assert ask(server, f"/{server.token}/levels.csv")[0].status == 404


def test_an_input_file_that_cannot_be_written_says_why(directory: Path) -> None:
    for path in (*(directory / "ledgers").iterdir(), *(directory / "segments").iterdir()):
        path.unlink()
    manifest = json.loads((directory / "study.json").read_text())
    manifest["model"] |= {"reference": "model.py:Model", "arguments": {"depth": [None]}}
    (directory / "study.json").write_text(json.dumps(manifest))
    with served(directory) as server:
        state = get(server, "state")
        assert "<pre># TypeError: " in state["bottom"], state["error"]


@pytest.mark.slow
def test_it_has_every_picture_of_the_report_but_those_of_states(directory: Path) -> None:
    assert set(PICTURES) == set(plot.KINDS) - set(plot.OF_STATES)
    with served(directory) as server, pytams.load(directory) as saved:
        get(server, "state")
        families = [len(run.families) for run in saved.result.runs]
        for run, found in enumerate(families):
            note = get(server, f"picture?kind=genealogy&run={run}")["note"]
            assert note == f"Run {run}: {found} of 20 initial trajectories have descendants."
            n = saved.result.runs[run].n_branchings
            assert (
                f" of {n} killed trajectories of run {run},"
                in get(server, f"picture?kind=discarded&run={run}")["note"]
            )
        n, mean = sum(run.n_reached for run in saved.result.runs), float(saved.result.reaching_time.value)
        note = get(server, "picture?kind=reaching-times")["note"]
        assert note == f"{n} trajectories have reached it; their mean time is {mean:.3g}."
        sources = sources_of(get(server, "picture?kind=convergence"))
        assert sources["means"]["x"] == [1, 2, 3]
        assert sources["means"]["value"][-1] == logs.text(saved.result.log_probability, ".3e")
        sources = sources_of(get(server, "picture?kind=genealogy&run=0"))
        assert len(set(sources["runs"]["root"])) == families[0]


@pytest.mark.slow
@pytest.mark.parametrize("n", [0, 1, 30, 80])
def test_while_runs_go_on(tmp_path: Path, n: int) -> None:
    stop_after(tmp_path / "dw.tams", n)
    with served(tmp_path / "dw.tams") as server, pytams.load(tmp_path / "dw.tams") as saved:
        state = get(server, "state")
        assert f"{saved.n_finished} of 3 runs finished; nobody drives it: pytams resume goes on" in state["words"]
        assert "Runs that are not finished" in state["going_on"]
        assert ("PROVISIONAL" in state["top"]) == ("so far" in state["title"]) == (saved.n_finished == 0)
        assert [text.endswith(", going on") for _, text in state["runs"]] == [
            not run.finished for run in saved.so_far.runs
        ]
        answers = {kind: get(server, f"picture?kind={kind}") for kind in PICTURES}
        texts = [answer.get("why", "")[-5:] for answer in answers.values()]
        assert set(texts) <= {"", " yet."}
        assert "item" in answers["scores"]
        assert ("item" in answers["levels"]) == any(run.iterations for run in saved.so_far.runs)


def test_a_study_that_nobody_has_begun(directory: Path) -> None:
    for path in (*(directory / "ledgers").iterdir(), *(directory / "segments").iterdir()):
        path.unlink()
    with served(directory) as server:
        state = get(server, "state")
        assert state["words"] == "0 of 3 runs finished; nobody drives it: pytams resume goes on with it."
        assert "No run has begun yet." in state["top"]
        assert "end_time" in state["bottom"]
        assert (state["kinds"], state["runs"], state["error"]) == ([], [], "")
        assert "To reproduce it" in state["bottom"]
        assert ask(server, f"/{server.token}/exceedance.csv")[0].status == 404
        assert get(server, "picture?kind=levels") == {"why": "No run has begun yet."}


@pytest.mark.slow
def test_while_a_score_is_being_learned(tmp_path: Path) -> None:
    path = tmp_path / "dw.tams"
    lessons = Lessons(path)
    lessons.begin(Plan(n_runs=3, seed=1, pilot_runs=4, rounds=1))
    with served(path) as server:
        state = get(server, "state")
        assert (state["words"], state["error"]) == ("Its score is to be learned; no run has begun yet.", "")
        assert get(server, "picture?kind=levels") == {"why": "No run has begun yet."}
        stop_after(lessons.round(0), 20)
        state = get(server, "state")
        assert (
            "Its score is being learned: what follows is of the runs in round0 that teach it. 0 of 3"
            in state["words"]
        )
        assert "PROVISIONAL" in state["top"]
        assert "item" in get(server, "picture?kind=levels")
        pytams.TAMS(Labelled(), **SETTINGS).run(3, seed=1, out=Storage(path=path))
        state = get(server, "state")
        assert state["words"] == "3 of 3 runs finished; the study has ended."
        assert "PROVISIONAL" not in state["top"]


def test_a_damaged_directory_is_told_and_what_was_seen_stays(directory: Path) -> None:
    content = (directory / "study.json").read_text()
    with served(directory) as server:
        sound = get(server, "state")
        (directory / "study.json").write_text("{")
        state = get(server, "state")
        assert "study.json" in state["error"]
        assert state["top"] == sound["top"]
        assert state["version"] != sound["version"]
        assert get(server, "state")["version"] == state["version"]
        assert "item" in get(server, "picture?kind=levels")
        (directory / "study.json").write_text(content)
        state = get(server, "state")
        assert (state["error"], state["top"]) == ("", sound["top"])
        segment = next((directory / "segments").iterdir())
        segment.write_bytes(segment.read_bytes()[:-100])
        state = get(server, "state")
        assert segment.name in state["error"] + state["words"]


def test_damaged_from_the_start(directory: Path) -> None:
    (directory / "study.json").write_text("{")
    with served(directory) as server:
        state = get(server, "state")
        assert "study.json" in state["error"]
        assert state["top"] == ""
        assert ask(server, f"/{server.token}/")[0].status == 200


def test_a_picture_that_cannot_be_drawn_says_why(directory: Path) -> None:
    with served(directory, interval=1000.0) as server:
        get(server, "state")
        for segment in (directory / "segments").iterdir():
            segment.write_bytes(b"")
        assert ".nc" in get(server, "picture?kind=scores")["why"]
        assert "item" in get(server, "picture?kind=levels")


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(pytams.RunDirectoryError, match="is no run directory: it has no study"):
        open_server(tmp_path, 0, 1.0, None)


@pytest.mark.slow
def test_many_ask_and_it_is_read_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    load = pytams.load

    def counting(path: Path, **options: Any) -> Any:
        read.append(path)
        return load(path, **options)

    monkeypatch.setattr(pytams, "load", counting)
    asked = ["state", *(f"picture?kind={kind}" for kind in PICTURES)] * 5
    with served(directory) as server, ThreadPoolExecutor(16) as pool:
        get(server, "state")
        answers = list(pool.map(lambda what: get(server, what), asked))
        assert read == [directory], "nothing is new, so nothing is read"
        for what, answer in zip(asked, answers, strict=True):
            assert answer.get("version") == 1 if what == "state" else answer["item"]
        os.utime(directory / "study.json")
        assert get(server, "state")["version"] == 2
        assert len(read) == 2
    read.clear()
    with served(directory, interval=1000.0) as server, ThreadPoolExecutor(16) as pool:
        versions = list(pool.map(lambda _: get(server, "state")["version"], range(20)))
        os.utime(directory / "study.json")
        assert {*versions, get(server, "state")["version"]} == {1}, "it is not time to"
        assert len(read) == 1


def test_nothing_is_written(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def everything() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}

    before = everything()
    with served(directory) as server:
        for name in ("", "live.js", "bokeh.min.js", "state"):
            ask(server, f"/{server.token}/{name}")
        for kind in PICTURES:
            get(server, f"picture?kind={kind}")
    assert everything() == before


@pytest.mark.slow
def test_the_command(directory: Path) -> None:
    command = [sys.executable, "-m", "pytams", "serve", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    host, token = address.removeprefix("http://").rstrip("/").split("/")
    connection = HTTPConnection(host, timeout=60)
    connection.request("GET", f"/{token}/state")
    assert json.loads(connection.getresponse().read())["words"] == "3 of 3 runs finished; the study has ended."
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (0, "", "")


@pytest.mark.parametrize("missing", ["bokeh", "jinja2"])
def test_without_the_extra(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import pytams.cli.serve"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith('pip install "pytams-splitting[serve]"')
