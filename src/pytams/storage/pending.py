"""What is not on disk yet: of a segment, and of a run; and the rows that the ledger gets of them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis import logs
from pytams.core.states import as_state
from pytams.core.stored import Reference, are_references
from pytams.sqldb.runledger import IterationRow
from pytams.storage.columns import Piece
from pytams.storage.metadata import MetadataText, lineage, weight_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pytams.core.segments import Point, Progress, SegmentKey, Start
    from pytams.core.splitting import Splitting
    from pytams.core.states import State
    from pytams.sqldb.runledger import RunLedger
    from pytams.storage.history import History
    from pytams.storage.recorded import Recorded
    from pytams.storage.references import References
    from pytams.storage.segment_files import PieceName


class PendingSegment:
    """A segment, and what of it is not on disk yet."""

    __slots__ = (
        "best",
        "ended",
        "features",
        "lineage",
        "log_weight",
        "pieces",
        "record_scores",
        "scores",
        "start",
        "states",
        "step",
        "steps",
    )

    def __init__(self, start: Start, lineage: list[int]) -> None:
        self.start = start
        self.lineage = lineage
        """Slots of its ancestors, the first one first."""
        self.pieces: list[PieceName] = []
        self.step = start.step if start.parent is not None else -1
        self.best = start.score if start.parent is not None else -math.inf
        self.ended = start.ended
        self.log_weight = 0.0
        """Log of the ensemble's weight when it was killed."""
        self.clear()

    def clear(self) -> None:
        """Forget what is on disk."""
        self.scores: list[NDArray[np.float64]] = []
        self.features: list[NDArray[np.float64]] = []
        self.steps: list[NDArray[np.int64]] = []
        self.states: list[State] = []
        self.record_scores: dict[int, float] = {}
        """By step."""

    def skip(self, history: History, pieces: list[PieceName]) -> None:
        """Take note that it is on disk so far."""
        self.pieces = pieces
        self.step, self.best, self.ended = history.step, history.best, history.ended

    def add(self, progress: Progress) -> None:
        """Keep what was computed until the next flush."""
        assert progress.trace is not None
        self.scores.append(np.asarray(progress.trace.scores, dtype=np.float64))
        if progress.trace.features is not None:
            self.features.append(progress.trace.features)
        self.steps.append(np.asarray(progress.trace.steps, dtype=np.int64))
        self.states.extend(progress.trace.states)
        if are_references(progress.states):
            self.record_scores.update(zip(progress.steps, progress.scores, strict=True))
        self.step, self.ended = progress.step, progress.ended
        if len(progress.scores):
            self.best = progress.scores[-1]

    def piece(self, point: Point | None) -> Piece:
        """Put together what is to be written; if it goes on, with the state that it goes on from."""
        scores, steps, states = _joined(self.scores), _joined(self.steps), self.states
        if point is not None and (not len(steps) or steps[-1] != point.step):
            assert point.state is not None
            state = Reference.found_in(point.state) or as_state(point.state)
            steps, states = np.append(steps, point.step), [*states, state]
        return Piece(
            key=self.start.key,
            first_step=self.step - len(scores) + 1,
            scores=scores,
            steps=steps,
            states=states,
            ended=self.ended,
            features=_joined(self.features) if self.features else None,
        )

    def unwritten_references(self) -> dict[int, State]:
        """Find the references to states that no segment file has yet, by step."""
        if not are_references(self.states):
            return {}
        return dict(zip(_joined(self.steps).tolist(), self.states, strict=True))

    def metadata(self, log_weight: float, write: MetadataText) -> str:
        """Say everything about it: the JSON of its row."""
        key, parent, step, score, _ = self.start
        return write(
            key,
            None if parent is None else parent[1:],
            (step, score),
            max(self.step, 0),
            self.best,
            self.ended,
            weight_text(log_weight),
            str(self.lineage),
            json.dumps(self.pieces),
        )


class PendingRun:
    """A run that is driven here: its ledger, what was recorded, and what has changed since the last flush."""

    def __init__(self, ledger: RunLedger, recorded: Recorded, references: References | None) -> None:
        self.ledger = ledger
        self.recorded = recorded
        self.references = references
        """The states that are in files of their own; None if the study has no place for such."""
        self.segments: dict[SegmentKey, PendingSegment] = {}
        """Of the members of the ensemble."""
        self.parents: dict[SegmentKey, SegmentKey] = {}
        """Of all segments ever."""
        self.killed: list[PendingSegment] = []
        """Not in the archive yet."""
        self.changed: set[int] = set()
        """Slots."""
        self.log_weight = 0.0
        """Log of the ensemble's weight after the last iteration."""
        self.is_checked = not recorded.iterations
        """Whether the iterations on disk have been compared with those that follow from the trajectories on disk."""
        self.n_complete = 0
        """Iterations on disk that will not change."""

    def begin(self, start: Start) -> None:
        """Take note of a new member."""
        if start.parent is not None:
            self.parents[start.key] = start.parent
            if self.references is not None and not start.ended:
                self._note_branch_point(start)
        self.segments[start.key] = PendingSegment(start, lineage(self.parents, start.key))
        self.changed.add(start.key.slot)

    def kill(self, keys: Iterable[SegmentKey]) -> None:
        """Take note that members were killed, and others are in their places."""
        for key in keys:
            segment = self.segments.pop(key)
            segment.log_weight = self.log_weight
            if key not in self.recorded.archived:
                self.killed.append(segment)

    def clean_up(self) -> None:
        """Remove states that the ledger does not have."""
        if self.references is not None:
            self.references.clean_up(self.ledger)

    def leave(self) -> None:
        """Leave the run to others."""
        self.clean_up()
        if self.references is not None:
            self.references.leave()

    def _note_branch_point(self, start: Start) -> None:
        assert start.parent is not None
        assert self.references is not None
        parent = self.segments.get(start.parent)
        unwritten = {} if parent is None else parent.unwritten_references()
        self.references.branch(start, unwritten, self._chain(start.parent))

    def _chain(self, key: SegmentKey) -> Iterator[SegmentKey]:
        """Go from a segment to its parent, and so on."""
        here: SegmentKey | None = key
        while here is not None:
            yield here
            here = self.parents.get(here)

    def ancestors(self) -> set[SegmentKey]:
        """Find the members of the ensemble, and all that they descend from."""
        found: set[SegmentKey] = set()
        for key in self.segments:
            for ancestor in self._chain(key):
                if ancestor in found:
                    break
                found.add(ancestor)
        return found

    def drop_states(self) -> None:
        """Forget states of killed trajectories that no member of the ensemble descends from."""
        needed = self.ancestors()
        for segment in self.killed:
            if segment.start.key not in needed and segment.ended:
                segment.steps, segment.states = [np.empty(0, dtype=np.int64)], []

    def file(self, segment: PendingSegment) -> str:
        """Where the last piece of a trajectory is: its ancestor's, if there was nothing left to simulate."""
        if not segment.pieces and segment.start.ended and segment.start.parent in self.segments:
            segment = self.segments[segment.start.parent]
        return segment.pieces[-1].file if segment.pieces else ""


def iteration_rows(splitting: Splitting, first: int) -> list[IterationRow]:
    """Make rows of the iterations from number `first` on."""
    return [
        IterationRow(
            k=iteration.n_branchings,
            bias=len(iteration.killed),
            weight=iteration_weight(iteration.log_weight),
            discarded_ids=[key.slot for key in iteration.killed],
            ancestor_ids=[key.slot for key in iteration.ancestors],
            min_vals=list(iteration.killed_maxima),
            min_max=[iteration.lowest, splitting.highest if iteration.highest is None else iteration.highest],
            completed=iteration.highest is not None,
        )
        for iteration in splitting.iterations[first:]
    ]


def iteration_weight(log_weight: float) -> str:
    """Write a weight as JSON, to the last bit; one below the smallest float in as many digits."""
    return repr(math.exp(log_weight)) if logs.is_plain(log_weight) else logs.text(log_weight, ".16e")


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
