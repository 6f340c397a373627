"""Functions of a compiled equation, called for many states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from pytams import SDE
from pytams.models.sde.members import numbers_of

FACTOR = 2.0


def look(x: Any, t: Any, p: Any) -> Any:
    return (FACTOR * x[0], t) if x[0] > 0.0 else (-1.0, p.sigma)


def drift(x: Any, t: Any, p: Any) -> Any:
    return -x[0], -x[1]


def ones(x: Any, t: Any, p: Any) -> Any:
    return 1.0, 1.0


def first(x: Any, t: Any, p: Any) -> Any:
    return x[0]


def test_they_are_compiled_once_and_anew_if_they_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    equation = SDE(drift, ones, first, initial=(0.0, 0.0), sigma=0.5).equation
    compiled: list[Any] = []
    compile_one = CPUDispatcher.compile

    def compile_and_note(dispatcher: Any, signature: Any) -> Any:
        compiled.append(dispatcher)
        return compile_one(dispatcher, signature)

    monkeypatch.setattr(CPUDispatcher, "compile", compile_and_note)
    states, t = np.array([[3.0, 0.0], [-3.0, 0.0]]), np.array([7.0, 8.0])
    assert numbers_of(look, equation, states, t).tolist() == [[6.0, 7.0], [-1.0, 0.5]]
    n_compiled = len(compiled)
    assert numbers_of(look, equation, states, t).tolist() == [[6.0, 7.0], [-1.0, 0.5]]
    assert len(compiled) == n_compiled > 0
    monkeypatch.setattr(f"{__name__}.FACTOR", 4.0)
    assert numbers_of(look, equation, states, t).tolist() == [[12.0, 7.0], [-1.0, 0.5]]
    assert numbers_of(first, equation, states, t).tolist() == [[3.0], [-3.0]]
