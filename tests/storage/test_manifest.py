"""``study.json``: a wrong key or type is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import Walk
from pytams.sqldb.errors import LedgerError
from pytams.storage.directory import RunDirectory

GOOD: dict[str, Any] = {"end_time": 20, "step_size": 1, "target_score": 6, "n_trajectories": 10}


def tams(**changes: Any) -> pytams.TAMS:
    return pytams.TAMS(Walk(), **(GOOD | changes))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["seed"], "7", "seed: '7' is not a whole number"),
        (["n_runs"], 2.5, "n_runs: 2.5 is not a whole number"),
        (["n_runs"], 0, "n_runs: 0 is too small; it must be at least 1"),
        (["settings", "n_trajectories"], "ten", "settings.n_trajectories: 'ten' is not a whole number"),
        (["settings", "n_discard"], 10, "settings.n_discard: 10 of 10 trajectories"),
        (["settings", "end_time"], None, "settings.end_time: None is not a finite number"),
        (["settings", "speed"], 3, "settings.speed: unknown key"),
        (["settings"], 3, "settings: 3 is not a table of keys and values"),
        (["model", "name"], 3, "model.name: 3 is not a text"),
        (["archive_discarded"], "yes", "archive_discarded: 'yes' is neither true nor false"),
        (["versions"], {"numpy": 2}, "versions.numpy: 2 is not a text"),
        (["colour"], "red", "colour: unknown key"),
        (["n_runs"], 2**32, "n_runs: 4294967296 is too large"),
        (["runner"], {"runner": 3}, "runner.runner: 3 is not a table of keys and values"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, path: list[str], value: Any, message: str) -> None:
    tams().run(2, seed=7, out=tmp_path / "run")
    study = tmp_path / "run" / "study.json"
    content = json.loads(study.read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    study.write_text(json.dumps(content))
    with pytest.raises(pytams.RunDirectoryError, match=f"study.json is not what was written: {message}"):
        pytams.load(tmp_path / "run")


@pytest.mark.parametrize("value", ["2", True, 1.0, [], {}, None])
def test_a_format_is_a_number(tmp_path: Path, value: Any) -> None:
    tams().run(2, seed=7, out=tmp_path / "run")
    study = tmp_path / "run" / "study.json"
    study.write_text(json.dumps(json.loads(study.read_text()) | {"format": value}))
    message = re.escape(f"study.json is of format {value!r}, which is no number: was it edited?")
    with pytest.raises(pytams.RunDirectoryError, match=message):
        pytams.load(tmp_path / "run")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    tams().run(2, seed=7, out=tmp_path / "run")
    study = tmp_path / "run" / "study.json"
    content = json.loads(study.read_text())
    del content["settings"]["step_size"]
    study.write_text(json.dumps(content))
    with pytest.raises(pytams.RunDirectoryError, match=r"settings\.step_size: missing"):
        pytams.load(tmp_path / "run")


def test_a_cap_of_no_branchings_is_a_cap(tmp_path: Path) -> None:
    """0 is not "no limit": it cannot replace 5, and no completed row goes."""
    path = tmp_path / "run"
    done = tams(max_branchings=5).run(2, seed=7, out=path)
    assert done.n_iterations > 0

    def rows() -> list[Any]:
        with pytams.load(path) as saved, saved.directory.ledger(0, read_only=True) as ledger:
            return ledger.iterations()

    before = rows()
    assert before
    with pytest.raises(pytams.SettingsError, match="max_branchings: .* was made with 5; it can only be raised"):
        tams(max_branchings=0).run(2, out=path)
    study = path / "study.json"
    text = study.read_text()
    study.write_text(text.replace('"max_branchings": 5', '"max_branchings": 0'))
    with pytest.raises(pytams.RunDirectoryError, match="max_branchings is 0, but run 0 was made with 5"):
        pytams.load(path)
    study.write_text(text)
    assert rows() == before
    assert tams(max_branchings=5).run(2, out=path).runs == done.runs


def test_no_cap_may_replace_a_cap_of_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert tams(max_branchings=0).run(2, seed=7, out=path).n_iterations == 0
    assert tams().run(2, out=path).runs == tams().run(2, seed=7).runs


def test_a_completed_row_is_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "run"
    tams().run(1, seed=7, out=path)
    with pytams.load(path) as saved, saved.directory.ledger(0) as ledger:
        before = ledger.iterations()
        with pytest.raises(LedgerError, match="completed splitting iterations after number 0"):
            ledger.put_iterations(0, [])
        assert ledger.iterations() == before


def test_of_two_who_make_a_directory_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other makes it between the first one's look and its writing."""
    tams().run(2, seed=7, out=tmp_path / "run")
    info = RunDirectory(tmp_path / "run").info
    mkdir = Path.mkdir

    def slow(path: Path, *arguments: Any, **options: Any) -> None:
        mkdir(path, *arguments, **options)
        (tmp_path / "new" / "study.json").write_text("the other's")

    monkeypatch.setattr(Path, "mkdir", slow)
    with pytest.raises(pytams.RunDirectoryError, match="new holds a study already: somebody was quicker to make it"):
        RunDirectory.create(tmp_path / "new", info)
    assert (tmp_path / "new" / "study.json").read_text() == "the other's"
