"""Improving the score of a study: pilot, learning, check, in rounds; then whatever has proved best."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pytams.analysis.work import Work, cautious
from pytams.core.errors import CannotLearnError, SettingsError
from pytams.core.streams import Streams, draw_seed
from pytams.engine.local import InProcess
from pytams.models.learned.model import taught_by
from pytams.tams.gain import Gain
from pytams.tams.learning import Lesson, learned_from, result_of
from pytams.tams.plan import Learning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.analysis.result import Result
    from pytams.core.ports import Engine
    from pytams.core.segments import Problem
    from pytams.models.learned.score import LearnedScore
    from pytams.storage.reader import SavedStudy
    from pytams.tams.study import Study
    from pytams.tams.tams import TAMS

_GOOD_ENOUGH = 1.25
"""A learned score with a relative variance so near the ideal, judged with caution, is not learned from again."""
_NEARLY_IDEAL = 1.5
"""With such a one the user's own score is not learned from: there is nothing that a check could show."""


class Round(NamedTuple):
    """Runs with one score: they check it, and teach the next one."""

    score: LearnedScore | None
    """None: the user's own."""
    work: Work
    cautious: float
    """The most work that it may be: see `pytams.analysis.work.cautious`."""
    result: Result | None
    """None of a pilot that is not at hand."""

    @classmethod
    def of(cls, score: LearnedScore | None, result: Result) -> Round:
        """Sum up runs."""
        return cls(score, Work.of(result.runs), cautious(result.runs), result)

    @property
    def is_good_enough(self) -> bool:
        """Whether its score is nearly ideal, judged with caution."""
        return self.cautious <= _GOOD_ENOUGH * self.work.least


class Improvement(NamedTuple):
    """What came of learning."""

    tams: TAMS
    """The same problem, with the best score: the user's own if no check has shown a gain."""
    gain: Gain
    """What each round found."""

    @property
    def score(self) -> LearnedScore | None:
        """The best score; None: the user's own."""
        return self.gain.score

    def __repr__(self) -> str:
        return f"<Improvement of {self.tams!r}: {self.gain!r}>"

    def __str__(self) -> str:
        return str(self.gain)


class Rounds:
    """Where the runs of rounds are made: in memory. The command line has another, for run directories.

    Parameters
    ----------
    seed
        Of the study that is to be improved: those of its rounds are derived from it.
    engine
        Makes the engine; None: the default.
    progress
        As for `TAMS.run`.
    """

    def __init__(
        self, seed: int, engine: Callable[[Problem], Engine] | None = None, *, progress: bool = False
    ) -> None:
        self._streams = Streams(seed)
        self._engine = InProcess if engine is None else engine
        self._progress = progress
        self._made: dict[int, Result] = {}

    def seed(self, number: int) -> int:
        """Give the seed of a round."""
        return self._streams.learning_seed(number)

    def score(self, number: int) -> LearnedScore | None:  # noqa: ARG002 - nothing is kept
        """Find the score that a round was begun with."""
        return None

    def run(self, number: int, tams: TAMS, n_runs: int) -> Result:
        """Make the runs of a round, or more of them."""
        run = partial(tams.run, seed=self.seed(number), engine=self._engine, progress=self._progress)
        made = self._made.get(number)
        if made is None:
            made = run(n_runs=n_runs)
        elif len(made.runs) < n_runs:
            more = run(n_runs=n_runs - len(made.runs), first_run=len(made.runs))
            made = replace(more, runs=(*made.runs, *more.runs), wall_time=made.wall_time + more.wall_time)
        self._made[number] = made
        return made


def improve(
    tams: TAMS,
    pilot: Result | Study | SavedStudy | Work | None = None,
    *,
    pilot_runs: int = 4,
    rounds: int = 2,
    seed: int | None = None,
    engine: Callable[[Problem], Engine] | None = None,
    progress: bool = False,
    where: Rounds | None = None,
) -> Improvement:
    """Learn a score in rounds, and find out by runs of its own whether it is better than the user's.

    Round 0 is the pilot. In each further round a score is learned from the runs of all rounds before, and used for
    `pilot_runs` runs, and as many again if it is not nearly ideal by then: these check it and, if there is another
    round, teach the next one, too. If no score is better, the pilot may only have looked good: unless it was given,
    as many runs are added to it, and it is judged again. None of all these runs may be in the estimate: give the
    study that follows another seed, as ``improvement.tams.run(n_runs, seed)`` with the seed given here, which is that
    of no round.

    Parameters
    ----------
    tams
        The problem, with the user's score.
    pilot
        Runs of it that there are already; None: `pilot_runs` new ones. What is known of it will do for one whose
        score was learned before.
    pilot_runs, rounds
        See `Learning`.
    seed
        Of the study that is to come: another one than the pilot's.
    engine, progress
        As for `TAMS.run`.
    where
        Makes the runs.

    Raises
    ------
    SettingsError
        If the pilot is of another problem, or has the seed of the study that is to come.

    Returns
    -------
    Improvement
        Its `tams` has the best score, which is the user's own if no check has shown a gain.
    """
    how = Learning(pilot_runs=pilot_runs, rounds=rounds)
    where = where or Rounds(draw_seed() if seed is None else seed, engine, progress=progress)
    is_ours = pilot is None
    if pilot is None:
        made = where.run(0, tams, how.pilot_runs)
        pilot = replace(made, runs=made.runs[: how.pilot_runs])  # there are more if they were once looked at again
    if isinstance(pilot, Work):
        done = [Round(None, pilot, pilot.value, None)]
    else:
        pilot, _ = result_of(pilot)
        _check_pilot(pilot, tams, seed)
        done = [Round.of(None, pilot)]
    ended = nothing_to_gain(done[0].work)
    for number in range(1, 1 if ended else how.rounds + 1):
        try:
            score = where.score(number) or _learned(done, tams)
        except CannotLearnError as error:
            ended = str(error)
            break
        better = tams.with_score(score)
        found = Round.of(score, where.run(number, better, how.pilot_runs))
        if not found.is_good_enough and found.work.n_runs < how.check_runs:
            found = Round.of(score, where.run(number, better, how.check_runs))
        done.append(found)
        if found.is_good_enough:
            break
    gain = _gain(done, ended)
    if is_ours and gain.score is None and len(done) > 1:  # few runs may have looked better than they are
        gain = _gain([Round.of(None, where.run(0, tams, how.check_runs)), *done[1:]], ended)
    return Improvement(tams if gain.score is None else tams.with_score(gain.score), gain)


def nothing_to_gain(pilot: Work) -> str:
    """Say why nothing is learned from a pilot whose score is nearly ideal; empty if it is not."""
    is_ideal = pilot.value <= _NEARLY_IDEAL * pilot.least
    return "the score is nearly ideal: there is next to nothing to gain" if is_ideal else ""


def _gain(done: Sequence[Round], ended: str) -> Gain:
    return Gain(
        works=tuple(one.work for one in done),
        cautious=tuple(one.cautious for one in done),
        scores=tuple(one.score for one in done),
        ended=ended,
    )


def _check_pilot(pilot: Result, tams: TAMS, seed: int | None) -> None:
    """Refuse one that says nothing of this problem, or whose runs the study would have."""
    then, now = (replace(settings, max_branchings=None) for settings in (pilot.settings, tams.settings))
    if then != now or pilot.model != tams.model.name:
        told = [f"{name} = {value!r}" for name, value in then.to_dict().items() if value != now.to_dict()[name]]
        raise SettingsError("pilot", f"it is of another problem: {', '.join(told) or pilot.model}")
    if pilot.taught_by != taught_by(tams.model):
        raise SettingsError("pilot", "it was made with another score than that which is to be improved")
    check_seed(seed, pilot)


def check_seed(seed: int | None, pilot: Result) -> None:
    """Make sure that the study that is to come has none of the runs that teach."""
    if seed is not None and seed in {pilot.seed, *(taught for taught, _ in pilot.taught_by)}:
        raise SettingsError("seed", f"runs of seed {seed} teach the score, and must not estimate: take another one")


def _learned(done: Sequence[Round], tams: TAMS) -> LearnedScore:
    """Learn from the runs of all rounds so far."""
    lessons = []
    for before in done:
        if before.result is None:
            text = "its runs teach the next score, too: they must be where they were, and as they were"
            raise SettingsError("pilot", text)
        model = tams.model if before.score is None else tams.with_score(before.score).model
        lessons.append(Lesson.of(before.result, model))
    return learned_from(lessons)
