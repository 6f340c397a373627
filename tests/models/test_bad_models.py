"""What a broken model does to a run: one clear message with slot, step and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pytams
from exact import DoubleWell2D, DoubleWell2DSingle


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


def raises(error: Exception) -> Any:
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
