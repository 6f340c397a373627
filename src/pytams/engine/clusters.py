"""Dask clusters: on this machine, through Slurm, or one that is there."""

from __future__ import annotations

from typing import Any

import dask
from distributed import Client, LocalCluster

_FAILURES = 10
"""Workers that a task may lose before it has failed: queues kill workers that did nothing wrong, models their own."""


def connect(
    backend: str,
    *,
    address: str | None = None,
    n_workers: int = 1,
    minimum: int | None = None,
    options: dict[str, Any] | None = None,
) -> Client:
    """Make a client, and a cluster for it unless an address is given.

    Parameters
    ----------
    backend
        ``"local"`` or ``"slurm"``.
    address
        Of a scheduler that runs already; it keeps running afterwards.
    n_workers
        Workers at most.
    minimum
        Workers at least, when there is little to do (adaptive scaling); default: always `n_workers`. Workers that
        are lost are asked for again.
    options
        Passed on to `distributed.LocalCluster` or `dask_jobqueue.SLURMCluster`: queue, cores, memory, walltime,
        interface, job_script_prologue, ...
    """
    dask.config.set({"distributed.scheduler.allowed-failures": _FAILURES})
    if address is not None:
        return Client(address)
    if backend == "local":
        cluster: Any = LocalCluster(**{"n_workers": n_workers, "threads_per_worker": 1, **(options or {})})
    else:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415 - only on a Slurm machine

        cluster = SLURMCluster(**(options or {}))
        cluster.adapt(minimum=n_workers if minimum is None else minimum, maximum=n_workers)
    return Client(cluster)
