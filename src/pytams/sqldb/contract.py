"""What every ledger must do, whatever database it is on.

Subclass `LedgerContract` in a test module and say how to open a ledger; pytest does the rest::

    class TestMyLedger(LedgerContract):
        @pytest.fixture
        def location(self, tmp_path):
            return f"postgresql+psycopg://...?schema={tmp_path.name}"
"""

from __future__ import annotations

import inspect
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb import SQLFile, valid_statuses

ROW = (0, 2, 0.1 + 0.2, [1, 2], [3, 0], [0.1, 1 / 3], [0.1, 2 / 3])
"""A splitting iteration whose floats have no short decimals."""


class LedgerContract:
    """Tests that a ledger at `location` passes."""

    @pytest.fixture
    def location(self) -> str:
        """Return the file name or URL of a new ledger; the empty string stands for one in memory."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, location: str) -> Iterator[SQLFile]:
        """Open it."""
        with SQLFile(location, in_memory=not location) as ledger:
            yield ledger

    @contextmanager
    def reopened(self, ledger: SQLFile, location: str) -> Iterator[SQLFile]:
        """Return the ledger as another object sees it; the same object if it is in memory."""
        if location:
            with SQLFile(location) as again:
                yield again
        else:
            yield ledger

    # --- trajectories -------------------------------------------------------------------------------------------

    def test_ids_count_from_zero(self, ledger: SQLFile) -> None:
        assert ledger.get_trajectory_count() == 0
        for i in range(3):
            ledger.add_trajectory(f"traj{i}.nc", json.dumps({"id": i}))
        assert ledger.get_trajectory_count() == 3
        assert [ledger.fetch_trajectory(i) for i in range(3)] == ["traj0.nc", "traj1.nc", "traj2.nc"]
        assert json.loads(ledger.fetch_trajectory_metadata(2)) == {"id": 2}

    @pytest.mark.parametrize("traj_id", [-1, 1, 10**6])
    def test_unknown_ids_are_errors_of_both_kinds(self, ledger: SQLFile, traj_id: int) -> None:
        ledger.add_trajectory("only.nc", "{}")
        for call in (
            ledger.fetch_trajectory,
            ledger.fetch_trajectory_metadata,
            ledger.fetch_archived_trajectory,
            ledger.fetch_archived_trajectory_metadata,
            ledger.lock_trajectory,
            ledger.mark_trajectory_as_completed,
            ledger.release_trajectory,
            ledger.lock_owner,
        ):
            with pytest.raises(ValueError, match=f"no trajectory with id {traj_id}") as error:
                call(traj_id)
            assert isinstance(error.value, SQLAlchemyError)
        for update in (ledger.update_trajectory_file, ledger.update_trajectory_metadata):
            with pytest.raises(SQLAlchemyError, match=f"no trajectory with id {traj_id}") as caught:
                update(traj_id, "x")
            assert isinstance(caught.value, ValueError)
        assert ledger.fetch_trajectory(0) == "only.nc"

    def test_updates(self, ledger: SQLFile) -> None:
        ledger.add_trajectories([("a", "{}"), ("b", "{}")])
        ledger.update_trajectory_file(1, "c")
        ledger.update_trajectory_metadata(0, '{"x": 1}')
        assert [ledger.fetch_trajectory(i) for i in (0, 1)] == ["a", "c"]
        assert [ledger.fetch_trajectory_metadata(i) for i in (0, 1)] == ['{"x": 1}', "{}"]

    def test_status_goes_from_idle_to_locked_to_completed(
        self, ledger: SQLFile, caplog: pytest.LogCaptureFixture
    ) -> None:
        ledger.add_trajectory("a", "{}")
        assert ledger.lock_trajectory(0) is True
        assert ledger.lock_trajectory(0) is False
        assert ledger.lock_trajectory(0, allow_completed_lock=True) is False
        ledger.mark_trajectory_as_completed(0)
        assert ledger.lock_trajectory(0) is False
        assert ledger.lock_trajectory(0, allow_completed_lock=True) is True
        ledger.release_trajectory(0)
        assert caplog.records == []
        with caplog.at_level(logging.WARNING, "pytams"):
            ledger.mark_trajectory_as_completed(0)  # idle: nothing changes
            ledger.release_trajectory(0)
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert ledger.lock_trajectory(0) is True

    def test_completed_is_not_released_by_one_call_but_by_all(self, ledger: SQLFile) -> None:
        ledger.add_trajectories([("a", "{}"), ("b", "{}")])
        for i in (0, 1):
            ledger.lock_trajectory(i)
        ledger.mark_trajectory_as_completed(0)
        ledger.release_trajectory(0)
        assert ledger.lock_trajectory(0) is False
        ledger.release_all_trajectories()
        assert [ledger.lock_trajectory(i) for i in (0, 1)] == [True, True]

    def test_archive(self, ledger: SQLFile) -> None:
        assert ledger.get_archived_trajectory_count() == 0
        ledger.archive_trajectory("old0", '{"id": 0}')
        ledger.archive_trajectories([("old1", "{}"), ("old2", "{}")])
        assert ledger.get_archived_trajectory_count() == 3
        assert ledger.fetch_archived_trajectory(2) == "old2"
        assert ledger.fetch_archived_trajectory_metadata(0) == '{"id": 0}'
        assert ledger.get_trajectory_count() == 0
        assert ledger.clear_archived_trajectories() == 3
        assert ledger.clear_archived_trajectories() == 0
        ledger.archive_trajectory("new", "{}")
        assert ledger.fetch_archived_trajectory(0) == "new"

    # --- splitting iterations -----------------------------------------------------------------------------------

    def test_empty_splitting_data(self, ledger: SQLFile) -> None:
        assert ledger.get_k_split() == 0
        assert ledger.get_ongoing() is None
        for array, dtype, shape in [
            (ledger.get_weights(), np.float64, (0,)),
            (ledger.get_biases(), np.int64, (0,)),
            (ledger.get_minmax(), np.float64, (0, 3)),
        ]:
            assert array.dtype == dtype
            assert array.shape == shape
        ledger.mark_last_iteration_as_completed()
        assert ledger.clear_splitting_data() == 0
        with pytest.raises(SQLAlchemyError, match="no splitting iteration to update") as error:
            ledger.update_splitting_data(*ROW)
        assert isinstance(error.value, ValueError)

    def test_splitting_data(self, ledger: SQLFile, location: str) -> None:
        ledger.add_splitting_data(*ROW)
        assert ledger.get_k_split() == 2
        assert ledger.get_ongoing() == [1, 2]
        ledger.mark_last_iteration_as_completed()
        assert ledger.get_ongoing() is None
        ledger.add_splitting_data(2, 1, 1e-300 / 3, [4], [0], [0.5], [0.5, 0.75])
        ledger.update_splitting_data(2, 3, 1e-300 / 7, [4, 5, 6], [0, 0, 1], [0.5, 0.5, 0.5], [0.5, 1.0])
        with self.reopened(ledger, location) as again:
            assert again.get_k_split() == 5
            assert again.get_ongoing() == [4, 5, 6]
            for array, values, dtype in [
                (again.get_weights(), [0.1 + 0.2, 1e-300 / 7], np.float64),
                (again.get_biases(), [2, 3], np.int64),
                (again.get_minmax(), [[0, 0.1, 2 / 3], [2, 0.5, 1.0]], np.float64),
            ]:
                assert array.dtype == dtype
                np.testing.assert_array_equal(array, values)
            assert ledger.clear_splitting_data() == 2
            assert again.get_k_split() == 0
        ledger.add_splitting_data(0, 1, 1, [4], [0], [1], [1, 2])
        assert [array.dtype for array in (ledger.get_weights(), ledger.get_minmax())] == [np.float64, np.float64]

    def test_numpy_numbers_are_numbers(self, ledger: SQLFile) -> None:
        ids = np.arange(3)
        scores = np.array([0.1, 0.2, 0.3])
        ledger.add_splitting_data(np.int64(0), np.int64(3), np.float64(0.5), ids, ids, scores, scores[:2])  # type: ignore[arg-type] # that is the point
        assert ledger.get_ongoing() == [0, 1, 2]
        np.testing.assert_array_equal(ledger.get_minmax(), [[0, 0.1, 0.2]])

    # --- the whole ----------------------------------------------------------------------------------------------

    def test_signatures_are_the_documented_ones(self) -> None:
        signature = inspect.signature(SQLFile)
        assert list(signature.parameters) == ["file_name", "in_memory", "ro_mode"]
        assert valid_statuses == ["locked", "idle", "completed"]

    def test_name(self, ledger: SQLFile, location: str) -> None:
        assert bool(ledger.name()) == bool(location)
        if "://" in location:
            password = make_url(location).password
            assert password is None or f":{password}@" not in ledger.name()
            assert password is None or "***" in ledger.name()

    def test_dump(self, ledger: SQLFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger.add_trajectory("a", "{}")
        ledger.archive_trajectory("b", "{}")
        ledger.add_splitting_data(*ROW)
        ledger.dump_file_json(str(tmp_path / "dump.json"))
        content = json.loads((tmp_path / "dump.json").read_text(encoding="utf-8"))
        assert content["trajectories"] == [{"id": 1, "traj_file": "a", "t_metadata": "{}", "status": "idle"}]
        assert content["archived_trajectories"] == [{"id": 1, "traj_file": "b", "t_metadata": "{}"}]
        assert json.loads(content["splitting_iterations"][0]["min_vals"]) == [0.1, 1 / 3]
        monkeypatch.chdir(tmp_path)
        before = set(tmp_path.iterdir())
        if ledger.name():
            ledger.dump_file_json()
            (new,) = set(tmp_path.iterdir()) - before
            assert new.suffix == ".json"
        else:
            with pytest.raises(ValueError, match="json_file"):
                ledger.dump_file_json()

    def test_a_transaction_is_all_or_nothing(self, ledger: SQLFile) -> None:
        with ledger.transaction():
            ledger.add_trajectory("a", "{}")
            with ledger.transaction():
                ledger.archive_trajectory("b", "{}")
            assert ledger.get_trajectory_count() == 1
        with pytest.raises(ValueError, match="no trajectory with id 99"), ledger.transaction():  # noqa: PT012 - all three belong to one transaction
            ledger.add_trajectory("c", "{}")
            ledger.lock_trajectory(0)
            ledger.lock_trajectory(99)
        assert (ledger.get_trajectory_count(), ledger.get_archived_trajectory_count()) == (1, 1)
        assert ledger.lock_trajectory(0) is True
        ledger.add_trajectory("d", "{}")
        assert ledger.fetch_trajectory(1) == "d"  # a rolled back add leaves no gap

    def test_the_calls_of_a_function_are_one_transaction(self, ledger: SQLFile) -> None:
        def add(name: str, traj_id: int) -> bool:
            ledger.add_trajectory(name, "{}")
            return ledger.lock_trajectory(traj_id)

        assert ledger.atomically(lambda: add("a", 0)) is True
        with pytest.raises(ValueError, match="no trajectory with id 99"):
            ledger.atomically(lambda: add("b", 99))
        assert ledger.get_trajectory_count() == 1

    def test_bulk_adds(self, ledger: SQLFile) -> None:
        ledger.add_trajectories([])
        ledger.add_trajectories((f"t{i}", "{}") for i in range(1000))
        ledger.add_trajectory("last", "{}")
        assert ledger.get_trajectory_count() == 1001
        assert (ledger.fetch_trajectory(999), ledger.fetch_trajectory(1000)) == ("t999", "last")

    def test_stale_locks_are_released(self, ledger: SQLFile) -> None:
        ledger.add_trajectories([("a", "{}"), ("b", "{}"), ("c", "{}")])
        ledger.lock_trajectory(0)
        ledger.lock_trajectory(2)
        assert ledger.lock_owner(0) == ledger.owner
        assert ledger.lock_owner(1) is None
        assert ledger.release_stale(older_than=3600) == []
        ledger.heartbeat()
        assert ledger.release_stale(older_than=-1) == [0, 2]
        assert ledger.lock_owner(0) is None
        assert ledger.lock_trajectory(2) is True

    def test_threads_share_it(self, ledger: SQLFile) -> None:
        ledger.add_trajectories([("t", "{}")] * 40)
        granted: list[list[int]] = [[] for _ in range(6)]
        errors: list[BaseException] = []

        def claim(mine: list[int]) -> None:
            try:
                mine.extend(i for i in range(40) if ledger.lock_trajectory(i))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=claim, args=(mine,)) for mine in granted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(i for mine in granted for i in mine) == list(range(40))
