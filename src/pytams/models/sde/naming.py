"""Names of compiled functions, which must tell them apart in every process.

LLVM tells functions apart by qualified name, argument types and a number that Numba counts up in each process. A loop
that is loaded from disk brings the numbers of the process that made it: where a function here has the same name and
number, one of them is silently called in the place of the other. So each gets a name that says what it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any

from pytams.core import partings, streams

_USED = [*sorted(Path(__file__).parent.glob("*.py")), *(Path(str(module.__file__)) for module in (partings, streams))]
OURS = hashlib.sha256(b"".join(path.read_bytes() for path in _USED)).hexdigest()[:16]
"""Fingerprint of what loops are made of: Numba looks at the file of a function, not at those of what it uses."""


def named(function: Any, fingerprint: str, names: Mapping[str, Any] = MappingProxyType({})) -> FunctionType:
    """Copy a function, under a name with the fingerprint of what it is a part of; with more globals, by name."""
    function = getattr(function, "py_func", function)
    seen = {**function.__globals__, **names} if names else function.__globals__
    copy = FunctionType(function.__code__, seen, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__name__}_{fingerprint}"
    return copy
