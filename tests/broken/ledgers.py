"""Ledgers that look sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytams.sqldb import SQLFile
from pytams.sqldb.contract import LedgerContract


class Sound(SQLFile):
    pass


class GrantsATrajectoryTwice(Sound):
    def lock_trajectory(self, traj_id: int, allow_completed_lock: bool = False) -> bool:
        super().lock_trajectory(traj_id, allow_completed_lock)
        return True


class CountsFromOne(Sound):
    def fetch_trajectory(self, traj_id: int) -> str:
        return super().fetch_trajectory(traj_id - 1)


class RoundsWeights(Sound):
    def add_splitting_data(self, k: int, bias: int, weight: float, *lists: Any) -> None:
        super().add_splitting_data(k, bias, float(f"{weight:.15g}"), *lists)


class UpdatesWhatIsNotThere(Sound):
    def update_trajectory_file(self, traj_id: int, traj_file: str) -> None:
        if 0 <= traj_id < self.get_trajectory_count():
            super().update_trajectory_file(traj_id, traj_file)


class ReleasesWhatIsCompleted(Sound):
    def release_trajectory(self, traj_id: int) -> None:
        super().release_trajectory(traj_id)
        self.release_all_trajectories()


class HasNoOwners(Sound):
    def lock_owner(self, traj_id: int) -> str | None:
        super().lock_owner(traj_id)
        return None


def suite(ledger: type[Sound]) -> Any:
    class Suite(LedgerContract):
        @pytest.fixture
        def location(self, tmp_path: Path) -> str:
            return str(tmp_path / "ledger.db")

        @pytest.fixture
        def ledger(self, location: str) -> Iterator[SQLFile]:
            with ledger(location) as opened:
                yield opened

    return Suite


ALL: list[type[Sound]] = [Sound, *Sound.__subclasses__()]
for broken in ALL:
    globals()[f"Test{broken.__name__}"] = suite(broken)
