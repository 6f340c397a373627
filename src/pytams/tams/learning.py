"""Learning a score from a pilot study."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytams.analysis.curves import exceedance
from pytams.analysis.estimators import log_mean_and_error
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
    return learned_from([Lesson.of(pilot, model)], features, seed=seed)


class Lesson(NamedTuple):
    """Runs that a score is learned from."""

    result: Result
    source: Replay | SavedStudy
    model: Steppable
    """What they were made with."""

    @classmethod
    def of(cls, pilot: Result | Study | SavedStudy, model: Steppable | None = None) -> Lesson:
        """Take the runs of a study, made with this model; None: with the one that it still has, or names."""
        result, source = result_of(pilot)
        if model is None:
            model = source.problem.model if isinstance(source, Replay) else source.make_model()
        return cls(result, source, model)

    def seen(self, features: Callable[..., Any] | None) -> Seen:
        """Get all that it has gone through."""
        hers = her_model(self.model)
        if isinstance(hers, Simulator):
            return stored(self.result, self.source, hers, features)
        source = self.source
        if not isinstance(source, Replay):
            store = StateKeeper(States(), in_memory=True)
            source = Replay(Problem.of(self.model, self.result.settings, self.result.seed, store=store))
        return computed(self.result, source, hers, features)


def learned_from(
    lessons: Sequence[Lesson], features: Callable[..., Any] | None = None, *, seed: int = 0
) -> LearnedScore:
    """Learn a score from several studies of one problem, with different scores.

    What a learned score has led past is known from those before: each shows other ways to the event.

    Parameters
    ----------
    lessons
        In order: the first one says how fast levels move, the last one with which score to go on where none has
        reached the target.
    features, seed
        See `learn_score`.
    """
    last = lessons[-1]
    before, settings = learned_score(last.model), last.result.settings
    features = before.features if features is None and before is not None else features
    hers = her_model(last.model)
    seen = [lesson.seen(features) for lesson in lessons]
    level_of = [leveller(lesson.result, what) for lesson, what in zip(lessons, seen, strict=True)]
    level, log_p = _aim(lessons, seen[-1], before)
    n_slices = max(4, round(-log_p / _LOG_PER_SLICE))
    longest = max(1, round(settings.n_steps / n_slices))
    lag = _lag(seen[0], level_of[0], longest) if hers.autonomous else longest  # outcomes know no interval
    transitions = Transitions.of(
        _transitions(what, settings.target_score, level, lag, of) for what, of in zip(seen, level_of, strict=True)
    )
    rng, probability = Streams(seed).learning(), max(math.exp(log_p), _SMALLEST)
    if hers.autonomous:
        n_slices = math.ceil(settings.n_steps / lag)
        committor = learned_by_chain(transitions, lag * settings.step_size, n_slices, probability, rng)
    else:
        committor = learned_by_odds(transitions, settings.end_time, probability, rng)
    taught = {(lesson.result.seed, run.run) for lesson in lessons for run in lesson.result.runs}
    score = LearnedScore(
        committor=committor,
        end_time=settings.end_time,
        step_size=settings.step_size,
        target_score=settings.target_score,
        level=level,
        names=seen[-1].names,
        model=told_apart(hers),
        log_estimate=log_p,
        log_u_start=0.0,
        paths=seen[-1].paths(),
        taught_by=taught_by(last.model) | taught,
        features=features,
    )
    score = score.that_starts(seen[-1].starts)
    if not score.is_trusted:
        _logger.warning(
            "the learned score gives %.2g for the start, the estimate is %.2g: it may not help",
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
    if found.is_provisional:
        raise SettingsError("pilot", "none of its runs is finished yet")
    return found, found.source


def _aim(lessons: Sequence[Lesson], seen: Seen, before: LearnedScore | None) -> tuple[float, float]:
    """Choose the level to learn towards, and say the log of the estimate of getting there."""
    pilot = lessons[-1].result
    target = pilot.settings.target_score
    log_p, _ = log_mean_and_error([run.log_estimate for lesson in lessons for run in lesson.result.runs])
    if log_p > -math.inf:
        return target, float(log_p)
    hers = {i: piece.hers for i, piece in enumerate(seen.pieces) if piece.hers is not None}
    highest = np.sort([scores.max() for scores in hers.values()])[::-1]
    level = float(highest[min(_ENOUGH, len(highest)) - 1])
    starts = np.sort([scores[0] for i, scores in hers.items() if seen.pieces[i].times[0] == 0.0])[::-1]
    least = float(starts[min(_ENOUGH, len(starts)) - 1]) if before is None else before.level  # some may be rare
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


def leveller(pilot: Result, seen: Seen) -> Callable[[Array], Array]:
    """Make what gives -log P(the score gets higher) for scores, as the pilot estimates it."""
    lowest = min(float(piece.scores.min()) for piece in seen.pieces)
    scores = np.linspace(lowest, pilot.settings.target_score, _LEVELS)
    p = exceedance(pilot.runs, scores).value
    if not p.any():
        raise CannotLearnError("no score of the pilot is above its lowest: nothing tells what leads to the event")
    log_p = np.log(np.maximum(p, p[p > 0.0].min()))  # nothing gets above the target if scores end there
    return lambda found: -np.interp(found, scores, log_p)


def _transitions(
    seen: Seen, target: float, level: float, lag: int, level_of: Callable[[Array], Array]
) -> Transitions:
    """Cut all segments into pieces of so many steps."""
    columns = zip(*(_cut(piece, level, target, lag) for piece in seen.pieces), strict=True)
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
