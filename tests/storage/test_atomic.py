"""Whole files or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import Walk
from pytams.sqldb.runledger import RunLedger
from pytams.storage.files import write_atomically


def interrupted(*arguments: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("where", ["fsync", "rename", "link"])
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, replace: bool
) -> None:
    monkeypatch.setattr(os, where, interrupted)
    reached = where == "fsync" or (where == "rename") is replace
    try:
        write_atomically(tmp_path / "file", b"all of it", replace=replace)
    except KeyboardInterrupt:
        assert reached
        assert not list(tmp_path.iterdir())
    else:
        assert not reached
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"all of it"]


def test_an_interrupted_template_of_ledgers_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunLedger, "put_info", interrupted)
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=10)
    with pytest.raises(KeyboardInterrupt):
        tams.study(2, seed=1, out=tmp_path / "run")
    assert not list((tmp_path / "run" / "ledgers").iterdir())
