"""Settings from TOML: sections and keys as users of the method know them, checked before anything runs."""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytams.engine import Engine, InProcess
from pytams.errors import SettingsError
from pytams.loading import make_model
from pytams.tams import TAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytams.model import Model
    from pytams.rundir import Storage, StudyInfo
    from pytams.trajectory import Problem


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TamsSection(_Section):
    """``[tams]``: the algorithm."""

    ntrajectories: int
    ndiscard: int = 1
    nsplititer: int | None = None
    nruns: int = 1
    seed: int | None = None
    walltime: float | None = Field(default=None, gt=0)
    loglevel: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    logfile: str | None = None


class TrajectorySection(_Section):
    """``[trajectory]``: one trajectory."""

    end_time: float
    step_size: float
    targetscore: float
    sparse_freq: int = Field(default=0, ge=0)


class RunnerSection(_Section):
    """``[runner]``: who advances the segments."""

    type: Literal["inprocess", "process", "dask"] = "inprocess"
    block_length: int | None = Field(default=None, ge=1)
    nthreads: int = Field(default=1, ge=1)
    nworkers: int | None = Field(default=None, ge=1)
    batch: int = Field(default=1, ge=1)
    block_seconds: float = Field(default=0.5, gt=0)
    block_timeout: float | None = Field(default=None, gt=0)
    runs_at_once: int | None = Field(default=None, ge=1)


class DaskSection(BaseModel):
    """``[dask]``: the cluster; the other keys go to the cluster's constructor."""

    model_config = ConfigDict(extra="allow", strict=True)
    backend: Literal["local", "slurm"] = "local"
    address: str | None = None
    minimum: int | None = Field(default=None, ge=0)


class DatabaseSection(_Section):
    """``[database]``: what is written to a run directory, and where its ledgers are."""

    url: str | None = None
    archive_discarded: bool = True
    checkpoint_interval: float = Field(default=60.0, gt=0)


class ModelSection(BaseModel):
    """``[model]``: where the model's class is; the other keys go to its constructor."""

    model_config = ConfigDict(extra="allow", strict=True)
    class_: str = Field(alias="class")


class Sections(_Section):
    """A whole file."""

    tams: TamsSection
    trajectory: TrajectorySection
    runner: RunnerSection = RunnerSection()
    dask: DaskSection = DaskSection()
    database: DatabaseSection = DatabaseSection()
    model: ModelSection


_TOML_NAMES = {
    "n_trajectories": "[tams] ntrajectories",
    "n_discard": "[tams] ndiscard",
    "max_branchings": "[tams] nsplititer",
    "n_runs": "[tams] nruns",
    "seed": "[tams] seed",
    "end_time": "[trajectory] end_time",
    "step_size": "[trajectory] step_size",
    "target_score": "[trajectory] targetscore",
    "model": "[model] class",
}


class Config:
    """Checked settings.

    Parameters
    ----------
    table
        The content of a TOML file.
    folder
        What a model's path is relative to.

    Raises
    ------
    SettingsError
        Names every unknown, missing or impossible key, with the nearest known one.
    """

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        try:
            self.sections = Sections.model_validate(table)
        except ValidationError as error:
            raise _settings_error(error) from None
        self._folder = folder

    @classmethod
    def load(cls, path: Path, overrides: Iterable[str] = ()) -> Config:
        """Read a TOML file; each override is ``section.key=value``, the value as in TOML (or a bare word)."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(str(path), f"is not valid TOML: {error}") from error
        for override in overrides:
            _override(table, override)
        return cls(table, path.parent)

    @classmethod
    def of_study(cls, info: StudyInfo, overrides: Iterable[str] = ()) -> Config:
        """Rebuild the settings of a study in a run directory; what may not change is refused when it is opened."""
        settings, model = info.settings, info.model
        if model.reference is None:
            raise SettingsError(
                "[model] class", f"{model.name} was made in Python: go on there, by TAMS(...).run(..., out=...)"
            )
        table: dict[str, dict[str, Any]] = {
            "tams": {
                "ntrajectories": settings.n_trajectories,
                "ndiscard": settings.n_discard,
                "nsplititer": settings.max_branchings,
                "nruns": info.n_runs,
                "seed": info.seed,
            },
            "trajectory": {
                "end_time": settings.end_time,
                "step_size": settings.step_size,
                "targetscore": settings.target_score,
                "sparse_freq": info.sparse_freq,
            },
            **{section: dict(keys) for section, keys in info.runner.items()},
            "database": {"url": info.database_url, "archive_discarded": info.archive_discarded},
            "model": {"class": model.reference, **model.arguments},
        }
        for override in overrides:
            _override(table, override)
        return cls(table, Path())

    def storage(self, path: Path, *, force: bool = False) -> Storage:
        """Say how the study is to be written."""
        from pytams.rundir import Storage  # noqa: PLC0415 - what only run directories need

        database, model = self.sections.database, self.sections.model
        where, colon, name = model.class_.rpartition(":")
        if where.endswith(".py"):
            where = str((self._folder / where).resolve())
        return Storage(
            path=path,
            sparse_freq=self.sections.trajectory.sparse_freq,
            archive_discarded=database.archive_discarded,
            checkpoint_interval=database.checkpoint_interval,
            database_url=database.url,
            model_reference=f"{where}{colon}{name}",
            model_arguments=model.model_extra or {},
            runner={
                "runner": self.sections.runner.model_dump(exclude_defaults=True),
                "dask": self.sections.dask.model_dump(exclude_defaults=True),
            },
            runs_at_once=self.sections.runner.runs_at_once,
            force=force,
        )

    def make_tams(self) -> TAMS:
        """Make the model, and TAMS with all its settings."""
        tams, trajectory = self.sections.tams, self.sections.trajectory
        model = self.make_model()
        try:
            return TAMS(
                model,
                end_time=trajectory.end_time,
                step_size=trajectory.step_size,
                target_score=trajectory.targetscore,
                n_trajectories=tams.ntrajectories,
                n_discard=tams.ndiscard,
                max_branchings=tams.nsplititer,
            )
        except SettingsError as error:
            raise in_toml_names(error) from error

    def make_model(self) -> Model:
        """Import the model's class and make the model from the other keys of ``[model]``."""
        section = self.sections.model
        return make_model(section.class_, section.model_extra or {}, self._folder)

    @property
    def engine(self) -> Callable[[Problem], Engine]:
        """What makes the engine."""
        runner = self.sections.runner
        if runner.type == "process":
            from pytams.engine.processes import Processes  # noqa: PLC0415 - what only workers need

            return partial(
                Processes,
                n_workers=runner.nworkers,
                batch=runner.batch,
                seconds=runner.block_seconds,
                timeout=runner.block_timeout,
            )
        if runner.type == "dask":
            return self._dask_engine()
        return partial(InProcess, block_length=runner.block_length, threads=runner.nthreads)

    def _dask_engine(self) -> Callable[[Problem], Engine]:
        try:
            from pytams.engine.clusters import connect  # noqa: PLC0415 - Dask is an extra, and takes a second
            from pytams.engine.remote import OnDask  # noqa: PLC0415 - likewise
        except ImportError as error:
            raise SettingsError("[runner] type", f"'dask' needs Dask: pip install pytams[dask] ({error})") from error
        runner, dask = self.sections.runner, self.sections.dask
        n_workers = runner.nworkers or len(os.sched_getaffinity(0))
        return partial(
            OnDask,
            connect=partial(
                connect,
                dask.backend,
                address=dask.address,
                n_workers=n_workers,
                minimum=dask.minimum,
                options=dask.model_extra,
            ),
            n_workers=None if dask.address and not runner.nworkers else n_workers,
            batch=runner.batch,
            seconds=runner.block_seconds,
            timeout=runner.block_timeout,
        )


def in_toml_names(error: SettingsError) -> SettingsError:
    """Name a setting as it is named in the file."""
    problem = error.problem
    for name, toml_name in _TOML_NAMES.items():
        problem = problem.replace(name, toml_name.split()[-1]) if name != "model" else problem
    return SettingsError(_TOML_NAMES.get(error.setting, error.setting), problem)


# --- messages ---------------------------------------------------------------------------------------------------


def _settings_error(error: ValidationError) -> SettingsError:
    """Say in our words what pydantic found, one line a key."""
    found = [
        _problem(details["loc"], details["type"], details["msg"], details["input"]) for details in error.errors()
    ]
    first, *rest = found
    return SettingsError(first[0], "\n".join([first[1], *(f"{name}: {problem}" for name, problem in rest)]))


def _problem(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> tuple[str, str]:
    section, *keys = (str(part) for part in loc)
    name = f"[{section}] {'.'.join(keys)}".strip()
    if kind == "missing":
        return name, "missing"
    if kind == "extra_forbidden":
        known = list(Sections.model_fields[section].annotation.model_fields) if keys else list(Sections.model_fields)  # type: ignore[union-attr] # every field of Sections is a section
        nearest = difflib.get_close_matches(keys[-1] if keys else section, known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        return name, f"unknown {'key' if keys else 'section'}; {hint}"
    return name, f"{value!r}: {message[0].lower()}{message[1:]}"


# --- overrides --------------------------------------------------------------------------------------------------


def _override(table: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise SettingsError("--set", f"{override!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    part = table.setdefault(section, {})
    if not isinstance(part, dict):
        raise SettingsError("--set", f"{section} is not a section")
    part[key] = value
