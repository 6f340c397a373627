"""When branches part from their parents: counted as somebody would who has all the paths, in whatever order."""

from __future__ import annotations

import math
from collections import Counter
from itertools import takewhile
from random import Random

import pytest
from test_splitting import Chains, run

from pytams.core.errors import ModelError
from pytams.core.partings import Pairs, Partings
from pytams.core.segments import Progress, SegmentKey
from pytams.core.settings import Settings
from pytams.core.splitting import Splitting, all_starts
from pytams.core.verification import check_partings


def settings(n: int, target: float, n_steps: int, n_discard: int = 1) -> Settings:
    return Settings(end_time=n_steps, step_size=1, target_score=target, n_trajectories=n, n_discard=n_discard)


def split(seed: int, order: int, n: int = 12, longest: int = 5) -> tuple[Splitting, Chains]:
    splitting = Splitting(settings(n, 6, 30, 1 + seed % 3), seed)
    chains = Chains(seed, 30, 6, 0.4, Random(order), longest)
    run(splitting, chains)
    return splitting, chains


# --- by the paths ---------------------------------------------------------------------------------------------------


def records(path: dict[int, int], first: int) -> list[tuple[int, int]]:
    """Records from a step on that is one."""
    found = [(first, path[first])]
    for step in range(first + 1, max(path) + 1):
        if path[step] > found[-1][1]:
            found.append((step, path[step]))
    return found


def by_paths(splitting: Splitting, chains: Chains) -> Partings:
    """Compare whole paths: scores are whole numbers, so there is no other difference than one that parts."""
    starts = all_starts(0, len(splitting.members), splitting.iterations)
    pairs = [(SegmentKey(0, i, 0), SegmentKey(0, i - 1, 0), 0) for i in range(1, len(splitting.members))]
    pairs += [(start.key, start.parent, start.step) for start in starts.values() if start.parent and not start.ended]
    counts = {False: [0, 0, 0], True: [0, 0, 0]}
    after = {False: Counter[float](), True: Counter[float]()}
    for key, other, step in pairs:
        one, two = (records(chains.paths[of], step) for of in (key, other))
        ends = chains.ends[key], chains.ends[other]
        shared = list(takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
        is_same = one == two and ends[0] == ends[1]
        is_branch = key.branch > 0
        if is_branch and is_same and len(one) == 1:
            continue
        count = counts[is_branch]
        count[0] += 1
        count[1] += is_same
        count[2] += (len(one) - 1) * is_same
        if shared and (is_branch or len(shared) > 1 or not is_same):
            rest = [part[len(shared)][0] for part in (one, two) if len(part) > len(shared)]
            steps = min(
                [*rest, *(end for part, end in zip((one, two), ends, strict=True) if len(part) == len(shared))]
            )
            after[is_branch][math.inf if is_same else 0 if len(shared) == 1 else steps - step] += 1
    parted = (tuple(sorted(after[is_branch].items())) for is_branch in (True, False))
    return Partings(Pairs(*counts[False]), Pairs(*counts[True]), *parted)


@pytest.mark.parametrize("seed", range(30))
def test_they_are_those_of_the_paths_in_whatever_order_reports_come(seed: int) -> None:
    splitting, chains = split(seed, order=0)
    expected = by_paths(splitting, chains)
    assert splitting.companions.partings == expected
    assert expected.neighbours.n == 11
    for order, longest in ((1, 1), (2, 3), (3, 31)):
        assert split(seed, order, longest=longest)[0].companions.partings == expected


def test_such_chains_have_repetitions_and_partings_of_all_kinds() -> None:
    found = Partings.of(split(seed, 0)[0].companions.partings for seed in range(30))
    assert found.branches.n > found.branches.n_same > 0
    assert {0, 1, math.inf} < {steps for steps, _ in found.after} | {1}
    assert sum(n for _, n in found.after) == found.branches.n


def test_nobody_is_remembered_once_a_run_has_ended() -> None:
    splitting, _ = split(3, 0)
    assert not [member for member in splitting.members if member.companion or member.waiting]


# --- a little apart -------------------------------------------------------------------------------------------------


def two_and_a_branch(*scores: tuple[int, float], end: int = 10) -> Partings:
    """Of two trajectories, kill the lower one at 0; its branch has these records beside 1 at step 1."""
    splitting = Splitting(settings(2, 10, 10), 1)
    splitting.report(Progress(SegmentKey(0, 0, 0), [0], [0.0], 10, True))
    splitting.report(Progress(SegmentKey(0, 1, 0), [0, 1, 2, 5], [0.0, 1.0, 2.0, 3.0], 10, True))
    steps, values = [step for step, _ in scores], [score for _, score in scores]
    splitting.report(Progress(SegmentKey(0, 0, 1), steps, values, end, True))
    return splitting.companions.partings


@pytest.mark.parametrize(
    ("scores", "end", "n_same", "after"),
    [
        ([(2, 2.0), (5, 3.0)], 10, 1, math.inf),
        ([(2, 2.0), (5, 3.0)], 9, 0, 8),
        ([(2, 2.0 + 9e-3), (5, 3.0)], 10, 0, math.inf),
        ([(2, 2.0 + 2e-2), (5, 3.0)], 10, 0, 0),
        ([(2, 2.0), (5, 3.0 - 2e-2)], 10, 0, 4),
        ([(2, 2.0), (4, 3.0)], 10, 0, 3),
        ([(2, 2.0), (6, 3.0)], 10, 0, 4),
        ([(2, 2.0)], 10, 0, 4),
        ([(2, 2.0)], 4, 0, 3),
        ([(2, 2.0), (5, 3.0), (7, 4.0)], 10, 0, 6),
        ([], 10, 0, 0),
    ],
)
def test_they_part_where_records_do(scores: list[tuple[int, float]], end: int, n_same: int, after: float) -> None:
    found = two_and_a_branch(*scores, end=end)
    assert found.branches == (1, n_same, 2 * n_same)
    assert found.after == ((after, 1),)
    assert found.median == after


def test_where_neither_has_a_further_record_nothing_is_known() -> None:
    splitting = Splitting(settings(2, 10, 10), 1)
    splitting.report(Progress(SegmentKey(0, 0, 0), [0], [0.0], 10, True))
    splitting.report(Progress(SegmentKey(0, 1, 0), [0, 1], [0.0, 1.0], 10, True))
    splitting.report(Progress(SegmentKey(0, 0, 1), [], [], 10, True))
    found = splitting.companions.partings
    assert found == Partings(Pairs(1, 0, 0), Pairs(), (), ((0, 1),))
    assert math.isnan(found.median)


def test_medians() -> None:
    def median(**after: int) -> float:
        steps = tuple((float(name[1:]), n) for name, n in after.items())
        return Partings(branches=Pairs(sum(after.values())), after=steps).median

    assert median(_0=3, _5=2) == 0
    assert median(_0=2, _5=1, _9=2) == 5
    assert median(_0=2, _5=2) == 0
    assert median(_0=1, _inf=2) == math.inf


# --- whether the seed has an effect ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("neighbours", "branches", "is_error"),
    [
        (Pairs(7, 7, 20), Pairs(), True),
        (Pairs(7, 7, 19), Pairs(), False),
        (Pairs(7, 6, 60), Pairs(), False),
        (Pairs(4, 4, 40), Pairs(), False),
        (Pairs(7, 0, 0), Pairs(40, 38, 99), True),
        (Pairs(7, 0, 0), Pairs(5, 5, 20), True),
        (Pairs(7, 0, 0), Pairs(5, 5, 19), False),
        (Pairs(7, 0, 0), Pairs(4, 4, 99), False),
        (Pairs(7, 0, 0), Pairs(40, 35, 99), False),
        (Pairs(7, 3, 40), Pairs(40, 40, 99), True),
        (Pairs(7, 4, 40), Pairs(40, 40, 99), False),
    ],
)
def test_the_rule(neighbours: Pairs, branches: Pairs, is_error: bool) -> None:
    found = Partings(neighbours, branches)
    assert (found.starts_are_one or found.branches_repeat) == is_error


def test_an_ensemble_that_is_not_whole_is_waited_for() -> None:
    """Where noise is rare the first may be the same, and others not."""
    asked = settings(8, 10, 10)
    splitting = Splitting(asked, 1)
    scores = [float(step) / 2 for step in range(11)]
    for slot in range(7):
        splitting.report(Progress(SegmentKey(0, slot, 0), range(11), scores, 10, True))
        assert not check_partings([splitting], asked)
    assert not check_partings([splitting, Splitting(asked, 1, run=1)], asked)
    splitting.report(Progress(SegmentKey(0, 7, 0), range(11), scores, 10, True))
    with pytest.raises(
        ModelError, match=r"all 8 initial trajectories are the same to the bit \(one is run 0, slot 1"
    ):
        check_partings([splitting, Splitting(asked, 1, run=1)], asked)
