"""Forks: what a child process may not do with the connections that it inherits.

A child does not inherit locks on files, but it does inherit SQLite's own record of them: SQLite in the child believes
that it holds what only the parent holds, and the parent, when it closes, takes the log away that the child writes to.
So a fork waits for the transactions of other threads, and a ledger closes its SQLite file before it: then there is
nothing to inherit, and both processes open the file anew. Where a connection is in use all the same, as inside a
transaction of the forking thread, the child has to do without the ledger. The child never closes what it inherits,
not even when it ends: that would roll back, unlock or disconnect for the parent.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from pytams.sqldb.database import Database

PATIENCE = 10.0
"""Seconds that a fork waits for the transactions of other threads."""


class _Gate:
    """Uses of databases, which forks wait for; while a fork waits, no other thread begins one."""

    def __init__(self) -> None:
        self._databases: WeakSet[Database] = WeakSet()
        self.depth = 0
        """How many forks ago the process was begun: quicker to look up than the process's number."""
        self.reset()

    def reset(self) -> None:
        """Forget all uses: in a child they are the parent's."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._in_use: dict[int, list[Database]] = {}  # by thread
        self._n_forks = 0

    def watch(self, database: Database) -> None:
        """Tell this database of forks."""
        with self._changed:
            self._databases.add(database)

    def enter(self, database: Database) -> None:
        """Begin to use a database."""
        me = threading.get_ident()
        with self._lock:
            if self._n_forks:
                self._changed.wait_for(lambda: self._n_forks < 1 or me in self._in_use)
            self._in_use.setdefault(me, []).append(database)

    def leave(self, database: Database) -> None:
        """End what `enter` began."""
        me = threading.get_ident()
        with self._lock:
            mine = self._in_use[me]
            mine.remove(database)
            if not mine:
                del self._in_use[me]
                if self._n_forks:
                    self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait for other threads, and hold them off; close what a child must not inherit."""
        self._changed.acquire()
        self._n_forks += 1
        if threading.get_ident() not in self._in_use:  # else others may be waiting for this thread
            self._changed.wait_for(lambda: not self._in_use, PATIENCE)
        for database in set(self._databases) - self._used():
            database.before_fork()

    def after_fork_in_parent(self) -> None:
        """Let the others go on."""
        self._n_forks -= 1
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Begin anew, where nothing was in use."""
        used = self._used()
        self.depth += 1
        self.reset()
        for database in set(self._databases):
            database.after_fork(was_in_use=database in used)

    def _used(self) -> set[Database]:
        return {database for databases in self._in_use.values() for database in databases}


gate = _Gate()
if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_fork_in_parent,
        after_in_child=gate.after_fork_in_child,
    )


def keep_forever(thing: Any) -> None:
    """Never free an object, not even at the end of the process: freeing a connection closes it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
