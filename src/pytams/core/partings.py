"""When branches part from their parents, as far as records tell; and whether a seed has any effect.

A branch has the past of its parent and noise of its own. Where the noise has no effect, each branch repeats its
parent to the bit, and a study finds nothing; where it has little, branches follow their parents for long. Records are
all that is known of every model and every study, in memory and on disk: they are compared, and nothing is computed.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.core.segments import Start
    from pytams.core.splitting import Iteration, Member

TOLERANCE = 0.001
"""Of the way from the first level to the target: scores that differ by more have parted."""
_FEW_PAIRS = 5
"""Fewer pairs of trajectories say nothing: they may be equal by chance."""
_FEW_RECORDS = 20
"""Likewise of records that they share: where scores are whole numbers, some are equal by chance."""
_ALL = 0.9
"""Share of the branches that repeat their parents where a seed has no effect."""


class Pairs(NamedTuple):
    """What came of comparing trajectories by two."""

    n: int = 0
    """Pairs that have been compared."""
    n_same: int = 0
    """Those with the same records and ends, to the bit."""
    n_records: int = 0
    """Records that these have in common, but for the first, which they share anyway."""

    @classmethod
    def of(cls, several: Iterable[Pairs]) -> Pairs:
        """Add up what was counted in several runs."""
        return cls(*map(sum, zip(*several, strict=True)))

    @property
    def is_enough(self) -> bool:
        """Whether those that are the same cannot be so by chance."""
        return self.n >= _FEW_PAIRS and self.n_records >= _FEW_RECORDS


class Partings(NamedTuple):
    """How trajectories part from those that they would repeat if the seed had no effect."""

    neighbours: Pairs = Pairs()
    """Initial trajectories in slots beside each other."""
    branches: Pairs = Pairs()
    """Branches and parents that can be told apart: one of the two has a further record, or another end."""
    after: tuple[tuple[float, int], ...] = ()
    """Steps after which branches have parted from their parents, ascending, and how many branches have.

    They part at the first further record that is not at the same step in both, or whose scores differ by more than
    a thousandth of the way from the first level to the target. After 0 steps, if that is the first one: they may have
    parted at any step before. After infinitely many, if there is none.
    """

    starts_after: tuple[tuple[float, int], ...] = ()
    """Likewise of initial trajectories in slots beside each other, if they start alike; of the way from there."""

    @classmethod
    def of(cls, several: Iterable[Partings]) -> Partings:
        """Add up what was counted in several runs."""
        several = list(several)
        neighbours = Pairs.of(partings.neighbours for partings in several)
        branches = Pairs.of(partings.branches for partings in several)
        after, starts_after = (
            _added(getattr(partings, name) for partings in several) for name in ("after", "starts_after")
        )
        return cls(neighbours, branches, after, starts_after)

    @property
    def median(self) -> float:
        """Steps after which half of the branches have parted; NaN if there is no branch to tell."""
        return _median(self.after)

    @property
    def starts_median(self) -> float:
        """Likewise of initial trajectories; NaN if they start from different states."""
        return _median(self.starts_after)

    @property
    def starts_are_one(self) -> bool:
        """Whether all initial trajectories are the same."""
        return self.neighbours.is_enough and self.neighbours.n_same == self.neighbours.n

    @property
    def branches_repeat(self) -> bool:
        """Whether branches repeat their parents, though initial trajectories differ.

        If most of those coincide, too, noise is rare: then it is natural that many branches repeat their parents.
        """
        n, n_same, _ = self.branches
        is_rare = 2 * self.neighbours.n_same > self.neighbours.n
        return self.branches.is_enough and n_same >= _ALL * n and not is_rare

    @property
    def branches_part(self) -> bool:
        """Whether enough branches have been compared to know that they do not repeat their parents."""
        n, n_same, _ = self.branches
        return n >= _FEW_PAIRS and n_same < _ALL * n


def _added(counts: Iterable[Sequence[tuple[float, int]]]) -> tuple[tuple[float, int], ...]:
    total: Counter[float] = Counter()
    for some in counts:
        total.update(dict(some))
    return tuple(sorted(total.items()))


def _median(counts: Sequence[tuple[float, int]]) -> float:
    middle = (sum(n for _, n in counts) + 1) // 2
    for steps, n in counts:
        middle -= n
        if middle <= 0:
            return steps
    return math.nan


class Companions:
    """Compares trajectories of a run with those that they would repeat if the seed had no effect.

    That is a branch with its parent, and an initial trajectory with the one in the slot before: when both have ended,
    so that what comes of it does not depend on the order of the reports.

    Parameters
    ----------
    target
        The target score.
    n
        N, the size of the ensemble.
    """

    def __init__(self, target: float, n: int) -> None:
        self._target, self._n = target, n
        self._neighbours, self._branches = [0, 0, 0], [0, 0, 0]  # as the fields of `Pairs`
        self._after: tuple[Counter[float], Counter[float]] = Counter(), Counter()  # of starts, of branches
        self.repeated: Start | None = None
        """One that was the same as its companion: a branch, if there is one."""

    @property
    def has_whole_ensemble(self) -> bool:
        """Whether all initial trajectories have been compared."""
        return self._neighbours[0] == self._n - 1

    @property
    def partings(self) -> Partings:
        """What was counted so far."""
        starts_after, after = (tuple(sorted(counts.items())) for counts in self._after)
        return Partings(Pairs(*self._neighbours), Pairs(*self._branches), after, starts_after)

    def ended(self, member: Member, iterations: Sequence[Iteration]) -> None:
        """Compare a trajectory that has ended, and those that have waited for it."""
        companion = member.companion
        if companion is not None:
            if companion.ended:
                self._compare(member, companion, iterations)
            else:
                companion.waiting.append(member)
        if member.waiting:
            for other in member.waiting:
                self._compare(other, member, iterations)
            member.waiting = []

    def _compare(self, member: Member, companion: Member, iterations: Sequence[Iteration]) -> None:
        """Compare what a trajectory has recorded with what its companion has, from the record that they share on."""
        member.companion = None  # or no parent would ever be forgotten
        is_branch, first = member.generation > 0, member.shared_record
        since = iterations[0].level if is_branch else member.scores[0]  # of initial ones, nobody knows a level yet
        tolerance = TOLERANCE * (self._target - since)
        steps, scores = member.steps, member.scores
        others, their_scores = companion.steps, companion.scores
        n, n_others = len(steps), len(others) - first
        i, is_same = 0, True
        while i < n and i < n_others and steps[i] == others[first + i]:
            difference = scores[i] - their_scores[first + i]
            if difference:
                if abs(difference) > tolerance:
                    break
                is_same = False
            i += 1
        n_shared = max(0, i - 1)  # but for the one that they share anyway
        is_end = i == n == n_others and member.step == companion.step
        if is_branch and is_end and not n_shared:
            return  # nothing is known of either
        counts = self._branches if is_branch else self._neighbours
        counts[0] += 1
        if is_end and is_same:
            counts[1] += 1
            counts[2] += n_shared
            if is_branch or self.repeated is None:
                self.repeated = member.start
        if is_branch or (i and scores[0] == their_scores[0] and (n_shared or not is_end)):
            after: float = 0
            if is_end:
                after = math.inf
            elif n_shared:  # at the next record of either, or where it ends without one
                own = steps[i] if i < n else member.step
                after = min(own, others[first + i] if i < n_others else companion.step) - steps[0]
            self._after[is_branch][after] += 1
