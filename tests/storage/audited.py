"""Runs a command of pytams and notes whatever it does that a directory from anybody must not bring about.

``python audited.py NOTES DIRECTORY OUTPUT ARGUMENTS...``, with a + between several commands. What is outside of
DIRECTORY, OUTPUT and Python's own installation must be neither written nor read; nothing may be connected to, be
executed, or be imported from DIRECTORY.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

NOTES, DIRECTORY, OUTPUT = (os.path.realpath(argument) for argument in sys.argv[1:4])
ARGUMENTS = sys.argv[4:]
CACHE = os.path.realpath(os.environ["MPLCONFIGDIR"])

INSTALLED = [
    *(os.path.realpath(folder) for folder in (sys.prefix, sys.base_prefix, *sys.path) if folder),
    *("/usr", "/etc", "/proc", "/sys", "/dev", "/lib"),
    CACHE,
]
FORBIDDEN = {
    *("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"),
    *("urllib.Request", "webbrowser.open", "ftplib.connect", "http.client.connect", "smtplib.connect"),
}
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

noted: list[str] = []
is_noting = False


def is_in(path: Any, folders: list[str]) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return any(real == folder or real.startswith(f"{folder}{os.sep}") for folder in folders)


def look(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what must not happen."""
    global is_noting  # noqa: PLW0603 - looking is no event itself
    if not is_noting:
        is_noting = True
        if is_forbidden(event, arguments):
            noted.append(f"{event} {arguments}")
        is_noting = False


def is_forbidden(event: str, arguments: tuple[Any, ...]) -> bool:  # noqa: PLR0911 - one for each kind of event
    what: Any = arguments[0] if arguments else None
    if event in FORBIDDEN:
        return event != "subprocess.Popen" or arguments[1] != ["uname", "-p"]  # Python's own `platform`
    if event == "open" and isinstance(what, str | bytes | os.PathLike):
        writes = arguments[2] & WRITES
        return what != os.devnull and not is_in(what, [DIRECTORY, OUTPUT, *([] if writes else INSTALLED)])
    if event == "sqlite3.connect":
        return not is_in(database(what), [DIRECTORY])
    if event in CHANGES:
        return not is_in(what, [DIRECTORY, OUTPUT, CACHE])
    if event == "exec":
        return os.path.isabs(what.co_filename) and is_in(what.co_filename, [DIRECTORY])
    if event == "ctypes.dlopen" and what and "/" in str(what):
        return not is_in(what, INSTALLED)
    return False


def database(name: Any) -> str:
    """Find the file of a database: `pytams` connects by ``file:PATH?mode=...``."""
    return os.fsdecode(name).removeprefix("file:").partition("?")[0]


def load() -> int:
    """What `pytams.load` offers that imports no model."""
    import pytams  # noqa: PLC0415 - after the hook

    with pytams.load(DIRECTORY) as saved:
        str(saved)
        saved.to_dict()
        for run in saved.splittings:
            for trajectory in (*saved.trajectories(run), *saved.discarded(run)):
                list(trajectory.states)
                len(trajectory.scores)
    return 0


def page() -> int:
    """All that `pytams serve` answers."""
    from pytams.analysis.interactive import PICTURES  # noqa: PLC0415 - after the hook
    from pytams.cli.serve import Page  # noqa: PLC0415 - likewise

    served = Page(Path(DIRECTORY), 0.0)
    for name in ("", "live.js", "bokeh.min.js", "state"):
        served.answer(name, {})
    for kind in PICTURES:
        if b'"item"' not in served.answer("picture", {"kind": [kind]}).content:
            return 1
    return 0


def call(arguments: list[str]) -> int:
    """Call the command line; return its exit code."""
    from pytams.cli.main import main  # noqa: PLC0415 - after the hook

    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def main() -> None:
    sys.addaudithook(look)
    code, own = 0, {"load": load, "page": page}
    try:
        for command in " ".join(ARGUMENTS).split(" + "):
            code = code or (own[command]() if command in own else call(command.split()))
    finally:
        files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
        noted.extend(f"imported {name}" for name, file in files.items() if file and is_in(file, [DIRECTORY]))
        found = "\n".join(noted)
        Path(NOTES).write_text(found)
    sys.exit(code)


if __name__ == "__main__":
    main()
