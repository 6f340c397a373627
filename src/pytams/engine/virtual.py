"""An engine in virtual time: workers that take time, and trajectories that only climb. Nothing is computed.

With it the real state machines, the real driver and the real order of sending say how many workers a study can use.
Scores are measured by -log P(the score gets higher). From wherever a branch starts it climbs on by an exponentially
distributed amount, whatever the model is: that is what the best score does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from pytams.core.driver import Driver
from pytams.core.nothing import NoJournal
from pytams.core.segments import Progress
from pytams.core.selection import Variant
from pytams.core.settings import Settings
from pytams.core.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytams.core.segments import Past, Point, SegmentKey, Start
    from pytams.core.verification import Beginning, Outline

_RECORDS = 8
"""Of a segment, evenly in the first half of its steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What workers and the driver take."""

    n_workers: int
    step_seconds: float
    task_seconds: float = 0.5
    """About as long as a task takes."""
    message_seconds: float = 0.0
    """Of the driver, for each task."""
    spread: float = 0.0
    """Standard deviation of the log of a task's time."""
    lost: float = 0.0
    """Share of the tasks whose worker is lost at the end: they are done again."""
    barrier: bool = False
    """Whether the branches of a run wait until those before have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How many steps segments take."""

    initial: int
    """Each trajectory of the initial ensemble: the longest there are."""
    branch: float
    """A branch, on average; uniformly distributed around that, as widely as can be."""

    def of_branch(self, share: float) -> int:
        """Say how long a branch is, of which so many are shorter."""
        width = min(self.branch, self.initial - self.branch)
        return max(2, round(self.branch + (2.0 * share - 1.0) * width))


class Spent(NamedTuple):
    """What a study took."""

    seconds: float
    busy_seconds: float
    """Of all workers together."""
    n_steps: int
    n_segments: int

    def efficiency(self, n_workers: int) -> float:
        """Share of the workers' time in which they had something to do."""
        return self.busy_seconds / (n_workers * self.seconds)


class _Segment:
    """One that is under way."""

    __slots__ = ("best", "done", "n_steps", "score", "start", "top")

    def __init__(self, start: Start, score: float, top: float, n_steps: int) -> None:
        self.start, self.score, self.top, self.n_steps = start, score, top, n_steps
        self.done, self.best = 0, score

    def records(self, n: int) -> tuple[list[int], list[float]]:
        """Go on by n steps, and say where it has climbed on the way."""
        steps, scores, first = [], [], self.start.step
        if self.done == 0 and self.start.parent is None:
            steps, scores = [0], [0.0]
        for k in range(1, _RECORDS + 1):
            step = math.ceil(self.n_steps * k / (2 * _RECORDS))
            if self.done < step <= self.done + n and (not steps or first + step > steps[-1]):
                steps.append(first + step)
                scores.append(self.score + (self.top - self.score) * k / _RECORDS)
        self.done += n
        self.best = scores[-1] if scores else self.best
        return steps, scores


class Virtual:
    """Advances segments in virtual time.

    Parameters
    ----------
    lengths
        Of segments.
    conditions
        What workers and the driver take.
    seed
        Of what is drawn.
    """

    note = ""

    def __init__(self, lengths: Lengths, conditions: Conditions, seed: int) -> None:
        self._lengths, self._conditions, self._streams = lengths, conditions, Streams(seed)
        self._line: list[tuple[float, SegmentKey, _Segment]] = []
        self._out: list[tuple[float, SegmentKey, _Segment, int, bool]] = []
        self._held: dict[int, list[_Segment]] = {}
        self._n_running: dict[int, int] = {}
        self._n_tasks = 0
        self.now = self.busy_seconds = 0.0
        self.n_steps = self.n_segments = 0

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""
        return len(self._out)

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Compute nothing: there is nothing to compute."""
        return [[] for _ in lists]

    def start(self, starts: Iterable[Start]) -> None:
        """Draw how far a trajectory climbs, and how long it takes."""
        for start in starts:
            rng = self._streams.noise(*start.key, 0)
            is_initial = start.parent is None
            score = 0.0 if is_initial else start.score
            n_steps = self._lengths.initial if is_initial else self._lengths.of_branch(rng.random())
            segment = _Segment(start, score, score + rng.exponential(), n_steps)
            self.n_segments += 1
            self._held.setdefault(start.key.run, []).append(segment)
        if not self._conditions.barrier:
            self._let_in()

    def _let_in(self) -> None:
        for run, held in self._held.items():
            if not self._conditions.barrier or not self._n_running.get(run):
                self._n_running[run] = self._n_running.get(run, 0) + len(held)
                for segment in held:
                    heappush(self._line, (segment.best, segment.start.key, segment))
                held.clear()

    def resume(self, start: Start, past: Past) -> None:
        """Nothing has a past."""

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Hold nothing."""

    def pass_level(self, run: int, level: float) -> None:
        """Hold nothing."""

    def _send(self) -> None:
        """Send out those furthest behind, as many as there are workers."""
        how = self._conditions
        while self._line and len(self._out) < how.n_workers:
            _, key, segment = heappop(self._line)
            rng = self._streams.initial_state(key.run, self._n_tasks)
            self._n_tasks += 1
            n = min(segment.n_steps - segment.done, max(1, int(how.task_seconds / how.step_seconds)))
            seconds = n * how.step_seconds * math.exp(how.spread * rng.standard_normal() - how.spread**2 / 2.0)
            self.busy_seconds += seconds
            heappush(self._out, (self.now + seconds, key, segment, n, bool(rng.random() < how.lost)))

    def advance(self) -> list[Progress]:
        """Wait for the next task to end."""
        self._let_in()
        self._send()
        done_at, key, segment, n, is_lost = heappop(self._out)
        self.now = max(self.now, done_at) + self._conditions.message_seconds
        if is_lost:
            heappush(self._line, (segment.best, key, segment))
            return []
        steps, scores = segment.records(n)
        self.n_steps += n
        has_ended = segment.done >= segment.n_steps
        if has_ended:
            self._n_running[key.run] -= 1
        else:
            heappush(self._line, (segment.best, key, segment))
        return [Progress(key, steps, scores, segment.start.step + segment.done, has_ended, [None] * len(steps))]

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Have nothing to report."""
        return [], []

    def close(self) -> None:
        """Hold nothing."""


def simulate(
    log_probability: float,
    n_trajectories: int,
    n_discard: int,
    n_runs: int,
    lengths: Lengths,
    conditions: Conditions,
    seed: int = 0,
) -> Spent:
    """Make a study in virtual time, of an event of this probability, with the best score there is."""
    settings = Settings(
        end_time=1.0,
        step_size=1.0,
        target_score=-log_probability,
        n_trajectories=n_trajectories,
        n_discard=n_discard,
    )
    engine = Virtual(lengths, conditions, seed)
    driver = Driver(settings, seed, Variant(), engine, NoJournal())
    driver.begin(range(n_runs))
    while not driver.is_done:
        driver.advance()
    return Spent(engine.now, engine.busy_seconds, engine.n_steps, engine.n_segments)
