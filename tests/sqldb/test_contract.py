"""Every backend passes the same suite."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from pytams.sqldb.contract import LedgerContract


class TestFile(LedgerContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "a ledger?#100%é.db")


class TestUrl(LedgerContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/ledger.db?synchronous=full"


class TestMemory(LedgerContract):
    @pytest.fixture
    def location(self) -> str:
        return ""


class TestPostgres(LedgerContract):
    @pytest.fixture
    def location(self, postgres: str) -> str:
        return f"{postgres}&schema=run-{uuid.uuid4().hex}"
