"""Whether a seed has an effect: two segments from one state must part."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from pytams.core.errors import Place
from pytams.core.ports import BLOCK_SECONDS
from pytams.core.states import equal_states

if TYPE_CHECKING:
    from pytams.core.segments import Point, Problem
    from pytams.core.states import State
    from pytams.models.simulator.live import CheckedSimulator

_logger = logging.getLogger("pytams")

_STEPS = 4, 32, 256
"""So many are made, and more if nothing has differed."""
_SECONDS = BLOCK_SECONDS / 8.0
"""After as long nothing longer is begun: a block is not to take much longer for it."""
_OTHERS = 8
"""So many other seeds have to give the same: with few ways to go, one may by chance."""


def warn_if_branches_do_not_part(simulator: CheckedSimulator, problem: Problem, point: Point) -> None:
    """Begin a segment, and others from the same state, and say so if they do not part within a block.

    If all scores are equal, and are not constant, or if the states are equal, too, it looks as if every branch
    repeats its parent; a study would find nothing. A model whose noise is rare looks the same.
    """
    begin = perf_counter()
    others = [point._replace(key=point.key._replace(branch=point.key.branch + i)) for i in range(1, _OTHERS + 1)]
    for n_steps in _STEPS:
        scores, state = _begun(simulator, problem, point, n_steps)
        for other in others if n_steps == _STEPS[-1] else others[:1]:
            again, other_state = _begun(simulator, problem, other, n_steps)
            if again != scores or perf_counter() - begin > _SECONDS:
                return
    if len(set(scores)) > 1 or (scores and equal_states(state, other_state)):
        _logger.warning(
            "%s: branches from one state, with %d different seeds, repeat each other: the same %d scores from %s on. "
            "Has the seed no effect? Does `load` undo what `branch` has seeded, or does it draw from another "
            "generator? A deterministic model needs `perturb`",
            problem.model.name,
            _OTHERS + 1,
            len(scores),
            Place(*point.key, point.step, point.step * problem.step_size),
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
