"""What a ledger asks of a connection: SQLAlchemy's do it, and so do those of `pytams.sqldb.direct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Executable


class Answer(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def all(self) -> Sequence[Any]:
        """Get every row: a named tuple each."""

    def first(self) -> Any:
        """Get the first row; None if there is none."""


class Connection(Protocol):
    """What executes statements."""

    def execute(self, statement: Executable, parameters: Any = None, /) -> Answer:
        """Execute one of `pytams.sqldb.statements`, with its parameters by name; with a list of such: many times."""

    def scalar(self, statement: Executable, parameters: Any = None, /) -> Any:
        """Get the first value of the first row; None if there is none."""

    def commit(self) -> None:
        """Make what was written last."""
