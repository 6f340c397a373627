"""A program that is started for each step, or stretch of steps: it reads a restart, and writes the next one."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytams.models.program.declaration import RESERVED
from pytams.models.program.launcher import Launcher, emptied
from pytams.models.program.programs import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytams.models.answers import Where
    from pytams.models.program.declaration import Declaration
    from pytams.models.program.programs import Programs
    from pytams.models.program.work import Work

_NOTE, _BEFORE = RESERVED
"""In the folder of a state that is in the middle of a stretch: what there is to know, and the state it began from."""


class Way(Protocol):
    """A way to have a program do what a simulator does."""

    def start(self, seed: int) -> None:
        """Take the state at t = 0."""

    def load(self, folder: Path) -> None:
        """Take a state."""

    def save(self) -> Path:
        """Write the state into a folder."""

    def branch(self, seed: int) -> None:
        """Begin a segment, which has this seed."""

    def steps(self, seeds: Sequence[int] | None, t: float, dt: float, n: int) -> list[float]:
        """Make steps, and give their scores."""

    def says(self, name: str) -> bool:
        """Whether a trajectory has ended, or reached the event, after the last step."""

    def perturb(self, seed: int) -> None:
        """Change the state a little."""

    def score(self) -> float:
        """Score of the state."""

    def close(self) -> None:
        """End what runs."""


class _Stretch(NamedTuple):
    """A stretch that has not come to its end: its launch is made again, with the seed that it began with."""

    seed: int
    n_done: int


class Launched:
    """A program that is started again and again.

    Parameters
    ----------
    declared
        What is said of it.
    work
        Where it works.
    programs
        What starts it.
    place
        Says which segment it is, and at which step.
    """

    def __init__(self, declared: Declaration, work: Work, programs: Programs, place: Callable[[], Where]) -> None:
        self._declared, self._work = declared, work
        self._launcher = Launcher(declared, work, programs, place)
        self._close = programs.close
        self._readings = declared.readings()
        self._numbers: dict[str, float] = {}
        """What was read last."""
        self._branch_seed: int | None = None
        """Where seeding is by branch: of a segment that has begun, until a launch has got it."""
        self._stretch: _Stretch | None = None

    # --- states -------------------------------------------------------------------------------------------------

    def start(self, seed: int) -> None:
        """Take the state at t = 0."""
        declared = self._declared
        self._branch_seed, self._stretch = None, None
        values = self._values(seed, 0, 0.0, 0.0, 0, is_seeded=True)
        if declared.initial is None:
            assert declared.initial_command is not None
            self._launcher.launch(declared.initial_command, values, {}, prefix=declared.prefix)
            self._take_next()
        else:
            emptied(self._work.state)
            _copied(declared.at(declared.initial), self._work.state / declared.restart)
        if declared.initial_score is not None:
            self._numbers = {"score": declared.initial_score}
            return
        try:
            self._numbers = self._read_at_start(values | {"next": self._work.state / declared.restart})
        except ProgramError as error:
            raise ProgramError(f"the score at t = 0 is not known: {error}. Say it: initial_score = ...") from error

    def _read_at_start(self, values: Mapping[str, Any]) -> dict[str, float]:
        if self._declared.initial is not None:
            self._work.make_ready(values)
            self._work.out.write_bytes(b"")
        return {name: self._launcher.read(reading, values, 1)[-1] for name, reading in self._readings.items()}

    def load(self, folder: Path) -> None:
        """Take a state: it is where this has its own."""
        assert folder == self._work.state
        self._branch_seed, self._stretch = None, None
        note = folder / _NOTE
        if note.exists():
            found = json.loads(note.read_text(encoding="utf-8"))
            self._branch_seed = found["branch_seed"]
            self._stretch = None if found["stretch"] is None else _Stretch(*found["stretch"])
            note.unlink()

    def save(self) -> Path:
        """Give the folder of the state: what is not in the restart goes into a note."""
        note = self._work.state / _NOTE
        if self._branch_seed is None and self._stretch is None:
            note.unlink(missing_ok=True)
        else:
            text = json.dumps({"branch_seed": self._branch_seed, "stretch": self._stretch})
            note.write_text(text, encoding="utf-8")
        return self._work.state

    def branch(self, seed: int) -> None:
        """Begin a segment: a stretch begins, too."""
        self._branch_seed, self._stretch = seed if self._declared.seeding == "branch" else None, None
        shutil.rmtree(self._work.state / _BEFORE, ignore_errors=True)

    def _take_next(self) -> None:
        """Put the folder that was written in the place of the state, or the file, if both have nothing else."""
        restart = [self._declared.restart]
        new, old = self._work.next / restart[0], self._work.state / restart[0]
        if os.listdir(self._work.next) == restart == _entries(self._work.state) and new.is_file():
            new.replace(old)
            return
        shutil.rmtree(self._work.state, ignore_errors=True)
        self._work.next.rename(self._work.state)

    # --- going on -----------------------------------------------------------------------------------------------

    def steps(self, seeds: Sequence[int] | None, t: float, dt: float, n: int) -> list[float]:
        """Make steps; each launch ends at a multiple of its steps, or where a state is asked for."""
        first, size = round(t / dt), self._declared.steps_per_launch
        scores: list[float] = []
        while len(scores) < n:
            i = len(scores)
            step = first + i
            k = min(n - i, size - step % size)
            scores += self._launch(step, k, None if seeds is None else seeds[i], dt)
        return scores

    def _launch(self, step: int, n: int, seed: int | None, dt: float) -> list[float]:
        """Make steps by one launch; a stretch that is in its middle is begun again, and gets further."""
        stretch = self._stretch or _Stretch(self._branch_seed or 0 if seed is None else seed, 0)
        is_seeded = seed is not None or self._branch_seed is not None
        begin, n_all = step - stretch.n_done, stretch.n_done + n
        begun_from = self._work.state / _BEFORE if stretch.n_done else self._work.state
        values = self._values(stretch.seed, begin, begin * dt, dt, n_all, is_seeded=is_seeded)
        values["restart"] = begun_from / self._declared.restart
        found = self._launcher.launch(
            self._declared.command, values, self._readings, n_all, step=step, prefix=self._declared.prefix
        )
        is_cut = seed is not None and (step + n) % self._declared.steps_per_launch != 0
        if is_cut:
            before = self._work.next / _BEFORE
            before.mkdir()
            values["restart"].rename(before / self._declared.restart)
        self._take_next()
        self._branch_seed, self._stretch = None, stretch._replace(n_done=n_all) if is_cut else None
        self._numbers = {name: numbers[-1] for name, numbers in found.items()}
        return found["score"][stretch.n_done :]

    def perturb(self, seed: int) -> None:
        """Have a command change the state a little."""
        assert isinstance(self._declared.perturb, list)
        self._launcher.launch(self._declared.perturb, self._values(seed, 0, 0.0, 0.0, 0, is_seeded=True), {})
        self._take_next()

    def score(self) -> float:
        """Score of the state."""
        return self._numbers["score"]

    def says(self, name: str) -> bool:
        """Whether a number is not 0."""
        return self._numbers.get(name, 0.0) != 0.0

    def close(self) -> None:
        """End what runs."""
        self._close()

    def _values(self, seed: int, step: int, t: float, dt: float, n: int, *, is_seeded: bool) -> dict[str, Any]:
        declared = self._declared
        return {
            "seed": seed,
            "seed31": 1 + seed % (2**31 - 1),
            "branch": int(is_seeded),
            "restart": self._work.state / declared.restart,
            "next": self._work.next / declared.restart,
            "step": step,
            "t": repr(t),
            "dt": repr(dt),
            "steps": n,
            "inner": declared.inner_steps(dt),
            **declared.lasting,
        }


def _entries(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []


def _copied(path: Path, where: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, where)
    else:
        shutil.copyfile(path, where)
