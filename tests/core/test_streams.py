from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import pytams
from pytams.core.streams import MAX_SEED, Streams, chunk_length, draw_seed

words = st.integers(0, 2**32 - 1)


def test_a_stream_is_philox_at_the_documented_key_and_counter() -> None:
    ours = Streams(5).noise(run=1, slot=2, branch=3, chunk=4).random(9)
    bits = np.random.Philox(
        key=np.array([5, 1], dtype=np.uint64), counter=np.array([0, 4, 3, (1 << 32) | 2], dtype=np.uint64)
    )
    np.testing.assert_array_equal(ours, np.random.Generator(bits).random(9))


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
    assert [chunk_length(shape) for shape in [(), (2,), (16,), (1000, 1000), (0,)]] == [256, 256, 64, 1, 256]


def test_drawn_seeds_fit_toml() -> None:
    seeds = {draw_seed() for _ in range(10)}
    assert len(seeds) == 10
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_no_global_random_state_anywhere() -> None:
    """All randomness goes through `core.streams`: no `np.random` function, no `random` module, no other generator."""
    forbidden = re.compile(
        r"(?<!numba\.)np\.random\.(?!Generator\b)|default_rng|^\s*(import|from) random\b|numpy\.random", re.M
    )
    package = Path(pytams.__file__).parent
    offenders = [
        path.name
        for path in package.rglob("*.py")
        if path.name != "streams.py" and forbidden.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []
