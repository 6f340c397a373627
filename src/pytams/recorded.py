"""What is known of a run that is recorded: its segments, what of them is on disk, and rows for its ledger."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams import _state
from pytams.sqldb import IterationRow
from pytams.store import Piece, PieceName
from pytams.trajectory import SegmentKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytams._state import State
    from pytams.splitting import Splitting
    from pytams.sqldb import RunLedger
    from pytams.trajectory import Point, Progress, Start


class RecordedSegment:
    """A segment, and what of it is not on disk yet."""

    __slots__ = ("best", "ended", "history", "pieces", "scores", "start", "states", "step", "steps", "weight")

    def __init__(self, start: Start, history: tuple[int, ...]) -> None:
        self.start = start
        self.history = history
        self.pieces: list[PieceName] = []
        self.step = start.step if start.parent is not None else -1
        self.best = start.score if start.parent is not None else -math.inf
        self.ended = start.ended
        self.weight: float | None = None
        """The ensemble's weight when it was killed."""
        self.clear()

    def clear(self) -> None:
        """Forget what is on disk."""
        self.scores: list[NDArray[np.float64]] = []
        self.steps: list[NDArray[np.int64]] = []
        self.states: list[State] = []

    def add(self, progress: Progress) -> None:
        """Keep a stretch until the next flush."""
        assert progress.trace is not None
        self.scores.append(np.asarray(progress.trace.scores, dtype=np.float64))
        self.steps.append(np.asarray(progress.trace.steps, dtype=np.int64))
        self.states.extend(progress.trace.states)
        self.step, self.ended = progress.step, progress.ended
        if len(progress.scores):
            self.best = progress.scores[-1]

    def piece(self, point: Point | None) -> Piece:
        """Put together what is to be written; if it goes on, with the state that it goes on from."""
        scores, steps, states = _joined(self.scores), _joined(self.steps), self.states
        if point is not None and (not len(steps) or steps[-1] != point.step):
            assert point.state is not None
            steps, states = np.append(steps, point.step), [*states, _state.as_state(point.state)]
        return Piece(
            key=self.start.key,
            first_step=self.step - len(scores) + 1,
            scores=scores,
            steps=steps,
            states=states,
            ended=self.ended,
        )


class RecordedRun:
    """One run: its ledger, and what has changed since the last flush."""

    def __init__(self, ledger: RunLedger) -> None:
        self.ledger = ledger
        self.segments: dict[SegmentKey, RecordedSegment] = {}
        """Of the members of the ensemble."""
        self.parents: dict[SegmentKey, SegmentKey] = {}
        """Of all segments ever."""
        self.killed: list[RecordedSegment] = []
        """Not in the archive yet."""
        self.changed: set[int] = set()
        """Slots."""
        self.files: dict[str, str] = {}
        self.stored: dict[SegmentKey, tuple[list[PieceName], bool]] = {}
        self.archived: set[SegmentKey] = set()
        self.rows: list[dict[str, Any]] = []
        """Iterations that an earlier session wrote, to be checked at the first flush."""
        self.n_complete = 0
        """Iterations on disk that will not change."""

    def read(self) -> None:
        """Take in what an earlier session wrote."""
        ledger = self.ledger
        self.files = ledger.files()
        rows = [row.metadata for row in ledger.trajectories()]
        archived = [metadata for _, metadata in ledger.archived_trajectories()] + ledger.discarded()
        for text in rows + archived:
            metadata = json.loads(text)
            key = SegmentKey(metadata["run"], metadata["slot"], metadata["branch"])
            self.stored[key] = [PieceName(*piece) for piece in metadata["pieces"]], metadata["ended"]
        self.archived = {SegmentKey(m["run"], m["slot"], m["branch"]) for m in map(json.loads, archived)}
        self.rows = ledger.iterations()


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def iteration_rows(splitting: Splitting, first: int) -> list[IterationRow]:
    """Make rows of the iterations from number `first` on."""
    return [
        IterationRow(
            k=iteration.n_branchings,
            bias=len(iteration.killed),
            weight=math.exp(iteration.log_weight),
            discarded_ids=[key.slot for key in iteration.killed],
            ancestor_ids=[key.slot for key in iteration.ancestors],
            min_vals=iteration.killed_maxima,
            min_max=[iteration.lowest, splitting.highest if iteration.highest is None else iteration.highest],
            completed=iteration.highest is not None,
        )
        for iteration in splitting.iterations[first:]
    ]


def progress_note(splitting: Splitting, at_work: dict[str, float]) -> str:
    """Say how a run goes, for those who watch: JSON."""
    return json.dumps(
        {
            "finished": splitting.finished,
            "level": splitting.level if splitting.iterations else None,
            "progress": splitting.progress,
            "estimate": splitting.estimate,
            "n_branchings": splitting.n_branchings,
            "n_running": splitting.n_running,
            **at_work,
        }
    )
