"""Nothing but settings that every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from postgres import server

# Wall-clock deadlines fail on shared machines; derandomised, a failure is the same for everybody.
settings.register_profile("pytams", deadline=None, derandomize=True)
settings.load_profile("pytams")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server that lives as long as the tests."""
    with server() as url:
        yield url
