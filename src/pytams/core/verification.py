"""Computing a part of a study again, before anything is built on it: it has to come out the same, to the bit.

A model with random numbers of its own, with a memory, of another version or on another machine's arithmetic is found
out here; on what it gives, estimates would be wrong without a word.
"""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from pytams.core.errors import ModelError, Place, SettingsError
from pytams.core.partings import Partings
from pytams.core.segments import SegmentKey, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pytams.core.ports import Engine
    from pytams.core.segments import Problem, Progress
    from pytams.core.settings import Settings
    from pytams.core.splitting import Splitting
    from pytams.core.states import State

_FEW_STEPS = 256
_SHARE = 0.01
"""Share of a run that is computed twice at most."""
_CAUSES = (
    "What a model returns must follow from its arguments alone. Usual causes: random numbers that do not come from "
    "`noise` (np.random, random); something that it keeps from one call to the next"
)
_LATER_CAUSES = (
    "; another version of the model, of a file it reads or of a library; another machine's arithmetic; "
    "a vectorised model whose members depend on which others are in the batch"
)


_WAY_OUT = "([tams] verify = false goes on without this check, at your own risk; in Python, verify=False.)"
_WITHOUT_EFFECT = (
    "A deterministic simulator needs `perturb`. Other causes: noise that the model does not use; random numbers from "
    "another generator than the one that is seeded; a `load` that undoes what `branch` has seeded; noise that is "
    "rare, or has ceased where branches start"
)


class Beginning(NamedTuple):
    """The first steps of a segment; they may be all of them."""

    start: Start
    n_steps: int
    state: State | None = None
    """At the branch point; None in the initial ensemble."""

    @property
    def last_step(self) -> int:
        """Step at which it ends, if the segment does not end before."""
        return self.start.step + self.n_steps


class Outline(NamedTuple):
    """What came of a beginning."""

    scores: Sequence[float]
    """At every step from the segment's first on, fewer if it ended before."""
    digests: Mapping[int, str]
    """Of states, by step: `pytams.core.states.digest`."""
    ended: bool
    """Whether the segment goes no further."""


class Witness(NamedTuple):
    """A beginning that was recorded."""

    beginning: Beginning
    outline: Outline


def check_recorded(engine: Engine, witnesses: Sequence[Witness], settings: Settings) -> None:
    """Compute again what was recorded.

    Raises
    ------
    ModelError
        If something else comes out: it names the first step that differs.
    """
    found = engine.begin_again([[witness.beginning] for witness in witnesses])
    for (beginning, recorded), [outline] in zip(witnesses, found, strict=True):
        _compare(beginning, recorded, outline, settings, "than what was recorded", _CAUSES + _LATER_CAUSES)


def check_twice(engine: Engine, run: int, settings: Settings) -> None:
    """Compute two beginnings twice, by themselves and in turn, each time with a fresh copy of the model.

    Raises
    ------
    ModelError
        If something else comes out: it names the first step that differs.
    """
    length = settings.spin_up + settings.n_steps
    share = int(_SHARE * settings.n_trajectories * length) // 4  # two beginnings, twice
    n_steps = min(_FEW_STEPS, max(1, share))
    beginnings = [Beginning(Start(SegmentKey(run, slot, 0), None, 0, math.nan), n_steps) for slot in (0, 1)]
    *alone, in_turn = engine.begin_again([*([beginning] for beginning in beginnings), beginnings])
    for beginning, [one], other in zip(beginnings, alone, in_turn, strict=True):
        _compare(beginning, one, other, settings, "the second time", _CAUSES)


def _compare(
    beginning: Beginning, expected: Outline, found: Outline, settings: Settings, than: str, causes: str
) -> None:
    start = beginning.start
    difference = _first_difference(start.first_step, expected, found)
    if difference is not None:
        step, what = difference
        place = Place(*start.key, step, step * settings.step_size)
        raise ModelError(
            f"the model, computed again, gives {what} {than} at {place}. {causes}. {_WAY_OUT}",
            place=place,
        )


def _first_difference(first_step: int, expected: Outline, found: Outline) -> tuple[int, str] | None:
    for step, (then, now) in enumerate(_pairs(expected.scores, found.scores), first_step):
        if then is None or now is None:
            return step, "another end"
        if then != now:
            return step, f"another score ({now!r}, not {then!r})"
        digests = expected.digests.get(step), found.digests.get(step)
        if None not in digests and digests[0] != digests[1]:
            return step, "another state"
    return None if expected.ended == found.ended else (first_step + len(expected.scores) - 1, "another end")


def _pairs(one: Iterable[float], other: Iterable[float]) -> Iterable[tuple[float | None, float | None]]:
    return zip_longest((float(score) for score in one), (float(score) for score in other))


def have_parted(partings: Iterable[Partings], *, are_all: bool) -> bool:
    """Whether it is plain from what was counted in runs that the seed has an effect; or nothing tells, in all."""
    found = Partings.of(partings)
    return found.branches_part or (are_all and not (found.starts_are_one or found.branches_repeat))


def check_partings(splittings: Collection[Splitting], settings: Settings) -> bool:
    """Make sure that the seed has an effect, as soon as the first ensemble, or a few branches, have ended.

    Returns
    -------
    bool
        Whether enough is known.

    Raises
    ------
    ModelError
        If it has none: initial trajectories are all the same to the bit, or branches repeat their parents.
    """
    found = Partings.of(splitting.companions.partings for splitting in splittings)
    if found.branches_part:
        return True
    whole = [splitting for splitting in splittings if splitting.companions.has_whole_ensemble]
    if Partings.of(splitting.companions.partings for splitting in whole).starts_are_one:
        n = sum(len(splitting.members) for splitting in whole)
        raise _without_effect(f"all {n} initial trajectories are the same to the bit", whole, settings)
    if found.branches_repeat:
        what = f"{found.branches.n_same} of {found.branches.n} branches repeated their parents to the bit"
        raise _without_effect(what, splittings, settings)
    return False


def _without_effect(what: str, splittings: Iterable[Splitting], settings: Settings) -> ModelError:
    starts = (splitting.companions.repeated for splitting in splittings)
    start = next(start for start in starts if start is not None)
    place = Place(*start.key, start.step, start.step * settings.step_size)
    return ModelError(f"{what} (one is {place}): the seed has no effect. {_WITHOUT_EFFECT}. {_WAY_OUT}", place=place)


def start_check(problem: Problem) -> Callable[[Progress], None]:
    """Make what refuses a fixed start that is at the target: there is nothing to estimate. A random one may be."""
    is_checked = False

    def check(progress: Progress) -> None:
        nonlocal is_checked
        score = progress.scores[0]
        if score < problem.target_score or is_checked:
            return
        is_checked = True
        if problem.model.has_fixed_start(problem.seed):
            raise SettingsError(
                "target_score",
                f"{problem.target_score:g} is already reached at t = 0, where the score is {score:g}; "
                "set a higher target, or another initial state",
            )

    return check
