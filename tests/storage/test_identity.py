"""A study goes on with the model that it was made with, and with no other: by what it is made of, and by its bits."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.engine import Processes
from pytams.models.loading import make_model
from pytams.models.sources import source_hashes, sources_in
from pytams.storage.directory import RunDirectory
from pytams.storage.identity import check_model, check_sources, sources_of
from pytams.storage.manifest import ModelSource

SETTINGS: dict[str, Any] = {"end_time": 2.0, "step_size": 0.02, "target_score": 2.5, "n_trajectories": 10}


class Drifting(pytams.Model):
    """A random walk with a drift."""

    noise_shape = ()
    source: Any = None
    """Adds what it gives to every step."""

    def __init__(self, drift: float = 0.5, *, parts: tuple[float, ...] = (1.0,)) -> None:
        self.drift, self.parts = drift, parts
        self.n_calls = 0

    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.zeros(2)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        self.n_calls += 1
        extra = 0.0 if self.source is None else self.source(self, t)
        return state + np.array([self.drift * dt + np.sqrt(dt) * noise + extra, 0.0])

    def score(self, state: Any, t: Any) -> Any:
        return state[0]


def tams(model: pytams.Model) -> pytams.TAMS:
    return pytams.TAMS(model, **SETTINGS)


# --- what it is made of -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Drifting(0.6), r"model\.drift is 0\.6, but the study was made with 0\.5"),
        (Drifting(0.5, parts=(1.0, 2.0)), r"model\.parts is \[1\.0, 2\.0\], but the study was made with \[1\.0\]"),
        (Drifting(np.float64(0.25) + 0.1), r"model\.drift is 0\.35"),
    ],
)
def test_other_arguments_are_refused(tmp_path: Path, other: pytams.Model, message: str) -> None:
    tams(Drifting()).run(1, seed=1, out=tmp_path / "out")
    with pytest.raises(pytams.RunDirectoryError, match=message):
        tams(other).run(2, out=tmp_path / "out")
    assert RunDirectory(tmp_path / "out").info.n_runs == 1
    assert tams(Drifting()).run(2, out=tmp_path / "out").n_unfinished == 0


def sde(strength: float, power: int = 3, *, compiled: bool = False, **changes: Any) -> pytams.SDE:
    def drift(x: Any, t: Any, p: Any) -> Any:
        return strength * (x - x**power)

    functions: dict[str, Any] = {
        "drift": drift,
        "diffusion": lambda x, t, p: p.sigma,
        "score": lambda x, t, p: x,
        "initial": -1.0,
        "sigma": 0.7,
    }
    return pytams.SDE(**{**functions, **changes}, compiled=compiled)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (sde(1.1), "model.drift is "),
        (sde(1.0, 5), "model.drift is "),
        (sde(1.0, diffusion=lambda x, t, p: 2.0 * p.sigma), "model.diffusion is "),
        (sde(1.0, sigma=0.8), r"model\.sigma is 0\.8, but the study was made with 0\.7"),
        (sde(1.0, scheme="heun"), r"model\.scheme is 'heun', but the study was made with 'euler-maruyama'"),
        (sde(1.0, initial=-0.9), r"model\.initial is -0\.9"),
    ],
)
def test_another_equation_is_refused(tmp_path: Path, other: pytams.Model, message: str) -> None:
    settings = {**SETTINGS, "target_score": 0.5}
    pytams.TAMS(sde(1.0), **settings).run(1, seed=1, out=tmp_path / "out")
    with pytest.raises(pytams.RunDirectoryError, match=message):
        pytams.TAMS(other, **settings).run(1, out=tmp_path / "out")
    pytams.TAMS(sde(1.0), **settings).run(1, out=tmp_path / "out")


MODEL = """
import pathlib
import numpy as np
import pytams

pathlib.Path({mark!r}).write_text("executed")

class Walk(pytams.Model):
    noise_shape = ()
    def __init__(self, up=0.5):
        self.up = up
    def initial_state(self, rng):
        return np.zeros(())
    def step(self, state, noise, t, dt):
        from helper.scale import scale
        return state + self.up * dt + scale * np.sqrt(dt) * noise
    def score(self, state, t):
        return state
"""


WALK_SOURCES = {"walk.py", "helper", "helper.scale", "helper.number"}


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Write a model that imports a package of its own, inside a method."""
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper" / "__init__.py").touch()
    (tmp_path / "helper" / "scale.py").write_text("from .number import scale\n")
    (tmp_path / "helper" / "number.py").write_text("scale = 1.0\n")
    (tmp_path / "walk.py").write_text(MODEL.format(mark=str(tmp_path / "mark")))
    (tmp_path / "input.toml").write_text(
        "[tams]\nntrajectories = 10\nnruns = 1\nseed = 1\n"
        "[trajectory]\nend_time = 2.0\nstep_size = 0.02\ntargetscore = 2.5\n"
        '[model]\nclass = "walk.py:Walk"\n'
    )
    return tmp_path


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pytams", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_an_edited_module_is_named_before_anything_is_executed(walk: Path) -> None:
    first = command(walk, "run", "input.toml", "--out", "out")
    assert first.returncode == 0, first.stderr
    assert set(RunDirectory(walk / "out").info.model.sources or ()) == WALK_SOURCES
    (walk / "helper" / "number.py").write_text("scale = 1.5\n")
    (walk / "mark").unlink()
    resumed = command(walk, "resume", "out", "--runs", "2")
    assert resumed.returncode == 1
    assert "the source of Walk has changed since out was made (helper.number has changed)" in resumed.stderr
    assert not (walk / "mark").exists()
    forced = command(walk, "resume", "out", "--runs", "2", "--force")
    assert forced.returncode == 1, "its bits are others"
    assert "computed again, gives another score" in forced.stderr
    (walk / "helper" / "number.py").write_text("scale = 1.0\n")
    other = command(walk, "resume", "out", "--runs", "2", "--set", "model.up=0.25")
    assert other.returncode == 1
    assert "model.up is 0.25, but the study was made with 0.5" in other.stderr
    assert command(walk, "resume", "out", "--runs", "2").returncode == 0


def test_a_source_that_is_not_found_yet_is_left_to_the_look_after_the_import(walk: Path) -> None:
    sources = source_hashes([walk / "walk.py"])
    made_with = ModelSource(name="Walk", reference=f"{walk}/walk.py:Walk", sources=sources)
    (walk / "helper").rename(walk / "elsewhere")
    check_sources(walk / "out", made_with)
    (walk / "walk.py").write_text("import added\n")
    with pytest.raises(pytams.RunDirectoryError, match=r"\(walk\.py has changed\)"):
        check_sources(walk / "out", made_with)
    with pytest.raises(pytams.RunDirectoryError, match=r"helper\.number is gone"):
        check_model(walk / "out", made_with, Drifting(), made_with.reference)


def made_with_code(walk: Path) -> ModelSource:
    sources = sources_in([walk / "walk.py"])
    return ModelSource(
        name="Walk",
        reference=f"{walk}/walk.py:Walk",
        sources=sources.sha256,
        code=sources.code,
        made_of={"up": "0.5"},
    )


REWORDED = [
    ("class Walk", "# mine\nclass Walk"),
    ("        self.up = up", "        self.up = (\n            up  # as it was\n        )"),
    ("class Walk(pytams.Model):", 'class Walk(pytams.Model):\n    """A walk."""'),
    ("        return state\n", '        "Where it is."\n        return state\n'),
    ("\nimport pathlib", '\n"""A module."""\nimport pathlib'),
]


@pytest.mark.parametrize(("old", "new"), REWORDED)
def test_another_wording_is_the_same_model(walk: Path, caplog: pytest.LogCaptureFixture, old: str, new: str) -> None:
    made_with, text = made_with_code(walk), (walk / "walk.py").read_text()
    assert old in text
    (walk / "walk.py").write_text(text.replace(old, new, 1))
    with caplog.at_level("INFO", "pytams"):
        check_sources(walk / "out", made_with)
    assert "only comments, layout or docstrings of walk.py have changed" in caplog.text
    before = made_with.checked(made_with.to_dict() | {"code": {}})
    with pytest.raises(pytams.RunDirectoryError, match=r"\(walk\.py has changed\)"):
        check_sources(walk / "out", before)
    older = {name: code.replace(code.split()[0], "3.10") for name, code in made_with.code.items()}
    with pytest.raises(pytams.RunDirectoryError, match=r"\(walk\.py has changed\)"):
        check_sources(walk / "out", made_with.checked(made_with.to_dict() | {"code": older}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("up=0.5", "up=0.25"),
        ("up=0.5", "up=0.5 + 0"),
        ("state + self.up", "state - self.up"),
        ("np.sqrt(dt) * noise", "(np.sqrt(dt) * noise)  # \n    def stopped(self, state, t):\n        return False"),
        ("class Walk", "1 +\nclass Walk"),  # no Python
    ],
)
def test_another_meaning_is_not(walk: Path, old: str, new: str) -> None:
    made_with, text = made_with_code(walk), (walk / "walk.py").read_text()
    assert old in text
    (walk / "walk.py").write_text(text.replace(old, new, 1))
    with pytest.raises(pytams.RunDirectoryError, match=r"\(walk\.py has changed\)"):
        check_sources(walk / "out", made_with)


def test_what_is_no_python_is_compared_as_it_is(tmp_path: Path) -> None:
    for name in ("data.bin", "broken.py", "deep.py"):
        path = tmp_path / name
        path.write_text("1 +\n" if name != "deep.py" else " + ".join(["1"] * 1500))
        assert sources_in([path]).code == {}
    program = tmp_path / "program.py"
    program.write_text("#!/usr/bin/python3\n1\n")
    before = sources_in([program]).code
    program.write_text("#!/usr/bin/pypy\n1\n")
    assert sources_in([program]).code != before, "who runs it"
    program.write_text("#!/usr/bin/python3\n1  # one\n")
    assert sources_in([program]).code == before


@pytest.mark.slow
def test_a_comment_does_not_keep_a_study_from_going_on(walk: Path) -> None:
    assert command(walk, "run", "input.toml", "--out", "out").returncode == 0
    (walk / "walk.py").write_text((walk / "walk.py").read_text() + "# a comment\n")
    resumed = command(walk, "resume", "out", "--runs", "2", "--set", "tams.loglevel=INFO")
    assert resumed.returncode == 0, resumed.stderr
    assert "only comments, layout or docstrings of walk.py have changed since" in resumed.stderr
    (walk / "walk.py").write_text((walk / "walk.py").read_text().replace("self.up * dt", "self.up * 2 * dt"))
    assert "(walk.py has changed)" in command(walk, "resume", "out", "--runs", "3").stderr


@pytest.mark.slow
def test_a_module_that_a_model_finds_by_itself(walk: Path) -> None:
    (walk / "lib").mkdir()
    (walk / "helper").rename(walk / "lib" / "helper")
    (walk / "walk.py").write_text(
        f"import sys\nsys.path.insert(0, {str(walk / 'lib')!r})\nimport helper\nsys.path.pop(0)\n"
        + (walk / "walk.py").read_text()
    )
    first = command(walk, "run", "input.toml", "--out", "out")
    assert first.returncode == 0, first.stderr
    assert set(RunDirectory(walk / "out").info.model.sources or ()) == WALK_SOURCES
    resumed = command(walk, "resume", "out", "--runs", "2")
    assert resumed.returncode == 0, resumed.stderr
    number = walk / "lib" / "helper" / "number.py"
    number.write_text(f"{number.read_text()}# a comment\n")
    resumed = command(walk, "resume", "out", "--runs", "3")
    assert resumed.returncode == 0, resumed.stderr
    number.write_text(f"{number.read_text()}more = 1\n")
    resumed = command(walk, "resume", "out", "--runs", "4")
    assert resumed.returncode == 1
    assert "(helper.number has changed)" in resumed.stderr


SCRIPT = """
import helper
import pytams
{model}
if __name__ == "__main__":
    settings = dict(end_time=2.0, step_size=0.02, target_score=2.5, n_trajectories=10)
    print(pytams.TAMS({call}, **settings).run({n_runs}, seed=1, out="out").n_unfinished)
"""
CLASS = """
class Walk(pytams.Model):
    noise_shape = ()
    def initial_state(self, rng):
        return 0.0
    def step(self, state, noise, t, dt):
        return state + helper.up(0.5) * dt + dt**0.5 * noise
    def score(self, state, t):
        return state
"""
EQUATION = """
def drift(x, t, p):
    return helper.up(0.5) + 0.0 * x
def diffusion(x, t, p):
    return 1.0
def score(x, t, p):
    return x
"""


@pytest.mark.slow
@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize(
    ("model", "call"),
    [(CLASS, "Walk()"), (EQUATION, "pytams.SDE(drift, diffusion, score, initial=0.0, compiled=False)")],
)
def test_a_script_that_holds_its_model(tmp_path: Path, model: str, call: str, in_file: bool) -> None:
    def run(n_runs: int, helper: str, change: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "helper.py").write_text(helper)
        script = SCRIPT.format(model=model + change, call=call, n_runs=n_runs)
        (tmp_path / "script.py").write_text(script)
        line = [sys.executable, "-B", "script.py"] if in_file else [sys.executable, "-B", "-c", script]
        return subprocess.run(line, check=False, capture_output=True, text=True, cwd=tmp_path)

    helper = "K = 1.0\ndef up(x):\n    return K * x\n"
    for n_runs in (1, 2):
        done = run(n_runs, helper)
        assert done.stdout == "0\n", done.stderr
    refused = run(3, helper.replace("1.0", "1.5"))
    assert "RunDirectoryError" in refused.stderr
    assert "model.drift is " in refused.stderr or "model.its global helper.up is" in refused.stderr or in_file
    if in_file:
        refused = run(3, helper, "more = 1")
        assert "(script.py has changed)" in refused.stderr
        assert 'What stands under `if __name__ == "__main__":` is not compared' in refused.stderr
    assert run(3, helper).stdout == "0\n"


# --- its bits ---------------------------------------------------------------------------------------------------


def unseeded(model: Drifting, t: float) -> float:
    return 1e-9 * random.random()


def remembering(model: Drifting, t: float) -> float:
    return 1e-9 * model.n_calls


def seeded_once(model: Drifting, t: float) -> float:
    generator = vars(model).setdefault("generator", np.random.default_rng(0))
    return 1e-9 * float(generator.random())


@pytest.fixture
def impure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drifting, "source", staticmethod(request.param))


@pytest.mark.usefixtures("impure")
@pytest.mark.parametrize("impure", [unseeded, remembering, seeded_once], indirect=True)
@pytest.mark.parametrize("on_disk", [False, True])
def test_hidden_randomness_and_memory_are_refused_at_the_start(tmp_path: Path, on_disk: bool) -> None:
    out = tmp_path / "out" if on_disk else None
    with pytest.raises(
        pytams.ModelError, match=r"computed again, gives another score .* run 0, slot [01], step [12] "
    ) as e:
        tams(Drifting()).run(1, seed=1, out=out)
    assert "np.random" in str(e.value)
    assert e.value.place is not None
    assert tams(Drifting()).run(1, seed=1, verify=False).runs


class RandomStart(Drifting):
    def initial_state(self, rng: np.random.Generator) -> Any:
        return np.random.default_rng().normal(size=2) * 0.1


def test_a_start_that_is_not_drawn_from_its_stream_is_refused() -> None:
    with pytest.raises(pytams.ModelError, match=r"another score .* step 0 \(t = 0\)"):
        tams(RandomStart()).run(1, seed=1)


class Hidden(Drifting):
    """The second component, which no score shows, follows a file."""

    path: Path

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return super().step(state, noise, t, dt) + np.array([0.0, float(self.path.read_text())])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["in process", "processes"])
@pytest.mark.parametrize("extend", [False, True])
def test_what_no_fingerprint_shows_is_found_by_computing_again(tmp_path: Path, engine: str, extend: bool) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    model = Hidden()
    model.path = data
    data.write_text("0.0")
    make = pytams.engine.InProcess if engine == "in process" else partial(Processes, n_workers=1)
    if extend:
        tams(model).run(1, seed=1, out=out)
    else:
        with tams(model).study(2, seed=1, out=out) as study:
            for _ in zip(range(40), study, strict=False):
                pass
        assert study.n_finished < 2
    before = {path: path.read_bytes() for path in out.rglob("*.nc")}
    data.write_text("0.125")
    with pytest.raises(
        pytams.ModelError, match=r"gives another state than what was recorded at run \d, slot \d, step 1 "
    ):
        tams(model).run(2, out=out, engine=make)
    assert {path: path.read_bytes() for path in out.rglob("*.nc")} == before
    data.write_text("0.0")
    assert tams(model).run(2, out=out, engine=make).runs == tams(model).run(2, seed=1).runs


@pytest.mark.parametrize("n", [2, 50])
def test_it_costs_one_percent_of_a_run_at_most(tmp_path: Path, n: int) -> None:
    model = Drifting()
    problem = pytams.TAMS(model, **{**SETTINGS, "n_trajectories": n})
    with problem.study(1, seed=1) as study:
        next(iter(study))
        n_checked = study.n_steps  # of the study itself: the check works on copies
    result = problem.run(1, seed=1)
    assert n_checked <= model.n_calls
    assert result.n_steps + n_checked == model.n_calls


class HiddenFarOut(Hidden):
    """It matters late, or far out only."""

    late: float = 0.0
    far: float = -np.inf

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        extra = float(self.path.read_text()) if t > self.late and state[0] > self.far else 0.0
        return Drifting.step(self, state, noise, t, dt) + extra


@pytest.mark.parametrize(("late", "far"), [(1.6, -np.inf), (0.0, 1.5)], ids=["late", "far"])
def test_a_whole_segment_is_computed_again(tmp_path: Path, late: float, far: float) -> None:
    """Of each run that goes on, and of one run if a study is extended: not the first steps alone."""
    model = HiddenFarOut()
    model.path, model.late, model.far = tmp_path / "data", late, far
    model.path.write_text("0.0")
    engine = partial(pytams.engine.InProcess, block_length=5)
    with tams(model).study(1, seed=1, out=tmp_path / "out", engine=engine) as study:
        while study.lowest_level < 2.0:
            next(iter(study))
    assert study.n_finished == 0
    for n_runs in (1, 2):
        model.path.write_text("0.125")
        with pytest.raises(pytams.ModelError, match="gives another score .* than what was recorded at run 0"):
            tams(model).run(n_runs, out=tmp_path / "out")
        model.path.write_text("0.0")
        tams(model).run(1, out=tmp_path / "out")  # it is finished
    assert tams(model).run(2, out=tmp_path / "out").runs == tams(model).run(2, seed=1).runs


def content(folder: Path) -> dict[str, bytes]:
    """Everything that a directory says; claims come and go in ledgers, which say it by their facts."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"}
    for path in folder.rglob("*.db"):
        with sqlite3.connect(path) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found[str(path)] = repr(
                [connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables]
            ).encode()
        connection.close()
    return {name: text for name, text in found.items() if not name.endswith(("-wal", "-shm"))}


@pytest.mark.usefixtures("impure")
@pytest.mark.parametrize("impure", [unseeded], indirect=True)
def test_what_is_refused_at_the_start_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytams.ModelError, match="computed again"):
        tams(Drifting()).run(2, seed=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Drifting, "source", None)
    assert tams(Drifting()).run(1, seed=1, out=tmp_path / "out").n_unfinished == 0


@pytest.mark.parametrize("at_once", [None, 1], ids=["all runs", "one at a time"])
@pytest.mark.parametrize("change", [{"n_runs": 5}, {"max_branchings": 9}, {"n_runs": 5, "max_branchings": 9}])
def test_what_is_refused_changes_nothing(tmp_path: Path, change: dict[str, int], at_once: int | None) -> None:
    model = Hidden()
    model.path = tmp_path / "data"
    model.path.write_text("0.0")
    n_runs, longer = change.get("n_runs", 2), {**SETTINGS, "max_branchings": change.get("max_branchings", 5)}
    pytams.TAMS(model, **SETTINGS, max_branchings=5).run(2, seed=1, out=tmp_path / "out")
    before = content(tmp_path / "out")
    model.path.write_text("0.125")
    out = pytams.Storage(path=tmp_path / "out", runs_at_once=at_once)
    with pytest.raises(pytams.ModelError, match="gives another state"):
        pytams.TAMS(model, **longer).run(n_runs, out=out)
    if at_once is None or n_runs == 2:  # who takes what nobody has begun has made an empty ledger of it
        assert content(tmp_path / "out") == before
    assert RunDirectory(tmp_path / "out").info.n_runs == 2
    model.path.write_text("0.0")
    expected = pytams.TAMS(model, **longer).run(n_runs, seed=1)
    assert pytams.TAMS(model, **longer).run(n_runs, out=tmp_path / "out").runs == expected.runs


class RedNoise(Drifting):
    """Its noise is kept from step to step, and begun anew with every trajectory; but one goes on while others do."""

    def initial_state(self, rng: np.random.Generator) -> Any:
        self.kept = 0.0
        return super().initial_state(rng)

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        self.kept = 0.9 * self.kept + noise
        return super().step(state, self.kept, t, dt)


def test_what_is_kept_of_a_trajectory_while_another_goes_on_is_refused() -> None:
    with pytest.raises(pytams.ModelError, match=r"another score .* the second time at run 0, slot [01]"):
        tams(RedNoise()).run(1, seed=1)


class Stopped(Drifting):
    """It stops when a file says so."""

    path: Path

    def stopped(self, state: Any, t: Any) -> Any:
        return bool(t >= float(self.path.read_text()))


@pytest.mark.parametrize("other", ["0.5", "1.9", "9.0"])
@pytest.mark.parametrize("finished", [True, False])
def test_another_end_is_refused(tmp_path: Path, other: str, finished: bool) -> None:
    model, out = Stopped(), tmp_path / "out"
    model.path = tmp_path / "limit"
    model.path.write_text("1.0")
    if finished:
        tams(model).run(1, seed=1, out=out)
    else:
        with tams(model).study(1, seed=1, out=out, engine=partial(pytams.engine.InProcess, block_length=5)) as study:
            while not any(len(splitting.iterations) > 4 for splitting in study.splittings.values()):
                next(iter(study))
        assert study.n_finished == 0
    model.path.write_text(other)
    with pytest.raises(pytams.ModelError, match="computed again, gives another end than what was recorded"):
        tams(model).run(2, out=out)


def test_the_file_that_a_reference_names_is_a_source_though_the_class_is_elsewhere(walk: Path) -> None:
    (walk / "entry.py").write_text("from walk import Walk\n")
    model = make_model(f"{walk}/entry.py:Walk", {}, walk)
    assert "entry.py" in sources_of(model, f"{walk}/entry.py:Walk").sha256
    assert "entry.py" not in sources_of(model, None).sha256
