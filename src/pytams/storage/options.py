"""How a study and its states are written: what a user may choose."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pytams.core.errors import SettingsError
from pytams.core.settings import SECRET, Checked, Count, NotNegative, Positive
from pytams.core.text import printable

CHECKPOINT_SECONDS = 60.0
"""Running segments are written after this time, unless another is asked for."""


LARGE = 2**18
"""Bytes from which on a state gets a file of its own, unless another number is asked for."""
_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True, kw_only=True)
class States(Checked):
    """Where states go that are too large to be handed around: ``TAMS(...).run(..., states=States(...))``.

    Such are bytes and folders that a simulator saves, and arrays from `larger_than` on. None of this changes a bit of
    the result.
    """

    store: str | Path | None = None
    """A folder that all workers see; None: in the run directory, or a temporary one if there is none."""
    keep: Literal["ensemble", "all", "none"] = "ensemble"
    """Which states stay: those of trajectories of the ensemble and of their ancestors, all that were ever stored, or
    none but those which branches can start from."""
    every: Count = 1
    """Store the state of a record only if it is so many steps or more after the last one stored of its segment; a
    branch from one in between computes it again from there. 1: of every record. Of models that are advanced one by
    one: vectorised and compiled ones store all."""
    reproducible: bool = True
    """Whether the model gives the same bits again. If not, nothing that was used in a decision is computed again."""
    place: Literal["copy", "reflink", "hardlink"] = "copy"
    """How a folder is put where a simulator loads it. A hard link must not be written to: it is hashed again."""
    local: str | Path | None = None
    """A folder on a disk of each node's own, for the simulators' scratch folders and for copies of the states that a
    worker has read last; None: scratch folders are where temporary files go, and nothing is copied."""
    max_size: Count | str | None = None
    """Stop when the states take more: bytes, or text such as ``"500 GB"``."""
    larger_than: NotNegative = LARGE
    """Arrays of fewer bytes stay where records are."""

    def check_together(self) -> None:
        """Put folders where they stay, and make sure that nothing contradicts."""
        for name in ("store", "local"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, Path(path).absolute())
        if math.isnan(self.most_bytes):
            raise SettingsError("max_size", f"{self.max_size!r} is no size such as '500 GB'")
        if not self.reproducible:  # what was used must be there, wherever it is asked for
            if self.every > 1:
                raise SettingsError(
                    "every", "states of a model that is not reproducible must all be stored: every = 1"
                )
            object.__setattr__(self, "larger_than", 0)

    def of_study(self, made_with: States) -> States:
        """Take what is left at its default from what a study was made with.

        Raises
        ------
        SettingsError
            If something is asked for that cannot change: stored states would be mixed.
        """
        default = States()
        asked = {name: getattr(self, name) for name in self.names() if getattr(self, name) != getattr(default, name)}
        for name in ("reproducible", "every", "larger_than"):
            old = getattr(made_with, name)
            if name in asked and asked[name] != old and (name != "larger_than" or self.reproducible):
                raise SettingsError(name, f"the study was made with {old}, not {asked[name]}; this cannot change")
        return replace(made_with, **asked)

    @property
    def most_bytes(self) -> float:
        """`max_size` in bytes, infinity if there is none, NaN if it is no size."""
        if not isinstance(self.max_size, str):
            return math.inf if self.max_size is None else self.max_size
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMGT]B|)", self.max_size.strip())
        return math.nan if found is None else float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        return f"<Storage in {printable(str(self.path))}>"  # its database's URL may have a password

    def check_together(self) -> None:
        """Put ledgers where they can be, and the directory where it stays."""
        object.__setattr__(self, "path", self.path.absolute())  # a model may change the working directory
        if self.database_url is not None:
            from pytams.storage.databases import check_url  # noqa: PLC0415 - SQLAlchemy is a heavy import

            check_url(self.database_url)
