"""The compiled loop: NumPy's noise to the bit, and the same answer however it is cut into calls."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

import pytams
from exact import DOUBLE_WELL_2D, double_well_2d, ornstein_uhlenbeck
from pytams import SDE
from pytams.core.streams import Streams, chunk_length
from pytams.engine import InProcess
from pytams.models.sde.philox import STREAM_SIZE, normal, open_stream
from pytams.models.sde.philox import below as draw_below
from pytams.models.sde.specialised import specialised


def drift(x: Any, t: Any, p: Any) -> Any:
    return x[0] - x[0] * x[0] * x[0], -p.pull * x[1]


def diffusion(x: Any, t: Any, p: Any) -> Any:
    return p.sigma, p.sigma * np.sqrt(1.0 + x[0] * x[0])


def score(x: Any, t: Any, p: Any) -> Any:
    return x[0] + 0.25 * x[1] - 0.01 * t


def below(x: Any, t: Any, p: Any) -> Any:
    return x[0] < -1.5


def scalar_drift(x: Any, t: Any, p: Any) -> Any:
    return -x


def one(x: Any, t: Any, p: Any) -> Any:
    return 1.0


def itself(x: Any, t: Any, p: Any) -> Any:
    return x


def well(**changes: Any) -> SDE:
    return SDE(drift, diffusion, score, **{"initial": (-1.0, 0.0), "sigma": 0.3, "pull": 2.0, **changes})


MODELS: dict[str, Any] = {
    "Euler-Maruyama": well,
    "Heun": partial(well, scheme="heun"),
    "stopped": partial(well, stopped=below),
    "random start": partial(well, initial=lambda rng: rng.normal(-1.0, 0.2, size=2)),
    "scalar": partial(SDE, scalar_drift, one, itself, initial=0.0),
    "scalar, Heun, random start": partial(
        SDE, scalar_drift, one, itself, scheme="heun", initial=lambda rng: rng.normal()
    ),
}


def run(model: pytams.Model, n_runs: int = 4, first_run: int = 0, **engine: Any) -> list[Any]:
    tams = pytams.TAMS(model, end_time=6.0, step_size=0.01, target_score=0.9, n_trajectories=12, n_discard=2)
    result = tams.run(n_runs, seed=5, first_run=first_run, engine=partial(InProcess, **engine))
    return [(r.run, r.estimate, r.n_steps, r.iterations) for r in result.runs]


@njit  # type: ignore[untyped-decorator] # Numba has no types
def _normals(name: Any, branch: Any, chunk: int, seed: Any, n: int) -> Any:
    stream = np.zeros(STREAM_SIZE, np.uint64)
    open_stream(stream, seed, 1, name, branch, chunk)
    return np.array([normal(stream) for _ in range(n)])


@njit  # type: ignore[untyped-decorator] # Numba has no types
def _whole_numbers(run: int, iteration: int, seed: Any, n: int, size: int) -> Any:
    stream, drawn = np.zeros(STREAM_SIZE, np.uint64), np.empty(size, np.int64)
    open_stream(stream, seed, 2, run << 32, iteration, 0)
    draw_below(stream, n, drawn)
    return drawn


def test_normals_are_those_of_numpy_to_the_bit() -> None:
    n = 1_000_000  # the tail of the distribution is drawn about 270 times, the wedges 15,000 times
    ours = _normals(np.uint64((3 << 32) | 7), np.uint64(2), 5, np.uint64(2**62 + 1), n)
    theirs = Streams(2**62 + 1).noise(3, 7, 2, 5).standard_normal(n)
    assert np.abs(theirs).max() > 4
    np.testing.assert_array_equal(ours, theirs)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**40),
    st.integers(0, 2**63 - 1),
    st.one_of(st.integers(1, 2**32), st.integers(1, 100), st.integers(2**31 - 2, 2**32)),
    st.integers(1, 200),
)
@settings(deadline=None)
def test_whole_numbers_are_those_of_numpy(run: int, iteration: int, seed: int, n: int, size: int) -> None:
    theirs = Streams(seed).ancestors(run, iteration).integers(n, size=size)
    np.testing.assert_array_equal(_whole_numbers(run, iteration, np.uint64(seed), n, size), theirs)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_or_not_is_the_same_to_the_bit_where_the_arithmetic_is(name: str) -> None:
    assert run(MODELS[name]()) == run(MODELS[name](compiled=False))


@pytest.mark.parametrize("name", ["Euler-Maruyama", "scalar, Heun, random start"])
@pytest.mark.parametrize("engine", [{"block_length": 1}, {"block_length": 7}, {"block_length": 300}, {"threads": 3}])
def test_calls_and_threads_change_no_bit(name: str, engine: dict[str, int]) -> None:
    assert run(MODELS[name](), **engine) == run(MODELS[name]())


def test_runs_together_or_each_alone() -> None:
    assert run(well(), n_runs=4) == [run(well(), n_runs=1, first_run=r)[0] for r in range(4)]


def test_exponentials_may_differ_in_the_last_bit() -> None:
    """Then trajectories part, as the docs say; over 100 steps by less than 1e-10."""
    compiled, plain = ([], [])  # type: tuple[list[float], list[float]]
    for scores, model in ((compiled, double_well_2d()), (plain, double_well_2d(compiled=False))):
        tams = pytams.TAMS(model, end_time=1.0, step_size=0.01, target_score=0.9, n_trajectories=50, max_branchings=0)
        study = tams.study(1, seed=1)
        for _ in study:
            pass
        scores += [member.maximum for member in study.splittings[0].members]
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_estimates_are_exact() -> None:
    tams = pytams.TAMS(
        double_well_2d(), end_time=10, step_size=0.01, target_score=0.95, n_trajectories=50, n_discard=2
    )
    result = tams.run(400, seed=8, engine=partial(InProcess, threads=2))
    assert abs(result.probability - DOUBLE_WELL_2D[10]) < 4 * result.standard_error


@pytest.mark.slow
def test_more_records_than_a_call_has_room_for() -> None:
    """A score that rises at every step fills the room for records many times over."""

    def time(x: Any, t: Any, p: Any) -> Any:
        return t + 0.001 * x

    def tams(compiled: bool) -> pytams.TAMS:
        model = SDE(scalar_drift, one, time, initial=0.0, compiled=compiled)
        return pytams.TAMS(
            model, end_time=6.0, step_size=0.01, target_score=6.001, n_trajectories=10, max_branchings=20
        )

    assert tams(True).run(2, seed=1).runs == tams(False).run(2, seed=1).runs


@pytest.mark.slow
def test_noise_of_many_components_has_short_chunks() -> None:
    """Functions of a small array may return one."""
    d = 64

    def pull(x: Any, t: Any, p: Any) -> Any:
        return -x

    def even(x: Any, t: Any, p: Any) -> Any:
        return np.ones_like(x)

    def first(x: Any, t: Any, p: Any) -> Any:
        return x[0]

    assert chunk_length((d,)) == 16
    model = partial(SDE, pull, even, first, initial=(0.0,) * d)
    assert run(model(), n_runs=1) == run(model(compiled=False), n_runs=1)


@pytest.mark.slow
def test_functions_of_different_models_have_different_names() -> None:
    """Numba tells them apart by name and a count of the process: a loop from disk brings the count of another."""

    def names(model: SDE) -> set[str]:
        loop = specialised(model.equation).segment.py_func
        step = loop.__globals__["make_step"].py_func
        functions = [step.__globals__[name] for name in ("drift", "diffusion")] + [loop.__globals__["score"]]
        return {function.py_func.__qualname__ for function in functions}

    models = [double_well_2d(), ornstein_uhlenbeck(), ornstein_uhlenbeck(stopped=lambda x, t, p: x < -9.0)]
    found = [names(model) for model in models]
    assert [len(of_one) for of_one in found] == [3, 3, 3]
    assert len(set.union(*found)) == 9


@pytest.mark.slow
def test_a_score_that_is_no_number_is_named() -> None:
    def blows_up(x: Any, t: Any, p: Any) -> Any:
        return 1.0 / (t - t) if t > 0.5 else x

    model = SDE(scalar_drift, one, blows_up, initial=0.0)
    with pytest.raises(pytams.ModelError, match=r"SDE.score returned inf at run 0, slot 0, step 51 \(t = 0.51\)"):
        pytams.TAMS(model, end_time=1, step_size=0.01, target_score=99, n_trajectories=3).run(1, seed=1)


@pytest.mark.slow
def test_what_numba_cannot_compile_is_named() -> None:
    def unknown(x: Any, t: Any, p: Any) -> Any:
        return np.median(str(x))  # type: ignore[call-overload] # the point

    model = SDE(scalar_drift, one, unknown, initial=0.0)
    with pytest.raises(pytams.ModelError, match="cannot be compiled"):
        pytams.TAMS(model, end_time=1, step_size=0.01, target_score=9, n_trajectories=3).run(1, seed=1)


def test_without_numba_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytams.models.sde.kernel", None)
    with pytest.raises(pytams.SettingsError, match=r'pip install "pytams-splitting\[fast\]"'):
        run(ornstein_uhlenbeck())


def test_impossible_settings_are_named() -> None:
    with pytest.raises(pytams.SettingsError, match="scheme: 'euler' is not one of euler-maruyama, heun"):
        well(scheme="euler")
    with pytest.raises(pytams.SettingsError, match="initial: a number or a row of numbers"):
        well(initial=np.zeros((2, 2)))
    for start in ("a", None, 1j, [1.0, "b"]):
        with pytest.raises(pytams.SettingsError, match="^initial: a number or a row of numbers, not "):
            well(initial=start)
        with pytest.raises(pytams.SettingsError, match="^initial: a number or a row of numbers, but it returns "):
            well(initial=lambda rng, start=start: start)
    with pytest.raises(pytams.SettingsError, match="^initial: making an array of it raised ValueError: "):
        well(initial=[[1.0], [2.0, 3.0]])
    for bad, name in ((lambda rng: sys.exit("bye"), "SystemExit: bye"), (lambda rng: 1 / 0, "ZeroDivisionError: ")):
        with pytest.raises(pytams.SettingsError, match=f"^initial: calling it with a generator raised {name}"):
            well(initial=bad)
    for wrong in ("a", None, [1.0, 2.0]):
        with pytest.raises(pytams.SettingsError, match="^sigma: .* is not a number"):
            well(sigma=wrong)


MODULE = """
    import logging, sys
    import pytams
    from pytams import SDE

    SCALE = {scale}

    def drift(x, t, p):
        return -SCALE * x

    def diffusion(x, t, p):
        return p.sigma

    def score(x, t, p):
        return x

    logging.basicConfig(level="WARNING", stream=sys.stdout, format="%(message)s")
    tams = pytams.TAMS(SDE(drift, diffusion, score, initial=0.0, sigma={sigma}),
                       end_time=1.0, step_size=0.01, target_score=2.0, n_trajectories=10)
    print(tams.run(2, seed=1).n_steps)
"""


@pytest.mark.slow  # it compiles in several processes
def test_compiled_code_is_kept_on_disk_and_is_of_this_model(tmp_path: Path) -> None:
    """Another process, or another module with the same functions, loads it; another constant compiles anew."""

    def out(name: str, **constants: float) -> list[str]:
        path = tmp_path / name
        path.write_text(textwrap.dedent(MODULE.format(**constants)))
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        run = subprocess.run([sys.executable, path], env=environment, capture_output=True, text=True, check=True)
        return [line for line in run.stdout.splitlines() if "compiled whole runs" not in line]

    first = out("first.py", scale=1.0, sigma=1.0)
    assert first[0].startswith("compiled SDE in ")
    assert out("first.py", scale=1.0, sigma=1.0) == first[1:]
    assert out("second.py", scale=1.0, sigma=1.0) == first[1:]
    weak = out("first.py", scale=1.0, sigma=0.5)  # a parameter is an argument
    assert len(weak) == 1
    assert weak != first[1:]
    other = out("first.py", scale=3.0, sigma=1.0)  # a global is a constant
    assert other[0].startswith("compiled SDE in ")
    assert other[1:] != first[1:]


@pytest.mark.slow  # likewise
def test_compiled_code_on_disk_is_of_the_modules_that_are_used(tmp_path: Path) -> None:
    code = textwrap.dedent(MODULE.format(scale=1.0, sigma=1.0)).replace("-SCALE * x", "helper.K * helper.up(x)")
    (tmp_path / "model.py").write_text("import helper\n" + code)
    found = []
    for constant, slope in [(1.0, -1.0), (1.0, -1.0), (3.0, -1.0), (1.0, -5.0)]:
        helper = f"from numba import njit\nK = {constant}\n@njit\ndef up(x): return {slope} * x"
        (tmp_path / "helper.py").write_text(helper)
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        line = [sys.executable, "-B", str(tmp_path / "model.py")]
        run = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        found.append([text for text in run.stdout.splitlines() if "compiled whole runs" not in text])
    assert [len(lines) for lines in found] == [2, 1, 2, 2], "compiled, found on disk, compiled anew, likewise"
    assert len({lines[-1] for lines in found}) == 3


def test_compiling_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pytams"):
        run(well())
        run(well(sigma=0.25))
    assert len(caplog.records) <= 1
    assert math.isfinite(run(well())[0][1])
