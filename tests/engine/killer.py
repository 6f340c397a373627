"""Who kills workers at random, as often as he is told, while a study goes on."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any


class Killer:
    """Kills processes at random times, each time after some progress, but for every fourth: that comes at once.

    So it is not the machine's speed that decides whether a study that is killed again and again gets on at all, and
    every fourth may hit workers that are about to start.
    """

    def __init__(self, n_kills: int) -> None:
        self.n_left = n_kills
        self._random = random.Random(n_kills)
        self._engine: Any = None
        self._steps_at_last = 0

    def sees(self, make_engine: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Make an engine whose progress is seen."""

        def make(problem: Any) -> Any:
            self._engine, self._steps_at_last = make_engine(problem), 0
            return self._engine

        return make

    @contextmanager
    def at_work(self, pids: Callable[[], Sequence[int]]) -> Iterator[None]:
        """Kill now and then one of these."""
        done = threading.Event()
        thread = threading.Thread(target=self._kill, args=(pids, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._engine = None

    def _kill(self, pids: Callable[[], Sequence[int]], done: threading.Event) -> None:
        while self.n_left and not done.wait(self._random.uniform(0.05, 0.4)):
            n_steps = 0 if self._engine is None else self._engine.n_steps
            if n_steps == self._steps_at_last and self.n_left % 4:
                continue
            if there := pids():
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(there), signal.SIGKILL)
                    self.n_left -= 1
                    self._steps_at_last = n_steps
