"""Whole runs of a compiled SDE, on as many threads as there are."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.core.compact import Finals, Iterations, RunOutcome, RunRecords
from pytams.core.partings import Pairs, Partings
from pytams.core.states import state_columns
from pytams.models.sde.ensemble import BRANCH, GENERATION, NEVER, NOT_SAID, ROOT, STEP, Log
from pytams.models.sde.whole import Rules, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from pytams.core.segments import Problem
    from pytams.core.settings import Settings
    from pytams.models.sde.layout import Layout

_NO_CAP = 2**62
_AHEAD, _FAR_AHEAD = 2, 16
"""Runs under way or waiting, for each thread: if they record much, and if not."""
_SECONDS = 0.2
"""Between signs of life."""
_MOST_NUMBERS = 2**24
"""In whole runs that are recorded, one on each thread: 128 MB."""


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
) -> Generator[RunOutcome | None]:
    """Make runs, in order, and say None now and then meanwhile.

    Whatever the model raises is raised, and a `LeftToBlocksError` if a score is no number, or if there is too much to
    record. The threads stop if one has raised, or if this is left.
    """
    stop = np.zeros(1, np.bool_)
    cap = int(min(settings.cap, _NO_CAP))
    most_numbers = max(_MOST_NUMBERS // threads, _MOST_NUMBERS // 16) if problem.traced else 0

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
            most_numbers,
        )
        return whole(segment, rules, settings.n_discard, cap, *begun)

    under_way: deque[tuple[int, Future[Any]]] = deque()
    ahead = _AHEAD if problem.traced else _FAR_AHEAD  # not known before how much they record
    with ThreadPoolExecutor(threads) as pool:
        try:
            for run in runs:
                under_way.append((run, pool.submit(make, run, begin(run))))
                if len(under_way) >= ahead * threads:
                    n_bytes = yield from _taken(settings, *under_way.popleft())
                    ahead = min(_FAR_AHEAD, max(_AHEAD, 8 * _MOST_NUMBERS // max(1, n_bytes)))
            while under_way:
                yield from _taken(settings, *under_way.popleft())
        finally:
            stop[0] = True


def _taken(settings: Settings, run: int, future: Future[Any]) -> Generator[RunOutcome | None, None, int]:
    """Wait for a run; say how many bytes it has recorded."""
    while not wait([future], _SECONDS).done:
        yield None
    outcome = _outcome(run, settings, future.result())
    yield outcome
    return 0 if outcome.recorded is None else outcome.recorded.n_bytes


def _outcome(run: int, settings: Settings, told: Any) -> RunOutcome:
    """Sum up a run."""
    n_steps, members, maxima, counted, (ends, highest), (keys, scores), log = told
    if n_steps < 0:
        raise LeftToBlocksError
    log_weights = _log_weights(np.diff(ends, prepend=0), settings.n_trajectories)
    return RunOutcome.of_parts(
        run,
        settings.target_score,
        n_steps,
        Iterations.of_columns(run, (ends, log_weights, highest), keys, scores),
        Finals.of_columns(
            run, members[:, BRANCH], maxima, members[:, STEP], members[:, ROOT], members[:, GENERATION]
        ),
        _partings(*counted),
        _recorded(Log(*log)) if log[0] else None,
    )


def _recorded(log: Log) -> RunRecords:
    n_scores, n_records, n = log.n.tolist()
    return RunRecords(
        scores=log.scores[:n_scores],
        steps=log.steps[:n_records],
        states={"": log.states[:n_records]},
        maxima=log.maxima[:n],
        bounds=log.bounds[:n],
    )


def with_states(outcome: RunOutcome, layout: Layout) -> RunOutcome:
    """Make states of the rows that the loop has written."""
    if outcome.recorded is None:
        return outcome
    states = state_columns(layout.states(outcome.recorded.states[""]))
    return replace(outcome, recorded=replace(outcome.recorded, states=states))


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
