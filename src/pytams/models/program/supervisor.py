"""Starts programs for one worker, and sees that none outlives it, not even if it is killed.

A process of its own, executed as a script: it imports nothing of pytams. The worker is at the other end of a socket;
when that is closed, by a worker that ends or is killed, whatever still runs is ended, and the worker's scratch folder
removed. On Linux that goes for all that a program has started, also in process groups and sessions of their own, as
ranks of MPI. If it is this process that is killed, the worker ends the program's group.

Messages are lines of JSON. The worker says ``{"start": command, "cwd": folder, "env": variables}``, along with the
program's standard input, if any, output and error, or ``{"end": seconds}``. The answers are ``{"group": number}`` or
``{"failed": why}``, and ``{"status": code}`` once it has ended, where minus n stands for signal n.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.05
_LEFT_SECONDS = 1.0
"""What a program leaves running when it ends has so long to end by itself."""

_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Supervisor:
    """What is started, one program at a time, and what comes of it.

    Parameters
    ----------
    link
        The socket to the worker.
    patience
        Seconds that programs have to end after SIGTERM, when the worker has gone.
    """

    def __init__(self, link: socket.socket, patience: float) -> None:
        self._link, self._patience = link, patience
        self._buffer = b""
        self._descriptors: list[int] = []
        self._group = 0
        """Process group of the program; 0: none is running."""
        self._status: int | None = None
        """What the program ended with, until it is said."""
        self._deadline: float | None = None
        """When what still runs is killed; None: nothing is to end."""

    def run(self) -> None:
        """Serve until the worker has gone and nothing runs any more."""
        wake, woken = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        for number in (signal.SIGCHLD, *_NOT_OURS):
            signal.signal(number, lambda *_: None)  # the worker decides; not ignored, which programs would inherit
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            selector.register(self._link, selectors.EVENT_READ)
            is_open = True
            while is_open or self._group or _children():
                ready = [key.fileobj for key, _ in selector.select(None if self._deadline is None else _LOOK_SECONDS)]
                if wake in ready:
                    with suppress(BlockingIOError):
                        os.read(wake, 4096)
                if self._link in ready and not self._listen():
                    is_open = False
                    selector.unregister(self._link)
                    self._end(self._patience)
                self._look()

    def _listen(self) -> bool:
        """Do what the worker says; whether it is still there."""
        try:
            text, descriptors, _, _ = socket.recv_fds(self._link, 2**16, 3)
        except OSError:
            return False
        self._buffer += text
        self._descriptors = descriptors or self._descriptors
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            message = json.loads(line)
            if "start" in message:
                self._start(message, self._descriptors)
            elif self._group or self._status is not None:
                self._end(message["end"])
        return bool(text)

    def _start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        *stdin, stdout, stderr = descriptors
        try:
            process = subprocess.Popen(
                message["start"],
                cwd=message["cwd"],
                env=os.environ | message["env"],
                stdin=stdin[0] if stdin else None,  # ours is empty
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )
        except OSError as error:
            self._say(failed=f"{error.strerror} ({error.filename})")
        else:
            self._group, process.returncode = process.pid, 0  # it is waited for in `_look`
            self._say(group=process.pid)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _end(self, seconds: float) -> None:
        """Ask all to end, and kill what has not after a while."""
        self._deadline = time.monotonic() + seconds
        self._signal(signal.SIGTERM)

    def _look(self) -> None:
        """See what has ended. What a program leaves running when it ends is ended, too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._group:
                self._status = os.waitstatus_to_exitcode(status)
                if self._deadline is None:
                    self._end(_LEFT_SECONDS)
        if self._deadline is None:
            return
        if time.monotonic() >= self._deadline:
            self._signal(signal.SIGKILL)
        if self._status is not None and not _children() and not _is_alive(self._group):
            status, self._status, self._group, self._deadline = self._status, None, 0, None
            self._say(status=status)

    def _signal(self, number: signal.Signals) -> None:
        if self._group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)
        for pid in _descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _say(self, **message: Any) -> None:
        with suppress(OSError):  # nobody is there
            self._link.sendall(json.dumps(message).encode() + b"\n")


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of a process that is ending
        return True
    return True


def _children() -> list[int]:
    return list(_children_of(os.getpid()))


def _children_of(pid: int) -> Iterator[int]:
    with suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split())


def _descendants(pid: int) -> Iterator[int]:
    for child in _children_of(pid):
        yield from _descendants(child)
        yield child


def main() -> None:
    """Serve one worker."""
    link, scratch, patience = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), float(sys.argv[3])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Supervisor(link, patience).run()
    shutil.rmtree(scratch, ignore_errors=True)
    Path(f"{scratch}.lock").unlink(missing_ok=True)  # of `pytams.core.scratch`


if __name__ == "__main__":
    main()
