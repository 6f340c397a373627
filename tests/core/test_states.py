"""States to the bit: what of their memory is hashed, and how they are laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytams
from pytams.core.states import as_state, describe_state, digest, equal_states, same_layout


def padded_with(byte: int, values: Any) -> Any:
    """Copy long doubles into memory whose every byte was another."""
    memory = np.full(values.nbytes, byte, np.uint8).view(values.dtype).reshape(values.shape)
    significant = np.finfo(np.longdouble).nmant == 63
    bits = memory.view(np.longdouble).reshape(-1)
    for i, value in enumerate(values.view(np.longdouble).reshape(-1)):
        source = np.array([value]).view(np.uint8)
        bits[i : i + 1].view(np.uint8)[: 10 if significant else None] = source[: 10 if significant else None]
    return memory


@pytest.mark.parametrize("dtype", [np.longdouble, np.clongdouble])
def test_padding_is_not_hashed(dtype: Any) -> None:
    third = np.ones(3, dtype) / 3
    one, other = padded_with(0, third), padded_with(255, third)
    assert np.array_equal(one, third)
    assert np.array_equal(one, other)
    assert digest(one) == digest(other) == digest({"": third})
    assert digest(one) != digest(np.nextafter(one.real, 1).astype(dtype))  # the last bit
    assert digest(one) != digest(third.astype(np.float64 if dtype is np.longdouble else np.complex128).astype(dtype))


@pytest.mark.parametrize(
    "state", [np.zeros(()), np.zeros((0, 3)), np.array(["ab"]), np.array([b"a\0b"]), np.array([1j]), np.ones(2, "?")]
)
def test_every_kind_is_hashed(state: Any) -> None:
    assert digest(state) == digest(state.copy())
    assert digest(state) != digest(np.append(state, state)) or not state.size
    assert digest(state) != digest(state.astype("S5"))


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">c16", ">U2", ">f2"])
def test_states_are_in_the_byte_order_of_the_machine(dtype: str) -> None:
    given = np.arange(3).astype(dtype)
    state = as_state(given)
    assert isinstance(state, np.ndarray)
    assert state.dtype.isnative
    assert np.array_equal(state, given)
    assert digest(state) == digest(given.astype(given.dtype.newbyteorder("=")))
    parts = as_state({"a": given})
    assert same_layout(parts, {"a": state})


class Walk(pytams.Model):
    noise_shape = ()

    def __init__(self, dtype: str, *, many: bool, parts: bool) -> None:
        self.dtype, self.vectorized, self.parts = np.dtype(dtype), many, parts

    def made(self, values: Any) -> Any:
        return {"x": values.astype(self.dtype)} if self.parts else values.astype(self.dtype)

    def values(self, state: Any) -> Any:
        return state["x"] if self.parts else state

    def initial_state(self, rng: Any) -> Any:
        return self.made(np.zeros(2))

    def step(self, state: Any, noise: Any, t: Any, dt: float) -> Any:
        return self.made(self.values(state) + np.expand_dims(noise, -1) / self.dtype.type(3))

    def score(self, state: Any, t: Any) -> Any:
        return self.values(state)[..., 0].astype(np.float64)


@pytest.mark.parametrize(("parts", "many"), [(False, False), (True, True)])
@pytest.mark.parametrize("dtype", [">f8", np.dtype(np.longdouble).str])
def test_studies_of_such_states_are_gone_on_with(tmp_path: Path, dtype: str, parts: bool, many: bool) -> None:
    def run(n_runs: int, dtype: str, **others: Any) -> Any:
        model = Walk(dtype, many=many, parts=parts)
        tams = pytams.TAMS(model, end_time=4.0, step_size=0.1, target_score=2.0, n_trajectories=6)
        return tams.run(n_runs, seed=1, **others)

    run(1, dtype, out=tmp_path / "out")
    assert run(2, dtype, out=tmp_path / "out").runs == run(2, np.dtype(dtype).newbyteorder("=").str).runs
    with pytams.load(tmp_path / "out") as saved:
        trajectory = saved.trajectory(run=0, slot=2)
        replayed = dict(zip(trajectory.times, trajectory.replay(Walk(dtype, many=many, parts=parts)), strict=True))
        for t, state in zip(trajectory.state_times, trajectory.states, strict=True):
            assert digest(state) == digest(replayed[t])


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.zeros(2), np.zeros(2), True),
        (np.zeros(2), np.array([0.0, 1.0]), False),
        (np.zeros(2), np.zeros(3), False),
        ({"x": np.zeros(2), "y": np.ones(())}, {"y": np.ones(()), "x": np.zeros(2)}, True),
        ({"x": np.zeros(2)}, {"x": np.ones(2)}, False),
        ({"x": np.zeros(2)}, {"y": np.zeros(2)}, False),
        ({"x": np.zeros(2)}, {"x": np.zeros(2), "y": np.zeros(2)}, False),
        ({"x": np.zeros(2)}, np.zeros(2), False),
        (np.zeros(2), {"x": np.zeros(2)}, False),
    ],
)
def test_states_are_equal_or_not(a: Any, b: Any, equal: bool) -> None:
    assert equal_states(a, b) is equal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((2, 3)), "float64[2, 3]"),
        (np.float32(1), "float32[]"),
        ({"x": np.zeros(2), "n": np.int64(1)}, "{x: float64[2], n: int64[]}"),
        ([1.0], "list"),
        (None, "NoneType"),
    ],
)
def test_states_are_described_for_messages(value: Any, text: str) -> None:
    assert describe_state(value) == text
