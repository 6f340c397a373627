"""Whatever of a model is changed, its fingerprint shows it; what cannot be compared is said."""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import importlib.util
import sys
import threading
import types
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.polynomial import Polynomial

import pytams
from other_processes import printed
from pytams.models.fingerprint import changes, source_files, warnings_of
from pytams.models.loading import make_model
from pytams.models.sources import source_hashes


class Given(pytams.Model):
    noise_shape = ()

    def __init__(self, value: Any) -> None:
        pass

    def initial_state(self, rng: Any) -> Any: ...
    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any: ...
    def score(self, state: Any, t: Any) -> Any: ...


def text(value: Any) -> str:
    return Given(value).made_of["value"]


# --- values -----------------------------------------------------------------------------------------------------


class Shape(enum.Enum):
    FLAT = 1
    STEEP = 2


class Well:
    def __init__(self, depth: float) -> None:
        self.depth = depth

    def __call__(self, x: float) -> float:
        return self.depth * x

    def force(self, x: float) -> float:
        return -self.depth * x


class Slotted:
    __slots__ = ("depth", "name")

    def __init__(self, depth: float) -> None:
        self.depth = depth


class Kelvin(float):
    def __new__(cls, value: float, offset: float = 0.0) -> Kelvin:
        return super().__new__(cls, value)

    def __init__(self, value: float, offset: float = 0.0) -> None:
        self.offset = offset


class Table(dict[str, float]):
    unit = "m"


class Pair(NamedTuple):
    a: float
    b: float


class Twin(NamedTuple):
    a: float
    b: float


class Recursive:
    def __init__(self, depth: float, *, of_itself: bool = True) -> None:
        self.inner = [self if of_itself else None, depth]


def masked(value: float, mask: list[bool], fill: float = 9.0) -> Any:
    return np.ma.MaskedArray([value, 2.0], mask=mask, fill_value=fill)


def structured(a: float) -> Any:
    return np.array([(a, 1)], dtype=np.dtype([("a", "f8"), ("n", "i1")], align=True))


def subclassed(a: float) -> Any:
    return np.array([a]).view(np.matrix)


def sparse(a: float) -> Any:
    return pytest.importorskip("scipy.sparse").csr_array([[a, 0.0], [0.0, 1.0]])


def counted(a: float) -> Callable[[float], float]:
    def closure(x: float) -> float:
        return a * x

    return functools.lru_cache(closure)


@functools.lru_cache
def cached(x: float) -> float:
    return x + 1.0


@functools.lru_cache
def cached_otherwise(x: float) -> float:
    return x + 2.0


@contextlib.contextmanager
def in_a_library(x: float) -> Iterator[float]:
    yield x + 1.0


@contextlib.contextmanager
def in_a_library_otherwise(x: float) -> Iterator[float]:
    yield x + 2.0


def normal(a: float) -> Any:
    """Make a distribution, which holds NumPy's own generator: another in every process."""
    return pytest.importorskip("scipy.stats").norm(0.0, a)


VALUES: list[tuple[Any, Any]] = [
    (normal(1.0), normal(2.0)),
    (Shape.FLAT, Shape.STEEP),
    (Decimal("0.1"), Decimal("0.2")),
    (Fraction(1, 3), Fraction(2, 3)),
    (SimpleNamespace(a=1.0), SimpleNamespace(a=2.0)),
    (Well(1.0), Well(2.0)),
    (Well(1.0).force, Well(2.0).force),
    (Well(1.0).force, Well(1.0).__call__),
    (Slotted(1.0), Slotted(2.0)),
    (Kelvin(1.0, 2.0), Kelvin(1.0, 3.0)),
    (Kelvin(1.0), 1.0),
    (Table(a=1.0), Table(a=2.0)),
    (Table(a=1.0), {"a": 1.0}),
    (Pair(1.0, 2.0), Twin(1.0, 2.0)),
    (Pair(1.0, 2.0), Pair(1.0, 3.0)),
    (Recursive(1.0), Recursive(2.0)),
    (Recursive(1.0), Recursive(1.0, of_itself=False)),
    ({Well(1.0): "a"}, {Well(2.0): "a"}),
    (range(3), range(4)),
    (slice(3), slice(4)),
    (slice(3), slice(3, None)),
    (collections.deque([1]), collections.deque([2])),
    (collections.deque([1]), collections.deque([1], maxlen=1)),
    (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
    (collections.defaultdict(int, a=1), collections.defaultdict(float, a=1)),
    (bytearray(b"a"), bytearray(b"b")),
    (Polynomial([1.0, 2.0]), Polynomial([1.0, 3.0])),
    (np.poly1d([1.0, 2.0]), np.poly1d([1.0, 3.0])),
    (np.random.default_rng(1), np.random.default_rng(2)),
    (np.random.default_rng(1).normal, np.random.default_rng(2).normal),
    (np.float32(0.5), np.float64(0.5)),
    (np.datetime64(1, "s"), np.datetime64(1, "ms")),
    (date(2020, 1, 1), date(2020, 1, 2)),
    (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)),
    (MappingProxyType({"a": 1}), MappingProxyType({"a": 2})),
    (sparse(1.0), sparse(2.0)),
    (masked(1.0, [True, False]), masked(1.0, [False, True])),
    (masked(1.0, [True, False]), masked(1.0, [True, False], fill=8.0)),
    (masked(1.0, [True, False]), masked(3.0, [True, False])),
    (structured(1.0), structured(2.0)),
    (subclassed(1.0), subclassed(2.0)),
    (subclassed(1.0), np.array([[1.0]])),
    (counted(1.0), counted(2.0)),
    (cached, cached_otherwise),
    (in_a_library, in_a_library_otherwise),
    (functools.partial(Well(1.0), 1.0), functools.partial(Well(2.0), 1.0)),
    (Path.exists, Path.is_file),
    ([1.0, 2.0].count, [1.0, 3.0].count),
    (np.mean, np.median),
    (np.where, np.concatenate),
    (..., NotImplemented),
]


@pytest.mark.parametrize("n", range(len(VALUES)))
def test_another_value(n: int) -> None:
    one, other = VALUES[n]
    assert text(one) != text(other)
    assert "not compared" not in text(one)
    assert "0x" not in text(one)


@pytest.mark.slow
def test_the_same_values_in_another_process() -> None:
    code = "from test_changed import *\nfor one, other in VALUES: print(text(one), text(other))"
    texts = printed(code)
    assert len(texts) == 1
    assert texts == {"".join(f"{text(one)} {text(other)}\n" for one, other in VALUES)}


def test_what_is_lazy() -> None:
    dataset = pytest.importorskip("xarray").Dataset({"a": ("x", [1.0, 2.0])})
    assert text(dataset) == text(dataset)


def test_what_cannot_be_compared_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = (x for x in "a")
    with (tmp_path / "file").open("w") as file:
        values = {threading.Lock(): "_thread.lock", file: "_io.TextIOWrapper", generator: "generator"}
        for value, name in values.items():
            inside = Well(1.0)
            inside.depth = [value]  # type: ignore[assignment] # that is the point
            [warning] = warnings_of("Given", Given(inside).made_of)
            assert f"model.value of Given holds what cannot be compared ({name})" in warning
    assert warnings_of("Given", Given("(not compared)").made_of) == []
    model = Counting(threading.Lock())
    tams = pytams.TAMS(model, end_time=1.0, step_size=0.5, target_score=3.0, n_trajectories=2)
    tams.run(1, seed=1)
    assert "cannot be compared" not in caplog.text
    tams.run(1, seed=1, out=tmp_path / "out")
    assert caplog.text.count("model.value of Counting holds what cannot be compared (_thread.lock)") == 1


class Counting(Given):
    def initial_state(self, rng: Any) -> Any:
        return np.zeros(())

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return state + noise

    def score(self, state: Any, t: Any) -> Any:
        return state


def test_deep_and_wide_values() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert warnings_of("Given", Given(deep).made_of)
    wide: list[Any] = [1.0]
    for _ in range(60):
        wide = [wide, wide]
    assert text(wide) == text(wide)
    array = np.zeros(1_000_000)
    assert text([array] * 100) != text([array + 1.0] * 100)


# --- functions and classes that are in no file ------------------------------------------------------------------


def typed(code: str, name: str, **names: Any) -> Any:
    """Execute what somebody types at a prompt."""
    space: dict[str, Any] = {"__name__": "__main__", "np": np, "pytams": pytams, **names}
    exec(compile(code, "<stdin>", "exec"), space)
    return space[name]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("np.sin(x)", "np.cos(x)"),
        ("p.a - p.b", "p.b - p.a"),
        ("np.random.normal(x)", "np.random.uniform(x)"),
        ("[np.sin(y) for y in x]", "[np.cos(y) for y in x]"),
        ("(lambda y: np.sin(y))(x)", "(lambda y: np.cos(y))(x)"),
    ],
)
def test_other_names_in_a_function(one: str, other: str) -> None:
    assert text(typed(f"f = lambda x, p: {one}", "f")) == text(typed(f"f = lambda x, p: {one}", "f"))
    assert text(typed(f"f = lambda x, p: {one}", "f")) != text(typed(f"f = lambda x, p: {other}", "f"))


def test_an_attribute_is_no_global() -> None:
    texts = {text(typed("f = lambda x, p: p.sigma * x", "f", sigma=sigma)) for sigma in (1.0, 2.0)}
    assert len(texts) == 1


def test_handlers_of_exceptions() -> None:
    lines = ["def f(x):", "    y = 1 / x", "    try:", "        y = 2 / x", "    except ValueError:", "        y = 3", "    return y"]  # fmt: skip # noqa: E501
    moved = [lines[0], lines[2], f"    {lines[1]}", *lines[3:]]
    assert text(typed("\n".join(lines), "f")) != text(typed("\n".join(moved), "f"))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Write and import a module of the user's own, another each time."""

    def make(content: str) -> ModuleType:
        path = tmp_path / "own_helper.py"
        path.write_text(content)
        module = types.ModuleType("own_helper")
        module.__file__ = str(path)
        exec(compile(content, path, "exec"), vars(module))
        return module

    return make


@pytest.mark.parametrize(
    "code",
    [
        "f = lambda x: helper.f(x)",
        "f = lambda x: x * helper.K",
        "f = lambda x: helper.Well().force(x)",
        "f = lambda x: [helper.f(y) for y in x]",
        "def f(x):\n    g = helper\n    return g.f(x)",
    ],
)
def test_what_a_function_uses_of_a_module(helper: Callable[[str], ModuleType], code: str) -> None:
    content = "K = 2.0\ndef f(x): return K * x\nclass Well:\n    def force(self, x): return f(x)\n"
    texts = [text(typed(code, "f", helper=helper(c))) for c in (content, content, content.replace("2.0", "3.0"))]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_what_a_function_imports_when_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    texts = []
    for k in (1.0, 2.0):
        (tmp_path / "imported_late.py").write_text(f"K = {k}")
        texts.append(text(typed("def f(x):\n    from imported_late import K\n    return K * x", "f")))
    assert texts[0] != texts[1]


CLASS = """
class Base(Given):
    depth = 1.0
    def step(self, state, noise, t, dt):
        return state + self.depth * noise

class Typed(Base):
    def __init__(self, value=1.0):
        self.value = value + 1.0
    def __call__(self, x):
        return x + 2.0
    @property
    def half(self):
        return 0.5
    @staticmethod
    def third(x):
        return x / 3.0
"""


@pytest.mark.parametrize("change", ["depth = 1.0", "value + 1.0", "x + 2.0", "0.5", "x / 3.0", "self.depth * noise"])
def test_every_part_of_a_class_in_no_file(change: str) -> None:
    def made_of(code: str) -> Any:
        return typed(code, "Typed", Given=Given)().made_of

    members = ["__init__", "__call__", "half", "third", "Base.depth", "Base.step"]
    members += [f"Given.{name}" for name in ("noise_shape", "__init__", "initial_state", "step", "score")]
    assert set(made_of(CLASS)) == {"value", "its classes", *(f"the code of its class: {name}" for name in members)}
    assert made_of(CLASS) == made_of(CLASS)
    assert made_of(CLASS) != made_of(
        CLASS.replace(change, change.replace(change[-1], "9" if change[-1].isdigit() else "t"))
    )
    assert [path.name for path in source_files(typed(CLASS, "Typed", Given=Given)())] == ["test_changed.py"]


CHANGING = """
n_calls = 0
class Base(Given):
    table = None
    def score(self, state, t):
        return super().score(state, t)
class Typed(Base):
    def __init__(self):
        super().__init__(1.0)
    def step(self, state, noise, t, dt):
        global n_calls
        n_calls += 1
        if Base.table is None:
            Base.table = np.ones(3)
        return table_of(self) + noise
def table_of(model):
    return Typed.table
"""


def test_what_changes_while_a_notebook_runs_is_named() -> None:
    model = typed(CHANGING, "Typed", Given=Given)()
    before = model.made_of
    assert before == typed(CHANGING, "Typed", Given=Given)().made_of
    model.step(0.0, 0.0, 0.0, 0.1)
    counted, tabled = sorted(changes(before, model.made_of))
    assert counted == "its global n_calls is 1, but the study was made with 0"
    assert tabled.startswith("the code of its class: Base.table is array of float64")
    other = changes(
        before, typed(CHANGING.replace("return Typed.table", "return 0.0"), "Typed", Given=Given)().made_of
    )
    assert [change.partition(" is ")[0] for change in other] == ["its global table_of"]


def test_globals_of_one_name_in_a_class() -> None:
    def made_of(one: float, other: float) -> dict[str, str]:
        space = {"Given": Given, "step": typed("def step(self): return K", "step", K=other), "K": one}
        code = "class Typed(Given):\n    def score(self): return K\nTyped.step = step"
        return dict(typed(code, "Typed", **space)(1.0).made_of)

    assert made_of(1.0, 2.0)["its global K"] == "1.0; 2.0"
    assert made_of(1.0, float("1"))["its global K"] == "1.0"


def test_a_dataclass_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, of_data="from dataclasses import dataclass\n@dataclass\nclass Data:\n    x: float = 1.0\n")
    model = type("Model", (Given, importlib.import_module("of_data").Data), {"__module__": __name__})(1.0)
    assert [path.name for path in source_files(model)] == ["test_changed.py", "of_data.py"]


def test_a_method_that_is_wrapped_by_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, wrapping="def wrap(f):\n    return lambda *x: f(*x)\n")
    step = importlib.import_module("wrapping").wrap(Counting.step)
    model = type("Model", (Counting,), {"step": step, "__module__": __name__})(1.0)
    assert [path.name for path in source_files(model)] == ["test_changed.py", "wrapping.py"]


# --- source files -----------------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def changed_by(folder: Path, root: str, **files: str) -> bool:
    """Whether other files are a change of the model in one."""
    before = source_hashes([folder / root])
    write(folder, **files)
    return source_hashes([folder / root]) != before


def test_packages_that_a_model_is_in(tmp_path: Path) -> None:
    write(tmp_path, pkg__in____init__="A = 1", pkg__in__sub__in____init__="", pkg__in__sub__in__model="x = 1")
    assert set(source_hashes([tmp_path / "pkg/sub/model.py"])) == {"pkg", "pkg.sub", "pkg.sub.model"}
    assert changed_by(tmp_path, "pkg/sub/model.py", pkg__in____init__="A = 2")
    assert set(source_hashes([tmp_path / "pkg/__init__.py"])) == {"pkg"}


@pytest.mark.parametrize(
    "line",
    [
        "import importlib\nimportlib.import_module('near')",
        "from importlib import import_module\nimport_module('near')",
        "__import__('near')",
    ],
)
def test_imports_by_name(tmp_path: Path, line: str) -> None:
    write(tmp_path, model=line, near="K = 1")
    assert changed_by(tmp_path, "model.py", near="K = 2")


def test_relative_imports_by_name(tmp_path: Path) -> None:
    line = "from importlib import import_module\nimport_module('.near', __package__)\nimport_module(some_name)"
    write(tmp_path, pkg__in____init__="", pkg__in__model=line, pkg__in__near="K = 1")
    assert changed_by(tmp_path, "pkg/model.py", pkg__in__near="K = 2")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    write(tmp_path, a__in__model="x = 1", b__in__model="x = 2")
    files = [tmp_path / "a/model.py", tmp_path / "b/model.py"]
    before = source_hashes(files)
    for path in files:
        path.write_text("x = 3")
        after = source_hashes(files)
        assert after != before
        before = after


def test_a_module_that_is_on_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Editable:
        @staticmethod
        def find_spec(name: str, path: Any, target: Any = None) -> Any:
            if name != "edited_in_place":
                return None
            return importlib.util.spec_from_file_location(name, tmp_path / "elsewhere" / "edited.py")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Editable])
    write(tmp_path, model="import edited_in_place", elsewhere__in__edited="K = 1")
    assert changed_by(tmp_path, "model.py", elsewhere__in__edited="K = 2")


SCRIPT = """\
import pytams
DRIFT = 0.5
class Walk(pytams.Model):
    def step(self, state, noise, t, dt):
        return state + DRIFT

{guard}
    {line}
# end
"""
GUARD = 'if __name__ == "__main__":'


@pytest.mark.parametrize(
    ("line", "other", "changes"),
    [
        ("pytams.TAMS(Walk()).run(2)", "print(pytams.TAMS(Walk()).run(4))\n    print(1)", False),
        ("import near", "import pathlib", False),
        ("DRIFT = 0.5", "DRIFT = 0.6", True),
        ("Walk.drift = 0.5", "Walk.drift = 0.6", True),
        ("setattr(Walk, 'drift', 0.5)", "setattr(Walk, 'drift', 0.6)", True),
        ("class Other(Walk): x = 1", "class Other(Walk): x = 2", True),
        ("def drift(x): return 1", "def drift(x): return 2", True),
        ("x = 1\nelse:\n    y = 1", "x = 1\nelse:\n    y = 2", True),
    ],
)
def test_what_stands_under_the_guard_of_a_script(tmp_path: Path, line: str, other: str, changes: bool) -> None:
    write(tmp_path, model=SCRIPT.format(guard=GUARD, line=line), near="x = 1")
    before = source_hashes([tmp_path / "model.py"])
    assert set(before) == {"model.py"}
    assert changed_by(tmp_path, "model.py", model=SCRIPT.format(guard=GUARD, line=other)) is changes
    assert changed_by(tmp_path, "model.py", model=SCRIPT.format(guard=GUARD, line=other).replace("end", "of it"))


def test_other_conditions_are_compared(tmp_path: Path) -> None:
    write(tmp_path, model=SCRIPT.format(guard="if __name__ != '__main__':", line="x = 1"))
    other = SCRIPT.format(guard="if __name__ != '__main__':", line="x = 2")
    assert changed_by(tmp_path, "model.py", model=other)


DRIFTS = """
import functools
import importlib.util
import near
def drift(x, t, p): return near.K * x
class Linear:
    def __call__(self, x, t, p): return near.K * x
    def method(self, x, t, p): return near.K * x
functions = [drift, functools.partial(drift), Linear(), Linear().method]
"""


@pytest.mark.parametrize("n", range(4))
def test_the_files_of_an_equations_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("near", "drifts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    write(tmp_path, drifts=DRIFTS, near="K = 1.0")
    function = importlib.import_module("drifts").functions[n]
    model = pytams.SDE(function, function, function, initial=0.0, compiled=False)
    assert set(source_hashes(source_files(model))) == {"drifts.py", "near.py"}


def test_an_equation_of_compiled_functions() -> None:
    numba = pytest.importorskip("numba")
    function = numba.njit(compiled_drift)
    model = pytams.SDE(function, function, function, initial=0.0, compiled=False)
    assert [path.name for path in source_files(model)] == ["test_changed.py"]


def compiled_drift(x: Any, t: Any, p: Any) -> Any:
    return x


def test_an_equation_of_functions_in_no_file() -> None:
    function = typed("f = lambda x, t, p: x", "f")
    model = pytams.SDE(function, function, function, initial=0.0, compiled=False)
    assert source_files(model) == []


# --- from either entrance ---------------------------------------------------------------------------------------

TREE = {
    "model": "import pytams\nfrom base import Base\nfrom ns.deep.other import f\nclass Walk(Base):\n    pass\n",
    "base": "import pytams\nfrom helper import drift\nclass Base(pytams.Model):\n    noise_shape = ()\n"
    "    def initial_state(self, rng): ...\n    def step(self, state, noise, t, dt): ...\n"
    "    def score(self, state, t): ...\n",
    "helper": "def drift(x, t, p): return x\n",
    "ns__in__deep__in__other": "from . import near\nfrom ..up import K\ndef f(x): return x\n",
    "ns__in__deep__in__near": "from .nearer import K\n",
    "ns__in__deep__in__nearer": "K = 1.0\n",
    "ns__in__up": "K = 1.0\n",
    "equation": "import pytams, helper, ns.deep.other\nclass Well(pytams.SDE):\n    def __init__(self):\n"
    "        super().__init__(helper.drift, ns.deep.other.f, helper.drift, initial=0.0, compiled=False)\n",
}
"""Neighbours, and packages without an ``__init__.py``."""
IN_NS = {"other.py", "near.py", "nearer.py", "up.py"}


@pytest.mark.parametrize(
    ("reference", "names"),
    [("model.py:Walk", {"model.py", "base.py", "helper.py"}), ("equation.py:Well", {"equation.py", "helper.py"})],
)
def test_sources_are_the_same_by_reference_and_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, names: set[str]
) -> None:
    write(tmp_path, **TREE)
    unseen = source_hashes([tmp_path / reference.partition(":")[0]])
    imported = make_model(reference, {}, tmp_path)
    assert source_hashes(source_files(imported)) == unseen
    monkeypatch.syspath_prepend(tmp_path)
    module, _, name = reference.partition(".py:")
    model = getattr(importlib.import_module(module), name)()
    assert source_hashes(source_files(model)) == unseen
    assert set(unseen) == names | IN_NS
    for name in [*TREE, "ns", "ns.deep", "ns.up", "ns.deep.other", "ns.deep.near", "ns.deep.nearer"]:
        sys.modules.pop(name, None)


def test_an_installed_base_class_is_told_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path / "site-packages", lab__in____init__="", lab__in__base=TREE["base"].replace("helper", "lab.helper")
    )
    write(tmp_path / "site-packages", lab__in__helper=TREE["helper"])
    write(tmp_path, derived="from lab.base import Base\nclass Walk(Base): pass\n")
    model = importlib.import_module("derived").Walk()
    assert set(source_hashes(source_files(model))) == {"derived.py"} == set(source_hashes([tmp_path / "derived.py"]))
    installed = importlib.import_module("lab.base").Base()
    assert set(source_hashes(source_files(installed))) == {"lab", "lab.base", "lab.helper"}


def test_files_of_one_name_keep_their_own(tmp_path: Path) -> None:
    write(tmp_path, z__in__model="x = 1", a__in__model="x = 2", a__in__other="import model")
    root = tmp_path / "z/model.py"
    alone, both = source_hashes([root]), source_hashes([root, tmp_path / "a/model.py"])
    assert alone.items() < both.items()
    assert set(both) == {"model.py", "model.py (2)"}


def test_a_relative_import_out_of_everything(tmp_path: Path) -> None:
    write(tmp_path, model=f"from {'.' * 99} import x\nfrom . import *\nfrom .. import *", near="")
    assert set(source_hashes([tmp_path / "model.py"])) == {"model.py"}
