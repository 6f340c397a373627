"""Whole runs of a compiled SDE, on as many threads as there are."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.core.compact import Finals, Iterations, RunOutcome
from pytams.core.partings import Pairs, Partings
from pytams.models.sde.ensemble import BRANCH, GENERATION, NEVER, NOT_SAID, ROOT, STEP
from pytams.models.sde.whole import Rules, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.core.segments import Problem
    from pytams.core.settings import Settings

_NO_CAP = 2**62
_AHEAD = 4
"""Runs under way or waiting, for each thread."""


class LeftToBlocksError(Exception):
    """Something is wrong that the loop by blocks finds, too: it says what and where."""


class Begun(NamedTuple):
    """The initial ensemble of a run at t = 0, by slot."""

    states: NDArray[np.float64]
    """Of shape ``(n, dimension)``."""
    scores: NDArray[np.float64]
    has_ended: NDArray[np.bool_]


def whole_runs(
    segment: Any,
    problem: Problem,
    settings: Settings,
    parameters: NDArray[np.float64],
    chunk_length: int,
    begin: Callable[[int], Begun],
    runs: Sequence[int],
    threads: int,
) -> list[RunOutcome]:
    """Make runs; whatever the model raises is raised, and a `LeftToBlocksError` if a score is no number.

    The threads stop if one has raised, or if this is interrupted.
    """
    stop = np.zeros(1, np.bool_)
    cap = int(min(settings.cap, _NO_CAP))

    def make(run: int, begun: Begun) -> Any:
        rules = Rules(
            run,
            np.uint64(problem.seed),
            problem.n_steps,
            chunk_length,
            problem.step_size,
            problem.target_score,
            parameters,
            stop,
        )
        return whole(segment, rules, settings.n_discard, cap, *begun)

    outcomes: list[RunOutcome] = []
    under_way: deque[tuple[int, Future[Any]]] = deque()

    def take() -> None:
        run, told = under_way.popleft()
        outcomes.append(_outcome(run, settings, told.result()))

    with ThreadPoolExecutor(threads) as pool:
        try:
            for run in runs:
                under_way.append((run, pool.submit(make, run, begin(run))))
                if len(under_way) == _AHEAD * threads:
                    take()
            while under_way:
                take()
        except BaseException:
            stop[0] = True
            raise
    return outcomes


def _outcome(run: int, settings: Settings, told: Any) -> RunOutcome:
    """Sum up a run."""
    n_steps, members, maxima, counted, (ends, highest), (keys, scores) = told
    if n_steps < 0:
        raise LeftToBlocksError
    log_weights = _log_weights(np.diff(ends, prepend=0), settings.n_trajectories)
    log_weight = log_weights.item(-1) if len(log_weights) else 0.0
    n_reached = int(np.count_nonzero(maxima >= settings.target_score)) if log_weight > -math.inf else 0
    return RunOutcome(
        run=run,
        log_weight=log_weight,
        n_reached=n_reached,
        n_branchings=len(keys),
        n_steps=n_steps,
        iterations=Iterations.of_columns(run, (ends, log_weights, highest), keys, scores),
        members=Finals.of_columns(
            run, members[:, BRANCH], maxima, members[:, STEP], members[:, ROOT], members[:, GENERATION]
        ),
        partings=_partings(*counted),
    )


def _log_weights(n_killed: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Add up the logs of what survives, in the order and to the bits of the state machine."""
    kinds, which = np.unique(n_killed, return_inverse=True)
    logs = [math.log1p(-killed / n) if killed < n else -math.inf for killed in kinds.tolist()]
    return np.cumsum(np.array(logs)[which]) if logs else np.array([])


def _partings(pairs: NDArray[np.int64], starts_after: NDArray[np.int64], after: NDArray[np.int64]) -> Partings:
    neighbours, branches = (Pairs(*row) for row in pairs.tolist())
    return Partings(neighbours, branches, _counts(after), _counts(starts_after))


def _counts(after: NDArray[np.int64]) -> tuple[tuple[float, int], ...]:
    """List the steps that occur, ascending, and how often; those that never part are the last."""
    steps, counts = (part.tolist() for part in np.unique(after[after != NOT_SAID], return_counts=True))
    found = [(math.inf if step == NEVER else step, count) for step, count in zip(steps, counts, strict=True)]
    return tuple(sorted(found))
