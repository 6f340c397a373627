"""Broken implementations of every port. `tests/test_contracts_notice.py` runs their suites: each has to fail."""

from __future__ import annotations

import pytest

_noticed: set[str] = set()


def suite(nodeid: str) -> str:
    return nodeid.split("::")[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try what is tested with one set of parameters first: that is quicker."""
    items.sort(key=lambda item: "[" in item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if suite(item.nodeid) in _noticed:
        pytest.skip("it has been noticed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.failed:
        _noticed.add(suite(report.nodeid))
