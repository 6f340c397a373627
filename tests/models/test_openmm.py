"""OpenMM as a simulator: direct simulation's probability, the same bits everywhere, and wrong ways of seeding it."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.engine import InProcess, OnExecutor, Processes

pytest.importorskip("openmm", reason="OpenMM is not installed here: `make test-simulators`")
pytestmark = pytest.mark.simulators

ROOT = Path(__file__).parents[2]
MOLECULES = ROOT / "examples" / "molecules"
sys.path[:0] = [str(MOLECULES), str(ROOT / "benchmarks")]
from molecules import Butane, DoubleWell, Molecule, direct  # noqa: E402 - it imports OpenMM
from seeding import ButaneByStep, DoubleWellByStep  # noqa: E402 - likewise

SHORT: dict[str, Any] = {"end_time": 2.0, "step_size": 0.1, "target_score": -0.3, "n_trajectories": 6}


def run(model: Molecule, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **SHORT).run(n_runs, seed=4, **more).runs


# --- numbers --------------------------------------------------------------------------------------------------------

LONG: dict[type[Molecule], dict[str, Any]] = {
    DoubleWell: {"end_time": 10.0, "step_size": 0.1},
    Butane: {"end_time": 5.0, "step_size": 0.04},
}
TARGET = {DoubleWell: 0.9, Butane: 115.0}


def model_of(kind: type[Molecule]) -> Molecule:
    return Butane(225.0) if kind is Butane else DoubleWell()


@cache
def simulated(kind: type[Molecule], copies: int) -> tuple[float, float]:
    """Probability without splitting, and its standard error."""
    best = direct(model_of(kind), **LONG[kind], copies=copies, seed=1)
    p = float(np.mean(best >= TARGET[kind]))
    return p, float(np.sqrt(p * (1.0 - p) / copies))


@pytest.mark.parametrize(
    ("kind", "copies", "seed"), [(DoubleWell, 40_000, 1), (DoubleWell, 40_000, 2), (Butane, 6_000, 1)]
)
def test_it_agrees_with_direct_simulation(kind: type[Molecule], copies: int, seed: int) -> None:
    tams = pytams.TAMS(
        model_of(kind), **LONG[kind], target_score=TARGET[kind], n_trajectories=32, n_discard=4
    )  # fmt: skip
    result = tams.run(16, seed)
    p, error = simulated(kind, copies)
    assert abs(result.probability - p) < 3 * np.hypot(result.standard_error, error)
    assert result.standard_error < 0.3 * p


# --- the same bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [DoubleWell, DoubleWellByStep])
def test_the_same_bits_with_any_engine_and_block_length(make: Any, tmp_path: Path) -> None:
    expected = run(make())
    assert sum(one.n_branchings for one in expected) > 6
    assert run(make(), engine=partial(InProcess, block_length=3)) == expected
    with ThreadPoolExecutor(2) as executor:
        engine = partial(OnExecutor, executor=executor, n_workers=2, seconds=0.005)
        assert run(make(), engine=engine) == expected
    assert run(make(), engine=partial(Processes, n_workers=2, seconds=0.01)) == expected
    with pytams.TAMS(make(), **SHORT).study(2, seed=4, out=tmp_path / "out") as study:
        for i, _ in enumerate(study):
            if i == 10:
                break
    assert run(make(), out=tmp_path / "out") == expected


@pytest.mark.parametrize("n_objects", [1, 2])
def test_two_studies_in_turn_share_no_generator(n_objects: int) -> None:
    models = [DoubleWell() for _ in range(n_objects)]
    first, second = pytams.TAMS(models[0], **SHORT), pytams.TAMS(models[-1], **SHORT)
    expected = [first.run(1, 1).runs, second.run(1, 2).runs]
    engines = [partial(InProcess, block_length=n) for n in (1, 2)]
    with (
        first.study(1, 1, engine=engines[0]) as one,
        second.study(1, 2, engine=engines[1]) as other,
    ):  # fmt: skip
        for _ in zip_longest(one, other):
            pass
        assert [one.result().runs, other.result().runs] == expected


def test_one_may_take_the_generator_where_another_has_branched_and_not_stepped() -> None:
    def scores(*, is_alone: bool) -> list[float]:
        one, other = DoubleWell(), DoubleWell()
        for model in (one, other):
            model.open(None)
            model.start(np.random.default_rng(1))
        one.branch(5)
        if not is_alone:
            other.step(None, 0.0, 0.1)
        found = []
        for i in range(3):
            one.step(None, 0.1 * i, 0.1)
            found.append(one.score())
        one.close()
        other.close()
        return found

    assert scores(is_alone=False) == scores(is_alone=True)


def test_the_same_bits_on_dask() -> None:
    distributed = pytest.importorskip("distributed")
    from pytams.engine import OnDask  # noqa: PLC0415 - an extra

    silent: dict[str, Any] = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with (
        distributed.LocalCluster(2, threads_per_worker=2, **silent) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert run(DoubleWell(), engine=partial(OnDask, connect=client, seconds=0.01)) == run(DoubleWell())


# --- what `pytams check` says ---------------------------------------------------------------------------------------


def checked(input_file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytams", "check", str(input_file), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=input_file.parent)


@pytest.mark.parametrize("name", ["double_well", "butane"])
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_examples_are_fit_for_a_study(name: str, platform: str) -> None:
    done = checked(MOLECULES / f"{name}.toml", "--set", f"model.platform={platform}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("yes ") == 13


@pytest.mark.parametrize("make", [DoubleWellByStep, ButaneByStep])
def test_so_are_those_that_are_seeded_at_each_step(make: Any, tmp_path: Path) -> None:
    name = make.__name__.removesuffix("ByStep")
    text = (MOLECULES / ("butane.toml" if name == "Butane" else "double_well.toml")).read_text()
    (tmp_path / "input.toml").write_text(text.replace(f"molecules.py:{name}", f"model.py:{name}ByStep"))
    (tmp_path / "model.py").write_text(f"from seeding import {make.__name__}\n")
    shutil.copy(ROOT / "benchmarks" / "seeding.py", tmp_path)
    shutil.copy(MOLECULES / "molecules.py", tmp_path)
    done = checked(tmp_path / "input.toml")
    assert done.returncode == 0, done.stderr + done.stdout


PRESERVED = """
        self.live.getIntegrator().setRandomNumberSeed(1 + seed % (2**31 - 1))
        self.live.reinitialize(True)
"""
ONLY_SAID = """
        self.live.getIntegrator().setRandomNumberSeed(1 + seed % (2**31 - 1))
"""
BY_OPENMM = """
        state = self.live.getState(positions=True, velocities=True)
        self.live.getIntegrator().setRandomNumberSeed(0)
        self.live.reinitialize()
        self.live.setState(state)
        self.live.getIntegrator().step(1)
        self.live.setState(state)
"""


@pytest.mark.parametrize(
    ("branch", "said"),
    [
        (PRESERVED, "NO   two branches from one state part"),
        (ONLY_SAID, "NO   two branches from one state part"),
        (BY_OPENMM, "NO   the same seed gives the same bits"),
    ],
    ids=["preserved", "only-said", "by-openmm"],
)
def test_wrong_ways_of_seeding_it_are_found(branch: str, said: str, tmp_path: Path) -> None:
    text = (MOLECULES / "double_well.toml").read_text()
    (tmp_path / "input.toml").write_text(text.replace("molecules.py:DoubleWell", "wrong.py:Wrong"))
    shutil.copy(MOLECULES / "molecules.py", tmp_path)
    (tmp_path / "wrong.py").write_text(
        f"from molecules import DoubleWell\n\n\nclass Wrong(DoubleWell):\n    def branch(self, seed):{branch}"
    )
    done = checked(tmp_path / "input.toml")
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
