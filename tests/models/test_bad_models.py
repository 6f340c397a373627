"""What a broken model does to a run: one clear message with slot, step and time."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle
from pytams import SDE
from pytams.core.streams import Streams


def run(model: pytams.Model) -> pytams.Result:
    return pytams.TAMS(model, end_time=1.0, step_size=0.01, target_score=0.95, n_trajectories=5).run(2, seed=1)


def broken(base: type[pytams.Model], **methods: Any) -> pytams.Model:
    """Make a model whose named methods are replaced from t = 0.1 on."""

    def late(name: str, wrong: Any) -> Any:
        right = getattr(base, name)

        def method(self: Any, state: Any, *args: Any) -> Any:
            t = np.max(args[-2] if name == "step" else args[-1])
            value = right(self, state, *args)
            return wrong(value) if t >= 0.1 - 1e-9 else value

        return method

    model: pytams.Model = type("Broken", (base,), {name: late(name, wrong) for name, wrong in methods.items()})()
    return model


def raises(error: BaseException) -> Any:
    def method(value: Any) -> Any:
        raise error

    return method


BOTH = pytest.mark.parametrize("base", [DoubleWell2D, DoubleWell2DSingle], ids=["vectorised", "one by one"])


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_score_that_is_no_number(base: type[pytams.Model], bad: float) -> None:
    with pytest.raises(pytams.ModelError, match=r"score returned -?(nan|inf) at run 0, slot 0, step 10 \(t = 0.1\)"):
        run(broken(base, score=lambda score: score * 0 + bad))


def test_the_member_with_the_bad_score_is_named() -> None:
    def one_bad(score: Any) -> Any:
        score[3] = np.nan
        return score

    with pytest.raises(pytams.ModelError, match="run 0, slot 3, step 10"):
        run(broken(DoubleWell2D, score=one_bad))


@BOTH
def test_score_of_the_wrong_shape(base: type[pytams.Model]) -> None:
    with pytest.raises(pytams.ModelError, match="score returned shape .*must return one number"):
        run(broken(base, score=lambda score: np.stack([score, score], axis=-1)))


@BOTH
def test_step_of_the_wrong_shape(base: type[pytams.Model]) -> None:
    with pytest.raises(pytams.ModelError, match=r"step returned float64.* at run 0, slot 0, step 10"):
        run(broken(base, step=lambda state: state[..., :1]))


@BOTH
def test_step_of_another_dtype(base: type[pytams.Model]) -> None:
    with pytest.raises(pytams.ModelError, match="must keep the shapes and dtypes"):
        run(broken(base, step=lambda state: state.astype(np.complex128)))


@BOTH
def test_step_that_returns_nothing(base: type[pytams.Model]) -> None:
    with pytest.raises(pytams.ModelError, match=r"step returned NoneType.* at run 0, slot 0, step 10"):
        run(broken(base, step=lambda _: None))


@BOTH
@pytest.mark.parametrize("method", ["step", "score", "stopped"])
def test_a_method_that_raises(base: type[pytams.Model], method: str) -> None:
    with pytest.raises(pytams.ModelError, match=rf"Broken.{method} raised KeyError.* slot 0, step 10 .*'salt'"):
        run(broken(base, **{method: raises(KeyError("salt"))}))


@BOTH
def test_initial_state_that_raises(base: type[pytams.Model]) -> None:
    model = type("Broken", (base,), {"initial_state": lambda *_: 1 / 0})()
    with pytest.raises(pytams.ModelError, match=r"initial_state raised ZeroDivisionError at run 0, slot 0"):
        run(model)


@BOTH
def test_initial_state_that_is_no_state(base: type[pytams.Model]) -> None:
    model = type("Broken", (base,), {"initial_state": lambda *_: object()})()
    with pytest.raises(pytams.ModelError, match="a state is an array of numbers or a dict of such, not object"):
        run(model)


def test_initial_states_of_different_shapes() -> None:
    class Broken(DoubleWell2D):
        def initial_state(self, rng: np.random.Generator) -> Any:
            return np.zeros(2 if rng.random() < 0.5 else 3)

    with pytest.raises(pytams.ModelError, match="all members must have the same shapes and dtypes"):
        run(Broken())


@BOTH
def test_noise_of_the_wrong_shape(base: type[pytams.Model]) -> None:
    model = type("Broken", (base,), {"draw_noise": lambda _, rng, n: rng.random((n, 3))})()
    with pytest.raises(pytams.ModelError, match=r"draw_noise returned shape \(256, 3\) .*\(256, 2\)"):
        run(model)


@BOTH
def test_stopped_of_the_wrong_shape(base: type[pytams.Model]) -> None:
    with pytest.raises(pytams.ModelError, match="stopped"):
        run(broken(base, stopped=lambda _: np.zeros((2, 2), dtype=bool)))


# --- answers that NumPy or Python would take, and that mean nothing ---------------------------------------------

RAGGED = [[0.5], [0.5, 0.5]]
NO_NUMBERS: list[Any] = [None, "0.5", b"0.5", True, 0.5 + 0j, Decimal("0.5"), np.datetime64(1, "s"), {}]
"""None, text, truth values and objects are taken for numbers; of a complex number half is lost."""


@pytest.mark.parametrize("bad", [*NO_NUMBERS, RAGGED], ids=repr)
def test_a_score_that_is_no_number(bad: Any) -> None:
    message = r"Broken.score returned .* at run 0, slot 0, step 10 \(t = 0.1\); a score must be a real number"
    with pytest.raises(pytams.ModelError, match=message) as error:
        run(broken(DoubleWell2DSingle, score=lambda _: bad))
    assert error.value.method == "score"
    assert error.value.place is not None
    assert error.value.place[:4] == (0, 0, 0, 10)


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=repr)
def test_scores_that_are_no_numbers(bad: Any) -> None:
    message = (
        r"Broken.score returned .* for a batch of 10 members, the first at run 0, slot 0, step 10 \(t = 0.1\); "
        "a score must be a real number"
    )
    for wrong in (lambda _: bad, lambda scores: np.full(len(scores), bad), lambda scores: [bad] * len(scores)):
        with pytest.raises(pytams.ModelError, match=message):
            run(broken(DoubleWell2D, score=wrong))


@BOTH
def test_a_masked_score_is_no_number(base: type[pytams.Model]) -> None:
    """What is below a mask is a number that means nothing."""
    with pytest.raises(pytams.ModelError, match="score returned masked values .*at run 0, slot 0, step 10"):
        run(broken(base, score=lambda score: np.ma.masked_less(score, 1e9)))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.longdouble, np.array, float, int])
def test_any_real_number_is_a_score(kind: Any) -> None:
    assert run(broken(DoubleWell2DSingle, score=kind)).n_steps >= 1000


@BOTH
@pytest.mark.parametrize(
    "bad", [None, "no", 0.5, pytest.param(object(), id="an object"), np.array("no"), RAGGED], ids=repr
)
def test_stopped_that_is_no_truth_value(base: type[pytams.Model], bad: Any) -> None:
    message = r"Broken.stopped returned .*at run 0, slot 0, step 10 .*; it must return True or False"
    with pytest.raises(pytams.ModelError, match=message):
        run(broken(base, stopped=lambda _: bad))


def test_stopped_for_one_member_is_one_truth_value() -> None:
    message = r"Broken.stopped returned shape \(2,\) at run 0, slot 0, step 10 .* one truth value"
    with pytest.raises(pytams.ModelError, match=message):
        run(broken(DoubleWell2DSingle, stopped=lambda _: np.zeros(2, dtype=bool)))
    for fine in (False, 0, np.bool_(0), np.array(0)):
        assert run(broken(DoubleWell2DSingle, stopped=lambda _, fine=fine: fine)).n_steps >= 1000


@pytest.mark.parametrize(("method", "kind"), [("score", np.float64), ("stopped", np.bool_)])
def test_shapes_of_a_batch_say_where(method: str, kind: Any) -> None:
    message = rf"{method} returned shape \(3,\) for a batch of 10 members, the first at run 0, slot 0, step 10"
    with pytest.raises(pytams.ModelError, match=message):
        run(broken(DoubleWell2D, **{method: lambda _: np.zeros(3, kind)}))


def test_one_start_of_many_that_raises() -> None:
    """Also where another one is at the target: whether all starts are alike is asked then."""
    first = Streams(1).initial_state(0, 0).random()

    class Broken(DoubleWell2DSingle):
        def initial_state(self, rng: np.random.Generator) -> Any:
            return np.array([1.0, 0.0]) if rng.random() == first else sys.exit("no more starts")

    with pytest.raises(pytams.ModelError, match=r"Broken.initial_state raised SystemExit at run 0, slot \d, step 0"):
        run(Broken())


@BOTH
@pytest.mark.parametrize(
    "bad", [None, pytest.param(object(), id="an object"), "here", RAGGED, {"x": None}, np.array([None])], ids=repr
)
def test_states_that_are_none(base: type[pytams.Model], bad: Any) -> None:
    with pytest.raises(pytams.ModelError, match=r"Broken.step returned .* at run 0, slot 0, step 10 \(t = 0.1\)"):
        run(broken(base, step=lambda _: bad))
    model = type("Broken", (base,), {"initial_state": lambda *_: bad})()
    message = r"Broken.initial_state returned .* at run 0, slot 0, step 0 \(t = 0\); a state is"
    with pytest.raises(pytams.ModelError, match=message):
        run(model)


@BOTH
def test_initial_states_of_different_shapes_say_where(base: type[pytams.Model]) -> None:
    """Where a model is advanced one by one, too."""
    model = type("Broken", (base,), {"initial_state": lambda _, rng: np.zeros(2 if rng.random() < 0.5 else 3)})()
    message = r"Broken.initial_state returned float64\[.\] at run 0, slot \d, step 0"
    with pytest.raises(pytams.ModelError, match=message):
        run(model)


NO_NOISE = {"none": None, "text": "x", "objects": np.full((256, 2), None), "texts": np.full((256, 2), "a")}


@BOTH
@pytest.mark.parametrize("bad", [*NO_NOISE.values(), RAGGED], ids=[*NO_NOISE, "ragged"])
def test_noise_that_is_none(base: type[pytams.Model], bad: Any) -> None:
    model = type("Broken", (base,), {"draw_noise": lambda *_: bad})()
    with pytest.raises(pytams.ModelError, match=r"Broken.draw_noise returned .* at run 0, slot 0, step 0"):
        run(model)


def test_noise_of_changing_kinds() -> None:
    """A batch would round the numbers of one chunk to the kind of another's."""

    class Broken(DoubleWell2D):
        def draw_noise(self, rng: np.random.Generator, n: int) -> Any:
            noise = rng.standard_normal((n, 2))
            return noise if rng.random() < 0.5 else noise.astype(np.int64)

    message = r"Broken.draw_noise returned .*64 at run 0, slot \d, step 0 .*; .* same dtype"
    with pytest.raises(pytams.ModelError, match=message):
        run(Broken())


@BOTH
@pytest.mark.parametrize("method", ["step", "score", "stopped"])
def test_a_method_that_exits(base: type[pytams.Model], method: str) -> None:
    with pytest.raises(pytams.ModelError, match=rf"Broken.{method} raised SystemExit.* slot 0, step 10 .*: 3"):
        run(broken(base, **{method: lambda _: sys.exit(3)}))


@BOTH
@pytest.mark.parametrize("method", ["initial_state", "draw_noise"])
def test_a_start_that_exits(base: type[pytams.Model], method: str) -> None:
    model = type("Broken", (base,), {method: lambda *_: sys.exit(3)})()
    with pytest.raises(pytams.ModelError, match=rf"Broken.{method} raised SystemExit at run 0, slot 0, step 0 .*: 3"):
        run(model)


# --- equations --------------------------------------------------------------------------------------------------


def fall(x: Any, t: Any, p: Any) -> Any:
    return -x


def unit(x: Any, t: Any, p: Any) -> Any:
    return 1.0


def where(x: Any, t: Any, p: Any) -> Any:
    return x


WRONG: list[tuple[str, Any]] = [
    ("drift", lambda x, t, p: -x * 1j),
    ("score", lambda x, t, p: x + 1j),
    ("score", lambda x, t, p: "high"),
    ("stopped", lambda x, t, p: "no"),
    ("diffusion", lambda x, t, p: 1.0 + 1j),
    ("drift", lambda x, t, p: "down"),
    ("diffusion", lambda x, t, p: "all"),
    ("score", lambda x, t, p: None),
]


def equation(name: str, wrong: Any, **options: Any) -> SDE:
    functions = {"drift": fall, "diffusion": unit, "score": where} | {name: wrong}
    return SDE(**functions, initial=0.0, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wrong"), WRONG[:4])  # to compile one takes a second
def test_a_compiled_equation_of_no_numbers(name: str, wrong: Any) -> None:
    with pytest.raises(pytams.ModelError, match=f"SDE.* {name}|SDE.{name} returned .* at run 0, slot 0, step 0"):
        run(equation(name, wrong))


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_a_vectorised_equation_of_no_numbers(name: str, wrong: Any) -> None:
    message = "SDE.(step|score|stopped) (raised|returned) .* at run 0, slot 0, step 0"
    with pytest.raises(pytams.ModelError, match=message):
        run(equation(name, wrong, compiled=False))


@pytest.mark.slow
def test_an_equation_that_raises_inside_the_loop() -> None:
    def score(x: Any, t: Any, p: Any) -> Any:
        if t > 0.095:
            raise ValueError("too late")
        return x

    with pytest.raises(pytams.ModelError, match="(?s)SDE: .* raised ValueError .*run 0, slot 0, .*too late"):
        run(equation("score", score))
