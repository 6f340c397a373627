"""Who holds a lock or drives a run: one object, in one process, on one machine."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from typing import NamedTuple, Self

from pytams.core.text import printable


class Owner(NamedTuple):
    """One object of one process, as its locks are labelled."""

    host: str
    namespace: int
    """Of process numbers: containers have their own."""
    pid: int
    token: str
    """Tells the objects of one process from each other."""

    @classmethod
    def here(cls) -> Self:
        """Make one for an object of this process."""
        return cls(socket.gethostname(), _namespace(), os.getpid(), uuid.uuid4().hex[:8])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote; ValueError if it did not."""
        try:
            host, namespace, pid, token = text.rsplit(":", 3)
            return cls(host, int(namespace), int(pid), token)
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"{text!r} is no owner of a lock") from None

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @property
    def process(self) -> tuple[str, int, int]:
        """Which process it is in: the same for all objects of that process."""
        return self[:3]

    @property
    def label(self) -> str:
        """What people call it: machine and process. Nothing in it acts on a terminal: anybody may have written it."""
        return f"{printable(self.host)}, process {self.pid}"

    @property
    def in_words(self) -> str:
        """What people call it in a sentence; as harmless."""
        return f"process {self.pid} on {printable(self.host)}"

    @property
    def is_dead(self) -> bool:
        """Whether it was in a process of this machine that is gone; False if that cannot be known."""
        if (self.host, self.namespace) != (socket.gethostname(), _namespace()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):  # alive, and somebody else's; or no number of a process
            return False
        return False


def _namespace() -> int:
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0
