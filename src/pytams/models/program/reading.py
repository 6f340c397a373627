"""Reading numbers from what a program has written: a score for each step that it made."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pytams.core.errors import SettingsError
from pytams.core.settings import Checked, NotNegative, close
from pytams.models.program.programs import ProgramError

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[ed][-+]?\d+|[-+]\d{3})?|[-+]?(?:inf(?:inity)?|nan)|\*+"
_A_LINE = rf"(?im)^[ \t]*({_NUMBER})[ \t]*\r?$"  # stars are what Fortran writes of a number that does not fit
_FORMATS = ("text", "json", "netcdf")
_REDUCTIONS = {"mean": np.mean, "max": np.max, "min": np.min, "sum": np.sum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Checked):
    """Where a number is to be found: ``score = { file = "{next}", format = "f8", offset = 32 }``."""

    file: str | None = None
    """The file, with names in braces; relative to the working folder. None: what the program prints."""
    command: list[str] | None = None
    """Instead, a command that prints it, executed after each launch."""
    format: str = "text"
    """``"text"``, ``"json"``, ``"netcdf"``, or the type of a number in a binary file, as NumPy writes it: ``"f8"``,
    ``">f4"``."""
    offset: NotNegative = 0
    """Of a binary file: bytes before the (first) number."""
    pattern: str = _A_LINE
    """Of text: a regular expression with the number in its one group. By default a line that is nothing but one."""
    key: str | None = None
    """Of JSON: where it is, ``"diagnostics.score"``."""
    variable: str | None = None
    """Of NetCDF: the variable."""
    reduction: Literal["mean", "max", "min", "sum"] | None = None
    """Of NetCDF: how a field becomes a number; with several steps a launch, each entry of its first axis does."""

    def check_together(self) -> None:
        """Make sure that the format is one, and that nothing is missing for it."""
        if self.format not in _FORMATS and not _is_number_type(self.format):
            meant = close(self.format, _FORMATS)
            hint = f"; did you mean {meant}?" if meant else ""
            text = f"{self.format!r} is none of {', '.join(_FORMATS)}, or the type of a number such as f8"
            raise SettingsError("format", text + hint)
        try:
            n_groups = re.compile(self.pattern).groups
        except re.error as error:
            raise SettingsError("pattern", f"{self.pattern!r} is no regular expression: {error}") from error
        if n_groups != 1:
            raise SettingsError("pattern", f"{self.pattern!r} must have one group, the number, not {n_groups}")
        if self.format == "netcdf" and self.variable is None:
            raise SettingsError("variable", "missing: which variable of the NetCDF file is it?")
        if self.format not in {"text", "json"} and self.file is None:
            raise SettingsError("file", f"missing: format = {self.format!r} is read from a file")
        if self.command is not None and self.file is not None:
            raise SettingsError("command", "either a file is read, or what a command prints")

    @property
    def texts(self) -> list[str]:
        """What may have names in braces."""
        return [*([] if self.file is None else [self.file]), *(self.command or [])]


def _is_number_type(name: str) -> bool:
    try:
        return np.dtype(name).kind in "iuf"
    except TypeError:
        return False


def read(reading: Reading, path: Path, n: int, *, is_one: bool) -> list[float]:
    """Read n numbers: of a binary file, those at its offset, of others the last ones.

    Parameters
    ----------
    reading, path
        Where they are.
    n
        How many.
    is_one
        Whether it is one number always, so that all of a NetCDF variable becomes one.

    Raises
    ------
    ProgramError
        If they are not there.
    """
    try:
        if reading.format == "text":
            found = _from_text(reading, path)
        elif reading.format == "json":
            found = _from_json(reading, path)
        elif reading.format == "netcdf":
            found = _from_netcdf(reading, path, is_one=is_one)
        else:
            with path.open("rb") as file:
                file.seek(reading.offset)
                size = n * np.dtype(reading.format).itemsize
                data = file.read(size)
            if len(data) < size:
                raise ProgramError(f"{_called(reading, path)} is truncated: {reading.offset + size} bytes are needed")
            return list(map(float, np.frombuffer(data, reading.format)))
    except FileNotFoundError as error:
        raise ProgramError(f"there is no {_called(reading, path)} to read a score from") from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ProgramError(f"{_called(reading, path)} cannot be read as {reading.format}: {_said(error)}") from error
    if len(found) < n:
        raise ProgramError(f"{_called(reading, path)} has {len(found)} of the {n} numbers that should be there")
    return found[len(found) - n :]


def _said(error: BaseException) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def _called(reading: Reading, path: Path) -> str:
    return "what it printed" if reading.file is None else path.name


def _from_text(reading: Reading, path: Path) -> list[float]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [_parsed(found) for found in re.findall(reading.pattern, text)]


def _parsed(text: str) -> float:
    """Make a number of what C or Fortran writes: 1.5D-4, 1.5-104."""
    text = text.strip().lower().replace("d", "e")
    return float(re.sub(r"(?<=[\d.])([-+]\d{3})$", r"e\1", text))


def _from_json(reading: Reading, path: Path) -> list[float]:
    value: Any = json.loads(path.read_text(encoding="utf-8"))
    for key in [] if reading.key is None else reading.key.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return [_number(one) for one in (value if isinstance(value, list) else [value])]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _from_netcdf(reading: Reading, path: Path, *, is_one: bool) -> list[float]:
    values = _variable(path, str(reading.variable))
    if reading.reduction is not None:
        reduce: Any = _REDUCTIONS[reading.reduction]
        axes = tuple(range(0 if is_one else 1, values.ndim))
        values = reduce(values, axis=axes) if axes else values
    if values.ndim > 1:
        raise ValueError(f"{reading.variable} has shape {values.shape}: say by a reduction how it becomes a number")
    return list(map(float, np.atleast_1d(values)))


def _variable(path: Path, name: str) -> Any:
    """Read a variable of a NetCDF file, of version 4 or before, in double precision."""
    with path.open("rb") as file:
        is_classic = file.read(3) == b"CDF"
    if is_classic:
        from scipy.io import netcdf_file  # noqa: PLC0415 - few need it

        with netcdf_file(path, mmap=False) as dataset:
            return np.array(dataset.variables[name][:], dtype=np.float64)
    import h5netcdf  # noqa: PLC0415 - likewise

    with h5netcdf.File(path, "r") as dataset:
        return np.array(dataset.variables[name][...], dtype=np.float64)
