"""Learning a score from a pilot study."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis.curves import exceedance
from pytams.analysis.result import Result
from pytams.core.errors import CannotLearnError, SettingsError
from pytams.core.segments import Problem
from pytams.core.streams import Streams
from pytams.engine.replay import Replay
from pytams.models.learned.chain import learned_by_chain
from pytams.models.learned.model import her_model, learned_score, taught_by, told_apart
from pytams.models.learned.odds import learned_by_odds
from pytams.models.learned.score import LearnedScore
from pytams.models.learned.transitions import Transitions
from pytams.models.simulator.simulator import Simulator
from pytams.storage.options import States
from pytams.storage.reader import SavedStudy
from pytams.storage.state_keeper import StateKeeper
from pytams.tams.seen import computed, stored
from pytams.tams.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pytams.core.ports import Steppable
    from pytams.tams.seen import Piece, Seen

    Array = NDArray[np.float64]

_LOG_PER_SLICE = 0.85
"""log u moves about so much within an interval of the time that there is."""
_MOST_MOVED = 2.0
"""And not by more than about so much, on average over levels: in a stiff well that takes far less time."""
_LEVELS, _BINS = 200, 15
_ENOUGH_SCORES = 500_000
_ENOUGH = 20
"""Segments that have got to a level, for it to be learned towards."""

_SMALLEST = 1e-300
"""Probabilities below are learned as if they were this: what counts is near the event."""

_logger = logging.getLogger("pytams")


def learn_score(
    pilot: Result | Study | SavedStudy,
    features: Callable[..., Any] | None = None,
    *,
    model: Steppable | None = None,
    seed: int = 0,
) -> LearnedScore:
    """Learn a score from a pilot study: an estimate of the committor, the best score that there is.

    The pilot's trajectories, also those that were discarded, are computed again, so that all states are known. Four
    runs teach enough, as a rule. If none of them has reached the target, the score leads to the highest level that
    enough have reached, and from there on it is the user's: a study with it teaches more.

    A model that says ``autonomous = True`` is learned from by an analogue chain (`pytams.models.learned.chain`), any
    other one by what became of its trajectories (`pytams.models.learned.odds`).

    Parameters
    ----------
    pilot
        A study, or its result, in memory or from a run directory (`pytams.load`).
    features
        What the score may look at: a function of state and time (of an SDE: of state, time and parameters) that gives
        a few dozen numbers. None: the model's own `features`, or else the state, if it is small.
    model
        What the study was made with; None: the one that it still has, or that its directory names.
    seed
        Of the choice of transitions and softsigns.

    Returns
    -------
    LearnedScore
        For ``tams.with_score(score)``.

    Raises
    ------
    CannotLearnError
        If too little was seen.
    SettingsError
        If states are large, and nobody says what to look at.
    """
    pilot, source = result_of(pilot)
    if model is None:
        model = source.problem.model if isinstance(source, Replay) else source.make_model()
    before = learned_score(model)
    features = before.features if features is None and before is not None else features
    hers = her_model(model)
    if isinstance(hers, Simulator):
        seen = stored(pilot, source, hers, features)
    else:
        if not isinstance(source, Replay):
            store = StateKeeper(States(), in_memory=True)
            source = Replay(Problem.of(model, pilot.settings, pilot.seed, store=store))
        seen = computed(pilot, source, hers, features)
    level, log_p = _aim(pilot, seen, before)
    settings = pilot.settings
    level_of = _leveller(pilot, seen)
    n_slices = max(4, round(-log_p / _LOG_PER_SLICE))
    longest = max(1, round(settings.n_steps / n_slices))
    lag = _lag(seen, level_of, longest) if hers.autonomous else longest  # outcomes know no interval
    transitions = _transitions(pilot, seen, level, lag, level_of)
    rng, probability = Streams(seed).learning(), max(math.exp(log_p), _SMALLEST)
    if hers.autonomous:
        n_slices = math.ceil(settings.n_steps / lag)
        committor = learned_by_chain(transitions, lag * settings.step_size, n_slices, probability, rng)
    else:
        committor = learned_by_odds(transitions, settings.end_time, probability, rng)
    score = LearnedScore(
        committor=committor,
        end_time=settings.end_time,
        step_size=settings.step_size,
        target_score=settings.target_score,
        level=level,
        names=seen.names,
        model=told_apart(hers),
        log_estimate=log_p,
        log_u_start=0.0,
        paths=seen.paths(),
        taught_by=taught_by(model) | {(pilot.seed, run.run) for run in pilot.runs},
        features=features,
    )
    score = score.that_starts(seen.starts)
    if not score.is_trusted:
        _logger.warning(
            "the learned score gives %.2g for the start, the pilot's estimate is %.2g: it may not help",
            math.exp(score.log_u_start),
            probability,
        )
    return score


def result_of(pilot: Result | Study | SavedStudy) -> tuple[Result, Replay | SavedStudy]:
    """Get the result of a study, and the source of its trajectories."""
    found = pilot if isinstance(pilot, Result) else pilot.result() if isinstance(pilot, Study) else pilot.result
    if not isinstance(found.source, Replay | SavedStudy):
        raise SettingsError(
            "pilot", "its trajectories are not to be had: take a study's own result, or pytams.load(...)"
        )
    return found, found.source


def _aim(pilot: Result, seen: Seen, before: LearnedScore | None) -> tuple[float, float]:
    """Choose the level to learn towards, and say the log of the pilot's estimate of getting there."""
    target = pilot.settings.target_score
    if pilot.log_probability > -math.inf:
        return target, pilot.log_probability
    hers = {i: piece.hers for i, piece in enumerate(seen.pieces) if piece.hers is not None}
    highest = np.sort([scores.max() for scores in hers.values()])[::-1]
    level = float(highest[min(_ENOUGH, len(highest)) - 1])
    starts = [float(scores[0]) for i, scores in hers.items() if seen.pieces[i].times[0] == 0.0]
    least = max(starts) if before is None else before.level
    above = float(exceedance(pilot.runs, [math.nextafter(level, -math.inf)]).value[0])
    if not (least < level < target and 0.0 < above < 1.0):
        raise CannotLearnError(
            f"no trajectory of the pilot has reached the target, and too few have got far: the highest score is "
            f"{highest[0]:g}. Take more runs, or a larger ensemble"
        )
    _logger.warning("nothing has reached the target: a score is learned that leads to %g first", level)
    return level, math.log(above)


def _lag(seen: Seen, level_of: Callable[[Array], Array], longest: int) -> int:
    """Choose the steps in an interval: so many, or fewer if levels move much in as many."""
    few = seen.pieces[:: 1 + sum(len(piece.scores) for piece in seen.pieces) // _ENOUGH_SCORES]
    levels = [level_of(piece.scores) for piece in few]
    lag = longest
    while lag > 1 and _moved(levels, lag) > _MOST_MOVED:
        lag = int(lag / 1.25)
    return lag


def _moved(levels: Sequence[Array], lag: int) -> float:
    """Average how far levels move within so many steps: over where they begin, evenly."""
    begin, end = (
        np.concatenate(parts) for parts in zip(*((part[:-lag], part[lag:]) for part in levels), strict=True)
    )
    if not len(begin):
        return 0.0
    bins = np.minimum((begin / max(begin.max(), 1e-300) * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    means = np.bincount(bins, np.abs(end - begin), minlength=_BINS) / np.maximum(counts, 1)
    return float(means[counts > 0].mean())


def _leveller(pilot: Result, seen: Seen) -> Callable[[Array], Array]:
    """Make what gives -log P(the score gets higher) for scores, as the pilot estimates it."""
    lowest = min(float(piece.scores.min()) for piece in seen.pieces)
    scores = np.linspace(lowest, pilot.settings.target_score, _LEVELS)
    log_p = np.log(np.maximum(exceedance(pilot.runs, scores).value, _SMALLEST))
    return lambda found: -np.interp(found, scores, log_p)


def _transitions(
    pilot: Result, seen: Seen, level: float, lag: int, level_of: Callable[[Array], Array]
) -> Transitions:
    """Cut all segments into pieces of so many steps."""
    columns = zip(*(_cut(piece, level, pilot.settings.target_score, lag) for piece in seen.pieces), strict=True)
    starts, times, scores, *rest = map(np.concatenate, columns)
    return Transitions(starts, times, level_of(scores), *rest)


def _cut(piece: Piece, level: float, target: float, lag: int) -> tuple[Array, ...]:
    """Cut a segment, as far as the level."""
    is_hit, n = piece.ended_by_event, len(piece.scores)
    if level < target:
        assert piece.hers is not None
        above = np.flatnonzero(piece.hers >= level)
        is_hit, n = len(above) > 0, int(above[0]) + 1 if len(above) else n
    begin = np.arange(n - 1)
    end = np.minimum(begin + lag, n - 1)
    hits = is_hit & (end == n - 1)
    stops = (not is_hit and piece.stopped) & (end == n - 1)
    whole = hits | stops | (begin + lag <= n - 1)
    features = piece.features
    outcomes = np.full(n - 1, is_hit)
    return features[begin], piece.times[begin], piece.scores[begin], features[end], whole, hits, stops, outcomes
