"""Every journal of ours passes the suite."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from pytams import Storage
from pytams.core.nothing import NoJournal
from pytams.core.ports import Journal
from pytams.core.selection import Variant
from pytams.core.settings import RunArguments
from pytams.engine.contract import SETTINGS, Drifting
from pytams.storage.contract import RUNS, SEED, JournalContract, OpenJournal
from pytams.storage.journal import RunJournal
from pytams.storage.opening import make_or_open

ARGUMENTS = RunArguments(n_runs=len(RUNS), seed=SEED)


def in_directory(path: Path, interval: float = 60.0, **options: Any) -> OpenJournal:
    def open_journal() -> Journal:
        directory = make_or_open(Drifting(), SETTINGS, ARGUMENTS, Storage(path=path, **options))
        return RunJournal(directory, Variant(), checkpoint_interval=interval)

    return open_journal


class TestRunJournal(JournalContract):
    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> OpenJournal:
        return in_directory(tmp_path / "run")


class TestRunJournalWithCheckpoints(JournalContract):
    @pytest.fixture
    def open_journal(self, tmp_path: Path) -> OpenJournal:
        return in_directory(tmp_path / "run", interval=0.05, archive_discarded=False)


@pytest.mark.slow
class TestRunJournalOnPostgres(JournalContract):
    @pytest.fixture
    def open_journal(self, tmp_path: Path, postgres: str) -> OpenJournal:
        return in_directory(tmp_path / "run", database_url=f"{postgres}&schema=s{uuid.uuid4().hex[:8]}")


class TestNoJournal(JournalContract):
    remembers = shares = False

    @pytest.fixture
    def open_journal(self) -> OpenJournal:
        return NoJournal
