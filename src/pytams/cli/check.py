"""``pytams check``: what is found out of a model, as people read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytams.cli.keys import in_toml_names
from pytams.cli.output import keep_from_models, set_up_logging
from pytams.core.errors import SettingsError
from pytams.core.segments import Problem
from pytams.core.streams import draw_seed
from pytams.core.text import size_text
from pytams.engine.check import check_model
from pytams.storage.state_keeper import StateKeeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytams.cli.config import Config
    from pytams.core.settings import Settings
    from pytams.engine.check import Cost, Finding, Rises

_PROBABILITIES = 1e-3, 1e-6
_JUMP = 0.5
"""Share of the way to the target: a score that rises by it in one step has few levels."""
_SCORE_BYTES = 8


def check_input(config: Config, n_steps: int) -> tuple[bool, list[str]]:
    """Check the model of an input file: whether it is fit for a study, and what there is to say."""
    keep_from_models(set_up_logging(config.session.loglevel, config.session.logfile))
    try:
        tams, made_again = config.make_tams(), config.make_model()
    except SettingsError as error:
        return False, [f"NO   the model can be imported and made: {in_toml_names(error)}"]
    seed = draw_seed() if config.arguments.seed is None else config.arguments.seed
    try:
        store = StateKeeper(config.states, in_memory=True)
        problem = Problem.of(tams.model, tams.settings, seed, store=store, every=config.states.every)
        findings, cost = check_model(problem, n_steps, made_again)
    except SettingsError as error:
        raise error.renamed({}, "--{}".format) from error
    lines = ["yes  the model can be imported and made", *_answers(findings)]
    if cost is None:
        return False, lines
    n_starts = config.arguments.n_runs * (1 if tams.model.has_fixed_start(seed) else tams.settings.n_trajectories)
    lines += [_records(cost.rises), *_costs(cost, tams.settings, config, n_starts)]
    return all(finding.is_true for finding in findings), lines


def _answers(findings: Sequence[Finding]) -> list[str]:
    """Say what came of each question, and what may be the cause of what is wrong, once."""
    lines, said = [], set[str]()
    for claim, is_true, advice in findings:
        why = "" if is_true or advice in said else f": {advice}"
        lines.append(f"{'yes' if is_true else 'NO':<4} {claim}{why}")
        said |= set() if is_true else {advice}
    return lines


def _records(rises: Rises) -> str:
    """Say how the score rises, and what is unfortunate about it."""
    if rises.n_records == 0.0:
        return (
            f"note in {rises.n_steps:.0f} steps the score has not risen above its start once: if it never does, all "
            "trajectories are killed at the first level; try longer ones (--steps), or another score"
        )
    text = (
        f"the score sets {rises.n_records:.3g} records in {rises.n_steps:.0f} steps; the best trajectory made "
        f"{rises.highest:.2g} of the way to the target, and no step more than {rises.largest:.2g}"
    )
    if rises.largest < _JUMP:
        return text
    return f"note {text}: a score that rises in a few jumps has few levels, and a smoother one gives a smaller error"


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
        n_bytes = seconds / cost.step * (_SCORE_BYTES + cost.n_stored.mean * cost.n_bytes) if cost.step else 0.0
        hours = f"{seconds / 3600.0:.2g} core hours"
        lines.append(f"{event}: about {_duration(seconds)} of one worker ({hours}), {size_text(n_bytes)} on disk")
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
