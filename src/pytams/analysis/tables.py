"""All numbers of a result, as tables: for pandas, xarray and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis.curves import levels_of, means_of_first
from pytams.core.distribution import imported_from
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from pytams.analysis.result import Result
    from pytams.analysis.runs import RunResult

Columns = Mapping[str, Sequence[Any]]

_COLUMNS = (
    "run",
    "estimate",
    "log_estimate",
    "log_weight",
    "n_reached",
    "n_branchings",
    "n_steps",
    "extinct",
    "finished",
)


def _column(runs: Sequence[RunResult], name: str) -> list[Any]:
    return [getattr(run, name) for run in runs]


def columns(runs: Sequence[RunResult]) -> dict[str, list[Any]]:
    """List what there is to say of each run, by name; the relative variance is from its genealogy."""
    found = {name: _column(runs, name) for name in _COLUMNS}
    found["n_iterations"] = [len(run.iterations) for run in runs]
    found["relative_variance"] = _column(runs, "relative_variance")
    return found


def dataframe(result: Result) -> Any:
    """Make a `pandas.DataFrame` of the runs of a result, a row each, by number; ImportError without pandas."""
    pd = imported_from("xarray", "pandas", "a DataFrame")
    return pd.DataFrame(columns(result.runs)).set_index("run")


def comma_separated(table: Columns) -> str:
    """Write columns as CSV, with a line of names; numbers to the last bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def of_picture(kind: str, result: Result, run: int | None = None) -> Columns:
    """Give the numbers that a picture shows, in columns by name.

    Raises
    ------
    SettingsError
        If it shows no few numbers, but trajectories.
    """
    if kind not in _NUMBERS:
        raise SettingsError("path", f"there is no table of the picture {kind!r}, only of {', '.join(_NUMBERS)}")
    if run is not None:
        one = [found for found in result.runs if found.run == run]
        if not one:
            raise SettingsError("run", f"{run} is not among the runs of this result")
        result = replace(result, runs=tuple(one))
    return _NUMBERS[kind](result)


def of_exceedance(result: Result, n: int = 300) -> Columns:
    """Give P(max > z) at n levels, with the 95 % interval."""
    curve = result.exceedance(levels_of(result, n))
    names = {"z": "z", "log_probability": "log_value", "probability": "value", "low": "low", "high": "high"}
    return {name: getattr(curve, of_curve).tolist() for name, of_curve in names.items()}


def of_return_times(result: Result, n: int = 300) -> Columns:
    """Give the return time of n levels, with the 95 % interval."""
    curve = result.return_times(levels_of(result, n))
    names = {"z": "z", "log_return_time": "log_value", "return_time": "value", "low": "low", "high": "high"}
    return {name: getattr(curve, of_curve).tolist() for name, of_curve in names.items()}


def _of_convergence(result: Result) -> Columns:
    counts, *found = means_of_first(result.runs)
    names = ("log_probability", "log_low", "log_high")
    return {"runs": counts.tolist()} | {name: one.tolist() for name, one in zip(names, found, strict=True)}


def _of_levels(result: Result) -> Columns:
    found = _iterations(result.runs)
    names = {"iteration_run": "run", "level": "level", "log_weight_after": "log_weight", "n_killed": "n_killed"}
    return {name: found[key][1].tolist() for key, name in names.items()}


def _of_reaching_times(result: Result) -> Columns:
    reached = [(run, final) for run in result.runs for final in run.reached]
    return {
        "run": [run.run for run, _ in reached],
        "slot": [final.key.slot for _, final in reached],
        "time": [float(result.settings.times(final.last_step)) for _, final in reached],
        "log_weight": [run.log_weight - math.log(run.n * len(result.runs)) for run, _ in reached],
    }


_NUMBERS: dict[str, Callable[[Result], Columns]] = {
    "exceedance": of_exceedance,
    "return-times": of_return_times,
    "estimates": lambda result: columns(result.runs),
    "convergence": _of_convergence,
    "levels": _of_levels,
    "weights": _of_levels,
    "reaching-times": _of_reaching_times,
}


def dataset(result: Result) -> Any:
    """Make an `xarray.Dataset` of a result.

    Along ``run``: what `columns` lists. Along ``(run, slot)``: the final ensemble. Along ``iteration`` and
    ``branching``, run by run: the splitting iterations, and who was killed in them; ``iteration_run`` and
    ``branching_run`` say of which run, ``branching_iteration`` in which of its iterations.

    Raises
    ------
    ImportError
        Without xarray: ``pip install "pytams-splitting[xarray]"``.
    """
    xr = imported_from("xarray", "xarray", "a Dataset")
    runs = result.runs
    of_runs = columns(runs)
    numbers = of_runs.pop("run")
    variables: dict[str, Any] = {name: ("run", column) for name, column in of_runs.items()}
    finals = np.array([run.members.arrays[0] for run in runs])
    for name in finals.dtype.names or ():
        variables[f"final_{name}"] = (("run", "slot"), finals[name])
    variables |= _iterations(runs)
    attributes = {
        "model": result.model,
        "seed": str(result.seed),  # it may be larger than a NetCDF integer
        "probability": result.probability,
        "standard_error": result.standard_error,
        "provisional": int(result.is_provisional),  # NetCDF has no truth values
        **{name: value for name, value in result.settings.to_dict().items() if value is not None},
    }
    return xr.Dataset(variables, {"run": numbers, "slot": np.arange(finals.shape[1])}, attributes)


def _iterations(runs: Sequence[RunResult]) -> dict[str, Any]:
    """List iterations and branchings of all runs."""
    n_iterations = [len(run.iterations) for run in runs]
    n_branchings = [run.n_branchings for run in runs]
    numbers = [run.run for run in runs]
    killed = np.concatenate([run.iterations.branchings for run in runs])
    n_killed = np.array([n for run in runs for n in run.iterations.n_killed], dtype=np.int64)
    number_in_run = np.concatenate([np.arange(n) for n in n_iterations]) if runs else np.empty(0, np.int64)
    return {
        "iteration_run": ("iteration", np.repeat(numbers, n_iterations)),
        "level": ("iteration", _joined(runs, "levels")),
        "log_weight_after": ("iteration", _joined(runs, "log_weights")),
        "highest": ("iteration", _joined(runs, "highest")),
        "n_killed": ("iteration", n_killed),
        "branching_run": ("branching", np.repeat(numbers, n_branchings)),
        "branching_iteration": ("branching", np.repeat(number_in_run, n_killed)),
        "killed_slot": ("branching", killed["killed"]["slot"]),
        "killed_branch": ("branching", killed["killed"]["branch"]),
        "killed_maximum": ("branching", killed["maximum"]),
        "ancestor_slot": ("branching", killed["ancestor"]["slot"]),
        "ancestor_branch": ("branching", killed["ancestor"]["branch"]),
    }


def _joined(runs: Sequence[RunResult], name: str) -> Any:
    return np.array([value for run in runs for value in getattr(run.iterations, name)], dtype=np.float64)
