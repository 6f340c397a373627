"""Studies in virtual time: the real decisions, whoever computes, and the time that they take."""

from __future__ import annotations

import pytest

from pytams.engine.virtual import Conditions, Lengths, simulate

LENGTHS = Lengths(initial=100, branch=30.0)
CASES = [(50, 1, 1), (50, 5, 1), (40, 2, 4)]


def spent(case: tuple[int, int, int], n_workers: int, **more: float) -> tuple[float, float, int, int]:
    conditions = Conditions(n_workers=n_workers, step_seconds=0.01, **{"task_seconds": 0.1, **more})  # type: ignore[arg-type]
    return simulate(-6.0, *case, LENGTHS, conditions)


@pytest.mark.parametrize("case", CASES)
def test_one_worker_is_always_busy(case: tuple[int, int, int]) -> None:
    found = spent(case, 1)
    assert found[0] == pytest.approx(found[1]) == pytest.approx(0.01 * found[2])
    n, _, n_runs = case
    assert found[3] == pytest.approx(n_runs * n * (1 + 6.0), rel=0.25)


@pytest.mark.parametrize("case", CASES)
def test_what_is_decided_does_not_depend_on_who_computes(case: tuple[int, int, int]) -> None:
    """But for where on a segment its records are told: the same branches, and more workers are not slower."""
    one, few, many = (spent(case, n) for n in (1, 4, 64))
    assert one[3] == few[3] == many[3]
    assert one[0] > 3.5 * few[0] > 3.5 * many[0]
    assert all(0.0 < found.efficiency(n) <= 1.0 for found, n in ((few, 4), (many, 64)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES)
def test_barriers_stragglers_and_losses_cost_time(case: tuple[int, int, int]) -> None:
    plain = spent(case, 32)
    assert spent(case, 32, barrier=True)[0] > 1.2 * plain[0]
    assert spent(case, 32, spread=1.0)[0] > 1.1 * plain[0]
    lost = spent(case, 32, lost=0.3)
    assert lost[1] == pytest.approx(plain[1] / 0.7, rel=0.15)  # done again
    assert lost[3] == plain[3]


@pytest.mark.slow
def test_a_driver_feeds_so_many_workers() -> None:
    """It hears of a task each 20 ms, so more than five workers with tasks of 0.1 s wait for it."""
    case = (200, 20, 8)
    found = spent(case, 50, message_seconds=0.02)
    assert found.efficiency(50) * 50 == pytest.approx(5.0, rel=0.35)  # type: ignore[attr-defined]
