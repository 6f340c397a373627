"""The input file that reproduces a study, from what its run directory says."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import tomli_w

from pytams.cli.config import told_by
from pytams.cli.keys import KEYS
from pytams.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.storage.manifest import StudyInfo

_OURS = {"folder_from_study"}


def to_reproduce(directory: Path, info: StudyInfo) -> str:
    """Write an input file, with the command and the versions in comments: it gives the same bits."""
    versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    lines = ["# pytams run input.toml --out study.tams", f"# {printable(versions)}"]
    if info.model.taught_by:
        lines.append(
            "# Its score was learned from other runs: pytams improve PILOT --out study.tams, of such a study."
        )
    if info.settings.variant != "tams":
        lines.append(f"# With the splitting variant {printable(info.settings.variant)}: run it in Python.")
    table: dict[str, Any] = {
        section: {key: value for key, value in keys.items() if not _is_default(section, key, value)}
        for section, keys in told_by(directory, info).items()
    }
    if info.model.reference is None:
        lines.append(f"# Its model, {printable(info.model.name)}, was made in Python: run it there.")
        del table["model"]
    text = tomli_w.dumps({section: keys for section, keys in table.items() if keys})
    return "\n".join(lines) + "\n\n" + text


def _is_default(section: str, key: str, value: Any) -> bool:
    """Whether a setting need not be said; those of the algorithm always are."""
    if value is None or key in _OURS:
        return True
    if section in {"tams", "trajectory", "model"} and key != "sparse_freq":
        return False
    if key not in KEYS[section]:
        return False
    group, name = KEYS[section][key]
    defaults: dict[str, Any] = {one.name: one.default for one in fields(group)}  # type: ignore[arg-type] # it is one
    return bool(value == defaults[name])
