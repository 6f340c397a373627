"""Who advances segments. Engines know no levels, no weights, no files.

`InProcess` is the default; `Processes`, `OnExecutor` and `OnDask` (an extra) share one task queue. For one of your
own copy `local`, and run the suite in `contract`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytams.engine.local import InProcess, Keeping

if TYPE_CHECKING:
    from pytams.engine.dask import OnDask
    from pytams.engine.pool import OnExecutor
    from pytams.engine.processes import Processes

_LAZY = {
    "OnDask": "pytams.engine.dask",
    "OnExecutor": "pytams.engine.pool",
    "Processes": "pytams.engine.processes",
}

__all__ = ["InProcess", "Keeping", "OnDask", "OnExecutor", "Processes"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
