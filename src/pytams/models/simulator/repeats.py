"""Whether a seed has an effect: two segments from one state must part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.errors import ModelError, Place
from pytams.core.states import equal_states

if TYPE_CHECKING:
    from pytams.core.segments import Point, Problem
    from pytams.core.states import State
    from pytams.models.simulator.live import CheckedSimulator

_STEPS = 4, 32, 256
"""So many are made, and more if nothing has differed."""
_OTHERS = 8
"""So many other seeds have to give the same: with few steps, and few ways to go, one may by chance."""


def check_that_branches_part(simulator: CheckedSimulator, problem: Problem, point: Point) -> None:
    """Begin a segment, and others from the same state, and see whether they part.

    If all scores are equal, and are not constant, or if the states are equal, too, then every branch repeats its
    parent, and a study finds nothing.

    Raises
    ------
    ModelError
        If they do not part.
    """
    key = point.key
    others = [point._replace(key=key._replace(branch=key.branch + i)) for i in range(1, _OTHERS + 1)]
    for n_steps in _STEPS:
        scores, state = _begun(simulator, problem, point, n_steps)
        for other in others:
            again, other_state = _begun(simulator, problem, other, n_steps)
            if again != scores:
                return
    if len(set(scores)) > 1 or (scores and equal_states(state, other_state)):
        place = Place(*key, point.step, point.step * problem.step_size)
        raise ModelError(
            f"{problem.model.name}: two branches from one state, with different seeds, repeat each other: the same "
            f"{len(scores)} scores from {place} on. The seed has no effect. Does `load` undo what `branch` has "
            "seeded, or does it draw from another generator? For a deterministic model, define `perturb`.",
            place=place,
        )


def _begun(simulator: CheckedSimulator, problem: Problem, point: Point, n_steps: int) -> tuple[list[float], State]:
    """Score each step of a segment, until it ends or so many are made; and save the state there."""
    key, start_step, step, _, _ = point
    simulator.take(point)
    scores: list[float] = []
    while step < min(start_step + n_steps, problem.n_steps):
        simulator.step(key, start_step, step)
        step += 1
        scores.append(simulator.score((key, step)))
        if scores[-1] >= problem.target_score or (simulator.may_end and simulator.ended((key, step))):
            break
    return scores, simulator.state((key, step))
