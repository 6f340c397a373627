"""Which engine settings ask for."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pytams.core.distribution import installing
from pytams.core.errors import SettingsError
from pytams.engine.local import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.core.ports import Engine
    from pytams.core.segments import Problem
    from pytams.engine.options import Cluster, Runner


def engine_maker(runner: Runner, cluster: Cluster) -> Callable[[Problem], Engine]:
    """Find what makes the engine.

    Raises
    ------
    SettingsError
        If it needs an extra that is not installed.
    """
    if runner.type == "inprocess":
        return partial(InProcess, block_length=runner.block_length, threads=runner.threads)
    options: dict[str, Any] = {
        "batch": runner.batch,
        "seconds": runner.seconds,
        "timeout": runner.timeout,
    }
    if runner.type == "launch":
        from pytams.engine.launches import Launches  # noqa: PLC0415 - what only programs need

        return partial(Launches, slots=runner.slots, seconds=runner.seconds)
    if runner.type == "process":
        from pytams.engine.processes import Processes  # noqa: PLC0415 - what only workers need

        return partial(Processes, n_workers=runner.n_workers, **options)
    try:
        from pytams.engine.clusters import connect  # noqa: PLC0415 - Dask is an extra, and takes a second
        from pytams.engine.dask import OnDask  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise SettingsError("type", f"'dask' needs Dask: {installing('dask')} ({error})") from error
    n_workers = runner.n_workers or len(os.sched_getaffinity(0))
    client = partial(
        connect,
        cluster.backend,
        address=cluster.address,
        n_workers=n_workers,
        minimum=cluster.minimum,
        security=cluster.security,
        options=cluster.options,
    )
    tasks_at_once = None if cluster.address and not runner.n_workers else n_workers
    return partial(OnDask, connect=client, n_workers=tasks_at_once, **options)
