"""A real PostgreSQL server of our own: Debian's binaries, an unprivileged user, a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_USER = "nobody"  # the server refuses to run as root


def binaries() -> Path | None:
    """Folder of the server's programs, the newest version first."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("pg_ctl")
    folders += [Path(on_path).parent] if on_path else []
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Server:
    """A server that listens on a socket in its own folder only."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self._folder, self._programs, self._user = folder, programs, user
        self.url = f"postgresql+psycopg://tams:secret@/postgres?host={folder}"
        self._call("initdb", "--username=tams", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        """Start it, and wait until it is there."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        self._call("pg_ctl", "-w", "-l", str(self._folder / "server.log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is a crash."""
        self._call("pg_ctl", "-m", mode, "stop")

    def _call(self, program: str, *arguments: str) -> None:
        with (self._folder / "calls.log").open("ab") as log:
            command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
            subprocess.run(command, check=True, user=self._user, stdout=log, stderr=log, cwd=self._folder)


@contextmanager
def running() -> Iterator[Server]:
    """Start a server, and stop it in the end if it is running."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server here: install Debian's `postgresql`")
    user = _USER if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pytams-pg-", dir="/tmp"))  # a socket's path must be short
    if user:
        shutil.chown(folder, user)
    try:
        there = Server(folder, programs, user)
        there.start()
        try:
            yield there
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                there.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server() -> Iterator[str]:
    """Start a server, and yield its SQLAlchemy URL."""
    with running() as there:
        yield there.url
