"""Which stored states a run still needs: the rows that its ledger has of them.

A row says that a segment has a state at a step, and where it is. What is read comes from segment files; rows decide
only what stays on disk. A state goes after the commit that takes its last row away.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pytams.core.segments import SegmentKey
from pytams.core.stored import Reference, are_references
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.runledger import StateRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set

    from pytams.core.segments import Start
    from pytams.core.states import State
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.pending import PendingSegment
    from pytams.storage.state_keeper import StateKeeper


class _Kept(NamedTuple):
    """A state of a segment."""

    reference: Reference
    score: float
    """At a record, where branches can start; NaN elsewhere."""


class References:
    """The stored states of a run, by segment and step. As long as they are here, their files stay.

    Parameters
    ----------
    store
        Where they are.
    run
        Number of the run.
    ledger
        Which has them.
    sparse_freq
        Every so many steps a state is stored because the user wants it, if not 0.
    """

    def __init__(self, store: StateKeeper, run: int, ledger: RunLedger, sparse_freq: int) -> None:
        self._store, self._run, self._options, self._sparse_freq = store, run, store.options, sparse_freq
        self._kept: dict[SegmentKey, dict[int, _Kept]] = {}
        self._fresh: dict[tuple[SegmentKey, int], _Kept] = {}
        """Those that the ledger does not have yet."""
        store.take_up(run)
        for slot, branch, step, score, sha256, size, kind in ledger.states():
            key = SegmentKey(self._run, slot, branch)
            held = self._store.hold(self._run, Reference(sha256, size, kind))
            assert isinstance(held, Reference)
            self._kept.setdefault(key, {})[step] = _Kept(held, math.nan if score is None else score)

    def add(
        self, key: SegmentKey, steps: Iterable[int], states: Sequence[State], scores: Mapping[int, float]
    ) -> None:
        """Take in what was written of a segment; `scores` has those of its records, by step."""
        if not are_references(states):
            return
        for step, reference in zip(steps, states, strict=True):
            assert isinstance(reference, Reference)
            self._put(key, int(step), reference, scores.get(int(step), math.nan))

    def _put(self, key: SegmentKey, step: int, reference: Reference, score: float) -> None:
        here = self._kept.setdefault(key, {})
        if step in here:  # it was there before the session began
            return
        held = self._store.hold(self._run, reference)
        assert isinstance(held, Reference)
        here[step] = self._fresh[key, step] = _Kept(held, score)

    def branch(self, start: Start, states: Mapping[int, State], chain: Iterable[SegmentKey]) -> None:
        """Take note of the state that a branch starts from, or is computed from: it is the branch's own, too.

        Parameters
        ----------
        start
            The branch.
        states
            Those of its parent that are not written yet, by step.
        chain
            Its ancestors, the nearest first: the state is the parent's, or what the parent started from, and so on.
        """
        if not self._kept and not states:  # no state of this study is in a file of its own
            return
        there = {step: state for step, state in states.items() if isinstance(state, Reference)}
        for key in chain:
            there |= {step: kept.reference for step, kept in self._kept.get(key, {}).items()}
            if any(step <= start.step for step in there):
                break
        last = max((step for step in there if step <= start.step), default=None)
        if last is not None:
            self._put(start.key, last, there[last], start.score)

    # --- a commit -----------------------------------------------------------------------------------------------

    def sync(self, unneeded: Set[tuple[SegmentKey, int]]) -> None:
        """See that what the ledger is about to have lasts."""
        self._store.sync(self._run, [kept.reference for name, kept in self._fresh.items() if name not in unneeded])

    def unneeded(
        self,
        members: Mapping[SegmentKey, PendingSegment],
        ancestors: Callable[[], Collection[SegmentKey]],
        level: float,
        *,
        last: bool,
    ) -> set[tuple[SegmentKey, int]]:
        """Find what nothing needs any more.

        Parameters
        ----------
        members
            The segments of the ensemble.
        ancestors
            Finds these, and all that they descend from.
        level
            All further branches start above it.
        last
            Whether the run is finished.
        """
        if self._options.keep == "all" or not self._kept:
            return set()
        needed = ancestors() if self._options.keep == "ensemble" else ()
        found = set()
        for key, states in self._kept.items():
            member = members.get(key)
            goes_on = member is not None and not member.ended
            if self._options.keep == "ensemble":
                first = -math.inf if key in needed else math.inf
            elif member is None or last:
                first = math.inf
            else:
                first = self._first_needed(states, level)
            point = max(states) if goes_on else None
            start = member.start.step if member is not None and goes_on and not member.pieces else -1
            for step, kept in states.items():
                is_record = not math.isnan(kept.score) or self._is_asked_for(step)
                if not (step == point or step <= start or (is_record and step >= first)):
                    found.add((key, step))
        return found

    def _is_asked_for(self, step: int) -> bool:
        return self._options.keep == "ensemble" and self._sparse_freq > 0 and step % self._sparse_freq == 0

    def _first_needed(self, states: Mapping[int, _Kept], level: float) -> float:
        """Find the last record that the level has passed: one above it may have to be computed again from there."""
        return max((step for step, kept in states.items() if kept.score <= level), default=-math.inf)

    def write(self, ledger: RunLedger, unneeded: Set[tuple[SegmentKey, int]]) -> None:
        """Write to the ledger what is new, and take away what nothing needs."""
        ledger.put_states(
            [
                StateRow(
                    key.slot,
                    key.branch,
                    step,
                    None if math.isnan(kept.score) else kept.score,
                    kept.reference.sha256,
                    kept.reference.size,
                    kept.reference.kind,
                )
                for (key, step), kept in self._fresh.items()
                if (key, step) not in unneeded
            ]
        )
        ledger.drop_states([(key.slot, key.branch, step) for key, step in unneeded if (key, step) not in self._fresh])

    def written(self, unneeded: Iterable[tuple[SegmentKey, int]]) -> None:
        """Let go of what the ledger does not have any more."""
        self._fresh.clear()
        for key, step in unneeded:
            del self._kept[key][step]
            if not self._kept[key]:
                del self._kept[key]

    def leave(self) -> None:
        """Leave the run to its ledger."""
        self._store.leave(self._run)

    def clean_up(self, ledger: RunLedger) -> None:
        """Remove all other files of the run; nobody puts any, unless another driver has taken over."""
        with suppress(LedgerError):
            ledger.renew()
            self._store.clean(
                self._run, {kept.reference.sha256 for states in self._kept.values() for kept in states.values()}
            )
