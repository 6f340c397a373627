"""What a hostile directory is made with, and what notices that it got its way."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import select
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import h5py


def edit_study(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change ``study.json``."""
    content = json.loads((directory / "study.json").read_text())
    change(content)
    (directory / "study.json").write_text(json.dumps(content))


def edit_ledger(directory: Path, *statements: str, run: int = 0) -> None:
    """Change a ledger."""
    with closing(sqlite3.connect(directory / "ledgers" / f"run{run:05d}.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def some_segment(directory: Path) -> Path:
    """Find a segment file that ledgers point at."""
    return sorted((directory / "segments").glob("*.nc"))[0]


def edit_segment(directory: Path, change: Callable[[h5py.File], object]) -> Path:
    """Change a segment file, and its hash in every ledger: whoever makes a directory can do so."""
    path = some_segment(directory)
    with h5py.File(path, "a") as file:
        change(file)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for ledger in (directory / "ledgers").glob("*.db"):
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute(
                "UPDATE segment_files SET sha256 = ? WHERE name = ?", [sha256, f"segments/{path.name}"]
            )
    return path


class FakeServer:
    """Listens on this machine, and records whatever it is sent."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.url = f"postgresql+psycopg://victim@127.0.0.1:{self._socket.getsockname()[1]}/loot"
        self.received: list[bytes] = []
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(1.0)
                self.received.append(b"")  # that there was a connection is bad enough
                try:
                    self.received[-1] = connection.recv(1024)
                except OSError:
                    continue

    def close(self) -> None:
        """Stop listening."""
        self._is_closed.set()
        self._thread.join()
        self._socket.close()


_OPENED = 0x20  # IN_OPEN


@contextmanager
def watching(path: Path) -> Iterator[Callable[[], bool]]:
    """Watch a file by the kernel's means; yield what tells whether anybody has opened it, in whatever language."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(descriptor, os.fsencode(path), _OPENED) >= 0
        yield lambda: bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)
