"""Starting programs by a supervisor, waiting for them, and ending them."""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, get_ident
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakSet

from pytams.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytams.models.answers import Where
    from pytams.models.program.launch import Launch

_T = TypeVar("_T")

_logger = logging.getLogger("pytams")

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_LAST_LINES = 20
_LOG_BYTES = 2**16


class ProgramError(Exception):
    """A program could not be started, failed, or did not do what it should, time and again."""

    was_tried = True


class InputChangedError(ProgramError):
    """A file of the study is not what it was: to try again is of no use."""


class Lines:
    """Lines that come through a pipe or a socket.

    Parameters
    ----------
    descriptor
        Its end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._left = descriptor, b""

    def next(self, seconds: float | None) -> bytes | None:
        """Wait for the next one; None if none comes within so many seconds. `EOFError` if none will ever come."""
        deadline = None if seconds is None else monotonic() + seconds
        while b"\n" not in self._left:
            remaining = None if deadline is None else max(0.0, deadline - monotonic())
            if not select.select([self._descriptor], [], [], remaining)[0]:
                return None
            try:
                text = os.read(self._descriptor, 2**16)
            except OSError:
                text = b""
            if not text:
                raise EOFError
            self._left += text
        line, _, self._left = self._left.partition(b"\n")
        return line

    def waiting(self) -> bytes:
        """Give what has come already, without waiting."""
        if not self._left and select.select([self._descriptor], [], [], 0.0)[0]:
            self._left = os.read(self._descriptor, 2**16)
        return self._left


class Command(NamedTuple):
    """What is started."""

    words: list[str]
    folder: Path
    """The working folder."""
    variables: Mapping[str, str]
    """Environment variables, beside those that all have."""

    def __str__(self) -> str:
        """Give the line to paste into a shell."""
        variables = (f"{name}={shlex.quote(value)}" for name, value in self.variables.items())
        return f"cd {shlex.quote(str(self.folder))} && {' '.join([*variables, shlex.join(self.words)])}"

    def moved(self, old: Path, new: Path) -> Command:
        """Give the same with another folder in the place of one."""
        words = [word.replace(str(old), str(new)) for word in self.words]
        variables = {name: value.replace(str(old), str(new)) for name, value in self.variables.items()}
        return Command(words, Path(str(self.folder).replace(str(old), str(new))), variables)


class Programs:
    """Programs of one simulator, one at a time, in process groups of their own.

    Parameters
    ----------
    scratch
        The simulator's folder, removed by the supervisor if this process is killed.
    launch
        How programs are launched.
    """

    def __init__(self, scratch: Path, launch: Launch) -> None:
        self._scratch, self._launch = scratch, launch
        self._link: socket.socket | None = None
        self._lines = Lines(-1)
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._group = 0
        """Process group of the program; 0 if it is not known to run."""
        self._status: int | None = None
        self.is_running = False
        self.stopped = Event()
        """Set when nothing is to be started any more."""
        self._saying = Lock()
        self._thread = get_ident()
        _ALL.add(self)

    def start(self, command: Command, *, stdin: int | None, stdout: IO[bytes] | int, stderr: IO[bytes] | int) -> None:
        """Start a program; without standard input, it finds that empty.

        Raises
        ------
        ProgramError
            If it cannot be started.
        """
        message = {"start": command.words, "cwd": str(command.folder), "env": dict(command.variables)}
        files = [stdout, stderr] if stdin is None else [stdin, stdout, stderr]
        descriptors = [one if isinstance(one, int) else one.fileno() for one in files]
        data = json.dumps(message).encode() + b"\n"
        with self._saying:
            if self.stopped.is_set():
                raise ProgramError("nothing is started any more: the study is being closed")
            link = self._link or self._open()
            try:
                n_sent = socket.send_fds(link, [data], descriptors)
                link.sendall(data[n_sent:])
            except OSError as error:
                self.close()
                raise ProgramError(f"its supervisor has ended ({error.strerror})") from error
            self._status, self.is_running = None, True

    def _open(self) -> socket.socket:
        """Start the supervisor."""
        ours, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), str(self._scratch), str(self._launch.patience)]
        try:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR), *arguments],
                pass_fds=[theirs.fileno()],
                env=_environment(self._launch),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise StoreError(f"no process can be started: {error.strerror}") from error
        finally:
            theirs.close()
        self._link, self._lines = ours, Lines(ours.fileno())
        return ours

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the program: its exit code, or minus the signal that ended it; None if it still runs.

        Raises
        ------
        ProgramError
            If it could not be started, or its supervisor was killed.
        """
        deadline = None if seconds is None else monotonic() + seconds
        while self.is_running:
            message = self._receive(None if deadline is None else max(0.0, deadline - monotonic()))
            if message is None:
                return None
            if "group" in message:
                self._group = message["group"]
                continue
            self.is_running, self._group = False, 0
            if "failed" in message:
                raise ProgramError(f"it cannot be started: {message['failed']}")
            self._status = message["status"]
        return self._status

    def _receive(self, seconds: float | None) -> dict[str, Any] | None:
        try:
            line = self._lines.next(seconds)
        except EOFError:
            if self._group:
                with suppress(OSError):
                    os.killpg(self._group, signal.SIGKILL)
            self.close()
            raise ProgramError("its supervisor has ended, and with it the program: was it killed?") from None
        found: dict[str, Any] | None = None if line is None else json.loads(line)
        return found

    def tried(
        self,
        attempt: Callable[[], _T],
        where: Where,
        failed: Callable[[], object],
        explained: Callable[[Exception], Exception],
    ) -> _T:
        """Try something, and again after a while if it fails, as often as is said.

        Parameters
        ----------
        attempt
            What is tried.
        where
            Which segment it is for, and at which step.
        failed
            Called each time that it has failed.
        explained
            Makes the error of the last failure.
        """
        for n_failed in range(self._launch.retries + 1):
            try:
                return attempt()
            except InputChangedError:
                raise
            except (ProgramError, OSError) as error:
                failed()
                if n_failed == self._launch.retries or self.stopped.is_set():
                    raise explained(error) from error
                (run, slot, _), step = where
                _logger.info("run %d, slot %d, step %d: %s", run, slot, step, error)
                self.stopped.wait(self._launch.backoff * 2**n_failed)
        raise AssertionError

    def end(self) -> int | None:
        """End the program, and all that it has started: SIGTERM, and after a while SIGKILL."""
        self._say_end()
        with suppress(ProgramError):
            return self.wait()
        return self._status

    def stop(self) -> None:
        """Let nothing be started any more, and end what runs; whoever waits for it is told. For another thread."""
        self.stopped.set()
        self._say_end()

    def _say_end(self) -> None:
        with self._saying, suppress(OSError):
            if self.is_running and self._link is not None:
                self._link.sendall(json.dumps({"end": self._launch.patience}).encode() + b"\n")

    def close(self) -> None:
        """End everything, the supervisor too."""
        link, self._link = self._link, None
        process, self._supervisor = self._supervisor, None
        self.is_running, self._group = False, 0
        if link is not None:
            link.close()
        if process is not None:
            process.wait()


_ALL: WeakSet[Programs] = WeakSet()


def stop_those_of(threads: Iterable[int | None]) -> None:
    """Stop the programs that threads have started."""
    idents = {*threads}
    for programs in [one for one in _ALL if one._thread in idents]:  # noqa: SLF001 - of this module
        programs.stop()


def _environment(launch: Launch) -> dict[str, str]:
    """Give the environment that programs have."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in launch.clear_env)
    }
    return kept if launch.threads is None else kept | {"OMP_NUM_THREADS": str(launch.threads)}


def outcome(status: int | None, timeout: float | None) -> str:
    """Say what became of a program that failed."""
    if status is None:
        return f"it has not ended within {timeout:g} s ([launch] timeout)"
    if status >= 0:
        return f"it ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was ended by {name}"


def last_lines(*logs: Path) -> str:
    """Quote the end of the first log that has anything in it."""
    for log in logs:
        with suppress(OSError):
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - _LOG_BYTES))
                text = file.read(_LOG_BYTES).decode(errors="replace").rstrip()
            if text:
                return "\n".join(text.splitlines()[-_LAST_LINES:])
    return ""
