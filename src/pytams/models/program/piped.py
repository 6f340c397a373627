"""A program that stays: it is told what to do by lines, and answers each with one.

::

    load PATH                     ok              take the state that is in this file
    start SEED                    ok              take the state at t = 0 (asked if no `initial` is given)
    branch SEED                   ok              seed the generator (asked with seeding = "branch")
    step SEED T DT INNER          ok              go from T to T + DT by INNER steps; with seeding =
                                                  "branch", SEED is 0
    score                         ok 0.25         say the score
    save PATH                     ok              write the state to this file
    perturb SEED                  ok              change the state a little (asked if `perturb` is true)
    ended, reached                ok 0 or ok 1    (asked if `ended`, `reached` are true)

Any other answer than one that begins with ``ok`` is an error, and told. It must flush what it has answered, and end
when its standard input ends. A program that dies or hangs is started again and told the same again, from the last
state that it loaded or saved.
"""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytams.models.program.launcher import command_of, emptied
from pytams.models.program.programs import Command, Lines, ProgramError, Programs, last_lines, outcome
from pytams.models.program.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.models.answers import Where
    from pytams.models.program.declaration import Declaration
    from pytams.models.program.work import Work


class Piped:
    """A program that stays. Parameters as of `Launched`."""

    def __init__(self, declared: Declaration, work: Work, programs: Programs, place: Callable[[], Where]) -> None:
        self._declared, self._work, self._programs, self._place = declared, work, programs, place
        self._to, self._from = -1, -1
        """Ends of the pipes to and from it."""
        self._lines = Lines(-1)
        self._sizes = Sizes(work, declared.launch.retries + 1)
        self._loaded = None if declared.initial is None else declared.at(declared.initial)
        """The state that it has loaded or saved last."""
        self._told: list[str] = []
        """What it was told since it loaded or saved a state, that first."""

    # --- what a simulator does ----------------------------------------------------------------------------------

    def start(self, seed: int) -> None:
        """Take the state at t = 0."""
        self._told.clear()
        if self._declared.initial is None:
            self._tell(f"start {seed}")
        else:
            self._tell(f"load {self._declared.at(self._declared.initial)}")

    def load(self, folder: Path) -> None:
        """Take a state."""
        self._told.clear()
        self._loaded = folder / self._declared.restart
        self._tell(f"load {self._loaded}")

    def save(self) -> Path:
        """Have it write the state into a folder."""
        file = self._work.next / self._declared.restart
        self._sizes.begin(self._loaded)
        self._ask(f"save {file}", lambda: emptied(self._work.next), lambda: self._sizes.check(file))
        shutil.rmtree(self._work.state, ignore_errors=True)
        self._work.next.rename(self._work.state)
        self._loaded = self._work.state / self._declared.restart
        self._told[:] = [f"load {self._loaded}"]
        return self._work.state

    def branch(self, seed: int) -> None:
        """Seed its generator, if it has one of its own."""
        if self._declared.seeding == "branch":
            self._tell(f"branch {seed}")

    def steps(self, seeds: Sequence[int] | None, t: float, dt: float, n: int) -> list[float]:
        """Make steps, and give their scores."""
        scores = []
        for i in range(n):
            seed = 0 if seeds is None else seeds[i]
            self._tell(f"step {seed} {t + i * dt!r} {dt!r} {self._declared.inner_steps(dt)}")
            scores.append(self.score())
        return scores

    def perturb(self, seed: int) -> None:
        """Have it change the state a little."""
        self._tell(f"perturb {seed}")

    def score(self) -> float:
        """Score of the state."""
        return self._number("score")

    def says(self, name: str) -> bool:
        """Whether a trajectory has ended, or reached the event."""
        return self._number(name) != 0.0

    def close(self) -> None:
        """End it: by the end of its input, or else."""
        self._leave()
        with suppress(ProgramError):
            self._programs.wait(self._declared.launch.patience)
        self._programs.close()

    # --- lines --------------------------------------------------------------------------------------------------

    def _number(self, line: str) -> float:
        answer = self._ask(line)
        with suppress(ValueError):
            number = float(answer)
            if math.isfinite(number):
                return number
        raise ProgramError(f"it answered {answer!r} to {line!r}, where a number should follow ok")

    def _tell(self, line: str) -> None:
        """Tell it what changes its state."""
        self._ask(line)
        self._told.append(line)

    def _ask(self, line: str, prepare: Callable[[], object] = str, check: Callable[[], object] = str) -> str:
        """Ask, and again from the last state if it does not answer, or what it has done is not right."""

        def attempt() -> str:
            if self._from < 0:
                self._begin()
            prepare()
            answer = self._answer(line)
            check()
            return answer

        def failed() -> None:
            self._work.log(*self._place())
            self._leave()
            self._programs.end()

        return self._programs.tried(attempt, self._place(), failed, lambda error: self._explained(error, line))

    def _begin(self) -> None:
        """Start it, and bring it to where it was."""
        self._work.make_ready(self._declared.lasting)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        self._lines = Lines(self._from)
        try:
            with self._work.err.open("wb") as stderr:
                self._programs.start(self._command(), stdin=theirs_in, stdout=theirs_out, stderr=stderr)
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        for line in self._told:
            self._answer(line)

    def _command(self) -> Command:
        declared = self._declared
        return command_of(declared, declared.command, self._work.folder, declared.lasting, declared.prefix)

    def _answer(self, line: str) -> str:
        """Say a line, and give what follows ``ok`` in the answer."""
        if unasked := self._lines.waiting():
            raise ProgramError(f"it said {unasked[:80]!r} unasked: it must answer each line by one")
        with suppress(BrokenPipeError):  # it has ended: that is seen below
            os.write(self._to, f"{line}\n".encode())
        launch = self._declared.launch
        try:
            answer = self._lines.next(launch.timeout)
        except EOFError:
            status = self._programs.wait(launch.patience)
            raise ProgramError(f"no answer to {line!r}: {outcome(status, launch.patience)}") from None
        if answer is None:
            raise ProgramError(f"no answer to {line!r} within {launch.timeout:g} s ([launch] timeout)")
        ok, _, rest = answer.decode(errors="replace").strip().partition(" ")
        if ok != "ok":
            raise ProgramError(f"it answered {answer.decode(errors='replace')!r:.200} to {line!r}")
        return rest

    def _leave(self) -> None:
        """Let go of the pipes."""
        for end in (self._to, self._from):
            if end >= 0:
                os.close(end)
        self._to, self._from = -1, -1

    def _explained(self, error: Exception, line: str) -> ProgramError:
        """Say what failed, with what to paste to try it by hand, and the end of what it printed."""
        key, step = self._place()
        kept = self._work.keep(key, step, self._declared.lasting)
        command, told = self._command(), "\n".join([*self._told, line])
        if kept is not None:
            command = command.moved(self._work.scratch, kept)
            told = told.replace(str(self._work.scratch), str(kept))
            (kept / "told").write_text(f"{told}\n", encoding="utf-8")
        said = last_lines(self._work.err)
        lines = [
            f"{error}{self._work.lack_of_room()}",
            f"To try it by hand: {command}{'' if kept is None else f' < {kept}/told'}",
            f"Its log: {kept}.err" if kept else "(with a run directory, its folder and log would have been kept)",
            f"Its standard error ends with:\n{said}" if said else "It has written nothing to its standard error.",
        ]
        return ProgramError("\n".join(lines))
