"""Dask clusters: on this machine, through Slurm, or one that is there."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from pytams.core.errors import SettingsError

_FAILURES = 10
"""Workers that a task may lose before it has failed: queues kill workers that did nothing wrong, models their own."""
_PATIENCE = "1 day"
"""For a worker of this machine to start again: when Dask gives one up, none takes its place."""
_LOCAL = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
"""A cluster on this machine is for this machine: its dashboard is not seen from others, nor are its ports."""


def connect(
    backend: str,
    *,
    address: str | None = None,
    n_workers: int = 1,
    minimum: int | None = None,
    security: bool | dict[str, str] = False,
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
    security
        TLS between client, scheduler and workers: True for certificates that are made for this cluster, or the files
        ``ca_file``, ``cert`` and ``key``.
    options
        Passed on to `distributed.LocalCluster` or `dask_jobqueue.SLURMCluster`: queue, cores, memory, walltime,
        interface, job_script_prologue, ...

    Raises
    ------
    SettingsError
        If there is no TLS to be had of `security`.
    """
    dask.config.set({"distributed.scheduler.allowed-failures": _FAILURES})
    tls = _tls(security)
    if address is not None:
        return Client(address, security=tls)
    options = {"security": tls, **(options or {})}
    if backend == "local":
        dask.config.set({"distributed.deploy.lost-worker-timeout": _PATIENCE})
        if "interface" not in options and options.get("processes", True):  # threads talk in memory
            options = {"host": "127.0.0.1"} | options
        cluster: Any = LocalCluster(**{"n_workers": n_workers, **_LOCAL, **options})
    else:
        cluster = _slurm_cluster()(**options)
        cluster.adapt(minimum=n_workers if minimum is None else minimum, maximum=n_workers)
    return Client(cluster)


def _slurm_cluster() -> Any:
    """Import it; it takes SIGINT for itself, and then nothing that is interrupted would clean up."""
    before = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster  # noqa: PLC0415 - only on a Slurm machine

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)
    return SLURMCluster


def _tls(security: bool | dict[str, str]) -> Security | None:
    """Make Dask's own settings of TLS; None: without."""
    if security is True:
        try:
            return Security.temporary()
        except ImportError as error:
            raise SettingsError("security", f"true needs a package to make certificates: {error}") from error
    if not security:
        return None
    for path in security.values():
        if not Path(path).is_file():
            raise SettingsError("security", f"there is no file {path}")
    ca_file, cert, key = (security[name] for name in ("ca_file", "cert", "key"))
    roles = {
        f"tls_{role}_{what}": path
        for role in ("client", "scheduler", "worker")
        for what, path in (("cert", cert), ("key", key))
    }
    return Security(require_encryption=True, tls_ca_file=ca_file, **roles)
