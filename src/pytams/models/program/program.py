"""Programs as models: any executable with restart files, declared by words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.models.described import described
from pytams.models.program.declaration import Declaration
from pytams.models.program.files import files_of
from pytams.models.program.launched import Launched
from pytams.models.program.piped import Piped
from pytams.models.program.programs import Programs
from pytams.models.program.work import Work, note
from pytams.models.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytams.models.program.launched import Way
    from pytams.models.simulator.place import Place


class Program(Simulator):
    """A program with restart files, as a simulator: ``[model] type = "program"``.

    Parameters
    ----------
    noted
        Size and time of change of each file of the model, as the driver has found them; found here if not given.
    **settings
        Keys of ``[model]``, and ``launch``: `pytams.models.program.declaration.Declaration` has them all.

    Raises
    ------
    SettingsError
        Names what is missing, unknown or impossible, or a file that is not there.
    """

    def __init__(self, *, noted: Mapping[str, tuple[int, int]] | None = None, **settings: Any) -> None:
        self.declared = Declaration.checked(settings)
        self.seeding, self.when = self.declared.seeding, self.declared.when
        self.steps_at_once = self.declared.steps_per_launch
        self.title, self.units = self.declared.title, self.declared.units
        self.state_names = self.declared.state_names
        if noted is None:
            noted = {str(path): note(str(path)) for path in files_of(self.declared)}
        self._noted = noted
        self._arguments = (), {**self.declared.to_dict(), "noted": noted}  # so that workers compare with these
        self._way: Way | None = None

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return Path(self.declared.command[0]).name

    @property
    def made_of(self) -> dict[str, str]:
        """All that was said of it and may change a bit of the result, described, by name."""
        return {name: described(value) for name, value in self.declared.made_of().items()}

    @property
    def made_of_files(self) -> list[Path]:
        """The files that it consists of."""
        return [path.resolve() for path in files_of(self.declared) if path.is_file()]

    def defines(self, method: str) -> bool:
        """Whether it was said that it has something that it may have."""
        declared = self.declared
        return {
            "steps": declared.steps_per_launch > 1,
            "branch": True,  # whatever the seeding: a stretch of steps begins
            "perturb": declared.perturb is not False,
            "ended": declared.ended is not False,
            "reached": declared.reached is not False,
            "features": False,
        }[method]

    def has_fixed_start(self, seed: int) -> bool:  # noqa: ARG002 - it is said, not tried
        """Whether every trajectory starts from the same state."""
        return self.declared.initial is not None

    # --- what pytams asks ---------------------------------------------------------------------------------------

    def open(self, place: Place) -> None:
        """Make what launches it."""
        declared = self.declared
        programs = Programs(place.scratch, declared.launch)
        work = Work(declared, self._noted, place.scratch, place.logs)
        make = Piped if declared.stays else Launched
        self._way = make(declared, work, programs, self._where)

    def _where(self) -> Any:
        return self._live.asked_at

    @property
    def _open(self) -> Way:
        assert self._way is not None
        return self._way

    def start(self, rng: np.random.Generator) -> None:
        """Take the state at t = 0."""
        self._open.start(_seed(rng))

    def load(self, state: Any) -> None:
        """Take a state: a folder."""
        self._open.load(state)

    def save(self) -> Path:
        """Give the folder of the state."""
        return self._open.save()

    def branch(self, seed: int) -> None:
        """Begin a segment."""
        self._open.branch(seed)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        """Make a step."""
        self.steps(None if seed is None else [seed], t, dt, 1)

    def steps(self, seeds: Sequence[int] | None, t: float, dt: float, n: int) -> Sequence[float]:
        """Make steps, and give their scores."""
        return self._open.steps(seeds, t, dt, n)

    def score(self) -> float:
        """Score of the state."""
        return self._open.score()

    def ended(self, t: float) -> bool:  # noqa: ARG002 - it knows it
        """Whether the trajectory ends."""
        return self._open.says("ended")

    def reached(self, t: float) -> bool:  # noqa: ARG002 - likewise
        """Whether the event has happened."""
        return self._open.says("reached")

    def perturb(self, rng: np.random.Generator) -> None:
        """Have the state changed a little."""
        self._open.perturb(_seed(rng))

    def close(self) -> None:
        """End what runs."""
        if self._way is not None:
            way, self._way = self._way, None
            way.close()


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**64, dtype=np.uint64))
