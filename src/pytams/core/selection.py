"""The choices that make a splitting variant: who is killed, whom to branch from, and from which step.

Another variant is a small file: a subclass of `Variant` with a name of its own that makes one of these choices
differently, given as ``TAMS(..., variant=...)``. The machine around them (`pytams.core.splitting`) stays as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class Variant:
    """Trajectory-adaptive multilevel splitting.

    Lestang, Ragone, Brehier, Herbert & Bouchet 2018, doi 10.1088/1742-5468/aab856, in the form that kills ties
    together and branches strictly above the level (Brehier, Gazeau, Goudenege, Lelievre & Rousset 2016, doi
    10.1214/16-AAP1185): that is what makes the estimate unbiased in discrete time.

    What a method returns must follow from its arguments alone, for then a run is reproducible, and can be resumed.
    A choice that is impossible is a `pytams.SettingsError` that names the variant and the method.
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
        """Choose who is killed: so many of the lowest, none above the level. Here all others, with ties."""
        return bisect_right(ended, level, key=_maximum)

    def ancestors(self, rng: np.random.Generator, n_killed: int, n_survivors: int) -> list[int]:
        """Choose whom each killed trajectory restarts from: 0 <= number of a survivor, in slot order < n_survivors.

        Here uniformly and independently. Any other choice must give each survivor the same expected number.
        """
        drawn: list[int] = rng.integers(n_survivors, size=n_killed).tolist()
        return drawn

    def branch_record(self, scores: Sequence[float], level: float) -> int:
        """Choose which of an ancestor's records to branch from.

        Here the first strictly above the level. It must be above the level: other states may be gone.

        Parameters
        ----------
        scores
            The scores of its records, ascending; the last one is above the level.
        """
        return bisect_right(scores, level)


def checked_variant(variant: Variant | None) -> Variant:
    """Make sure that a variant can be used, and told from others; None is TAMS's.

    Raises
    ------
    SettingsError
        If it is none, or has no name of its own.
    """
    if variant is None:
        return Variant()
    if not isinstance(variant, Variant):
        hint = "; make an instance of it first" if isinstance(variant, type) else ""
        raise SettingsError("variant", f"expected a pytams.Variant, got {variant!r}{hint}")
    made_from = [base.name for base in type(variant).__mro__[1:] if issubclass(base, Variant)]
    if variant.name in made_from:
        raise SettingsError(
            "variant",
            f"{type(variant).__name__} is called {variant.name!r}, like what it is made from: give it a `name` "
            "of its own, by which a study is told from those of other variants",
        )
    return variant


def choose_killed(variant: Variant, ended: Sequence[tuple[float, int]], level: float) -> int:
    """Let a variant choose who is killed.

    Raises
    ------
    SettingsError
        If it kills nobody, or somebody above the level: the study would not get on, or would depend on chance.
    """
    n_killed = variant.n_killed(ended, level)
    if not (1 <= n_killed <= len(ended) and ended[n_killed - 1][0] <= level):
        n_most = sum(maximum <= level for maximum, _ in ended)
        if n_most == 0:
            raise _impossible(variant, "level", level, "which is below all maxima: it must kill somebody")
        problem = f"at level {level:g}: it must be a number of those whose maximum is not above it, 1 to {n_most}"
        raise _impossible(variant, "n_killed", n_killed, problem)
    return n_killed


def choose_ancestors(variant: Variant, rng: np.random.Generator, n_killed: int, n_survivors: int) -> list[int]:
    """Let a variant choose whom the killed restart from.

    Raises
    ------
    SettingsError
        If these are no survivors, or not as many as were killed.
    """
    numbers = variant.ancestors(rng, n_killed, n_survivors)
    if len(numbers) != n_killed or min(numbers) < 0 or max(numbers) >= n_survivors:
        problem = f"for {n_killed} killed: it must be as many numbers of survivors, each 0 to {n_survivors - 1}"
        raise _impossible(variant, "ancestors", numbers, problem)
    return numbers


def choose_record(variant: Variant, scores: Sequence[float], level: float) -> int:
    """Let a variant choose which of an ancestor's records to branch from.

    Raises
    ------
    SettingsError
        If there is no such record, or it is not above the level.
    """
    record = variant.branch_record(scores, level)
    if not (0 <= record < len(scores) and scores[record] > level):
        problem = f"for an ancestor of {len(scores)} records: it must be the number of one above level {level:g}"
        raise _impossible(variant, "branch_record", record, problem)
    return record


def _impossible(variant: Variant, method: str, value: Any, problem: str) -> SettingsError:
    return SettingsError("variant", f"{variant.name}.{method} returned {value!r} {problem}")


def _maximum(entry: tuple[float, int]) -> float:
    return entry[0]


def survivor_slots(killed: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """Find the slots of survivors by their numbers, given the killed slots in ascending order.

    The j-th survivor stands after as many killed slots as have at most j survivors before them.
    """
    survivors_before = [slot - i for i, slot in enumerate(killed)]
    return [number + bisect_right(survivors_before, number) for number in numbers]
