"""Learning a score from a pilot study: its transitions, computed again, and what is learned from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis.result import Result
from pytams.core.errors import CannotLearnError, SettingsError
from pytams.core.segments import Problem, chain
from pytams.core.splitting import all_starts
from pytams.engine.replay import Replay
from pytams.models.learned.fit import Transitions, fit
from pytams.models.learned.model import features_of, stacked
from pytams.models.learned.score import LearnedScore
from pytams.storage.options import States
from pytams.storage.reader import SavedStudy
from pytams.storage.state_keeper import StateKeeper
from pytams.tams.study import Study
from pytams.tams.tams import taught_by

if TYPE_CHECKING:
    from pytams.core.ports import Steppable
    from pytams.core.segments import Course, Start
    from pytams.core.settings import Settings

_LOG_PER_SLICE = 0.85
"""log u moves about so much within an interval."""
_LEVELS = 200


def learn_score(pilot: Result | Study | SavedStudy, model: Steppable | None = None, *, seed: int = 0) -> LearnedScore:
    """Learn a score from a pilot study: an estimate of the committor, the best score that there is.

    The pilot's trajectories, also those that were discarded, are computed again, so that all states are known. Four
    runs teach enough, as a rule. The model must be autonomous: how it goes on depends on its state, not on t.

    Parameters
    ----------
    pilot
        A study, or its result, in memory or from a run directory (`pytams.load`), with trajectories that have reached
        the target.
    model
        What the study was made with; None: the one that it still has, or that its directory names.
    seed
        Of the choice of transitions and features.

    Returns
    -------
    LearnedScore
        For ``tams.with_score(score)``.

    Raises
    ------
    CannotLearnError
        If too little was reached.
    SettingsError
        If the model does not say ``autonomous = True``, or its states are large and it has no ``features(state, t)``.
    """
    pilot, source = _result_of(pilot)
    if not isinstance(source, Replay):
        made = source.make_model() if model is None else model
        store = StateKeeper(States(), in_memory=True)
        source = Replay(Problem.of(made, pilot.settings, pilot.seed, store=store))
    model = source.problem.model if model is None else model
    _check_promise(model)
    settings = pilot.settings
    if not pilot.probability > 0.0:
        highest = max(member.maximum for run in pilot.runs for member in run.members)
        raise CannotLearnError(
            f"no trajectory of the pilot has reached the target: the highest score is {highest:g}. Take more runs, a "
            "larger ensemble, or a lower target first"
        )
    n_slices = max(4, round(-pilot.log_probability / _LOG_PER_SLICE))
    lag = max(1, round(settings.n_steps / n_slices))
    n_slices = math.ceil(settings.n_steps / lag)
    transitions = _transitions(pilot, source, model, lag)
    committor = fit(transitions, lag * settings.step_size, n_slices, pilot.probability, seed)
    return LearnedScore(
        committor=committor,
        end_time=settings.end_time,
        target_score=settings.target_score,
        taught_by=taught_by(model) | {(pilot.seed, run.run) for run in pilot.runs},
    )


def _result_of(pilot: Result | Study | SavedStudy) -> tuple[Result, Replay | SavedStudy]:
    """Get the result of a study, and the source of its trajectories."""
    found = pilot if isinstance(pilot, Result) else pilot.result() if isinstance(pilot, Study) else pilot.result
    if not isinstance(found.source, Replay | SavedStudy):
        raise SettingsError(
            "pilot", "its trajectories are not to be had: take a study's own result, or pytams.load(...)"
        )
    return found, found.source


def _check_promise(model: Steppable) -> None:
    if not getattr(model, "autonomous", False):
        raise SettingsError(
            "autonomous",
            "a score is learned as a function of the state and of the time to go: say "
            f"{model.name}.autonomous = True if how the model goes on depends on its state alone, and not on t",
        )


def _transitions(pilot: Result, source: Replay, model: Steppable, lag: int) -> Transitions:
    """Compute all segments again, and cut them into pieces of so many steps."""
    settings = pilot.settings
    parts: list[tuple[Any, ...]] = []
    for run in pilot.runs:
        starts = all_starts(run.run, settings.n_trajectories, run.iterations)
        own = [start for start in starts.values() if not start.ended]
        courses = source.courses([chain(starts, start.key) for start in own], states=True)
        parts += [_pieces(start, course, model, lag, settings) for start, course in zip(own, courses, strict=True)]
    starts_, times, scores, ends, hits = (np.concatenate(column) for column in zip(*parts, strict=True))
    levels = np.linspace(scores.min(), settings.target_score, _LEVELS)
    log_p = np.log(np.maximum(pilot.exceedance(levels).value, 1e-300))
    return Transitions(starts_, times, -np.interp(scores, levels, log_p), ends, hits)


def _pieces(start: Start, course: Course, model: Steppable, lag: int, settings: Settings) -> tuple[Any, ...]:
    """Cut a segment: features at starts, times, scores, features at ends, and hits."""
    first = start.step  # the branch point, too: what follows it is the segment's own
    scores = course.scores[first:]
    n = len(scores)
    t = (first + np.arange(n)) * settings.step_size
    features = features_of(model, stacked(course.states[first:]), t)
    is_hit = bool(scores[-1] >= settings.target_score)
    begin = np.arange(n - 1)
    end = np.minimum(begin + lag, n - 1)
    whole = begin + lag <= n - 1
    kept = whole | is_hit
    hits = is_hit & (end == n - 1)
    return features[begin[kept]], t[begin[kept]], scores[begin[kept]], features[end[kept]], hits[kept]
