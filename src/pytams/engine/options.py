"""Settings of the engine, ``[runner]`` and ``[dask]``: who advances the segments. None of them changes a bit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pytams.core.errors import Name, SettingsError
from pytams.core.settings import Checked, Count, NotNegative, Positive
from pytams.engine.local import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.core.ports import Engine
    from pytams.core.segments import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner(Checked):
    """``[runner]``."""

    type: Literal["inprocess", "process", "dask"] = "inprocess"
    block_length: Count | None = None
    nthreads: Count = 1
    nworkers: Count | None = None
    batch: Count = 1
    block_seconds: Positive = 0.5
    block_timeout: Positive | None = None
    runs_at_once: Count | None = None

    def __post_init__(self) -> None:
        if self.type == "inprocess" and self.block_timeout is not None:
            raise SettingsError(
                "block_timeout",
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

    def __post_init__(self) -> None:
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


def engine_maker(runner: Runner, cluster: Cluster) -> Callable[[Problem], Engine]:
    """Find what makes the engine.

    Raises
    ------
    SettingsError
        If it needs an extra that is not installed.
    """
    if runner.type == "inprocess":
        return partial(InProcess, block_length=runner.block_length, threads=runner.nthreads)
    options: dict[str, Any] = {
        "batch": runner.batch,
        "seconds": runner.block_seconds,
        "timeout": runner.block_timeout,
    }
    if runner.type == "process":
        from pytams.engine.processes import Processes  # noqa: PLC0415 - what only workers need

        return partial(Processes, n_workers=runner.nworkers, **options)
    try:
        from pytams.engine.clusters import connect  # noqa: PLC0415 - Dask is an extra, and takes a second
        from pytams.engine.dask import OnDask  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise SettingsError("type", f"'dask' needs Dask: pip install pytams[dask] ({error})") from error
    n_workers = runner.nworkers or len(os.sched_getaffinity(0))
    client = partial(
        connect,
        cluster.backend,
        address=cluster.address,
        n_workers=n_workers,
        minimum=cluster.minimum,
        security=cluster.security,
        options=cluster.options,
    )
    tasks_at_once = None if cluster.address and not runner.nworkers else n_workers
    return partial(OnDask, connect=client, n_workers=tasks_at_once, **options)
