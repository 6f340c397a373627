"""A network that fails at the worst moment: between a client of PostgreSQL and its server, at a COMMIT."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PORT = ".s.PGSQL.5432"


class Proxy:
    """Forwards connections. `fail_with` makes the next COMMIT the end of its connection, and the client is told so.

    ``"no answer"``: the server commits. ``"late"``: so it does, after a while. ``"no request"``: it does not.
    ``"for good"``: nor is it there afterwards.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.fail_with = ""
        self.is_gone = False
        self.folder = folder
        self._server = str(server / PORT)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / PORT))
        self._listening.listen()
        self._sockets = [self._listening]
        self._threads: list[threading.Thread] = []
        self._serve(self._accept, self._listening)

    def _serve(self, function: Callable[..., None], *sockets: socket.socket) -> None:
        """Call a function in a thread, and shut its sockets in the end."""

        def serve() -> None:
            with suppress(OSError):  # the other thread has shut them
                function(*sockets)
            for one in sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

        self._threads.append(threading.Thread(target=serve))
        self._threads[-1].start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            client, _ = listening.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._sockets += [client, server]
            if self.is_gone:
                client.shutdown(socket.SHUT_RDWR)
            self._serve(self._requests, client, server)
            self._serve(self._answers, server, client)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        while request := client.recv(65536):
            if self.fail_with and b"COMMIT" in request:
                how, self.fail_with = self.fail_with, ""
                client.shutdown(socket.SHUT_WR)
                self.is_gone = how == "for good"
                if how in {"no request", "for good"}:
                    return
                if how == "late":
                    time.sleep(0.3)
            server.sendall(request)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        while answer := server.recv(65536):
            client.sendall(answer)

    def close(self) -> None:
        """Wait until all is over; the clients must be gone."""
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
