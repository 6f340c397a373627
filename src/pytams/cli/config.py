"""Settings from TOML: sections and keys as users of the method know them, checked before anything runs.

What a key means, and what may stand there, is defined where it is used; here is only where it stands in the file.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytams.cli.keys import KEYS, NOT_FOR, Session, in_toml_names
from pytams.cli.model import ModelKind, as_written, is_ours, made, of_study
from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.settings import Checked, RunArguments, Settings, close, joined, nearest
from pytams.core.text import printable
from pytams.engine.making import engine_maker
from pytams.engine.options import Cluster, Runner
from pytams.models.program.launch import Launch
from pytams.storage.lessons import read_score
from pytams.storage.options import States, Storage
from pytams.tams.plan import Learning
from pytams.tams.tams import TAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytams.core.ports import Engine, Steppable
    from pytams.core.segments import Problem
    from pytams.storage.manifest import StudyInfo

Group = TypeVar("Group", bound=Checked)


_HOW = {"runner", "dask", "launch"}
"""Sections that change no bit of the result, and stand in a run directory."""
_SAID_AGAIN = {"database_url", "checkpoint_interval", "store", "local"}
_TYPING_ERROR = 0.75
"""What goes to a cluster's or a model's constructor can have any name; this much like one of ours, it is meant."""
_DASK_FROM_STUDY = {"backend", "minimum"}
"""What is taken of ``[dask]`` from a run directory. The rest names commands, files and machines: a directory may come
from anybody, so its user says it again."""


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
        self._folder = folder
        self._score_in: Path | None = None
        values, unknown = _sorted(table)
        self._wrong: list[SettingsError] = []
        self.settings = self._make(Settings, values)
        self.arguments = self._make(RunArguments, values)
        self.session = self._make(Session, values)
        self.runner = self._make(Runner, values)
        self.cluster = self._make(Cluster, values)
        self.states = self._make(States, values)
        self._storage = self._make(Storage, values)
        self._model = self._make(ModelKind, values)
        self.learning = self._make(Learning, values)
        self._launch = self._make(Launch, values, "launch.")
        self._wrong += unknown
        self.model_arguments: dict[str, Any] = {
            key: value for key, value in table.get("model", {}).items() if not is_ours(key, table["model"])
        }
        """What the model's constructor gets."""
        self.said = {section: set(keys) for section, keys in table.items() if keys}
        """Keys by section, as the user has given them now: of a study that goes on, those of ``--set``."""
        if table.get("launch") and self._model is not None and self._model.kind == "class":
            self._wrong.append(SettingsError("[launch]", "this is for programs, [model] type = 'program'"))
        if table.get("score", {}).get("learn") is True and self._model is not None and self._model.kind == "program":
            self._wrong.append(SettingsError("[score] learn", "a program says no features to learn a score from"))
        if self._wrong:
            raise in_toml_names(joined(self._wrong))

    def _make(self, group: type[Group], values: dict[type[Checked], dict[str, Any]], prefix: str = "") -> Group:
        found, wrong = group.check({name: v for name, v in values.get(group, {}).items() if v is not None})
        self._wrong += [error.renamed({}, lambda name: prefix + name) for error in wrong]
        return found  # type: ignore[return-value] # None only if something is wrong, which is raised at the end

    @classmethod
    def load(cls, path: Path, overrides: Iterable[str] = ()) -> Config:
        """Read a TOML file; each override is ``section.key=value``: as in TOML, a bare word, or nothing."""
        table = read_table(path)
        aside = _apply(table, overrides)
        config = cls(table, path.absolute().parent)
        config.said.setdefault("runner", set()).update(aside)
        return config

    @classmethod
    def of_study(
        cls,
        directory: Path,
        info: StudyInfo,
        overrides: Iterable[str] = (),
        settings_file: Path | None = None,
        *,
        own_score: bool = False,
    ) -> Config:
        """Rebuild the settings of a study in a run directory; what may not change is refused when it is opened.

        Parameters
        ----------
        directory
            Where it is.
        info
            What the directory says.
        overrides
            As for `load`.
        settings_file
            A TOML file of the user's: what concerns no bit of the result is taken from there.
        own_score
            Whether the model is wanted with the user's own score, also if the study's was learned.
        """
        if info.model.reference is None:
            raise SettingsError(
                "[model] class",
                f"{printable(info.model.name)} was made in Python: go on there, by TAMS(...).run(..., out=...)",
            )
        if info.settings.variant != "tams":
            raise SettingsError("variant", f"{printable(info.settings.variant)} is your own: go on in Python")
        table = told_by(directory, info)
        unsaid: set[str] = set()
        if settings_file is None:
            unsaid = _take_from_study(table, info.runner)
        else:
            _take_from_file(table, read_table(settings_file))
        said: dict[str, Any] = {}
        for override in (overrides := list(overrides)):
            _override(said, override)
        _apply(table, overrides)
        config = cls(table, Path())
        config.said = {section: set(keys) for section, keys in said.items()}
        config._check_unchanged(info)
        config._score_in = directory if info.model.taught_by and not own_score else None
        unsaid -= table["dask"].keys()
        if unsaid and config.runner.type == "dask":
            names = sorted(unsaid)
            raise SettingsError(
                f"[dask] {', '.join(names)}",
                "said when the study was begun, and not taken from its directory, which may come from anybody: they "
                "can name commands, files and machines. Say them again, by --settings INPUT.toml (whose [runner], "
                f"[dask] and [database] are used), or by --set dask.{names[0]}=...; or choose another runner.type",
            )
        return config

    def _check_unchanged(self, info: StudyInfo) -> None:
        """Refuse what is the same for all states that are stored of a study."""
        for name in ("sparse_freq", "archive_discarded"):
            was = getattr(info, name)
            if getattr(self._storage, name) != was:
                raise in_toml_names(
                    SettingsError(name, f"the study was made with {str(was).lower()}; this cannot change")
                )

    @property
    def must_be_said_again(self) -> bool:
        """Whether there are settings that are not taken from the run directory when it is gone on with."""
        return self.runner.type == "dask" and not _dask(self.cluster).keys() <= _DASK_FROM_STUDY

    def storage(self, path: Path, *, force: bool = False) -> Storage:
        """Say how the study is to be written."""
        reference, arguments = as_written(self._model, self.model_arguments, self._folder, path)
        how = {"runner": _changed("runner", self.runner), "dask": _dask(self.cluster)}
        if self._model.kind == "program":
            how["launch"] = _changed("launch", self._launch)
        return replace(
            self._storage,
            path=path,
            model_reference=reference,
            model_arguments=arguments,
            runner=how,
            runs_at_once=self.runner.runs_at_once,
            force=force,
        )

    def make_tams(self) -> TAMS:
        """Make the model, and TAMS with all its settings; with the score of the study, if that was learned."""
        settings = self.settings.to_dict()
        del settings["variant"], settings["spin_up"]
        try:
            tams = TAMS(self.make_model(), **settings)
            return tams if self._score_in is None else tams.with_score(read_score(self._score_in))
        except SettingsError as error:
            raise in_toml_names(error) from error

    def make_model(self) -> Steppable:
        """Make the model, of its class or of the program, from the other keys of ``[model]``."""
        return made(self._model, self.model_arguments, self._launch, self._folder)

    @property
    def engine(self) -> Callable[[Problem], Engine]:
        """What makes the engine."""
        return engine_maker(self.runner, self.cluster)


def _sorted(table: dict[str, Any]) -> tuple[dict[type[Checked], dict[str, Any]], list[SettingsError]]:
    """Find the setting of every key, and say which are unknown."""
    values: dict[type[Checked], dict[str, Any]] = {Storage: {"path": Path()}, Cluster: {"options": {}}}
    unknown = []
    for section, keys in table.items():
        if section not in KEYS:
            unknown.append(SettingsError(f"[{section}]", f"unknown section; {nearest(section, KEYS)}"))
            continue
        if not isinstance(keys, dict):
            raise SettingsError(f"[{section}]", f"{keys!r} is not a section")
        for key, value in keys.items():
            if key in KEYS[section] and (section != "model" or is_ours(key, keys)):
                group, name = KEYS[section][key]
                values.setdefault(group, {})[name] = value
            elif hint := _meant(section, key, keys):
                unknown.append(SettingsError(f"[{section}] {key}", f"unknown key; {hint}"))
            elif section == "dask":
                values[Cluster]["options"][key] = value
    return values, unknown


def told_by(directory: Path, info: StudyInfo) -> dict[str, dict[str, Any]]:
    """Give what a run directory says of its study, by section and key."""
    known: dict[str, Any] = {
        **info.settings.to_dict(),
        "n_runs": info.n_runs,
        "seed": info.seed,
        "sparse_freq": info.sparse_freq,
        "archive_discarded": info.archive_discarded,
        **info.states.to_dict(),
    }
    table: dict[str, dict[str, Any]] = {
        section: {key: known[name] for key, (_, name) in keys.items() if name in known}
        for section, keys in KEYS.items()
    }
    table["model"] = of_study(info, directory)
    return table


def _meant(section: str, key: str, given: dict[str, Any]) -> str | None:
    """Say which key may have been meant by one that is unknown; None if it may be one of the cluster or the model."""
    if section not in {"dask", "model"}:
        return nearest(key, KEYS[section])
    if section == "model" and ("class" in given or given.get("type") == "program"):
        return None
    found = close(key, KEYS[section], least=_TYPING_ERROR)
    return None if found is None or found in given else f"did you mean {found}?"


def _changed(section: str, group: Checked) -> dict[str, Any]:
    """Give what differs from the defaults, as it stands in a section."""
    values, defaults = group.to_dict(), type(group)().to_dict()
    return {key: values[name] for key, (_, name) in KEYS[section].items() if values[name] != defaults[name]}


def _dask(cluster: Cluster) -> dict[str, Any]:
    """Give what was said in ``[dask]``."""
    return _changed("dask", cluster) | cluster.options


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file, also if an editor has put a byte order mark first."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not valid TOML: {error}") from error


def _take_from_study(table: dict[str, dict[str, Any]], stored: dict[str, dict[str, Any]]) -> set[str]:
    """Take the settings of the engine from a run directory, and return the keys that its user has to say again."""
    for section, keys in stored.items():
        if section not in _HOW:
            raise RunDirectoryError(
                f"study.json: runner.{section} is nothing that a run directory may say: was it edited?"
            )
        table[section] |= keys
    unsaid = table["dask"].keys() - _DASK_FROM_STUDY
    for key in unsaid:
        del table["dask"][key]
    return unsaid


def _take_from_file(table: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
    """Take what concerns no bit of the result from a file of the user's; the rest of it is only known, or not."""
    _, unknown = _sorted(said)
    if unknown:
        raise joined(unknown)
    for section, keys in KEYS.items():
        theirs = said.get(section, {})
        if section in _HOW or not isinstance(theirs, dict):
            table[section] = theirs
        else:
            mine = [key for key, (group, name) in keys.items() if group is Session or name in _SAID_AGAIN]
            table[section] |= {key: theirs[key] for key in mine if key in theirs}


def _override(table: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        said = re.sub("://.*", "://...", override)  # which may have a password in it
        sections = [section for section, keys in KEYS.items() if name.strip() in keys]
        hint = f"; did you mean {' or '.join(f'{section}.{said}' for section in sections)}?" if sections else ""
        raise SettingsError("--set", f"{said!r} is not of the form section.key=value{hint}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    part = table.setdefault(section, {})
    if not isinstance(part, dict):
        raise SettingsError("--set", f"{section} is not a section")
    if text.strip():
        part[key] = value
    else:  # as if it were not there
        part.pop(key, None)


def _apply(table: dict[str, Any], overrides: Iterable[str]) -> set[str]:
    """Override settings; leave out what is nothing for a type of runner that is chosen so, and return it."""
    names = set()
    for override in overrides:
        _override(table, override)
        names.add(override.partition("=")[0].strip())
    runner = table.get("runner")
    if "runner.type" not in names or not isinstance(runner, dict):
        return set()
    nothing = NOT_FOR.get(str(runner.get("type", Runner().type)), set())
    aside = {key for key in nothing & runner.keys() if f"runner.{key}" not in names}
    for key in aside:
        del runner[key]
    return aside
