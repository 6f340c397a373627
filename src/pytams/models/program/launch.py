"""How programs are launched: ``[launch]``, or `pytams.Launch` in Python."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from pytams.core.errors import SettingsError
from pytams.core.settings import Checked, Count, NotNegative

MPI = ("OMPI_*", "PMIX_*", "PMI_*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch(Checked):
    """How a program is launched. But for `ranks` and `threads`, nothing of it may change a bit of the result."""

    command: str = ""
    """What stands before the program's command: ``"mpirun -n {ranks}"``, or ``"srun --exact -n {ranks}"``."""
    ranks: Count = 1
    """Processes of one launch, for `command` to use: ``{ranks}``."""
    threads: Count | None = None
    """Threads of each: ``{threads}`` (1 if not given), and ``OMP_NUM_THREADS`` (as it is if not given)."""
    clear_env: list[str] = field(default_factory=lambda: list(MPI))
    """Environment variables that the program does not get, with wildcards. Those of an MPI that pytams itself runs
    under would have it take part in that."""
    timeout: Annotated[float, Gt(0), Lt(1e7)] | None = None
    """Seconds after which a launch is ended, or a program that stays and does not answer; None: never."""
    patience: Annotated[float, Gt(0), Lt(1e7)] = 5.0
    """Seconds from SIGTERM to SIGKILL."""
    retries: NotNegative = 3
    """Times that a launch is tried again that has failed."""
    backoff: Annotated[float, Ge(0)] = 1.0
    """Seconds before it is first tried again; twice as long each time."""
    logs: Literal["failed", "all"] = "failed"
    """Of which launches the output is kept, in the run directory: ``logs/<run>/<slot>/<branch>/<step>.out`` and
    ``.err``."""

    def check_together(self) -> None:
        """Make sure that the command can be read."""
        try:
            shlex.split(self.command)
        except ValueError as error:
            raise SettingsError("command", f"{self.command!r} cannot be read as a command: {error}") from error
