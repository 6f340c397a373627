"""How often is written."""

from __future__ import annotations

import pytest

from pytams.core.ports import Due
from pytams.storage import pace
from pytams.storage.pace import Pace


@pytest.mark.parametrize(("cost", "pause"), [(0.0, 1.0), (0.01, 2.0), (0.2, 10.0), (30.0, 10.0)])
def test_what_has_ended_is_written_within_ten_seconds(
    cost: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a small share of the time where that is more often, whatever a write costs."""
    clock = [0.0]
    monkeypatch.setattr(pace, "perf_counter", lambda: clock[0])
    found = Pace(1000.0, can_flush=True)
    with found.writing(None):
        clock[0] += cost
    found.something_ended = True
    clock[0] = cost + 0.99 * pause
    assert found.due() is Due.NOTHING
    clock[0] = cost + 1.01 * pause
    assert found.due() is Due.FLUSH
