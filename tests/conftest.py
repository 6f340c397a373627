"""Nothing but settings that every test shares."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from postgres import server

# Wall-clock deadlines fail on shared machines; derandomised, a failure is the same for everybody.
settings.register_profile("pytams", deadline=None, derandomize=True)
settings.load_profile("pytams")

# Of a shell's background job, what is started would ignore Ctrl-C, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server that lives as long as the tests."""
    with server() as url:
        yield url
