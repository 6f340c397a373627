"""Simulators: the exact value, the same bits everywhere, loaded where they must be, and clear errors."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DOUBLE_WELL_2D, walk_probability
from pytams.engine import InProcess, OnExecutor, Processes
from sessions import sessions
from simulators import InStrides, InStridesByBranch, Lorenz, LorenzAtBranches, Walker, WellByBranch, WellByStep

WELL: dict[str, Any] = {"end_time": 4.0, "step_size": 0.02, "target_score": 0.7, "n_trajectories": 8}


def run(model: pytams.Simulator, n_runs: int = 2, **more: Any) -> tuple[Any, ...]:
    return pytams.TAMS(model, **WELL).run(n_runs, seed=4, **more).runs


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("make", [WellByStep, WellByBranch])
def test_the_double_well_has_its_exact_value(make: Any, seed: int) -> None:
    tams = pytams.TAMS(make(), end_time=10.0, step_size=0.01, target_score=0.95, n_trajectories=32, n_discard=8)
    result = tams.run(24, seed)
    assert abs(result.probability - DOUBLE_WELL_2D[10]) < 4 * result.standard_error
    assert result.standard_error < 0.3 * DOUBLE_WELL_2D[10]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_event_and_an_end_of_its_own(seed: int) -> None:
    tams = pytams.TAMS(Walker(), end_time=50, step_size=1, target_score=4.5, n_trajectories=20, n_discard=3)
    result = tams.run(100, seed)
    assert abs(result.probability - walk_probability(6, 20)) < 4 * result.standard_error
    assert all(final.last_step <= 20 for one in result.runs for final in one.members)


@pytest.mark.parametrize("make", [Lorenz, LorenzAtBranches])
def test_a_deterministic_model_is_perturbed(make: Any) -> None:
    tams = pytams.TAMS(make(), end_time=4, step_size=0.02, target_score=17.5, n_trajectories=10)
    first, second = tams.run(1, 1), tams.run(1, 2)
    assert first.runs[0].n_branchings > 0
    assert first.runs[0].iterations[0].killed_maxima != second.runs[0].iterations[0].killed_maxima


def test_an_approximation_is_said(caplog: pytest.LogCaptureFixture) -> None:
    pytams.TAMS(LorenzAtBranches(), **WELL)
    assert "LorenzAtBranches: perturbed only where a segment starts: no Markov chain" in caplog.text
    caplog.clear()
    pytams.TAMS(Lorenz(), **WELL)
    assert not caplog.records


# --- the same bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [WellByStep, WellByBranch, Lorenz, LorenzAtBranches])
def test_the_same_bits_with_any_engine_and_block_length(make: Any, tmp_path: Path) -> None:
    expected = run(make())
    assert run(make(), engine=partial(InProcess, block_length=3)) == expected
    with ThreadPoolExecutor(2) as executor:
        engine = partial(OnExecutor, executor=executor, n_workers=2, seconds=0.005)
        assert run(make(), engine=engine) == expected
    assert run(make(), engine=partial(Processes, n_workers=2, seconds=0.01)) == expected
    assert run(make(), out=tmp_path / "out") == expected


@pytest.mark.slow
@pytest.mark.parametrize("make", [WellByStep, WellByBranch])
@pytest.mark.parametrize("processes", [True, False])
def test_the_same_bits_on_dask(make: Any, processes: bool) -> None:
    distributed = pytest.importorskip("distributed")
    from pytams.engine import OnDask  # noqa: PLC0415 - an extra

    silent: dict[str, Any] = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with (
        distributed.LocalCluster(2, threads_per_worker=2, processes=processes, **silent) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert run(make(), engine=partial(OnDask, connect=client, seconds=0.01)) == run(make())


@pytest.mark.slow
@pytest.mark.parametrize("make", [WellByStep, WellByBranch])
def test_a_study_that_is_left_and_resumed_is_the_same(make: Any, tmp_path: Path) -> None:
    tams = pytams.TAMS(make(), **WELL)
    with tams.study(2, seed=4, out=tmp_path / "out") as study:
        for i, _ in enumerate(study):
            if i == 20:
                break
    assert tams.run(2, seed=4, out=tmp_path / "out").runs == run(make())


def test_trajectories_are_computed_again() -> None:
    result = pytams.TAMS(WellByBranch(), **WELL).run(1, seed=4)
    ensemble = result.ensemble()
    for final, score in zip(result.runs[0].members, ensemble.score, strict=True):
        assert score.max() == final.maximum


# --- how it is asked ------------------------------------------------------------------------------------------------


class Counted(WellByStep):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.scratch: list[Path] = []

    def open(self, place: Any) -> None:
        self.asked.append("open")
        self.scratch.append(place.scratch)
        assert place.scratch.is_dir()
        assert not list(place.scratch.iterdir())
        assert str(os.getpid()) in place.worker

    def start(self, rng: np.random.Generator) -> None:
        self.asked.append("start")
        super().start(rng)

    def load(self, state: Any) -> None:
        self.asked.append("load")
        super().load(state)

    def save(self) -> Any:
        self.asked.append("save")
        return super().save()

    def close(self) -> None:
        self.asked.append("close")
        assert self.scratch[-1].is_dir()


def test_it_is_loaded_where_a_branch_starts_and_saved_where_a_state_is_kept() -> None:
    model = Counted()
    result = run(model, 1)[0]
    n_records = sum(1 for question in model.asked if question == "save")
    n_branches = sum(not start.ended for one in result.iterations for start in one.starts)
    assert model.asked.count("start") == WELL["n_trajectories"]
    assert model.asked.count("load") == n_branches
    assert n_records < result.n_steps / 2
    assert model.asked.count("open") == model.asked.count("close") == 1
    assert not model.scratch[0].exists()


class Noted(WellByStep):
    """Notes in a folder what is opened and closed, in whatever process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def open(self, place: Any) -> None:
        self.place = place
        (self.folder / place.scratch.name).write_text("open")

    def close(self) -> None:
        (self.folder / self.place.scratch.name).write_text("closed")


@pytest.mark.slow
def test_workers_close_what_they_have_opened(tmp_path: Path) -> None:
    run(Noted(tmp_path), engine=partial(Processes, n_workers=2, seconds=0.01))
    notes = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len({name.rpartition("-")[0] for name in notes}) == 2
    assert set(notes.values()) == {"closed"}
    assert not [name for name in notes if (Path(tempfile.gettempdir()) / name).exists()]


def test_it_is_opened_again_for_another_study() -> None:
    model = Counted()
    assert run(model) == run(model)
    assert [question for question in model.asked if question in ("open", "close")] == ["open", "close"] * 2


def test_what_killed_processes_left_is_removed() -> None:
    model = Counted()
    run(model, 1)
    worker = model.scratch[0].name.rpartition("-")[0]
    left = model.scratch[0].parent / f"{worker.rpartition('-')[0]}-999999999-x"
    left.mkdir()
    (left.parent / f"{left.name}.lock").touch()
    run(model, 1)
    assert not left.exists()
    assert not (left.parent / f"{left.name}.lock").exists()


# --- what is wrong --------------------------------------------------------------------------------------------------


class Broken(WellByStep):
    """Does something else from step 10 on."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def load(self, state: Any) -> None:
        super().load(state[:2])
        self.n = int(state[2])

    def save(self) -> Any:
        return np.array([self.x, self.y, self.n])

    def start(self, rng: np.random.Generator) -> None:
        super().start(rng)
        self.n = 0

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        self.n += 1
        if self.n == 10:
            self.break_down()

    def break_down(self) -> None:
        raise OSError("no more salt")


def breaks(**methods: Any) -> pytams.Simulator:
    model: pytams.Simulator = type("Breaks", (Broken,), methods)()
    return model


AT_10 = r"at run 0, slot \d, step 10 \(t = 0.2\)"


def test_what_raises_is_said_with_the_end_of_its_log() -> None:
    class Logs(Broken):
        def open(self, place: Any) -> None:
            place.log.write_text("the ice has melted\n")

    with pytest.raises(
        pytams.ModelError, match=r"(?s)Logs.step raised OSError at run 0, slot 0, step 9.*salt.*melted"
    ):
        run(Logs())


def test_sys_exit_is_an_error() -> None:
    with pytest.raises(pytams.ModelError, match=r"Breaks.step raised SystemExit at run 0, slot 0, step 9"):
        run(breaks(break_down=lambda self: sys.exit(3)))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"score": lambda self: np.nan if self.n >= 10 else 0.1}, f"Breaks.score returned nan {AT_10}"),
        ({"score": lambda self: "high" if self.n >= 10 else 0.1}, f"Breaks.score returned 'high' {AT_10}"),
        ({"ended": lambda self, t: "yes" if self.n >= 10 else False}, f"Breaks.ended returned 'yes' {AT_10}"),
        ({"reached": lambda self, t: "yes" if self.n >= 10 else False}, f"Breaks.reached returned 'yes' {AT_10}"),
        ({"save": lambda self: object()}, r"Breaks.save returned object at run 0, slot 0, step \d+ .*or bytes"),
        ({"save": lambda self: np.zeros(self.n + 1)}, r"Breaks.save returned .* at run 0, slot 0, step \d+ .*it was"),
        ({"start": lambda self, rng: 1 / 0}, r"Breaks.start raised ZeroDivisionError at run 0, slot 0, step 0"),
        ({"open": lambda self, place: 1 / 0}, r"Breaks.start raised ZeroDivisionError at run 0, slot 0, step 0"),
        ({"load": lambda self, state: 1 / 0}, r"Breaks.load raised ZeroDivisionError at run 0, slot \d, step \d+"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_answers_are_named(methods: dict[str, Any], message: str) -> None:
    with pytest.raises(pytams.ModelError, match=message):
        run(breaks(**({"break_down": lambda self: None} | methods)))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"seeding": "steps"}, "Breaks.seeding must be 'step' or 'branch', not 'steps'"),
        ({"when": None}, "Breaks.when must be 'step' or 'branch', not None"),
        ({"seeding": "branch"}, r"seeding is 'branch', but it defines no method branch\(seed\)"),
    ],
)
def test_what_it_says_of_itself_is_checked(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(pytams.SettingsError, match=message):
        run(breaks(**attributes))


class Forgets(WellByStep):
    """Its next step depends on what it was at before it was loaded."""

    def start(self, rng: np.random.Generator) -> None:
        super().start(rng)
        self.memory = 0.0

    def load(self, state: Any) -> None:
        super().load(state)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        self.memory += 1e-3 * self.x
        self.x += self.memory


class Global(WellByStep):
    """Draws from NumPy's global generator."""

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        self.x += 1e-9 * np.random.standard_normal()  # noqa: NPY002 - that is what is wrong with it


@pytest.mark.parametrize("make", [Forgets, Global])
def test_what_is_not_saved_or_not_seeded_is_refused_before_anything_is_computed(make: Any) -> None:
    with pytest.raises(pytams.ModelError, match="computed again, gives another score"):
        run(make())


class Plateau(WellByStep):
    """Its score says nothing for long."""

    def score(self) -> float:
        return float(np.floor(2 * super().score()))


def test_a_score_that_says_little_is_no_repetition(caplog: pytest.LogCaptureFixture) -> None:
    assert pytams.TAMS(Plateau(), **(WELL | {"target_score": 1.0})).run(2, seed=4).n_steps > 0
    assert not caplog.records


@pytest.mark.parametrize("seed", range(20))
def test_a_few_coins_that_fall_alike_are_no_repetition(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    tams = pytams.TAMS(Walker(), end_time=2, step_size=1, target_score=4.5, n_trajectories=5)
    assert tams.run(1, seed).n_steps > 0
    assert not caplog.records


def test_it_says_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    model = WellByStep()
    problem = pytams.TAMS(model, **WELL).study(1, seed=1)._problem  # noqa: SLF001 - what a study hands to its engine
    stepper = model.make_stepper(problem)
    where: Any = stepper
    assert where.where() == "WellByStep"


# --- what users do with an object -----------------------------------------------------------------------------------


def test_attributes_that_workers_would_not_have_are_refused() -> None:
    model = WellByStep()
    model.epsilon = 0.3
    with pytest.raises(
        pytams.SettingsError, match="model: epsilon of WellByStep changed after it was made: every worker"
    ):
        pytams.TAMS(model, **WELL)
    model = WellByStep()
    tams = pytams.TAMS(model, **WELL)
    expected = tams.run(1, seed=4).runs
    assert tams.run(1, seed=4).runs == expected, "what it has changed itself is its own"
    model.epsilon = 0.3
    with pytest.raises(pytams.SettingsError, match="epsilon of WellByStep changed"):
        tams.run(1, seed=4)


class Pops(WellByStep):
    """Empties what it is given."""

    def __init__(self, params: dict[str, float]) -> None:
        super().__init__(params.pop("epsilon"))


@pytest.mark.slow
def test_workers_get_what_the_constructor_was_given() -> None:
    expected = run(WellByStep(0.2))
    assert run(Pops({"epsilon": 0.2}), engine=partial(Processes, n_workers=2, seconds=0.01)) == expected


@pytest.mark.parametrize("make", [WellByStep, WellByBranch])
@pytest.mark.parametrize("seed", range(100, 110))
def test_two_studies_of_one_object_in_turn(make: Any, seed: int) -> None:
    model = make()
    tams = [pytams.TAMS(model, **(WELL | {"n_trajectories": n})) for n in (3, 4)]
    expected = [one.run(1, seed).runs for one in tams]
    engines = [partial(InProcess, block_length=n) for n in (1, 2)]
    with (
        tams[0].study(1, seed, engine=engines[0]) as first,
        tams[1].study(1, seed, engine=engines[1]) as second,
    ):  # fmt: skip
        for _ in zip_longest(first, second):
            pass
        assert [first.result().runs, second.result().runs] == expected


@pytest.mark.slow
def test_one_object_in_several_threads() -> None:
    model = Counted()
    tams = pytams.TAMS(model, **(WELL | {"end_time": 0.2}))
    expected = [tams.run(1, seed).runs for seed in range(20)]
    with ThreadPoolExecutor(3) as executor:
        found = list(executor.map(lambda seed: tams.run(1, seed).runs, range(20)))
    assert found == expected
    assert model.asked.count("open") == model.asked.count("close")


class FailsToOpen(WellByStep):
    """Fails when it is opened for the second time in a folder, half way."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__()
        self.folder, self.at = folder, at
        self.drift = 0.0

    def open(self, place: Any) -> None:
        number = len(list(self.folder.iterdir()))
        (self.folder / place.scratch.name).touch()
        if number == self.at:
            raise OSError("not yet")
        self.drift = 0.05

    def step(self, seed: int | None, t: float, dt: float) -> None:
        super().step(seed, t, dt)
        self.x += self.drift * dt


@pytest.mark.slow
def test_what_failed_to_open_is_opened_again(tmp_path: Path) -> None:
    (tmp_path / "never").mkdir()
    expected = run(FailsToOpen(tmp_path / "never", -1))
    for at in range(4):
        folder = tmp_path / str(at)
        folder.mkdir()
        engine = partial(Processes, n_workers=1, seconds=0.01)
        assert run(FailsToOpen(folder, at), engine=engine, verify=False) == expected


def test_what_fails_is_closed() -> None:
    opened: list[str] = []

    class Fails(Broken):
        def open(self, place: Any) -> None:
            opened.append("open")
            self.place = place

        def close(self) -> None:
            opened.append("close")
            assert self.place.scratch.is_dir()

    for verify in (True, False):
        with pytest.raises(pytams.ModelError):
            run(Fails(), verify=verify)
    assert opened.count("open") == opened.count("close") > 2


def test_a_close_that_raises_costs_no_result(caplog: pytest.LogCaptureFixture) -> None:
    class Raises(WellByStep):
        def close(self) -> None:
            raise OSError("it will not close")

    assert run(Raises()) == run(WellByStep())
    assert "Raises.close raised OSError: it will not close" in caplog.text


def test_a_study_that_is_left_in_the_middle_of_a_step_says_so() -> None:
    class Interrupted(WellByStep):
        n = 0

        def step(self, seed: int | None, t: float, dt: float) -> None:
            type(self).n += 1
            if type(self).n == 500:
                raise KeyboardInterrupt
            super().step(seed, t, dt)

    with pytams.TAMS(Interrupted(), **WELL).study(1, seed=4) as study:
        with pytest.raises(KeyboardInterrupt):
            list(study)
        with pytest.raises(RuntimeError, match="the study was left in the middle of a step: run it again, or resume"):
            list(study)


def test_a_dict_of_bytes_is_a_dict() -> None:
    class Bytes(WellByStep):
        def save(self) -> Any:
            return {"bytes": np.frombuffer(super().save().tobytes(), np.uint8)}

        def load(self, state: Any) -> None:
            super().load(state["bytes"].view(np.float64))

    assert run(Bytes())[0].estimate == run(WellByStep())[0].estimate


def test_masked_values_are_no_state() -> None:
    masked = {"save": lambda self: np.ma.masked_array([1.0, 2.0], mask=[True, False])}
    with pytest.raises(pytams.ModelError, match="save returned .*without masked values"):
        run(breaks(break_down=lambda self: None, **masked))


def test_a_trajectory_that_cannot_be_put_down_for_another_study_is_not_forgotten() -> None:
    class Unsaved(WellByStep):
        fails = False

        def save(self) -> Any:
            if type(self).fails:
                raise OSError("no room")
            return super().save()

    model = Unsaved()
    tams = pytams.TAMS(model, **WELL)
    engine = partial(InProcess, block_length=1)
    with tams.study(1, 4, engine=engine, verify=False) as first, tams.study(1, 5, verify=False) as second:
        next(iter(first))
        Unsaved.fails = True
        with pytest.raises(pytams.ModelError, match="save raised OSError"):
            next(iter(second))
        Unsaved.fails = False
        with pytest.raises(pytams.ModelError, match="a trajectory could not be put down, and is lost: .*no room"):
            list(first)


class Odd(WellByStep):
    """Holds itself, and what nobody can send."""

    def __init__(self) -> None:
        super().__init__()
        self.me, self.method = self, self.score
        self.lock, self.pointer = threading.Lock(), ctypes.c_void_p(3)
        self.rng, self.numbers = np.random.default_rng(), (i for i in range(3))


@pytest.mark.slow
def test_a_simulator_may_hold_what_it_likes() -> None:
    model = Odd()
    assert run(model) == run(WellByStep())
    assert run(model, engine=partial(Processes, n_workers=2, seconds=0.01)) == run(WellByStep())


# --- many steps at once ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("make", [InStrides, InStridesByBranch])
def test_many_steps_at_once_give_the_same_bits(make: Any, tmp_path: Path) -> None:
    expected = run((WellByStep if make is InStrides else WellByBranch)())
    assert run(make()) == expected
    assert run(make(), engine=partial(InProcess, block_length=7)) == expected
    assert run(make(), engine=partial(Processes, n_workers=2, seconds=0.01)) == expected
    storage = pytams.Storage(path=tmp_path / "out", checkpoint_interval=0.05, sparse_freq=10)
    *earlier, study = sessions(lambda: pytams.TAMS(make(), **WELL), storage, 2, 4)
    assert len(earlier) > 1
    assert study.result().runs == expected
    with pytams.load(storage.path) as saved:
        stored = np.round(saved.trajectory(0, 0).state_times / WELL["step_size"]).astype(int).tolist()
        assert {step for step in range(len(saved.trajectory(0, 0).scores)) if step % 10 == 0} <= set(stored)


@pytest.mark.parametrize(
    "answer", [lambda scores: scores[1:], lambda scores: None, lambda scores: [*scores[1:], "x"]]
)
def test_many_steps_give_a_score_each(answer: Any) -> None:
    class Wrong(InStrides):
        def steps(self, seeds: Any, t: float, dt: float, n: int) -> Any:
            return answer(super().steps(seeds, t, dt, n))

    with pytest.raises(pytams.ModelError, match=r"Wrong\.(steps|score) returned"):
        run(Wrong(), verify=False)


def test_many_steps_at_once_cannot_be_asked_in_between() -> None:
    class Ends(InStrides):
        def ended(self, t: float) -> bool:
            return t > 1.0

    with pytest.raises(pytams.SettingsError, match="defines steps, which makes many at once, and ended"):
        run(Ends())
