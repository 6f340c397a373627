from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytams
from pytams.core.streams import MAX_SEED, Streams, chunk_length, draw_seed

words = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("seed", [5, MAX_SEED])
@pytest.mark.parametrize("run", [1, 2**32 - 1])
def test_a_stream_is_philox_at_the_documented_key_and_counter(seed: int, run: int) -> None:
    def expected(purpose: int, chunk: int, branch: int, slot: int) -> np.ndarray:
        key, counter = [seed, purpose], [0, chunk, branch, (run << 32) | slot]
        bits = np.random.Philox(key=np.array(key, dtype=np.uint64), counter=np.array(counter, dtype=np.uint64))
        return np.random.Generator(bits).random(9)

    streams = Streams(seed)
    noise = streams.noise(run=run, slot=2, branch=3, chunk=4).random(9)
    np.testing.assert_array_equal(noise, expected(1, chunk=4, branch=3, slot=2))
    initial = streams.initial_state(run=run, slot=2).random(9)
    np.testing.assert_array_equal(initial, expected(0, chunk=0, branch=0, slot=2))
    ancestors = streams.ancestors(run=run, iteration=7).random(9)
    np.testing.assert_array_equal(ancestors, expected(2, chunk=0, branch=7, slot=0))


@given(seed=st.integers(0, MAX_SEED), run=words, slot=words, branch=words, chunk=words)
def test_what_was_drawn_before_does_not_matter(seed: int, run: int, slot: int, branch: int, chunk: int) -> None:
    used = Streams(seed)
    used.ancestors(run, 3).integers(7, size=3, dtype=np.int32)
    used.initial_state(run, slot).standard_normal(5)
    fresh = Streams(seed)
    assert used.noise(run, slot, branch, chunk).random() == fresh.noise(run, slot, branch, chunk).random()


def test_streams_of_different_names_differ() -> None:
    streams = Streams(1)
    draws = [streams.noise(*name).random() for name in np.ndindex(2, 3, 4, 5)]
    draws += [streams.initial_state(*name).random() for name in np.ndindex(2, 3)]
    draws += [streams.ancestors(*name).random() for name in np.ndindex(2, 3)]
    draws += [Streams(2).noise(0, 0, 0, 0).random()]
    assert len(set(draws)) == len(draws)


def test_chunk_length_is_long_for_small_noise_and_one_for_fields() -> None:
    shapes = [(), (2,), (10,), (16,), (1000, 1000), (0,)]
    assert [chunk_length(shape) for shape in shapes] == [256, 256, 102, 64, 1, 256]


def test_drawn_seeds_fit_toml() -> None:
    seeds = {draw_seed() for _ in range(10)}
    assert len(seeds) == 10
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secrets.randbelow", lambda bound: bound - 1)
        assert draw_seed() == MAX_SEED


def test_no_global_random_state_anywhere() -> None:
    """All randomness goes through `core.streams`: no `np.random` function, no `random` module, no other generator.

    `models.described` draws nothing: it describes the generators of users. `migrate` seeds those of users.
    """
    forbidden = re.compile(
        r"(?<!numba\.)np\.random\.(?!Generator\b)|default_rng|^\s*(import|from) random\b|numpy\.random", re.M
    )
    package = Path(pytams.__file__).parent
    offenders = [
        path.name
        for path in package.rglob("*.py")
        if path.name not in {"streams.py", "described.py", "migrate.py"}
        and forbidden.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []
