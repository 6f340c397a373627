"""The examples of the gallery, each beside an exact number or one made without pytams, in standard errors."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

import pytams

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(EXAMPLES), *(str(readme.parent) for readme in EXAMPLES.glob("*/README.md"))]
import references  # noqa: E402 - in the examples
from allen_cahn import AllenCahn  # noqa: E402 - likewise
from bichannel import Bichannel, share_of_upper  # noqa: E402 - likewise
from fibre_bundle import FibreBundle  # noqa: E402 - likewise
from first_passage import Excursion, mean_first_passage_time  # noqa: E402 - likewise
from heat_wave import HotSeason  # noqa: E402 - likewise
from lorenz96 import Lorenz96  # noqa: E402 - likewise
from overturning import Overturning  # noqa: E402 - likewise
from tandem_queue import SecondQueue, TandemQueue  # noqa: E402 - likewise

pytestmark = pytest.mark.slow


def study(model: Any, n_runs: int, **settings: Any) -> pytams.Result:
    return pytams.TAMS(model, **settings).run(n_runs, seed=2)


def agree(result: pytams.Result, reference: references.Reference) -> None:
    assert result.n_unfinished == 0
    error = math.hypot(result.standard_error, reference.error)
    assert abs(result.probability - reference.value) < 4 * error


def test_overturning() -> None:
    times: dict[str, Any] = {"end_time": 100.0, "step_size": 0.1, "target_score": 1.0}
    result = study(Overturning(noise=0.05), 40, **times, n_trajectories=50, n_discard=5)
    agree(result, references.overturning(0.05, copies=40_000))


def test_tandem_queue() -> None:
    times: dict[str, Any] = {"end_time": 400, "step_size": 1, "target_score": 10}
    result = study(TandemQueue(), 40, **times, n_trajectories=100)
    agree(result, references.tandem_queue(target=10, n_steps=400))


@pytest.mark.parametrize(("target", "published"), [(8, 5.62e-6), (10, 3.14e-7), (12, 1.86e-8), (14, 1.14e-9)])
def test_second_queue_is_as_published(target: int, published: float) -> None:
    exact = references.second_queue(target)
    assert exact.value == pytest.approx(published, rel=0.005)
    agree(study(SecondQueue(), 20, end_time=1000, step_size=1, target_score=target, n_trajectories=100), exact)


def test_fibre_bundle() -> None:
    times: dict[str, Any] = {"end_time": 0.09, "step_size": 0.001, "target_score": 1.0}
    result = study(FibreBundle(deadline=0.09), 20, **times, n_trajectories=100, n_discard=10)
    agree(result, references.fibre_bundle(end_time=0.09))


def test_bichannel() -> None:
    times: dict[str, Any] = {"end_time": 10.0, "step_size": 0.02, "target_score": 0.9}
    result = study(Bichannel(beta=1.67), 20, **times, n_trajectories=100, n_discard=5)
    probability, upper = references.bichannel(beta=1.67, end_time=10.0)
    agree(result, probability)
    share = share_of_upper(result)
    assert abs(share.value - upper.value) < 4 * share.error


def test_heat_wave() -> None:
    times: dict[str, Any] = {"end_time": 90, "step_size": 1, "target_score": 0.0}
    agree(study(HotSeason(target=4.0), 20, **times, n_trajectories=50, n_discard=5), references.heat_wave(target=4.0))


def test_first_passage() -> None:
    times: dict[str, Any] = {"end_time": 100.0, "step_size": 0.01, "target_score": 0.9}
    model = Excursion(noise=0.02)
    value, error = mean_first_passage_time(model, study(model, 40, **times, n_trajectories=50, n_discard=5))
    chain, process = references.first_passage(noise=0.02)
    assert abs(value - chain.value) < 4 * error
    assert chain.value == pytest.approx(process.value, rel=0.01)


def test_allen_cahn() -> None:
    times: dict[str, Any] = {"end_time": 10.0, "step_size": 0.025, "target_score": 0.0}
    result = study(AllenCahn(length=6.0, beta=5.0, sites=24), 20, **times, n_trajectories=100, n_discard=10)
    agree(result, references.allen_cahn(copies=4000))


def test_allen_cahn_on_two_sites() -> None:
    """Beside the exact value."""
    times: dict[str, Any] = {"end_time": 10.0, "step_size": 0.025, "target_score": 0.0}
    result = study(AllenCahn(length=2.0, beta=15.0, sites=2), 40, **times, n_trajectories=100, n_discard=5)
    agree(result, references.allen_cahn_pair())
    assert references.allen_cahn_pair(n=100).value == pytest.approx(references.allen_cahn_pair().value, rel=1e-4)


def test_lorenz96() -> None:
    times: dict[str, Any] = {"end_time": 10.0, "step_size": 0.05, "target_score": 10.2}
    result = study(Lorenz96(), 8, **times, n_trajectories=100, n_discard=10)
    assert "approximation" in result.caveat
    agree(result, references.lorenz96(target=10.2, end_time=10.0, copies=2000))
