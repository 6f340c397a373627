"""The algorithm: a pure state machine that gets reports of progress and answers with the branches to start.

What it decides is TAMS, or another variant of multilevel splitting: `pytams.core.selection`. No clock, no process, no
file: whoever calls `Splitting.report` advances the segments.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING

from pytams.core.partings import Companions
from pytams.core.segments import Progress, SegmentKey, Start
from pytams.core.selection import Variant, choose_ancestors, choose_killed, choose_record, survivor_slots
from pytams.core.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """One splitting iteration: who was killed at which level, and what restarts from where."""

    index: int
    level: float
    """Z: the trajectories whose maximum is not above it are killed."""
    killed: tuple[SegmentKey, ...]
    """The trajectories killed, in slot order."""
    killed_maxima: tuple[float, ...]
    ancestors: tuple[SegmentKey, ...]
    """Whom each killed slot restarts from; empty at extinction."""
    starts: tuple[Start, ...]
    """The new trajectories of the killed slots; empty at extinction."""
    n_branchings: int
    """Trajectories killed in the iterations before this one."""
    log_weight: float
    """log W after this iteration, -inf at extinction."""
    lowest: float
    """Smallest maximum of the ensemble that the iteration started from."""
    highest: float | None = field(default=None, hash=False)
    """Largest maximum of that ensemble; None while some of it is still running: filled in by the machine, once."""


@dataclass(slots=True)
class Member:
    """The trajectory in a slot, with its records since its branch point."""

    start: Start
    source: SegmentKey
    """The segment that holds its last state: its own, or its ancestor's if there was nothing left to simulate."""
    root: int
    """Slot of the initial trajectory that it descends from."""
    generation: int
    """0 for the initial ensemble, i + 1 if iteration i started it."""
    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    step: int = -1
    ended: bool = False
    companion: Member | None = field(default=None, repr=False, compare=False)
    """Whom it is to be compared with, once both have ended: see `pytams.core.partings`."""
    shared_record: int = 0
    """Which record of its companion's is its own first one."""
    waiting: list[Member] = field(default_factory=list, repr=False, compare=False)
    """Those that are to be compared with this one, and have ended."""

    @property
    def maximum(self) -> float:
        """Largest score so far, -inf if none is known yet."""
        return self.scores[-1] if self.scores else -math.inf


def initial_starts(run: int, n: int) -> list[Start]:
    """Name the segments of the initial ensemble."""
    return [Start(SegmentKey(run, slot, 0), None, 0, math.nan) for slot in range(n)]


def _initial_members(starts: Iterable[Start]) -> list[Member]:
    """Make the initial ensemble; each is to be compared with the one before."""
    members: list[Member] = []
    for start in starts:
        member = Member(start, start.key, start.key.slot, generation=0)
        member.companion = members[-1] if members else None
        members.append(member)
    return members


def all_starts(run: int, n: int, iterations: Iterable[Iteration]) -> dict[SegmentKey, Start]:
    """Name every segment of a run."""
    starts = {start.key: start for start in initial_starts(run, n)}
    return starts | {start.key: start for iteration in iterations for start in iteration.starts}


def log_estimate(log_weight: float, n_above: int, n: int) -> float:
    """Log of an estimate: of the weight W times the share `n_above` / `n` of the ensemble. -inf for 0."""
    return log_weight + math.log(n_above / n) if n_above else -math.inf


class _Generations:
    """The largest maximum of the ensemble that each iteration started from.

    It never decreases, so it is the largest of all generations up to that iteration's, and is known when all of them
    have ended: the running members of each generation are counted down. Generation i + 1 is what iteration i starts.
    """

    def __init__(self, n: int) -> None:
        self._n_running = [n]
        self._highest = [-math.inf]
        self.n_complete = 0
        """Iterations whose `highest` is known."""

    def add(self) -> int:
        """Make room for the generation of the next iteration, and return its number."""
        self._n_running.append(0)
        self._highest.append(-math.inf)
        return len(self._n_running) - 1

    def started(self, generation: int) -> None:
        """Count one more that is running."""
        self._n_running[generation] += 1

    def ended(self, generation: int, maximum: float, *, was_running: bool) -> None:
        """Count one that has ended."""
        self._n_running[generation] -= was_running
        self._highest[generation] = max(self._highest[generation], maximum)

    def complete(self, iterations: Sequence[Iteration]) -> None:
        """Fill in the largest maximum of each iteration's ensemble once all of that ensemble has ended."""
        while self.n_complete < len(iterations) and not self._n_running[self.n_complete]:
            i = self.n_complete
            if i:
                self._highest[i] = max(self._highest[i - 1 : i + 1])
            object.__setattr__(iterations[i], "highest", self._highest[i])  # frozen for whoever was given it
            self.n_complete += 1


class Splitting:
    """One run of multilevel splitting.

    A decision is made as soon as it is determined: when the maxima that the level follows from are known to be final,
    that is, when every running trajectory has climbed above the level. So branches of one iteration start while those
    of earlier ones still run, and what is decided does not depend on the order of the reports.

    Parameters
    ----------
    settings
        N, l, the target and the cap on branchings.
    seed, run
        Name the streams that ancestors are drawn from.
    variant
        Makes the choices.
    """

    def __init__(self, settings: Settings, seed: int, run: int = 0, variant: Variant | None = None) -> None:
        self._n = n = settings.n_trajectories
        self._n_discard = settings.n_discard
        self._cap = settings.cap
        self.target = settings.target_score
        self._variant = variant or Variant()
        self._streams = Streams(seed)
        self.run = run
        """Its number."""
        self.iterations: list[Iteration] = []
        self.log_weight = 0.0
        self.n_branchings = 0
        self._n_steps_of_ended = 0
        self.finished = False
        """Whether the estimate is final."""

        self.companions = Companions(self.target, n)
        self.members = _initial_members(self.initial_starts)
        self._ended: list[tuple[float, int]] = []  # (maximum, slot) of the ended members, sorted
        # A heap of (maximum, slot, branch) of the running members. Maxima grow, so an entry is a lower bound; it is
        # brought up to date when it surfaces.
        self._running = [(-math.inf, slot, 0) for slot in range(n)]
        self.n_running = n
        self._generations = _Generations(n)

    @property
    def initial_starts(self) -> list[Start]:
        """The segments of the initial ensemble."""
        return initial_starts(self.run, self._n)

    @property
    def n_complete(self) -> int:
        """Iterations whose `highest` is known."""
        return self._generations.n_complete

    @property
    def level(self) -> float:
        """The last level, -inf before the first iteration."""
        return self.iterations[-1].level if self.iterations else -math.inf

    @property
    def progress(self) -> float:
        """How far the level has risen from the first to the target: 0 to 1."""
        if self.finished or not self.iterations:
            return float(self.finished)
        first = self.iterations[0].level
        return (self.level - first) / (self.target - first)

    @property
    def n_steps(self) -> int:
        """Model steps computed so far, as far as they have been reported."""
        running = (member for member in self.members if not member.ended)
        return self._n_steps_of_ended + sum(max(0, member.step - member.start.step) for member in running)

    @property
    def highest(self) -> float:
        """The ensemble's largest maximum so far."""
        return max(member.maximum for member in self.members)

    @property
    def extinct(self) -> bool:
        """Whether an iteration killed every trajectory: the estimate is 0."""
        return self.log_weight == -math.inf

    @property
    def n_reached(self) -> int:
        """How many trajectories of the ensemble have reached the target."""
        return 0 if self.extinct else len(self._ended) - bisect_left(self._ended, (self.target, -1))

    @property
    def estimate(self) -> float:
        """W / N times the number of trajectories that reached the target: final once `finished`."""
        return math.exp(self.log_weight) * self.n_reached / self._n

    @property
    def log_estimate(self) -> float:
        """Log of the estimate, also where that is below the smallest float; -inf if nothing reached the target."""
        return log_estimate(self.log_weight, self.n_reached, self._n)

    def report(self, progress: Progress) -> list[Iteration]:
        """Take in a segment's progress and return the iterations that this decides, often none.

        Reports of one segment come in order, and its end comes with the report of its last step. A report that is
        late or comes twice changes nothing.
        """
        member = self.members[progress.key.slot]
        if member.start.key != progress.key or member.ended or progress.step <= member.step:
            return []
        first_new = bisect_right(progress.steps, member.step)
        member.steps.extend(progress.steps[first_new:])
        member.scores.extend(progress.scores[first_new:])
        member.step = progress.step
        if progress.ended:
            self._n_steps_of_ended += member.step - member.start.step
            self.n_running -= 1
            self._end(member, was_running=True)
            self.companions.ended(member, self.iterations)
        decided = []
        while (level := self._determined_level()) is not None:
            decided.append(self._split(level))
        if progress.ended or decided:
            self._generations.complete(self.iterations)
        if self.n_running == 0:  # no report that could still come would lead to another iteration
            self.finished = True
        return decided

    def _end(self, member: Member, *, was_running: bool) -> None:
        member.ended = True
        insort(self._ended, (member.maximum, member.start.key.slot))
        self._generations.ended(member.generation, member.maximum, was_running=was_running)

    def _determined_level(self) -> float | None:
        """Level of the next iteration; None if it is not known yet, or if there is none."""
        if self.n_branchings >= self._cap or self.extinct:
            return None
        level = self._variant.level(self._ended, self._n_discard)
        if level is None or level >= self.target or self._lowest_running() <= level:
            return None
        return level

    def _lowest_running(self) -> float:
        """Smallest maximum so far of the running members."""
        heap = self._running
        while heap:
            bound, slot, branch = heap[0]
            member = self.members[slot]
            if member.ended or member.start.key.branch != branch:
                heappop(heap)
            elif member.maximum > bound:
                heapreplace(heap, (member.maximum, slot, branch))
            else:
                return bound
        return math.inf

    def _split(self, level: float) -> Iteration:
        """Kill the members that are to be killed at a level, and restart their slots from survivors."""
        n_killed = choose_killed(self._variant, self._ended, level)
        lowest = self._ended[0][0]
        killed = sorted(slot for _, slot in self._ended[:n_killed])
        del self._ended[:n_killed]
        self.log_weight += math.log1p(-n_killed / self._n) if n_killed < self._n else -math.inf
        members = [self.members[slot] for slot in killed]
        ancestors: list[SegmentKey] = []
        starts: list[Start] = []
        generation = self._generations.add()
        if not self.extinct:
            rng = self._streams.ancestors(self.run, len(self.iterations))
            numbers = choose_ancestors(self._variant, rng, n_killed, self._n - n_killed)
            for slot, ancestor in zip(killed, survivor_slots(killed, numbers), strict=True):
                ancestors.append(self.members[ancestor].start.key)
                starts.append(self._restart(slot, self.members[ancestor], level, generation))
        iteration = Iteration(
            index=len(self.iterations),
            level=level,
            killed=tuple([member.start.key for member in members]),
            killed_maxima=tuple([member.maximum for member in members]),
            ancestors=tuple(ancestors),
            starts=tuple(starts),
            n_branchings=self.n_branchings,
            log_weight=self.log_weight,
            lowest=lowest,
        )
        self.n_branchings += n_killed
        self.iterations.append(iteration)
        return iteration

    def _restart(self, slot: int, ancestor: Member, level: float, generation: int) -> Start:
        """Put a new member into the slot, branched from one of the ancestor's records."""
        key = SegmentKey(self.run, slot, self.members[slot].start.key.branch + 1)
        record = choose_record(self._variant, ancestor.scores, level)
        step, score = ancestor.steps[record], ancestor.scores[record]
        ended = ancestor.ended and step == ancestor.step
        start = Start(key, ancestor.source, step, score, ended)
        member = Member(start, ancestor.source if ended else key, ancestor.root, generation, [step], [score], step)
        self.members[slot] = member
        if ended:
            self._end(member, was_running=False)
        else:
            member.companion, member.shared_record = ancestor, record
            self.n_running += 1
            self._generations.started(generation)
            heappush(self._running, (score, slot, key.branch))
        return start
