"""What a finished run came to is read under a seal; where that does not fit, it is decided again."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2DSingle
from outcomes import in_full
from pytams.core.compact import Iterations
from pytams.engine import InProcess
from pytams.storage import ends, seals
from pytams.storage.decided import decided
from pytams.storage.directory import RunDirectory

N_RUNS = 3


def tams(**more: Any) -> pytams.TAMS:
    settings = {"end_time": 2.0, "step_size": 0.01, "target_score": 0.3, "n_trajectories": 8, **more}
    return pytams.TAMS(DoubleWell2DSingle(), **settings)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tams().run(N_RUNS, seed=1, out=tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def n_decided(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which runs were decided again."""
    found: list[int] = []
    decide = decided

    def noted(directory: Any, variant: Any, recorded: Any) -> Any:
        found.extend(recorded)
        return decide(directory, variant, recorded)

    monkeypatch.setattr(ends, "decided", noted)
    return found


def test_a_sealed_study_is_not_decided_again(path: Path, n_decided: list[int]) -> None:
    expected = tams().run(N_RUNS, seed=1)
    with pytams.load(path) as saved:
        assert not n_decided
        assert in_full(saved.result.runs) == in_full(expected.runs)
        assert saved.n_finished == N_RUNS
        finals = [max(trajectory.scores) for trajectory in saved.trajectories(1)]
        assert finals == [final.maximum for final in expected.runs[1].members]
        killed = [max(trajectory.scores) for trajectory in saved.discarded(2)]
        assert killed == [z for iteration in expected.runs[2].iterations for z in iteration.killed_maxima]
        assert not n_decided
        assert [splitting.iterations for splitting in saved.splittings.values()] == [
            list(run.iterations) for run in expected.runs
        ]
        with pytest.raises(KeyError, match="has no run 7"):
            saved.trajectory(7, 0)


def change(path: Path, key: str, value: str | None, *, is_sealed: bool = False, run: int = 1) -> None:
    with RunDirectory(path).ledger(run) as ledger, ledger.transaction():
        ledger.put_info(key, value or "")
        if is_sealed:
            ledger.put_info("seal", seals._digest(ledger, run))  # noqa: SLF001 - as somebody who means harm


@pytest.mark.parametrize("key", ["seal", "outcome"])
def test_a_seal_that_does_not_fit(path: Path, n_decided: list[int], key: str) -> None:
    change(path, key, "something else")
    with pytams.load(path) as saved:
        assert n_decided == [1]
        assert saved.result.runs == tams().run(N_RUNS, seed=1).runs


@pytest.mark.parametrize(
    "outcome",
    [
        "",
        "[]",
        "{}",
        '{"n_steps": 3, "iterations": [[0, ""], [0, ""], [0, ""]], "members": [[0, ""]]}',
        '{"n_steps": 3, "iterations": [[9, ""], [0, ""], [0, ""]], "members": [[0, ""]]}',
        '{"n_steps": 3, "iterations": [[0, "AA"], [0, "AAAA"], [0, ""]], "members": []}',
    ],
)
def test_what_is_under_a_seal_is_no_outcome(path: Path, n_decided: list[int], outcome: str) -> None:
    change(path, "outcome", outcome, is_sealed=True)
    with pytams.load(path) as saved:
        assert n_decided == [1]
        assert saved.result.runs == tams().run(N_RUNS, seed=1).runs


@pytest.mark.parametrize("change_it", ["end", "slot", "n_steps"])
def test_an_outcome_that_somebody_has_made_up_is_not_followed(
    path: Path, n_decided: list[int], change_it: str
) -> None:
    with RunDirectory(path).ledger(0, read_only=True) as ledger:
        said = json.loads(ledger.get_info("outcome") or "")
    if change_it == "n_steps":
        said["n_steps"] = -1
    else:
        i, name = (0, "end") if change_it == "end" else (1, "killed")
        kind, text = said["iterations"][i]
        array = np.frombuffer(b64decode(text), Iterations.kinds[i][kind]).copy()
        if name == "end":
            array["end"][0] = 0
        else:
            array["killed"]["slot"][0] = 10**6
        said["iterations"][i] = kind, b64encode(array.tobytes()).decode()
    change(path, "outcome", json.dumps(said), is_sealed=True, run=0)
    with pytams.load(path) as saved:
        assert n_decided == [0]
        assert saved.result.runs == tams().run(N_RUNS, seed=1).runs


def test_a_row_that_was_edited_is_found(path: Path) -> None:
    with RunDirectory(path).ledger(1) as ledger:
        said = json.loads(ledger.fetch_trajectory_metadata(2))
        ledger.update_trajectory_metadata(2, json.dumps(said | {"score_max": 9.0}))
    with pytest.raises(pytams.RunDirectoryError, match="score_max of run 1, slot 2"):
        pytams.load(path)


def test_a_segment_file_that_was_damaged_is_found(path: Path) -> None:
    file = next((path / "segments").glob("*.nc"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(pytams.StoreError, match="is damaged: it is not what was written"):
        pytams.load(path)
    file.unlink()
    with pytest.raises(pytams.StoreError, match="cannot be read"):
        pytams.load(path)


def test_a_run_that_goes_on_is_sealed_again(tmp_path: Path, n_decided: list[int]) -> None:
    out = tmp_path / "run"
    capped = tams(max_branchings=2).run(N_RUNS, seed=1, out=out)
    with pytams.load(out) as saved:
        assert not n_decided
        assert saved.result.runs == capped.runs
    result = tams().run(N_RUNS, out=out)
    assert result.runs != capped.runs
    with pytams.load(out) as saved:
        assert not n_decided
        assert saved.result.runs == result.runs == tams().run(N_RUNS, seed=1).runs


def test_infinite_steps_are_kept() -> None:
    counts: Any = ((1, 3), (float("inf"), 2))
    assert seals._steps(json.loads(json.dumps(seals._counts(counts)))) == counts  # noqa: SLF001 - what is kept of one


@pytest.mark.parametrize("block_length", [None, 7])
def test_the_wall_time_is_that_of_the_result(tmp_path: Path, block_length: int | None) -> None:
    out, engine = tmp_path / "run", partial(InProcess, block_length=block_length)
    result = tams().run(N_RUNS, seed=1, out=out, engine=engine)
    with pytams.load(out) as saved:
        assert saved.result.wall_time == result.wall_time > 0.0
    more = tams().run(N_RUNS + 1, out=out, engine=engine)
    with pytams.load(out) as saved:
        assert saved.result.wall_time == more.wall_time > result.wall_time
