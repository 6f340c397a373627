"""Settings of engines, ``[runner]`` and ``[dask]`` or their arguments in Python: none of them changes a bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pytams.core.errors import Name, SettingsError
from pytams.core.settings import Checked, Count, NotNegative, Positive

TASK_SECONDS = 0.5
"""A worker's task takes about this long, unless a single step takes longer."""
_SECONDS_FOR_EACH = 0.002
"""One driver can send a task to each of so many workers in their number times this, and hear of it."""


def task_seconds(asked: float | None, n_workers: int) -> float:
    """Say how long a task is to take: as asked, or longer the more workers one driver keeps busy."""
    return max(TASK_SECONDS, n_workers * _SECONDS_FOR_EACH) if asked is None else asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner(Checked):
    """``[runner]``: which engine, and what it is given; each engine says what these mean."""

    type: Literal["inprocess", "process", "dask", "launch"] = "inprocess"
    block_length: Count | None = None
    threads: Count = 1
    n_workers: Count | None = None
    slots: Count | None = None
    batch: Count | None = None
    seconds: Positive | None = None
    timeout: Positive | None = None
    runs_at_once: Count | None = None

    def check_together(self) -> None:
        """Refuse to end what cannot be ended, and what means nothing."""
        if self.type == "launch" and self.timeout is not None:
            raise SettingsError("timeout", "this ends workers; launches are ended by [launch] timeout")
        if self.type == "launch" and self.n_workers is not None:
            raise SettingsError(
                "n_workers", "this is for workers; say by ", Name("slots"), " how many launches there are at once"
            )
        if self.type != "launch" and self.slots is not None:
            raise SettingsError("slots", "this is for ", Name("type"), " = 'launch'")
        for name in ("n_workers", "batch", "seconds"):
            if self.type == "inprocess" and getattr(self, name) is not None:
                raise SettingsError(
                    name, "this is for workers, and there are none: choose ", Name("type"), " = 'process' or 'dask'"
                )
        if self.type == "inprocess" and self.timeout is not None:
            raise SettingsError(
                "timeout",
                "only workers can be ended, this process cannot: choose ",
                Name("type"),
                " = 'process' or 'dask', or leave it away (on the command line: --set runner.block_timeout=)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster(Checked):
    """``[dask]``."""

    backend: Literal["local", "slurm"] = "local"
    address: str | None = None
    minimum: NotNegative | None = None
    security: Any = False
    """TLS: true, or the files ``ca_file``, ``cert`` and ``key``."""
    options: dict[str, Any] = field(default_factory=dict)
    """What else goes to the cluster's constructor."""

    def check_together(self) -> None:
        """Make certificates for a cluster of our own only."""
        security = self.security
        if isinstance(security, dict):
            if security.keys() == {"ca_file", "cert", "key"} and all(isinstance(v, str) for v in security.values()):
                return
        elif isinstance(security, bool) and not (security and self.address):
            return
        raise SettingsError(
            "security",
            "write { ca_file = ..., cert = ..., key = ... }, or true for certificates made for a new cluster",
        )
