"""How a study is written: what a user may choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pytams.core.settings import SECRET, Checked, Count, NotNegative, Positive

CHECKPOINT_SECONDS = 60.0
"""Running segments are written after this time, unless another is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage(Checked):
    """How a study is written: ``TAMS(...).run(..., out=Storage(path=...))``."""

    path: Path
    """The run directory."""
    sparse_freq: NotNegative = 0
    """Store the state at every n-th step, beside those at records; 1: all, 0: records only."""
    archive_discarded: bool = True
    """Whether discarded trajectories go to the archive, with their states."""
    checkpoint_interval: Positive = CHECKPOINT_SECONDS
    """Seconds after which running segments are written, too."""
    database_url: Annotated[str | None, SECRET] = field(default=None, repr=False)
    """Of a PostgreSQL database for the ledgers; None: SQLite files in the run directory. For a study that is there:
    the same one, unless it is named elsewhere (see docs/security.md)."""
    model_reference: str | None = None
    """How to import the model again: `ModelSource.reference`."""
    model_arguments: dict[str, Any] = field(default_factory=dict)
    runner: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of the engine, to be used again."""
    runs_at_once: Count | None = None
    """Claim so many runs at a time, those that nobody drives and that are not finished, until there are none: for
    drivers that share a study. None: all that nobody drives."""
    force: bool = False
    """Go on although the model is made of something else than the study's was."""

    def check_together(self) -> None:
        """Put ledgers where they can be, and the directory where it stays."""
        object.__setattr__(self, "path", self.path.absolute())  # a model may change the working directory
        if self.database_url is not None:
            from pytams.storage.databases import check_url  # noqa: PLC0415 - SQLAlchemy is a heavy import

            check_url(self.database_url)
