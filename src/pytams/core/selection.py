"""The choices that make a splitting variant: who is killed, whom to branch from, and from which step.

Another variant is a small file: a subclass of `Variant` with a name of its own that makes one of these choices
differently, given as ``TAMS(..., variant=...)``. The machine around them (`pytams.core.splitting`) stays as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class Variant:
    """Trajectory-adaptive multilevel splitting.

    Lestang, Ragone, Brehier, Herbert & Bouchet 2018, doi 10.1088/1742-5468/aab856, in the form that kills ties
    together and branches strictly above the level (Brehier, Gazeau, Goudenege, Lelievre & Rousset 2016, doi
    10.1214/16-AAP1185): that is what makes the estimate unbiased in discrete time.

    What a method returns must follow from its arguments alone, for then a run is reproducible, and can be resumed.
    """

    name = "tams"
    """Recorded with a study: another one needs another name."""

    def level(self, ended: Sequence[tuple[float, int]], n_discard: int) -> float | None:
        """Choose the level Z from the lowest trajectories; None if more of them have to end first.

        Here it is the `n_discard`-th smallest maximum.

        Parameters
        ----------
        ended
            (maximum, slot) of the trajectories that have ended, in ascending order. The decision is made only if all
            that are still running are above the level: it must depend on nothing but the entries up to there.
        n_discard
            l.
        """
        return ended[n_discard - 1][0] if len(ended) >= n_discard else None

    def n_killed(self, ended: Sequence[tuple[float, int]], level: float) -> int:
        """Choose who is killed: so many of the lowest. Here all whose maximum is not above the level, with ties."""
        return bisect_right(ended, level, key=_maximum)

    def ancestors(self, rng: np.random.Generator, n_killed: int, n_survivors: int) -> list[int]:
        """Choose whom each killed trajectory restarts from: 0 <= number of a survivor, in slot order < n_survivors.

        Here uniformly and independently. Any other choice must give each survivor the same expected number.
        """
        drawn: list[int] = rng.integers(n_survivors, size=n_killed).tolist()
        return drawn

    def branch_record(self, scores: Sequence[float], level: float) -> int:
        """Choose which of an ancestor's records to branch from.

        Here the first strictly above the level.

        Parameters
        ----------
        scores
            The scores of its records, ascending; the last one is above the level.
        """
        return bisect_right(scores, level)


def _maximum(entry: tuple[float, int]) -> float:
    return entry[0]


def survivor_slots(killed: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """Find the slots of survivors by their numbers, given the killed slots in ascending order.

    The j-th survivor stands after as many killed slots as have at most j survivors before them.
    """
    survivors_before = [slot - i for i, slot in enumerate(killed)]
    return [number + bisect_right(survivors_before, number) for number in numbers]
