"""One trajectory of a model, to look at: what everyone does first with a model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytams.core.distribution import imported_from
from pytams.core.errors import SettingsError
from pytams.core.segments import Link, Problem, SegmentKey, Start
from pytams.core.settings import RunArguments, Settings
from pytams.core.states import labelled_states
from pytams.core.streams import draw_seed
from pytams.engine.replay import Replay

if TYPE_CHECKING:
    from pytams.core.ports import Steppable


def simulate(
    model: Steppable, end_time: float, step_size: float, seed: int | None = None, *, trajectory: int = 0
) -> Any:
    """Advance a model by itself, from its start to the end time or its stop condition.

    There is no target: it is what plain Monte Carlo would see. Number 0 is the trajectory that slot 0 of run 0 of a
    study with this seed begins with.

    Parameters
    ----------
    model
        Any model of pytams.
    end_time, step_size
        T and dt, in the model's unit of time; T is a multiple of dt.
    seed
        0 <= seed < 2**63. Drawn if not given: the dataset has it.
    trajectory
        Its number: others have other noise.

    Returns
    -------
    xarray.Dataset
        ``score`` over ``time``, and ``state``, or ``state.NAME`` for each part of a dict, if states are arrays.

    Raises
    ------
    SettingsError
        If a setting is impossible.
    ModelError
        If the model does what it must not do: the message says where.
    ImportError
        Without xarray: ``pip install "pytams-splitting[xarray]"``.
    """
    xr = imported_from("xarray", "xarray", "simulate()")
    if isinstance(model, type):
        raise SettingsError("model", f"{model.__name__} is a class: give a model of it, as in {model.__name__}()")
    model.validate()
    arguments = RunArguments.checked({"n_runs": 1, "seed": seed, "first_run": trajectory})
    seed = draw_seed() if arguments.seed is None else arguments.seed
    settings = Settings.checked(
        {
            "end_time": end_time,
            "step_size": step_size,
            "target_score": 0.0,
            "n_trajectories": 2,
            "spin_up": getattr(model, "spin_up", 0),
        }
    )
    problem = replace(Problem.of(model, settings, seed), target_score=math.inf)
    start = Start(SegmentKey(trajectory, 0, 0), None, 0, math.nan)
    [course] = Replay(problem).courses([[Link(start, None)]], states=True)
    variables = {"score": ("time", course.scores), **labelled_states(course.states, "time")}
    times = [settings.times(step) for step in range(len(course.scores))]
    return xr.Dataset(variables, {"time": times}, {"model": model.name, "seed": str(seed), "trajectory": trajectory})
