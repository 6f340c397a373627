"""``[model]``: a class or a program, as a file says it, and as a run directory does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytams.core.errors import SettingsError
from pytams.core.settings import Checked
from pytams.models.loading import make_model
from pytams.models.program.stored import REFERENCE, as_stored, from_stored

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.core.ports import Steppable
    from pytams.models.program.launch import Launch
    from pytams.storage.manifest import StudyInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind(Checked):
    """What the model is: a class, and where it is, or a program."""

    reference: str | None = None
    kind: Literal["class", "program"] = "class"

    def check_together(self) -> None:
        """Make sure that there is a class, unless it is a program."""
        if self.reference is None and self.kind == "class":
            raise SettingsError("reference", "missing; or is it a program, type = 'program'?")


def is_ours(key: str, model: dict[str, Any]) -> bool:
    """Whether a key of ``[model]`` is none of its constructor's: a class may have a `type` of its own."""
    return key in {"class", "type"} and not (key == "type" and "class" in model)


def made(kind: ModelKind, arguments: dict[str, Any], launch: Launch, folder: Path) -> Steppable:
    """Make the model."""
    if kind.reference is not None:
        return make_model(kind.reference, arguments, folder)
    from pytams.models.program.program import Program  # noqa: PLC0415 - what only programs need

    if "launch" in arguments:
        raise SettingsError("arguments.launch", "this is a section of its own, [launch]")
    if "noted" in arguments:
        raise SettingsError("arguments.noted", "unknown key")
    told = arguments | {"folder": str(folder / arguments.get("folder", ".")), "launch": launch.to_dict()}
    try:
        return Program(**told)
    except SettingsError as error:
        raise error.renamed({}, _of_model) from None


def _of_model(name: str) -> str:
    return name if name.startswith("launch.") else f"arguments.{name}"


def as_written(kind: ModelKind, arguments: dict[str, Any], folder: Path, path: Path) -> tuple[str, dict[str, Any]]:
    """Give the reference and the arguments that a run directory, at a path, is to have."""
    if kind.reference is None:
        return REFERENCE, as_stored(arguments, folder, path)
    where, colon, name = kind.reference.rpartition(":")
    if where.endswith(".py"):
        where = str((folder / where).resolve())
    return f"{where}{colon}{name}", arguments


def of_study(info: StudyInfo, directory: Path) -> dict[str, Any]:
    """Give ``[model]`` of a study."""
    if info.model.reference == REFERENCE:
        return from_stored(info.model.arguments, directory) | {"type": "program"}
    return info.model.arguments | {"class": info.model.reference}
