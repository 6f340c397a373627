"""Errors say what they are made of, also when they come from another process."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import pytams
from pytams.core.errors import DamagedFileError, Name, Place
from pytams.core.settings import joined
from pytams.sqldb.errors import DamagedLedgerError, LostConnectionError, NoAccessError

PLACE = Place(1, 2, 3, 4, 0.5)
ERRORS: list[pytams.PytamsError] = [
    pytams.PytamsError("something"),
    pytams.SettingsError("seed", "must be below ", Name("n_runs")),
    joined([pytams.SettingsError("seed", "-1 is too small"), pytams.SettingsError("n_runs", "see ", Name("seed"))]),
    pytams.ModelError("Walk.score raised", "score", PLACE),
    pytams.RunDirectoryError("run is in use"),
    pytams.StoreError("file cannot be written"),
    DamagedFileError("file is damaged"),
    pytams.CannotLearnError("nothing has reached the target"),
    pytams.NothingToDrawError("nothing has reached the target"),
    pytams.WorkersLostError("they broke down"),
    pytams.LedgerError("ledger is foreign"),
    pytams.NoLedgerError("no ledger in it"),
    DamagedLedgerError("ledger has no table"),
    NoAccessError("ledger cannot be written", "make room"),
    LostConnectionError("ledger is out of reach", "resume it"),
    pytams.NoTrajectoryError(7),
    pytams.NoIterationError("no iteration to update"),
]


def all_attributes(error: Any) -> Any:
    if isinstance(error, pytams.PytamsError):
        return type(error), error.args, {name: all_attributes(value) for name, value in vars(error).items()}
    return [all_attributes(one) for one in error] if type(error) is tuple else (type(error), error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_journey(error: pytams.PytamsError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert all_attributes(again) == all_attributes(error)


def test_the_whole_tree_is_here() -> None:
    def tree(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(tree(below) for below in kind.__subclasses__()))

    assert {type(error) for error in ERRORS} == {
        one for one in tree(pytams.PytamsError) if "pytams" in one.__module__
    }


def test_names_are_changed_in_all_of_several_errors() -> None:
    wrong = [pytams.SettingsError("n_runs", "0 is too small"), pytams.SettingsError("seed", "see ", Name("n_runs"))]
    error = joined(wrong)
    assert str(error) == "n_runs: 0 is too small\nseed: see n_runs"
    assert (error.setting, [other.setting for other in error.others]) == ("n_runs", ["seed"])
    renamed = error.renamed({"n_runs": "nruns"}, "[tams] {}".format)
    assert str(renamed) == "[tams] n_runs: 0 is too small\n[tams] seed: see nruns"
    assert str(joined([error, *wrong])).splitlines() == [*map(str, wrong), *map(str, wrong)]
