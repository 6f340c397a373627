"""``pytams check``: what is found out of a model, as people read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytams.cli.output import keep_from_models, set_up_logging
from pytams.core.errors import SettingsError
from pytams.core.segments import Problem
from pytams.core.streams import draw_seed
from pytams.core.text import size_text
from pytams.engine.check import check_model
from pytams.storage.state_keeper import StateKeeper

if TYPE_CHECKING:
    from pytams.cli.config import Config
    from pytams.core.settings import Settings
    from pytams.engine.check import Cost

_PROBABILITIES = 1e-3, 1e-6


def check_input(config: Config, n_steps: int) -> tuple[bool, list[str]]:
    """Check the model of an input file: whether it is fit for a study, and what there is to say."""
    keep_from_models(set_up_logging(config.session.loglevel, config.session.logfile))
    tams = config.make_tams()
    seed = draw_seed() if config.arguments.seed is None else config.arguments.seed
    try:
        store = StateKeeper(config.states, in_memory=True)
        problem = Problem.of(tams.model, tams.settings, seed, store=store, every=config.states.every)
        findings, cost = check_model(problem, n_steps)
    except SettingsError as error:
        raise error.renamed({}, "--{}".format) from error
    lines = [
        f"{'yes' if is_true else 'NO':<4} {claim}" + ("" if is_true else f": {advice}")
        for claim, is_true, advice in findings
    ]
    n_starts = config.arguments.n_runs * (1 if tams.model.has_fixed_start(seed) else tams.settings.n_trajectories)
    return all(finding.is_true for finding in findings), lines + _costs(cost, tams.settings, config, n_starts)


def _costs(cost: Cost, settings: Settings, config: Config, n_starts: int) -> list[str]:
    """Say what a trajectory takes, and about what a study would."""
    n = config.arguments.n_runs * settings.n_trajectories
    n_steps = n * settings.n_steps
    lines = [
        f"a step {_duration(cost.step)}, save {_duration(cost.save)}, load {_duration(cost.load)}, "
        f"a state {size_text(cost.n_bytes)}",
        f"the first ensembles, {n:,} trajectories of {settings.n_steps:,} steps: {_duration(n_steps * cost.step)} of "
        f"one worker, and {_states(cost, n_steps, n_starts)} of states, the most that there is with keep = "
        '"none"',
    ]
    for probability in _PROBABILITIES:
        seconds = n_steps * (1.0 - 0.5 * math.log(probability)) * cost.step
        event = f"an event of probability {probability:g}, with branches half as long"
        lines.append(f"{event}: about {_duration(seconds)} of one worker")
    return lines


def _states(cost: Cost, n_steps: int, n_starts: int) -> str:
    """Say what the states of the first ensembles take, and how well that is known."""
    mean, error = ((n_steps * number) * cost.n_bytes for number in cost.n_stored)
    return f"{size_text(mean + n_starts * cost.n_bytes)} +- {size_text(error)}"


def _duration(seconds: float) -> str:
    for unit, name in ((3600.0, "h"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"
