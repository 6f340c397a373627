"""What is said of a program: ``[model] type = "program"``."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytams.core.errors import SettingsError
from pytams.core.labels import Labels
from pytams.core.settings import Checked, Count, Positive
from pytams.models.program.files import check_files, templates_of
from pytams.models.program.launch import Launch
from pytams.models.program.names import NAMES, check_names
from pytams.models.program.reading import Reading

RESERVED = ("note.json", "before")
"""What else there may be in the folder of a state."""
_OF_STEPS = {"step", "steps", "t", "dt", "inner"}
_UNKNOWN = {"perturb": {*_OF_STEPS, "branch"}, "initial_command": {*_OF_STEPS, "branch", "restart"}}
"""Names that stand for nothing in some commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration(Checked):
    """A program as a model. Paths are relative to `folder`; names in braces are those of `names.NAMES`."""

    command: list[str]
    """The program and its arguments, started in a working folder of its own."""
    initial: str | None = None
    """The state at t = 0, a file or a folder."""
    initial_command: list[str] | None = None
    """Instead, a command that writes it to ``{next}``."""
    initial_score: float | None = None
    """Its score, where that is not in the state."""
    inner_step: Positive | None = None
    """Time step of the program's own; a step of the study is ``{inner}`` of them."""
    score: dict[str, Any] | None = None
    """Where the score is: see `Reading`."""
    ended: dict[str, Any] | bool = False
    """Where it says whether it ends, by a number that is not 0; true for a program that stays, which is asked."""
    reached: dict[str, Any] | bool = False
    """Likewise, whether the event has happened, where that is no threshold of the score."""
    templates: list[str] | dict[str, str] = field(default_factory=list)
    """Files that go into the working folder with the names in them filled in; of a table, under other names."""
    inputs: list[str] = field(default_factory=list)
    """Files and folders that are linked into the working folder."""
    restart: str = "restart"
    """What files with a state are called, for a program that minds."""
    steps_per_launch: Count = 1
    """Steps that a launch makes; it must give a score for each. Launches end at multiples of it."""
    protocol: Literal["launch", "pipe"] = "launch"
    """``"launch"``: it is started for each step or stretch of steps. ``"pipe"``: it stays, and is told what to do."""
    seeding: Literal["step", "branch"] = "step"
    """``"step"``: each launch gets a seed. ``"branch"``: where a segment begins, and a state has the generator."""
    perturb: list[str] | bool = False
    """For a deterministic program: a command that reads ``{restart}`` and writes it, changed a little, to ``{next}``;
    true for a program that stays, which is asked."""
    when: Literal["step", "branch"] = "step"
    """When it is perturbed: see `pytams.Simulator.when`."""
    title: str = ""
    units: dict[str, str] = field(default_factory=dict)
    state_names: list[str] = field(default_factory=list)
    """What it and its numbers are called in pictures: see `pytams.core.labels.Labels`."""
    folder: str = "."
    """Where the files are."""
    launch: Launch = field(default_factory=Launch)
    """How it is launched."""

    def check_together(self) -> None:
        """Make sure that files are there, that names stand for something, and that nothing contradicts."""
        object.__setattr__(self, "folder", str(Path(self.folder).absolute()))
        if not self.command:
            raise SettingsError("command", "empty: which program is it?")
        if not Path(self.folder).is_dir():
            raise SettingsError("folder", f"there is no folder {self.folder}")
        self._check_files()
        self._check_readings()
        self._check_protocol()
        for name, texts in self.texts().items():
            check_names(name, texts, NAMES.keys() - _UNKNOWN.get(name, set()))
            if self.inner_step is None and any("{inner}" in text for text in texts):
                raise SettingsError("inner_step", f"missing: {name} has {{inner}}, which is step_size / inner_step")

    def _check_files(self) -> None:
        check_files(self)
        if self.initial is not None and self.initial_command is not None:
            raise SettingsError("initial_command", "either `initial` or `initial_command`, not both")
        if Path(self.restart).name != self.restart or self.restart in {"", "..", *RESERVED}:
            raise SettingsError("restart", f"{self.restart!r} must be a name of a file, and none of {RESERVED}")

    def _check_readings(self) -> None:
        for name in ("score", "ended", "reached"):
            value = getattr(self, name)
            if isinstance(value, dict):
                self.reading(name)
                if self.stays:
                    raise SettingsError(name, 'a program that stays (protocol = "pipe") is asked for it, as for all')
            elif value is True and not self.stays:
                raise SettingsError(name, 'say where it is to be read; only with protocol = "pipe" it is asked')
        if self.score is None and not self.stays:
            raise SettingsError("score", 'missing: where is the score, as in { file = "{next}", format = "f8" }?')

    def _check_protocol(self) -> None:
        for name in ("initial_command", "initial_score") if self.stays else ():
            if getattr(self, name) is not None:
                raise SettingsError(name, "a program that stays says itself what there is at t = 0: start, score")
        if self.stays and self.launch.logs == "all":
            raise SettingsError("launch.logs", '"all" is for launches; a program that stays has one log')
        many = self.steps_per_launch > 1
        for name in ("ended", "reached", "perturb") if many else ():
            if getattr(self, name) is not False and (name != "perturb" or self.when == "step"):
                raise SettingsError("steps_per_launch", f"with {name}, which is for each step, it must be 1")
        if self.stays and many:
            raise SettingsError("steps_per_launch", 'a program that stays (protocol = "pipe") makes each by itself')
        if not self.stays and self.initial is None and self.initial_command is None:
            raise SettingsError("initial", "missing: which file is the state at t = 0? Or which initial_command?")
        if not self.stays and self.perturb is True:
            raise SettingsError("perturb", 'say the command; only with protocol = "pipe" the program is asked')
        if self.stays and not isinstance(self.perturb, bool):
            raise SettingsError("perturb", "true, for a program that stays: it is asked to")
        if self.stays:
            passing = NAMES.keys() - self.lasting.keys()
            filled = [path.read_text(encoding="utf-8") for path in templates_of(self).values()]
            for name, texts in {"command": self.command, "templates": filled}.items():
                used = {word for text in texts for word in re.findall(r"\{(\w+)\}", text)} & passing
                if used:
                    said = ", ".join(f"{{{word}}}" for word in sorted(used))
                    raise SettingsError(name, f"a program that stays is told {said} when it is due, not before")

    def at(self, path: str) -> Path:
        """Say where a file is."""
        return Path(self.folder, path)

    def inner_steps(self, dt: float) -> int:
        """Say how many of the program's own steps a step is."""
        if self.inner_step is None or dt == 0.0:
            return 1
        n = round(dt / self.inner_step)
        if n < 1 or not math.isclose(n * self.inner_step, dt, rel_tol=1e-9):
            raise SettingsError("inner_step", f"the step size, {dt:g}, is no multiple of {self.inner_step:g}")
        return n

    @property
    def prefix(self) -> list[str]:
        """Give the words that stand before the command."""
        return shlex.split(self.launch.command)

    @property
    def lasting(self) -> dict[str, Any]:
        """Give the names whose values never change, with these."""
        return {"ranks": self.launch.ranks, "threads": self.launch.threads or 1, "folder": self.folder}

    @property
    def stays(self) -> bool:
        """Whether the program stays, and is told what to do."""
        return self.protocol == "pipe"

    def reading(self, name: str) -> Reading:
        """Say where a number is to be read."""
        try:
            return Reading.checked(getattr(self, name))
        except SettingsError as error:
            raise error.renamed({}, lambda inner: f"{name}.{inner}") from error

    def texts(self) -> dict[str, list[str]]:
        """Give all that has names to be filled in, by setting."""
        found = {"command": self.command, "launch.command": [self.launch.command]}
        found["initial_command"] = self.initial_command or []
        found["perturb"] = [] if isinstance(self.perturb, bool) else self.perturb
        return found | {name: reading.texts for name, reading in self.readings().items()}

    def readings(self) -> dict[str, Reading]:
        """Say what is to be read after each launch."""
        names = ("score", "ended", "reached")
        return {name: self.reading(name) for name in names if isinstance(getattr(self, name), dict)}

    def made_of(self) -> dict[str, Any]:
        """Give all that may change a bit of the result, by name; files are `files.files_of`."""
        values = self.to_dict()
        launch = values.pop("launch")
        for name in ("folder", *Labels.names()):
            del values[name]
        return values | {name: launch[name] for name in ("ranks", "threads")}
