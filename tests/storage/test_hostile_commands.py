"""A directory from a stranger, and the commands: what they print, whom they ask, what they take from it."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hostile import FakeServer, edit_ledger, edit_segment, edit_study
from sqlalchemy import make_url

import pytams
from exact import Walk
from pytams.cli.config import Config
from pytams.cli.main import main
from pytams.cli.serve import Page
from pytams.cli.watch import WatchedStudy
from pytams.storage.databases import as_named
from pytams.storage.manifest import read_manifest

TESTS = Path(__file__).parents[1]
TAMS = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=6, n_trajectories=10)
MODEL = """
from pathlib import Path
from exact import Walk as Harmless

Path(__file__).with_name("executed").touch()

class Walk(Harmless):
    def __init__(self, **anything):
        super().__init__()
"""
INPUT = """
[tams]
ntrajectories = 10
nruns = 2
seed = 1
[trajectory]
end_time = 20
step_size = 1
targetscore = 6
[model]
class = "model.py:Walk"
"""
CONTROLS = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\nprobability     1.0\x7f[link=http://evil.example]click[/link]"
)
"""A name that sets a terminal's title, clears it, turns text around, forges a line and a link."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a model in a file of the directory's own, which leaves a trace when it is executed."""
    folder = tmp_path_factory.mktemp("original")
    directory = folder / "walk.tams"
    directory.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "input.toml").write_text(INPUT)
    config = Config.load(folder / "input.toml")
    config.make_tams().run(2, seed=1, out=config.storage(directory))
    shutil.copy(folder / "model.py", directory / "model.py")
    return directory


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    path = tmp_path / "walk.tams"
    shutil.copytree(original, path)
    edit_study(path, lambda content: content["model"].update(reference=f"{path / 'model.py'}:Walk"))
    return path


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def matplotlib_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Matplotlib has made its list of fonts: it asks another program for them."""
    path = tmp_path_factory.mktemp("matplotlib")
    environment = os.environ | {"MPLCONFIGDIR": str(path)}
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, env=environment)
    return path


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Call the command line: in this process, which is quicker than in one of its own."""
    monkeypatch.setenv("COLUMNS", "150")

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["pytams", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as exit_:
            return Done(int(exit_.code or 0), *capsys.readouterr())
        return Done(0, *capsys.readouterr())

    yield call
    logging.getLogger("pytams").handlers.clear()
    logging.getLogger("pytams").setLevel(logging.NOTSET)


# --- whom it connects to ----------------------------------------------------------------------------------------

COMMANDS = ["show", "plot", "report", "watch", "resume"]


@pytest.fixture
def forged(directory: Path, server: FakeServer) -> Path:
    edit_study(directory, lambda content: content.update(database_url=f"{server.url}?password=known"))
    return directory


def test_a_forged_database_gets_no_connection(
    forged: Path, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    (tmp_path / "pgpass").write_text("*:*:*:*:hunter2")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTAMS_DATABASE_URL", "postgresql://victim@127.0.0.1:1/loot")
    for name in COMMANDS:
        done = command(name, forged)
        assert done.returncode == 1
        assert f"study.json says that its ledgers are in {server.url}." in done.stderr
        said = next(line for line in done.stderr.splitlines() if line.startswith("    pytams show"))
        assert shlex.split(said) == ["pytams", "show", str(forged), "--url", server.url]
        assert "known" not in done.stderr
    with pytest.raises(pytams.RunDirectoryError, match="only if you name it"):
        WatchedStudy(forged)
    assert "only if you name it" in Page(forged, 0.0).answer("state", {}).content.decode()
    with pytest.raises(pytams.RunDirectoryError, match="only if you name it"):
        TAMS.run(2, out=forged)
    time.sleep(0.1)
    assert server.received == []
    assert not (forged / "executed").exists()


def test_what_its_user_names_is_connected_to(forged: Path, server: FakeServer) -> None:
    """So the server above does listen; and the password is the user's."""
    url = make_url(server.url).set(password="mine").render_as_string(hide_password=False)
    words = [sys.executable, "-m", "pytams", "show", str(forged), "--url", url]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not server.received and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert server.received


@pytest.mark.parametrize(
    ("stored", "said", "is_same"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg://u:secret@H:5432/d?schema=x", True),
        ("postgresql://u@h/d?schema=y", "postgresql://u@h/d?password=secret", True),
        ("postgresql://u:forged@h/d", "postgresql://u:secret@h/d", True),
        ("postgresql://u@h/d", "postgresql://v@h/d", False),
        ("postgresql://u@h/d", "postgresql://u@h/e", False),
        ("postgresql://u@h:1/d", "postgresql://u@h/d", False),
        ("postgresql://u@h/d?host=evil", "postgresql://u@h/d", False),
        ("postgresql://u@h/d?service=evil", "postgresql://u@h/d", False),
        ("postgresql://u@h/d", "postgresql://u@h.evil/d", False),
    ],
)
def test_which_database_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, said: str, is_same: bool
) -> None:
    """On the command line, in the environment, in the user's own file: what she said is what is connected to."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PYTAMS_DATABASE_URL", raising=False)
    with pytest.raises(pytams.RunDirectoryError, match="only if you name it yourself"):
        as_named(tmp_path, stored, None)
    (tmp_path / "pytams").mkdir()
    for how in ("given", "environment", "file"):
        given = said if how == "given" else None
        if how == "environment":
            monkeypatch.setenv("PYTAMS_DATABASE_URL", said)
        if how == "file":
            monkeypatch.delenv("PYTAMS_DATABASE_URL")
            (tmp_path / "pytams" / "config.toml").write_text(f"trusted_databases = ['postgresql://x/y', '{said}']")
        if is_same:
            assert as_named(tmp_path, stored, given) == said
        else:
            error = pytams.SettingsError if how == "given" else pytams.RunDirectoryError
            with pytest.raises(error) as caught:
                as_named(tmp_path, stored, given)
            assert "secret" not in str(caught.value)
            assert "forged" not in str(caught.value)


def test_what_a_user_says_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: Path, command: Command
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PYTAMS_DATABASE_URL", raising=False)
    stored = "postgresql://u@h/d"
    (tmp_path / "pytams").mkdir()
    for text, message in [
        ("trusted_databases = 3", "config.toml: cannot be used: trusted_databases: "),
        ("trusted = []", "config.toml: cannot be used: trusted: unknown key; did you mean trusted_databases?"),
        ("trusted_databases = ['h:secret']", "config.toml: h:.* is no URL|cannot"),
        ("trusted_databases = [", "config.toml: cannot be used: "),
    ]:
        (tmp_path / "pytams" / "config.toml").write_text(text)
        with pytest.raises(pytams.SettingsError, match=message.replace("?", r"\?")):
            as_named(tmp_path, stored, None)
    with pytest.raises(pytams.SettingsError, match="are SQLite files in it, not in postgresql://u:\\*\\*\\*@h/d"):
        pytams.load(directory, database_url="postgresql://u:secret@h/d")
    assert command("show", directory, "--url", "postgresql://u:secret@h/d").returncode == 2


@pytest.mark.slow
def test_a_study_on_a_real_server(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Made, shown, watched, extended and reported by a user who says where; its password is written nowhere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    url = make_url(postgres).update_query_dict({"schema": "mine"}).render_as_string(hide_password=False)
    path = tmp_path / "walk.tams"
    storage = pytams.Storage(path=path, database_url=url)
    expected = TAMS.run(2, seed=1, out=storage)
    with pytest.raises(pytams.RunDirectoryError, match="only if you name it yourself"):
        pytams.load(path)
    with pytams.load(path, database_url=postgres) as saved:  # the schema is the directory's own business
        assert saved.result.runs == expected.runs
        shown = [repr(saved), repr(saved.directory), repr(saved.directory.info), str(saved), repr(saved.result)]
    monkeypatch.setenv("PYTAMS_DATABASE_URL", postgres)
    assert TAMS.run(3, out=path).runs[:2] == expected.runs
    shown += [repr(storage), repr(Config), (path / "study.json").read_text()]
    assert not any("secret" in text for text in shown)
    assert command("show", path, "--url", postgres).returncode == 0
    monkeypatch.delenv("PYTAMS_DATABASE_URL")
    watched = command("watch", path, "--url", postgres)
    assert "3 of 3 runs finished" in watched.stdout, watched.stderr
    edit_study(path, lambda content: content.update(n_runs=10**9))
    assert WatchedStudy(path, postgres).n_finished == 3


# --- passwords --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://u@127.0.0.1:1/d?password=hunter2"]
)
def test_passwords_are_shown_nowhere(tmp_path: Path, url: str, command: Command) -> None:
    storage = pytams.Storage(path=tmp_path / "walk.tams", database_url=url)
    assert "hunter2" not in repr(storage)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(f'{INPUT}\n[database]\nurl = ["{url}"]\n')
    commands: list[list[str | Path]] = [
        ["run", tmp_path / "input.toml"],
        ["run", tmp_path / "input.toml", "--set", f"database.url={url}", "--set", f"database.url:{url}"],
        ["run", tmp_path / "input.toml", "--set", f"database.url={url.replace('127', '@127')}"],
        ["run", tmp_path / "input.toml", "--set", f"database.url={url.replace('postgresql', 'mysql')}"],
        ["show", tmp_path, "--url", url],
    ]
    for arguments in commands:
        done = command(*arguments)
        assert "hunter2" not in done.stdout + done.stderr


def test_a_password_in_a_study_file_is_not_shown(directory: Path) -> None:
    edit_study(directory, lambda content: content.update(database_url="postgresql://u:hunter2@h/d?password=hunter3"))
    with pytest.raises(pytams.RunDirectoryError) as caught:
        pytams.load(directory)
    info = read_manifest(directory / "study.json")
    assert "hunter" not in f"{caught.value} {info!r}"
    edit_study(directory, lambda content: content.update(database_url="postgresql://u:hunter2@h@h/d"))
    with pytest.raises(pytams.RunDirectoryError) as caught:
        pytams.load(directory)
    assert "hunter" not in str(caught.value)


def test_how_to_go_on_has_no_password(tmp_path: Path, postgres: str, command: Command) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "input.toml").write_text(INPUT)
    options = ["--set", f"database.url={postgres}", "--set", "tams.walltime=1e-9"]
    done = command("run", tmp_path / "input.toml", *options, "--out", tmp_path / "walk.tams")
    assert done.returncode == 75, done.stderr
    assert "secret" not in done.stderr
    again = shlex.split(done.stderr.rpartition("go on with:  pytams ")[2])
    assert again[:3] == ["resume", str(tmp_path / "walk.tams"), "--url"]
    assert make_url(again[3]).password is None
    done = command(*again)
    assert done.returncode == 0, done.stderr


# --- what going on takes from it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runner", "code", "message"),
    [
        ({"tams": {"logfile": "LOG"}}, 1, "runner.tams is nothing that a run directory may say"),
        ({"model": {"class": "LOG:X"}}, 1, "runner.model is nothing that a run directory may say"),
        ({"database": {"url": "sqlite:///LOG"}}, 1, "runner.database is nothing"),
        ({"runner": 3}, 1, "runner.runner: 3 is not a table of keys and values"),
        ({"runner": {"type": "dask"}, "dask": {"address": "SERVER"}}, 2, "[dask] address: said when"),
        (
            {"runner": {"type": "dask"}, "dask": {"queue": "q", "job_script_prologue": ["touch LOG"]}},
            2,
            "[dask] job_script_prologue, queue: said when",
        ),
        ({"runner": {"type": "dask"}, "dask": {"security": {"ca_file": "LOG"}}}, 2, "[dask] security: said when"),
        ({"runner": {"shell": "touch LOG"}}, 2, "[runner] shell: unknown key"),
    ],
)
def test_settings_that_are_not_taken(
    directory: Path,
    server: FakeServer,
    tmp_path: Path,
    command: Command,
    runner: dict[str, Any],
    code: int,
    message: str,
) -> None:
    text = json.dumps(runner).replace("LOG", str(tmp_path / "log")).replace("SERVER", server.url.rpartition("@")[2])
    edit_study(directory, lambda content: content.update(runner=json.loads(text)))
    done = command("resume", directory)
    assert done.returncode == code
    assert message in done.stderr
    assert server.received == []
    assert not (tmp_path / "log").exists()
    assert not (directory / "executed").exists()


def test_arguments_do_not_choose_another_class(directory: Path, tmp_path: Path) -> None:
    edit_study(directory, lambda content: content["model"].update(arguments={"class": f"{tmp_path}/other.py:X"}))
    config = Config.of_study(directory, read_manifest(directory / "study.json"))
    assert config.storage(directory).model_reference == f"{directory}/model.py:Walk"


@pytest.mark.parametrize("name", ["resume", "repair"])
def test_another_model_is_refused_before_it_is_executed(directory: Path, command: Command, name: str) -> None:
    (directory / "model.py").write_text(f"{MODEL}\nstrangers = 1")
    done = command(name, directory)
    assert done.returncode == 1
    assert "the source of Walk has changed" in done.stderr
    assert not (directory / "executed").exists()


def test_settings_that_are_said_again(directory: Path, tmp_path: Path) -> None:
    stored = {"runner": {"type": "dask", "nworkers": 7}, "dask": {"minimum": 2, "address": "tcp://old", "queue": "q"}}
    edit_study(directory, lambda content: content.update(runner=stored))
    info = read_manifest(directory / "study.json")
    with pytest.raises(pytams.SettingsError, match=r"\[dask\] address, queue: said when"):
        Config.of_study(directory, info)
    with pytest.raises(pytams.SettingsError, match=r"\[dask\] queue: said when .*--set dask.queue="):
        Config.of_study(directory, info, ["dask.address=tcp://new"])
    config = Config.of_study(directory, info, ["dask.address=tcp://new", "dask.queue=mine"])
    assert (config.cluster.address, config.cluster.options) == ("tcp://new", {"queue": "mine"})
    assert (config.cluster.minimum, config.runner.n_workers) == (2, 7)
    assert config.must_be_said_again
    assert not Config.of_study(directory, info, ["runner.type=process"]).must_be_said_again
    (tmp_path / "mine.toml").write_text(
        f'{INPUT}\n[runner]\ntype = "dask"\n[dask]\nqueue = "other"\n'
        "[database]\narchive_discarded = false\ncheckpoint_interval = 5\n"
    )
    text = (tmp_path / "mine.toml").read_text().replace("nruns = 2", 'nruns = 9\nlogfile = "mine.log"')
    (tmp_path / "mine.toml").write_text(text)
    config = Config.of_study(directory, info, settings_file=tmp_path / "mine.toml")
    assert (config.cluster.address, config.cluster.options) == (None, {"queue": "other"})
    assert (config.runner.n_workers, config.session.logfile, config.arguments.n_runs) == (None, "mine.log", 2)
    storage = config.storage(directory)
    assert (storage.archive_discarded, storage.checkpoint_interval) == (True, 5.0)


def test_resuming_with_a_settings_file(directory: Path, tmp_path: Path, command: Command) -> None:
    edit_study(directory, lambda content: content.update(runner={"runner": {"type": "dask"}, "dask": {"queue": "q"}}))
    (tmp_path / "input.toml").write_text(INPUT)
    done = command("resume", directory, "--settings", tmp_path / "input.toml", "--force")
    assert done.returncode == 0, done.stderr


# --- what is printed --------------------------------------------------------------------------------------------


@pytest.fixture
def named(directory: Path) -> Path:
    """A study whose names act on a terminal, in the middle of its second run."""

    def change(content: dict[str, Any]) -> None:
        content["model"]["name"] = CONTROLS
        content["created"] = CONTROLS
        content["versions"] = {CONTROLS: f"<script>alert(1)</script>{CONTROLS}"}
        content["model"]["arguments"] = {"x": f"</td><img src=x onerror=alert(1)>{CONTROLS}"}

    edit_study(directory, change)
    host = CONTROLS.replace("'", "''")
    edit_ledger(
        directory,
        f"INSERT INTO run_lock VALUES (1, '{host}:1:1:x', 0)",
        "UPDATE ledger_info SET value = json_set(value, '$.finished', json('false')) WHERE key = 'progress'",
        run=1,
    )
    for run in range(2):
        edit_ledger(
            directory,
            f"UPDATE ledger_info SET value = json_set(value, '$.model', '{host}', '$.arguments', json_object('x', "
            f"'</td><img src=x onerror=alert(1)>{host}')) WHERE key = 'study'",
            run=run,
        )
    return directory


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n")) and text.count("\nprobability  ") <= 1


def test_names_do_not_act_on_a_terminal(named: Path, tmp_path: Path, command: Command) -> None:
    shown = command("show", named)
    assert shown.returncode == 0, shown.stderr
    assert r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\nprobability" in shown.stdout
    assert "[link=http://evil.example]" in shown.stdout
    assert is_harmless(shown.stdout)
    assert is_harmless(json.dumps(json.loads(command("show", named, "--json").stdout)))
    resumed = command("resume", named)
    assert resumed.returncode == 1
    assert "is of the model " in resumed.stderr
    assert is_harmless(resumed.stderr)
    assert "\nprobability" not in resumed.stderr


@pytest.mark.parametrize("name", ["resume", "repair"])
def test_whoever_drives_a_run_does_not_act_on_a_terminal(directory: Path, command: Command, name: str) -> None:
    for run in range(2):
        host = CONTROLS.replace("'", "''") + "\u2028\u2067x"
        edit_ledger(directory, f"INSERT INTO run_lock VALUES (1, '{host}:1:1:x', 1e15)", run=run)
    done = command(name, directory)
    assert done.returncode == 1
    assert r"is driven by \x1b]0;owned\x07" in done.stderr
    assert r"\u2028\u2067x, process 1" in done.stderr
    assert is_harmless(done.stderr)
    assert "\nprobability" not in done.stderr


FORGED = "a\nprobability     1.0\x1b[2J\u2028\u202e\u2066"


@pytest.mark.parametrize(
    "forge",
    [
        lambda directory: edit_study(directory, lambda content: content.update({FORGED: 1})),
        lambda directory: edit_study(directory, lambda content: content["settings"].update(variant=FORGED)),
        lambda directory: edit_study(directory, lambda content: content["model"].update(name=FORGED, reference=None)),
        lambda directory: edit_study(directory, lambda content: content.update(identity=FORGED)),
        lambda directory: edit_ledger(directory, f"UPDATE segment_files SET name = 'segments/{FORGED}.nc'"),
        lambda directory: edit_ledger(
            directory, f"UPDATE ledger_info SET value = '{FORGED}' WHERE key = 'wall_time'"
        ),
        lambda directory: edit_ledger(directory, f"UPDATE ledger_info SET value = '{FORGED}' WHERE key LIKE 'sch%'"),
        lambda directory: edit_ledger(directory, f"UPDATE ledger_info SET value = '{FORGED}' WHERE key = 'study'"),
        lambda directory: edit_ledger(directory, f'CREATE VIEW "{FORGED}" AS SELECT 1'),
        lambda directory: edit_ledger(directory, f"UPDATE trajectories SET t_metadata = '{FORGED}'"),
        lambda directory: edit_ledger(directory, f"INSERT INTO run_lock VALUES (1, '{FORGED}', 0)"),
        lambda directory: edit_ledger(
            directory, f"""UPDATE ledger_info SET value = '{{"{FORGED}": 1}}' WHERE key = 'progress'"""
        ),
        lambda directory: edit_segment(directory, lambda file: file.create_group(FORGED)),
    ],
)
def test_a_name_makes_no_line_of_its_own(directory: Path, command: Command, forge: Callable[[Path], object]) -> None:
    """In what is printed when it is refused."""
    forge(directory)
    for name in ("show", "watch", "resume"):
        done = command(name, directory)
        assert done.returncode != 0 or name == "watch" or not done.stderr
        assert is_harmless(done.stderr), done.stderr
        assert "\nprobability     1.0" not in done.stderr + done.stdout, done.stderr


def test_names_in_errors_and_logs(tmp_path: Path, command: Command) -> None:
    (tmp_path / "input.toml").write_text(INPUT.replace("ntrajectories", r'"\u001b[2Jx"'))
    done = command("run", tmp_path / "input.toml")
    assert done.returncode == 2
    assert is_harmless(done.stderr)
    assert r"\x1b[2J" in done.stderr


def test_names_do_not_act_on_a_watching_terminal(named: Path) -> None:
    import pty  # noqa: PLC0415 - of this test only

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytams", "watch", str(named), "--interval", "0.1"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 20
    while b"owned" not in shown and time.monotonic() < deadline:
        shown += os.read(ours, 4096)
    process.kill()
    process.wait()
    os.close(ours)
    assert rb"\x1b]0;owned\x07" in shown
    assert b"\x1b]0;" not in shown
    assert b"\x1b]8;" not in shown  # a link
    assert "\u202e".encode() not in shown


@pytest.mark.slow
def test_a_report_of_names(named: Path, tmp_path: Path, command: Command) -> None:
    done = command("report", named, "--out", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.html").read_text()
    assert is_harmless(text)
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


# --- what it makes us do ----------------------------------------------------------------------------------------

READING = "show DIR + show DIR --json + watch DIR"
PICTURES = ["plot DIR --out OUT", "report DIR --out OUT"]


def quiet(matplotlib_folder: Path) -> dict[str, str]:
    """Make an environment in which Python and what it imports have nothing to write, and no settings of a user's."""
    return os.environ | {
        "HOME": str(matplotlib_folder / "home"),
        "MPLCONFIGDIR": str(matplotlib_folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def notes(directory: Path, commands: str, output: Path, matplotlib_folder: Path, cwd: Path, code: int = 0) -> str:
    """Run a command that is audited, and return what it was seen to do."""
    words = commands.replace("DIR", str(directory)).replace("OUT", str(output)).split()
    script = Path(__file__).with_name("audited.py")
    noted = directory.parent / "notes"
    environment = quiet(matplotlib_folder)
    done = subprocess.run(
        [sys.executable, "-P", script, noted, directory, output, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert noted.exists(), done.stderr
    assert done.returncode == code, done.stderr
    return noted.read_text()


def trap(directory: Path) -> None:
    """Put modules into the directory that Python and Matplotlib would find if they looked there."""
    bad = "from pathlib import Path\nPath(__file__).with_name('executed').touch()\n"
    for name in ("numpy", "h5py", "pytams", "sitecustomize", "exact", "model"):
        (directory / f"{name}.py").write_text(bad)


@pytest.mark.slow
@pytest.mark.parametrize(
    "commands", [f"{READING} + load", "page", *(pytest.param(p, marks=pytest.mark.slow) for p in PICTURES)]
)
def test_nothing_is_run_read_written_or_connected_to(
    directory: Path, tmp_path: Path, matplotlib_folder: Path, commands: str
) -> None:
    trap(directory)
    output = tmp_path / ("out.html" if "report" in commands else "out.png")
    assert notes(directory, commands, output, matplotlib_folder, cwd=directory) == ""
    assert not (directory / "executed").exists()
    assert output.exists() == (commands in PICTURES)


@pytest.mark.slow
def test_the_audit_notices(directory: Path, tmp_path: Path, matplotlib_folder: Path) -> None:
    """What runs the model, and what writes elsewhere, is noted: so the test above means something."""
    other = f"plot DIR --out {tmp_path / 'else.png'}"
    assert re.search(r"open \(.*else.png", notes(directory, other, tmp_path / "out.png", matplotlib_folder, tmp_path))
    (directory / "exact.py").write_text((TESTS / "exact.py").read_text())
    paths = "plot DIR --kind paths --out OUT"
    seen = notes(directory, paths, tmp_path / "out.png", matplotlib_folder, tmp_path)
    assert "exec (<code object <module>" in seen
    assert "imported pytams_model_model" in seen
    assert (directory / "executed").exists()


@pytest.mark.parametrize("picture", PICTURES)
def test_a_matplotlibrc_in_the_directory(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, picture: str
) -> None:
    (directory / "matplotlibrc").write_text("text.usetex: True\n")
    words = picture.replace("DIR", ".").replace("OUT", str(tmp_path / "out.png")).split()
    monkeypatch.chdir(directory)
    done = command(*words)
    assert done.returncode == 1
    assert "matplotlibrc would change how pictures are drawn: run the command from another directory" in done.stderr


@pytest.mark.parametrize("name", ["plot", "report"])
def test_a_link_where_a_picture_would_go(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, name: str
) -> None:
    (tmp_path / "thesis").write_text("precious")
    for link in ("walk-overview.png", "walk.html"):
        (directory / link).symlink_to(tmp_path / "thesis")
    monkeypatch.chdir(directory)
    done = command(name, ".")
    assert done.returncode == 2
    assert "is a link to somewhere else: say where to write to" in done.stderr
    assert (tmp_path / "thesis").read_text() == "precious"


CHANGES = re.compile(r"\b(openat|unlink|unlinkat|rename|renameat|mkdir|mkdirat|link|symlink)\((.*)\) += \d")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
@pytest.mark.parametrize("commands", [*READING.split(" + "), *PICTURES])
def test_what_the_kernel_is_asked_for(
    directory: Path, tmp_path: Path, matplotlib_folder: Path, commands: str
) -> None:
    """The same for the libraries below Python, HDF5 and SQLite: every file, program and connection."""
    output = tmp_path / ("out.html" if "report" in commands else "out.png")
    words = commands.replace("DIR", str(directory)).replace("OUT", str(output)).split()
    traced = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=file,network,process", "-s", "4096"]
    environment = quiet(matplotlib_folder)
    traced += [sys.executable, "-P", "-m", "pytams", *words]
    done = subprocess.run(traced, capture_output=True, text=True, check=False, env=environment)
    if "ptrace" in done.stderr.lower():
        pytest.skip("nothing may be traced here")
    assert done.returncode == 0, done.stderr
    allowed = (str(directory), str(output), "/dev/null")
    lines = (tmp_path / "trace").read_text().splitlines()
    assert len(lines) > 1000
    for line in lines:
        assert not re.search(r"\b(connect|bind|sendto)\(", line), line
        assert "execve(" not in line or sys.executable in line or '"uname"' in line, line  # Python's `platform`
        changed = CHANGES.search(line)
        if changed and (changed[1] != "openat" or re.search("O_WRONLY|O_RDWR|O_CREAT", changed[2])):
            paths = re.findall(r'"([^"]+)"', changed[2])
            assert all(path.startswith(allowed) for path in paths), line
