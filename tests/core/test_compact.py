"""What is kept of finished runs: the same objects, in a few bytes."""

from __future__ import annotations

import math
import pickle
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytams
from exact import Walk
from pytams.core.compact import Finals, Iterations
from pytams.core.segments import Final, SegmentKey, Start
from pytams.core.splitting import Iteration

WORD = st.integers(0, 2**32 - 2)
SCORE = st.floats(allow_nan=False, allow_infinity=False)
STEP = st.one_of(st.integers(0, 1000), st.integers(2**31 - 3, 2**40))


@st.composite
def iterations(draw: Any) -> list[Iteration]:
    """Make any that could be: also of variants that leave some below the level."""
    made: list[Iteration] = []
    n_branchings = 0
    for index in range(draw(st.integers(0, 4))):
        n, is_extinct = draw(st.integers(1, 3)), draw(st.booleans())
        keys = [SegmentKey(7, draw(WORD), draw(WORD)) for _ in range(2 * n)]
        maxima = tuple(draw(SCORE) for _ in range(n))
        starts = tuple(
            Start(
                SegmentKey(7, key.slot, key.branch + 1), SegmentKey(7, draw(WORD), 0), draw(STEP), draw(SCORE), ended
            )
            for key, ended in zip(keys[:n], draw(st.lists(st.booleans(), min_size=n, max_size=n)), strict=True)
        )
        made.append(
            Iteration(
                index=index,
                level=draw(st.one_of(st.just(max(maxima)), SCORE)),
                killed=tuple(keys[:n]),
                killed_maxima=maxima,
                ancestors=() if is_extinct else tuple(keys[n:]),
                starts=() if is_extinct else starts,
                n_branchings=n_branchings,
                log_weight=-math.inf if is_extinct else draw(SCORE),
                lowest=min(maxima),
                highest=draw(st.one_of(st.none(), SCORE)),
            )
        )
        n_branchings += n
    return made


@pytest.mark.slow
@given(iterations())
def test_iterations_are_what_they_were(given: list[Iteration]) -> None:
    kept = Iterations.of(7, given)
    assert list(kept) == given
    assert kept == tuple(given)
    assert len(kept) == len(given)
    assert kept[1:] == tuple(given[1:])
    assert kept[::-1] == tuple(given[::-1])
    assert kept.levels == [one.level for one in given]
    assert kept.log_weights == [one.log_weight for one in given]
    assert kept.n_killed == [len(one.killed) for one in given]
    assert kept.killed_maxima == [list(one.killed_maxima) for one in given]
    again = pickle.loads(pickle.dumps(kept))
    assert again == kept
    assert hash(again) == hash(kept)
    assert (kept == Iterations.of(8, given)) is False
    assert (kept == Iterations.of(7, given[1:])) is not bool(given)
    if given:
        assert kept[-1] == given[-1]
        with pytest.raises(IndexError):
            kept[len(given)]


@given(st.lists(st.tuples(WORD, SCORE, STEP, WORD, WORD)))
def test_finals_are_what_they_were(given: list[tuple[int, float, int, int, int]]) -> None:
    finals = [Final(SegmentKey(3, slot, one[0]), *one[1:]) for slot, one in enumerate(given)]
    kept = Finals.of(3, finals)
    assert list(kept) == finals
    assert kept == tuple(finals)
    assert kept != "finals"
    assert repr(kept) == f"<Finals of run 3: {len(finals)}>"


def test_a_result_takes_64_bytes_a_branching() -> None:
    """Beside its final ensemble: 24 a trajectory, and when branches part, a hundred a number of steps."""
    walk = pytams.TAMS(Walk(), end_time=60, step_size=1, target_score=12, n_trajectories=200, n_discard=20)
    [run] = walk.run(1, seed=1).runs
    assert run.n_branchings > 500
    assert run.iterations.n_bytes <= 64 * run.n_branchings
    assert run.members.n_bytes == 24 * 200
    tracemalloc.start()
    copy = pickle.loads(pickle.dumps(run))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert copy == run
    assert taken < 64 * run.n_branchings + 24 * 200 + 20_000
