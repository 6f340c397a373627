"""Settings are checked however they are made."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.core.settings import RunArguments

GOOD: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 4, "n_trajectories": 10}


def test_what_is_made_directly_is_checked_like_what_a_file_says() -> None:
    with pytest.raises(pytams.SettingsError) as error:
        pytams.Settings(end_time=20.0, step_size=1.0, target_score=math.nan, n_trajectories=-3)
    assert str(error.value).splitlines() == [
        "target_score: nan is not a finite number",
        "n_trajectories: -3 is too small; it must be at least 2",
    ]
    with pytest.raises(pytams.SettingsError, match="n_discard: 10 of 10 trajectories"):
        pytams.Settings(**GOOD, n_discard=10)
    with pytest.raises(pytams.SettingsError, match="first_run: -1"):
        RunArguments(first_run=-1)
    with pytest.raises(pytams.SettingsError, match="sparse_freq: 'all' is not a whole number"):
        pytams.Storage(path=Path("run"), sparse_freq="all")  # type: ignore[arg-type] # the point


def test_a_copy_with_changes_is_checked() -> None:
    settings = pytams.Settings(**GOOD)
    assert replace(settings, n_discard=2).n_discard == 2
    with pytest.raises(pytams.SettingsError, match="n_discard: 0"):
        replace(settings, n_discard=0)


def test_all_ways_give_the_same() -> None:
    direct = pytams.Settings(**(GOOD | {"n_trajectories": np.int64(10), "target_score": np.float32(4)}))
    checked = pytams.Settings.checked(GOOD)
    assert direct == checked
    assert repr(direct) == repr(checked)
    assert type(direct.n_trajectories) is int
