"""What a model is made of, as text: the same in every process, another where it does something else."""

from __future__ import annotations

import functools
import re
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from other_processes import printed
from pytams.models.described import described
from pytams.models.fingerprint import arguments_made_with, changes, source_changes
from pytams.models.sources import file_of, is_own, source_hashes

FACTOR = 2.0


@dataclass
class Wells:
    depth: float
    places: tuple[float, ...]


class Opaque:
    pass


def scaled(x: float) -> float:
    return FACTOR * x


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (True, "True"),
        (None, "None"),
        ("a", "'a'"),
        (float("nan"), "nan"),
        (np.float64(0.1), "0.1"),
        (np.int32(3), "3"),
        (Path("a/b"), "a/b"),
        ([1, (2.0, "x")], "[1, [2.0, 'x']]"),
        ({"b": 1, "a": [2]}, "{'a': [2], 'b': 1}"),
        ({3, 1, 2}, "{1, 2, 3}"),
        (np.exp, "numpy exp"),
        (np, "numpy"),
        (Opaque, "Opaque, code"),
        (Opaque(), "Opaque, code"),
        (Wells(1.0, (2.0,)), "Wells, code {'depth': 1.0, 'places': [2.0]}"),
        (Path, "pathlib Path"),
        (np.array([1, "x"], dtype=object), "[1, 'x']"),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert re.sub(r"code of Python 3\.\d+ [0-9a-f]{16}", "code", described(value)) == text


def test_arrays_by_their_content() -> None:
    a = np.arange(6.0)
    texts = {described(x) for x in (a, a.reshape(2, 3), a.astype(np.float32), a + 1, a[::-1], a.reshape(2, 3).T)}
    assert len(texts) == 6
    assert described(a) == described(np.arange(12.0)[:6]) == described(a.copy())


def test_arrays_without_their_padding() -> None:
    third = np.ones(1, np.longdouble) / 3
    padded = np.full(third.nbytes, 255, np.uint8).view(np.longdouble)
    padded[:1] = third
    padded.view(np.uint8)[10 if np.finfo(np.longdouble).nmant == 63 else third.nbytes :] = 255
    assert described(padded) == described(third)
    assert described(np.nextafter(third, 1)) != described(third)


def test_an_array_is_described_without_a_copy() -> None:
    array = np.zeros((1000, 1000))
    tracemalloc.start()
    described([array, array.reshape(-1)])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < array.nbytes / 10


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.zeros(()),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([b"abcdefgh"]).view("V8"),
        np.array(["a long text that is stored elsewhere" * 9, ""], dtype="T"),
    ],
)
def test_arrays_of_every_kind(array: Any) -> None:
    assert described(array) == described(array.copy())
    assert described(array) != described(np.append(array, array[..., None]))


def test_the_order_of_a_dict_does_not_matter() -> None:
    assert described({"a": 1, 2: {"b": 3, "c": 4}}) == described({2: {"c": 4, "b": 3}, "a": 1})
    assert described(OrderedDict(a=1, b=2)) != described(OrderedDict(b=2, a=1))


def test_long_texts_by_their_hash() -> None:
    one, other = ["x" * 1000], ["x" * 999 + "y"]
    assert len(described(one)) < 250
    assert described(one) != described(other)


def test_what_contains_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert described(loop) == "[1, itself]"

    def recursive(n: int) -> int:
        return recursive(n - 1) if n else 0

    assert described(recursive) == described(recursive)


def adder(n: float) -> Callable[[float], float]:
    return lambda x: x + n


def with_default(x: float, factor: float = 1.0) -> float:
    return x * factor


def test_functions_by_what_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert described(adder(1.0)) == described(adder(1.0))
    assert described(adder(1.0)) != described(adder(2.0))
    assert described(functools.partial(scaled, 1.0)) != described(functools.partial(scaled, 2.0))
    before, inner = described(scaled), described([lambda x: scaled(x) + 1.0])
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    assert described(scaled) != before
    assert described([lambda x: scaled(x) + 1.0]) != inner
    default = described(with_default)
    monkeypatch.setattr(with_default, "__defaults__", (2.0,))
    assert described(with_default) != default


def test_code_of_another_python_is_not_compared() -> None:
    now = described(scaled)
    then = now.replace("code of Python 3", "code of Python 2").replace(now[-16:], "0" * 16)
    assert changes({"drift": then}, {"drift": now}) == []
    assert changes({"drift": now[:-16] + "0" * 16}, {"drift": now}) != []
    assert changes({"drift": then.replace("scaled", "other")}, {"drift": now}) != []


def test_the_same_in_another_process(tmp_path: Path) -> None:
    code = "from test_fingerprint import *; "
    code += "print(described([scaled, adder(2.0), Opaque(), Wells(1.0, (2.0,)), {'z', 'a', 'k'}]))"
    texts = printed(code)
    assert len(texts) == 1


class Plain(pytams.Model):
    noise_shape = ()

    def initial_state(self, rng: Any) -> Any: ...
    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any: ...
    def score(self, state: Any, t: Any) -> Any: ...


class Many(Plain):
    def __init__(self, a: float, *rest: float, b: int = 2, **others: float) -> None:
        self.a = a


def test_arguments_with_defaults_by_name() -> None:
    assert Many(1.0, 2.0, 3.0, c=4.0).made_of == {"a": "1.0", "rest": "[2.0, 3.0]", "b": "2", "c": "4.0"}
    assert Plain().made_of == {}
    assert arguments_made_with(Many, (), {}) == {}
    assert changes({"a": "1", "b": "2"}, {"a": "1", "c": "3"}) == [
        "b is not given, but the study was made with 2",
        "c is 3, but the study was made with none",
    ]


def test_a_model_without_a_constructor_takes_nothing() -> None:
    with pytest.raises(TypeError, match="too many positional arguments"):
        Plain(1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epsilon'"):
        Plain(epsilon=1.0)


def force(x: Any, t: Any, p: Any) -> Any:
    return p.sigma


@pytest.mark.parametrize("starts", [(-1, -1.0, np.float32(-1)), ((1, 0), [1.0, 0.0], np.array([1, 0]))])
def test_an_equation_is_made_of_the_numbers_that_it_uses(starts: tuple[Any, ...]) -> None:
    def made_of(initial: Any, sigma: float) -> dict[str, str]:
        return pytams.SDE(force, force, force, initial=initial, sigma=sigma, compiled=False).made_of

    for initial in starts:
        assert made_of(initial, 1) == made_of(starts[1], 1.0)
    assert made_of(starts[0], 2) != made_of(starts[0], 1)
    assert made_of(lambda rng: 1.0, 1) != made_of(lambda rng: 2.0, 1)


def test_an_equation_of_ones_own_is_made_of_what_it_is_given() -> None:
    class Well(pytams.SDE):
        def __init__(self, sigma: int) -> None:
            super().__init__(force, force, force, initial=1, sigma=sigma // 2, compiled=False)

    assert Well(3).made_of == {"sigma": "3"}


def test_a_class_that_is_in_no_file() -> None:
    names: list[dict[str, Any]] = []
    for drift in ("0.5", "0.6"):
        space: dict[str, Any] = {"Plain": Plain, "__name__": "__main__"}
        exec(f"class Typed(Plain):\n    def step(self, x, noise, t, dt):\n        return x + {drift}", space)
        names.append(space["Typed"]().made_of)
    assert names[0]["its classes"].startswith("Typed, Plain, pytams.models.plain.model.Model, ")
    differing = {name for name in names[0] if names[0][name] != names[1][name]}
    assert differing == {"the code of its class: step"}
    assert names[0].keys() == names[1].keys()


# --- source files -----------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write a package with a model, imports of all kinds, and modules that it does not import."""
    files = {
        "pkg/__init__.py": "",
        "pkg/model.py": "import numpy, scipy.special, pytams, json\nfrom . import near\nfrom .sub import deep\n",
        "pkg/near.py": "def f():\n    from pkg.lazy import x\n",
        "pkg/lazy.py": "import beside, missing_module\nx = 1\n",
        "pkg/sub/__init__.py": "",
        "pkg/sub/deep.py": "from ..other import *\n",
        "pkg/other.py": "import pkg.model\n",
        "pkg/unused.py": "",
        "beside.py": "raise RuntimeError('executed')\n",
        "broken.py": "def (",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_without_executing(tree: Path) -> None:
    names = {"pkg", "pkg.model", "pkg.near", "pkg.lazy", "pkg.sub", "pkg.sub.deep", "pkg.other", "beside.py"}
    found = source_hashes([tree / "pkg" / "model.py"])
    assert set(found) == names
    assert source_hashes([tree / "pkg" / "model.py"]) == found
    (tree / "beside.py").write_text("")
    (tree / "pkg" / "other.py").write_text("import broken\n")
    changed = source_hashes([tree / "pkg" / "model.py"])
    assert sorted(source_changes(found, changed)) == [
        "beside.py has changed",
        "broken.py is new",
        "pkg.other has changed",
    ]
    assert "broken.py is gone" in source_changes(changed, found)


def test_references(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tree)
    assert file_of("pkg.model:Walk", Path()) == tree / "pkg" / "model.py"
    assert file_of("pkg/model.py:Walk", tree) == tree / "pkg" / "model.py"
    assert file_of("beside:Walk", Path()) == tree / "beside.py"
    assert file_of("no.such:Walk", Path()) is None
    assert file_of("no/such.py:Walk", tree) is None
    assert "beside" not in sys.modules


def test_what_is_ones_own() -> None:
    assert is_own(Path(__file__))
    assert not is_own(Path(np.__file__))
    assert not is_own(Path(functools.__file__))
