"""Following a study as it goes: what an observer may have, and how observers are called."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from pytams.core.driver import Decided
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytams.core.driver import Event
    from pytams.core.splitting import Iteration

_logger = logging.getLogger("pytams")


class Observer(Protocol):
    """Follows a study: ``tams.study(..., observers=[...])``. It may leave out any of these methods.

    One that raises is reported once, left out from then on, and does not stop the study.
    """

    def on_iteration(self, run: int, iteration: Iteration) -> None:
        """After a splitting iteration of a run is decided."""

    def on_finished(self, run: int, result: Any) -> None:
        """After a run is finished; `result` is its `pytams.RunResult`."""

    def on_block(self, study: Any) -> None:
        """After each block of steps; `study` is the `pytams.Study`, as its iteration yields it."""


_METHODS = tuple(name for name in vars(Observer) if name.startswith("on_"))


class Observers:
    """Calls observers; one that raises is reported, and left out from then on.

    Parameters
    ----------
    observers
        Objects with any of the methods of `Observer`.

    Raises
    ------
    SettingsError
        If one has none of them.
    """

    def __init__(self, observers: Iterable[object]) -> None:
        self._observers = list(observers)
        for observer in self._observers:
            if not any(callable(getattr(observer, method, None)) for method in _METHODS):
                raise SettingsError("observers", f"{observer!r} has none of the methods {', '.join(_METHODS)}")

    def __len__(self) -> int:
        return len(self._observers)

    def tell(self, events: Iterable[Event], result_of: Callable[[int], Any]) -> None:
        """Say what happened; of a finished run, its result."""
        for event in events if self._observers else ():
            if isinstance(event, Decided):
                self.call("on_iteration", event.run, event.iteration)
            else:
                self.call("on_finished", event.run, result_of(event.run))

    def call(self, method: str, *arguments: Any) -> None:
        """Call a method of all observers that have it."""
        for observer in list(self._observers):
            call = getattr(observer, method, None)
            if call is None:
                continue
            try:
                call(*arguments)
            except Exception:
                self._observers.remove(observer)
                _logger.exception("%r raised in %s: the study goes on without it", observer, method)
