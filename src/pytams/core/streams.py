"""Keyed random streams: every draw is a function of (seed, what it is for), never of history.

Philox (Salmon et al. 2011, doi 10.1145/2063384.2063405) maps a 128-bit key and a 256-bit counter to random bits.
We write the purpose of a draw into the key and the counter, so that streams are disjoint by construction::

    key     = (seed, purpose)
    counter = (position in the stream, chunk, branch, run * 2**32 + slot)     one segment's initial state or noise
    counter = (position in the stream, 0, iteration, run * 2**32)             one iteration's ancestors
    counter = (position in the stream, step, branch, run * 2**32 + slot)      a simulator's segment, its perturbation

The noise of a segment comes in *chunks* of `chunk_length` steps, each a stream of its own. So the noise of any step
can be had without drawing what came before, by any worker, and no generator state is ever stored.
"""

from __future__ import annotations

import math
import secrets
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED, PURPOSE = range(2)
"""Words of the key, in order."""
POSITION, CHUNK, BRANCH, MEMBER = range(4)
"""Words of the counter, in order; an iteration's ancestors have its number in the place of the branch."""
MAX_32 = 2**32
"""Runs and slots share one word: each is below this."""
MAX_SEED = 2**63 - 1
"""Largest seed: what a TOML integer can hold."""

SEEDS_PER_CHUNK = 256
"""Steps whose seeds are drawn together."""
_NORMALS_PER_CHUNK = 1024
_MAX_STEPS_PER_CHUNK = 256


class Purpose(IntEnum):
    """What a stream is for; the second word of its key."""

    INITIAL_STATE = 0
    NOISE = 1
    ANCESTORS = 2
    BRANCH = 3
    PERTURBATION = 4
    LEARNING = 5


def member_word(run: Any, slot: Any) -> Any:
    """Put run and slot into one word of the counter: whole numbers, or arrays of them."""
    return (run << 32) | slot


def draw_seed() -> int:
    """Draw a seed from the operating system's entropy."""
    return secrets.randbelow(MAX_SEED + 1)


def chunk_length(noise_shape: Sequence[int]) -> int:
    """Return how many steps of noise are drawn together: many for small noise, one for large fields.

    Part of the definition of the noise: it depends on the model's `noise_shape` and on nothing else.
    """
    return max(1, min(_MAX_STEPS_PER_CHUNK, _NORMALS_PER_CHUNK // max(1, math.prod(noise_shape))))


class Streams:
    """The streams of one seed.

    One generator is set to a new key and counter at each call, which costs a fifth of making a new one: what a
    method returns is good until the next call.

    Parameters
    ----------
    seed
        0 <= seed <= `MAX_SEED`.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=0, counter=0)
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state
        self._key, self._counter = np.zeros(2, np.uint64), np.zeros(4, np.uint64)
        self._key[SEED] = seed
        self._state["state"] = {"key": self._key, "counter": self._counter}

    def initial_state(self, run: int, slot: int) -> np.random.Generator:
        """Stream that draws the initial state of a slot."""
        return self._at(Purpose.INITIAL_STATE, member_word(run, slot))

    def noise(self, run: int, slot: int, branch: int, chunk: int) -> np.random.Generator:
        """Stream that draws chunk number `chunk` of a segment's noise."""
        return self._at(Purpose.NOISE, member_word(run, slot), branch, chunk)

    def seeds(self, run: int, slot: int, branch: int, chunk: int) -> list[int]:
        """Draw chunk number `chunk` of the seeds of a segment's steps: `SEEDS_PER_CHUNK` below 2**64."""
        drawn = self.noise(run, slot, branch, chunk).integers(0, 2**64, size=SEEDS_PER_CHUNK, dtype=np.uint64)
        seeds: list[int] = drawn.tolist()
        return seeds

    def branch_seed(self, run: int, slot: int, branch: int) -> int:
        """Draw the seed of a segment, below 2**64."""
        rng = self._at(Purpose.BRANCH, member_word(run, slot), branch)
        return int(rng.integers(0, 2**64, dtype=np.uint64))

    def perturbation(self, run: int, slot: int, branch: int, step: int) -> np.random.Generator:
        """Stream that perturbs a segment's state before step number `step` of it."""
        return self._at(Purpose.PERTURBATION, member_word(run, slot), branch, step)

    def ancestors(self, run: int, iteration: int) -> np.random.Generator:
        """Stream that draws the ancestors of one splitting iteration."""
        return self._at(Purpose.ANCESTORS, member_word(run, 0), iteration)

    def learning(self) -> np.random.Generator:
        """Stream for what is drawn to learn a score."""
        return self._at(Purpose.LEARNING, 0)

    def learning_seed(self, number: int) -> int:
        """Draw the seed of a round in which a score is learned for a study of this seed."""
        return int(self._at(Purpose.LEARNING, number + 1).integers(0, MAX_SEED, endpoint=True))

    def _at(self, purpose: Purpose, member: int, branch: int = 0, chunk: int = 0) -> np.random.Generator:
        self._key[PURPOSE] = purpose
        counter = self._counter
        counter[CHUNK], counter[BRANCH], counter[MEMBER] = chunk, branch, member
        self._bits.state = self._state
        return self._generator
