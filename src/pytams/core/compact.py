"""What is kept of finished runs, in arrays: some 60 bytes a branching, where objects take 1,500.

They are sequences of the same objects, which are made when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

import numpy as np

from pytams.core.segments import Final, SegmentKey, Start
from pytams.core.splitting import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytams.core.partings import Partings
    from pytams.core.splitting import Splitting

Kind = TypeVar("Kind")

_SEGMENT = np.dtype([("slot", "u4"), ("branch", "u4")])
_BRANCHING = np.dtype(
    [
        ("killed", _SEGMENT),
        ("maximum", "f8"),
        ("ancestor", _SEGMENT),
        ("parent", _SEGMENT),  # of the segment that is started
        ("step", "i4"),  # where it starts, ~step if nothing is left to simulate
        ("score", "f8"),
    ]
)
_STARTED = np.dtype(
    [("slot", "u4"), ("branch", "u4"), ("parent", _SEGMENT), ("step", "i8"), ("score", "f8"), ("ended", "?")]
)
_ITERATION = np.dtype([("end", "u4"), ("log_weight", "f8"), ("highest", "f8")])  # end: of its branchings
_FINAL = np.dtype([("branch", "u4"), ("maximum", "f8"), ("last_step", "i4"), ("root", "u4"), ("generation", "u4")])


def _of_any_width(kind: np.dtype[Any], name: str) -> tuple[np.dtype[Any], ...]:
    return kind, np.dtype([(key, "i8" if key == name else kind[key]) for key in kind.names or ()])


class _Compact(Sequence[Kind], Generic[Kind]):
    """A sequence of which only arrays are kept."""

    kinds: ClassVar[tuple[tuple[np.dtype[Any], ...], ...]]
    """What each array may be of."""

    def __init__(self, run: int, *arrays: NDArray[Any]) -> None:
        self._run, self._arrays = run, arrays

    def __len__(self) -> int:
        return len(self._arrays[0])

    @overload
    def __getitem__(self, i: int) -> Kind: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Kind, ...]: ...
    def __getitem__(self, i: int | slice) -> Kind | tuple[Kind, ...]:
        if isinstance(i, slice):
            return tuple(self._made(k) for k in range(len(self))[i])
        return self._made(range(len(self))[i])

    def _made(self, i: int) -> Kind:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return self._run == other._run and all(
                one.dtype == another.dtype and one.tobytes() == another.tobytes()
                for one, another in zip(self._arrays, other._arrays, strict=True)
            )
        return tuple(self) == tuple(other) if isinstance(other, tuple | list) else NotImplemented

    def __hash__(self) -> int:
        return hash((self._run, *(array.tobytes() for array in self._arrays)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of run {self._run}: {len(self)}>"

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that is kept, but for the run's number: from them and it, another one is made."""
        return self._arrays

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self._arrays)


class Iterations(_Compact[Iteration]):
    """The splitting iterations of a finished run."""

    kinds = _of_any_width(_ITERATION, "end"), _of_any_width(_BRANCHING, "step"), (np.dtype(np.float64),)

    @classmethod
    def of(cls, run: int, iterations: Sequence[Iteration]) -> Self:
        """Keep these."""
        ends = np.cumsum([len(iteration.killed) for iteration in iterations], dtype=np.int64).tolist()
        highest = [math.nan if iteration.highest is None else iteration.highest for iteration in iterations]
        log_weights = [iteration.log_weight for iteration in iterations]
        own = np.array(list(zip(ends, log_weights, highest, strict=True)), _wide(_ITERATION, "end", ends))
        rows = [row for iteration in iterations for row in _rows(iteration)]
        branchings = np.array(rows, _wide(_BRANCHING, "step", [row[4] for row in rows]))
        levels = [iteration.level for iteration in iterations]
        if levels == [max(iteration.killed_maxima) for iteration in iterations]:  # but for variants of their own
            levels = []
        return cls(run, own, branchings, np.array(levels))

    @classmethod
    def of_columns(
        cls,
        run: int,
        iterations: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        keys: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> Self:
        """Keep what is in columns.

        Parameters
        ----------
        run
            Its number.
        iterations
            After how many branchings each ended, log W, and the highest maximum.
        keys
            Of each branching, (slot, branch) of the killed, of its ancestor, and of the segment that is branched
            from; and the step, ~step if nothing is left to simulate: of shape ``(n, 7)``.
        scores
            Of each branching, the maximum of the killed, and the score at the branch point: of shape ``(n, 2)``.
        """
        own = np.empty(len(iterations[0]), _wide(_ITERATION, "end", iterations[0]))
        own["end"], own["log_weight"], own["highest"] = iterations
        branchings = np.empty(len(keys), _wide(_BRANCHING, "step", keys[:, 6]))
        for first, name in ((0, "killed"), (2, "ancestor"), (4, "parent")):
            branchings[name]["slot"], branchings[name]["branch"] = keys[:, first], keys[:, first + 1]
        branchings["step"], branchings["maximum"], branchings["score"] = keys[:, 6], *scores.T
        return cls(run, own, branchings, np.array([]))

    @property
    def branchings(self) -> NDArray[Any]:
        """Who was killed, in order: ``killed`` and ``ancestor``, each ``slot`` and ``branch``, and ``maximum``."""
        return self._arrays[1][["killed", "maximum", "ancestor"]]

    @property
    def started(self) -> NDArray[Any]:
        """What was started: ``slot``, ``branch``, ``parent``, ``step``, ``score``, and if it had ``ended`` there."""
        _, branchings, _ = self._arrays
        rows = branchings[~np.isnan(branchings["score"])]  # at extinction nothing is
        step = rows["step"].astype(np.int64)
        found = np.empty(len(rows), _STARTED)
        found["slot"], found["branch"] = rows["killed"]["slot"], rows["killed"]["branch"] + 1
        found["parent"], found["score"] = rows["parent"], rows["score"]
        found["step"], found["ended"] = np.where(step < 0, ~step, step), step < 0
        return found

    def _span(self, i: int) -> slice:
        ends = self._arrays[0]["end"]
        return slice(int(ends[i - 1]) if i else 0, int(ends[i]))

    def _made(self, i: int) -> Iteration:
        own, branchings, levels = self._arrays
        span, run = self._span(i), self._run
        _, log_weight, highest = own[i].item()
        killed, ancestors, starts, maxima = [], [], [], []
        for (slot, branch), maximum, ancestor, parent, step, score in branchings[span].tolist():
            killed.append(SegmentKey(run, slot, branch))
            maxima.append(maximum)
            if log_weight > -math.inf:
                key, source = SegmentKey(run, slot, branch + 1), SegmentKey(run, *parent)
                ancestors.append(SegmentKey(run, *ancestor))
                starts.append(Start(key, source, step if step >= 0 else ~step, score, ended=step < 0))
        return Iteration(
            index=i,
            level=levels.item(i) if len(levels) else max(maxima),
            killed=tuple(killed),
            killed_maxima=tuple(maxima),
            ancestors=tuple(ancestors),
            starts=tuple(starts),
            n_branchings=span.start,
            log_weight=log_weight,
            lowest=min(maxima),
            highest=None if math.isnan(highest) else highest,
        )

    @property
    def n_killed(self) -> list[int]:
        """Of each iteration, how many were killed."""
        killed: list[int] = np.diff(self._arrays[0]["end"].astype(np.int64), prepend=0).tolist()
        return killed

    @property
    def highest(self) -> list[float]:
        """Largest maximum of the ensemble that each iteration started from."""
        highest: list[float] = self._arrays[0]["highest"].tolist()
        return highest

    @property
    def ends(self) -> list[int]:
        """How many branchings there were after each iteration."""
        ends: list[int] = self._arrays[0]["end"].tolist()
        return ends

    @property
    def levels(self) -> list[float]:
        """Of each iteration."""
        if len(self._arrays[2]):
            levels: list[float] = self._arrays[2].tolist()
            return levels
        return [max(maxima) for maxima in self.killed_maxima]

    @property
    def log_weights(self) -> list[float]:
        """After each iteration."""
        log_weights: list[float] = self._arrays[0]["log_weight"].tolist()
        return log_weights

    @property
    def killed_maxima(self) -> list[list[float]]:
        """Of each iteration."""
        maxima = self._arrays[1]["maximum"].tolist()
        return [maxima[self._span(i)] for i in range(len(self))]


def _rows(iteration: Iteration) -> Iterable[tuple[Any, ...]]:
    """List the branchings of an iteration; at extinction nothing is started."""
    none: list[Any] = [None] * len(iteration.killed)
    columns = (iteration.killed, iteration.killed_maxima, iteration.ancestors or none, iteration.starts or none)
    for killed, maximum, ancestor, start in zip(*columns, strict=True):
        if start is None:
            yield killed[1:], maximum, (0, 0), (0, 0), 0, math.nan
        else:
            step = ~start.step if start.ended else start.step
            yield killed[1:], maximum, ancestor[1:], start.parent[1:], step, start.score


class Finals(_Compact[Final]):
    """The final ensemble of a run, by slot."""

    kinds = (_of_any_width(_FINAL, "last_step"),)

    @classmethod
    def of(cls, run: int, finals: Iterable[Final]) -> Self:
        """Keep these, in the order of their slots."""
        rows = [(final.key.branch, *final[1:]) for final in finals]
        return cls(run, np.array(rows, _wide(_FINAL, "last_step", [row[2] for row in rows])))

    @classmethod
    def of_columns(cls, run: int, *columns: NDArray[Any]) -> Self:
        """Keep columns: branches, maxima, last steps, roots and generations, by slot."""
        finals = np.empty(len(columns[0]), _wide(_FINAL, "last_step", columns[2]))
        for name, column in zip(_FINAL.names or (), columns, strict=True):
            finals[name] = column
        return cls(run, finals)

    def _made(self, i: int) -> Final:
        branch, *rest = self._arrays[0][i].item()
        return Final(SegmentKey(self._run, i, branch), *rest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunRecords:
    """What is stored of the segments of a run: the initial ones by slot, then what was started, in that order.

    Those with nothing left to simulate are not among them.
    """

    scores: NDArray[np.float64]
    """At every step: as `pytams.core.segments.Trace` has them, one segment after the other."""
    steps: NDArray[np.int64]
    """Of records."""
    states: dict[str, NDArray[Any]]
    """At records: as `pytams.core.states.state_columns` has them."""
    maxima: NDArray[np.float64]
    """Of each segment."""
    bounds: NDArray[np.int64]
    """Of shape ``(segments, 3)``: how many scores and records there are up to its end; and its last step."""

    @property
    def n_bytes(self) -> int:
        """Bytes of scores and states, which are most of it."""
        return self.scores.nbytes + sum(part.nbytes for part in self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What became of a finished run."""

    run: int
    log_weight: float
    n_reached: int
    n_branchings: int
    n_steps: int
    iterations: Iterations
    members: Finals
    partings: Partings
    recorded: RunRecords | None = None
    """What is to be stored; None if that is nothing, or was stored as it went."""

    @classmethod
    def of_parts(
        cls,
        run: int,
        target: float,
        n_steps: int,
        iterations: Iterations,
        members: Finals,
        partings: Partings,
        recorded: RunRecords | None = None,
    ) -> Self:
        """Sum up what became of a run."""
        log_weights = iterations.log_weights[-1:]
        log_weight = log_weights[0] if log_weights else 0.0
        reached = np.count_nonzero(members.arrays[0]["maximum"] >= target)
        return cls(
            run=run,
            log_weight=log_weight,
            n_reached=int(reached) if log_weight > -math.inf else 0,
            n_branchings=len(iterations.arrays[1]),
            n_steps=n_steps,
            iterations=iterations,
            members=members,
            partings=partings,
            recorded=recorded,
        )

    @classmethod
    def of(cls, splitting: Splitting) -> Self:
        """Sum up a state machine that is finished."""
        run, members = splitting.run, splitting.members
        finals = (Final(one.start.key, one.maximum, one.step, one.root, one.generation) for one in members)
        iterations = Iterations.of(run, splitting.iterations)
        partings = splitting.companions.partings
        return cls.of_parts(run, splitting.target, splitting.n_steps, iterations, Finals.of(run, finals), partings)


def _wide(kind: np.dtype[Any], name: str, values: Sequence[int] | NDArray[Any]) -> np.dtype[Any]:
    """Give a field room for these values."""
    narrow, wide = _of_any_width(kind, name)
    limits = np.iinfo(kind[name])
    return narrow if not len(values) or (limits.min <= np.min(values) and np.max(values) <= limits.max) else wide
