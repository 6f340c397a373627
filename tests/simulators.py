"""Simulators to test with: the double well and others, as stateful objects."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

import pytams


class WellByStep(pytams.Simulator):
    """`exact.DoubleWell2D`, seeded at each step; its state is an array."""

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon
        self.x = self.y = math.nan

    def start(self, rng: np.random.Generator) -> None:
        self.x, self.y = -1.0, 0.0

    def load(self, state: Any) -> None:
        self.x, self.y = state.tolist()

    def save(self) -> Any:
        return np.array([self.x, self.y])

    def step(self, seed: int | None, t: float, dt: float) -> None:
        self.move(np.random.Generator(np.random.SFC64(seed)), dt)

    def move(self, rng: np.random.Generator, dt: float) -> None:
        x, y = self.x, self.y
        kick = math.sqrt(self.epsilon * dt)
        self.x = x + (x - x * x * x) * dt + kick * rng.standard_normal()
        self.y = y - 2.0 * y * dt + kick * rng.standard_normal()

    def score(self) -> float:
        x, y = self.x, self.y
        to_a, to_b = (x + 1.0) * (x + 1.0) + y * y, (x - 1.0) * (x - 1.0) + y * y
        return 0.5 - 0.5 * math.exp(-8.0 * to_a) + 0.5 * math.exp(-8.0 * to_b)


class WellByBranch(WellByStep):
    """The same, seeded where a segment starts; its state is bytes, with the generator's."""

    seeding = "branch"

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__(epsilon)
        self.bits = np.random.Philox(key=0)
        self.rng = np.random.Generator(self.bits)

    def branch(self, seed: int) -> None:
        self.bits = np.random.Philox(key=seed)
        self.rng = np.random.Generator(self.bits)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        assert seed is None
        self.move(self.rng, dt)

    def save(self) -> Any:
        state: Any = self.bits.state
        words = [*state["state"]["counter"], *state["state"]["key"], *state["buffer"]]
        return struct.pack("2d10Q2q", self.x, self.y, *map(int, words), state["buffer_pos"], state["has_uint32"])

    def load(self, state: Any) -> None:
        self.x, self.y, *words, position, has_uint32 = struct.unpack("2d10Q2q", state)
        self.bits.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array(words[:4], np.uint64), "key": np.array(words[4:6], np.uint64)},
            "buffer": np.array(words[6:], np.uint64),
            "buffer_pos": position,
            "has_uint32": has_uint32,
            "uinteger": 0,
        }


class Walker(pytams.Simulator):
    """`exact.Walk` with an event that it tells itself, and an end of its own; its state is a dict."""

    def start(self, rng: np.random.Generator) -> None:
        self.x, self.n = 0, 0

    def load(self, state: Any) -> None:
        self.x, self.n = int(state["x"]), int(state["n"])

    def save(self) -> Any:
        return {"x": np.int64(self.x), "n": np.int64(self.n)}

    def step(self, seed: int | None, t: float, dt: float) -> None:
        assert seed is not None
        self.x = max(0, self.x + (1 if seed < 0.3 * 2**64 else -1))
        self.n += 1

    def score(self) -> float:
        return 1.1 * self.x

    def reached(self, t: float) -> bool:
        return self.x == 6

    def ended(self, t: float) -> bool:
        return self.n >= 20


class Lorenz(pytams.Simulator):
    """Lorenz 1963, deterministic: perturbed at each step, or where a segment starts."""

    def __init__(self, size: float = 0.1) -> None:
        self.size = size
        self.x = np.zeros(3)

    def start(self, rng: np.random.Generator) -> None:
        self.x = np.array([-8.0, -8.0, 27.0])

    def load(self, state: Any) -> None:
        self.x = state

    def save(self) -> Any:
        return self.x

    def perturb(self, rng: np.random.Generator) -> None:
        self.x = self.x + self.size * rng.standard_normal(3)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        for _ in range(4):
            x, y, z = self.x
            self.x = self.x + dt / 4 * np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    def score(self) -> float:
        return float(self.x[0])


class LorenzAtBranches(Lorenz):
    """The same, perturbed where a segment starts."""

    when = "branch"


class InFolders(WellByStep):
    """The same; its state is a folder of files."""

    def __init__(self, epsilon: float = 0.1, *, scribbles: bool = False, links: bool = False) -> None:
        super().__init__(epsilon)
        self.scribbles, self.links = scribbles, links

    def open(self, place: Any) -> None:
        self.place = place

    def save(self) -> Any:
        folder: Path = self.place.scratch / "restart"
        (folder / "more").mkdir(parents=True, exist_ok=True)
        (folder / "x.bin").write_bytes(struct.pack("d", self.x))
        (folder / "more" / "y.bin").write_bytes(struct.pack("d", self.y))
        if self.links and not (folder / "link").is_symlink():
            (folder / "link").symlink_to("/etc/passwd")
        return folder

    def load(self, state: Any) -> None:
        [self.x] = struct.unpack("d", (state / "x.bin").read_bytes())
        [self.y] = struct.unpack("d", (state / "more" / "y.bin").read_bytes())
        if self.scribbles:
            with (state / "x.bin").open("r+b") as file:
                file.write(b"scribbled")


class Undone(WellByBranch):
    """Loads its generator after it was seeded: every branch repeats its parent."""

    def load(self, state: Any) -> None:
        super().load(state)
        self.loaded = state

    def branch(self, seed: int) -> None:
        super().branch(seed)
        if self.loaded is not None:
            super().load(self.loaded)

    def start(self, rng: np.random.Generator) -> None:
        super().start(rng)
        self.loaded = None


class Unseeded(WellByStep):
    """Draws from a generator of its own, which is part of its state, and nobody seeds."""

    def start(self, rng: np.random.Generator) -> None:
        super().start(rng)
        self.n = 0

    def save(self) -> Any:
        return np.array([self.x, self.y, self.n])

    def load(self, state: Any) -> None:
        super().load(state[:2])
        self.n = int(state[2])

    def step(self, seed: int | None, t: float, dt: float) -> None:
        self.n += 1
        super().step(self.n, t, dt)


class Still(Lorenz):
    """Deterministic, and not perturbed."""

    perturb = pytams.Simulator.perturb


class StillFromAnywhere(Still):
    """The same, from a random start."""

    def start(self, rng: np.random.Generator) -> None:
        self.x = rng.normal([-8.0, -8.0, 27.0])


class InStrides(WellByStep):
    """The same; makes many steps at once."""

    def steps(self, seeds: Any, t: float, dt: float, n: int) -> Any:
        scores = []
        for i, seed in enumerate(seeds):
            self.step(seed, t + i * dt, dt)
            scores.append(self.score())
        assert len(scores) == n
        return scores


class InStridesByBranch(WellByBranch):
    """The same, seeded where a segment starts."""

    def steps(self, seeds: Any, t: float, dt: float, n: int) -> Any:
        assert seeds is None
        scores = np.empty(n)
        for i in range(n):
            self.step(None, t + i * dt, dt)
            scores[i] = self.score()
        return scores


class Irreproducible(WellByStep):
    """The same, with random numbers of its own, as a code on a GPU has."""

    def move(self, rng: np.random.Generator, dt: float) -> None:
        super().move(np.random.default_rng(), dt)
