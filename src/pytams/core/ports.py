"""What the driver, the engines and the results ask of others: small protocols that anybody may implement.

Each has a contract suite that an implementation of your own can run: `pytams.models.contract` (`Stepper`),
`pytams.engine.contract` (`Engine`), `pytams.storage.contract` (`Journal`), `pytams.analysis.contract` (`Source`).
The simplest ones are in `pytams.core.nothing`: `NoJournal`, which forgets (a study in memory), and `NoEngine`, which
computes nothing (a study that is read).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from pytams.core.compact import RunOutcome
    from pytams.core.segments import Course, Link, Past, Point, Problem, Progress, SegmentKey, Start
    from pytams.core.settings import Settings
    from pytams.core.splitting import Iteration, Splitting
    from pytams.core.verification import Beginning, Outline, Witness

BLOCK_LENGTH = 64
"""Steps in a block where Python makes each of them."""
BLOCK_SECONDS = 0.5
"""A block ends after this time at the latest, so that an expensive model is seen to move."""


class Steppable(Protocol):
    """A model of any kind: it says itself what advances it."""

    @property
    def name(self) -> str:
        """What messages and results call it."""

    @property
    def made_of(self) -> Mapping[str, str]:
        """What it was made with, described, by name: a study goes on with the same only."""

    def validate(self) -> None:
        """Raise `pytams.SettingsError` if it cannot be used."""

    def has_fixed_start(self, seed: int) -> bool:
        """Whether every trajectory starts from the same state."""

    def make_stepper(self, problem: Problem, threads: int = 1) -> Stepper:
        """Make what advances segments of this model, on so many threads if it can."""


class Stepper(Protocol):
    """Advances the points it holds, block by block."""

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""

    def join(self, point: Point) -> None:
        """Take in a segment to advance."""

    def advance(self, block_length: int | None) -> list[Progress]:
        """Advance by at most `block_length` steps (None: as many as suit); an ended segment leaves."""

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report all that has not been, and give the point that every segment is at now."""

    def close(self) -> None:
        """Let go of every resource."""


@runtime_checkable
class Locatable(Protocol):
    """What a stepper may be beside: one that can say where it is while it advances."""

    def where(self) -> str:
        """Say what it is at: model, run, slot and step. Called from another thread, if a block takes very long."""


@runtime_checkable
class Approximate(Protocol):
    """What a model may be beside: one whose estimates are approximations."""

    @property
    def caveat(self) -> str:
        """Why they are: results say it. Empty if they are not."""


def caveat_of(model: Steppable) -> str:
    """Ask a model why its estimates are approximations; empty if they are not."""
    return model.caveat if isinstance(model, Approximate) else ""


class Engine(Protocol):
    """Advances segments and keeps the states that later branches may start from."""

    @property
    def n_steps(self) -> int:
        """Model steps computed so far."""

    @property
    def n_busy(self) -> int:
        """Workers that have something to do."""

    @property
    def note(self) -> str:
        """What users may want to know, such as where its dashboard is; mostly nothing."""

    def begin_again(self, lists: Sequence[Sequence[Beginning]]) -> list[list[Outline]]:
        """Compute the beginnings of segments, on the side: nothing is kept or counted of them.

        Those in one list in turn, with one fresh copy of the model.
        """

    def start(self, starts: Iterable[Start]) -> None:
        """Take in segments to advance, in the order of the decisions that made them."""

    def resume(self, start: Start, past: Past) -> None:
        """Take in a segment that was recorded, and go on with it if it has not ended."""

    def drop(self, keys: Iterable[SegmentKey]) -> None:
        """Forget segments that no branch can start from any more."""

    def pass_level(self, run: int, level: float) -> None:
        """Take note that all further branches of a run start above this level."""

    def advance(self) -> list[Progress]:
        """Wait until there is something to report, and return it. Reports of one segment come in order."""

    def checkpoint(self) -> tuple[list[Progress], list[Point]]:
        """Report what has not been, and give the points from which segments could be resumed after it."""

    def close(self) -> None:
        """Let go of every resource."""


@runtime_checkable
class MakesWholeRuns(Protocol):
    """What an engine, or a stepper, may be beside: one that makes whole runs of TAMS, to the same bits."""

    def whole_runs(self, settings: Settings, runs: Sequence[int]) -> Generator[RunOutcome | None]:
        """Make these runs, in order, and say None now and then meanwhile; or only the first ones, or none.

        What is wrong with a model will show step by step.
        """


@runtime_checkable
class TakesWholeRuns(Protocol):
    """What a journal may be beside: one that takes whole runs."""

    patience: float
    """Seconds that one may take: nothing of it is recorded until it is finished."""

    def is_new(self, run: int) -> bool:
        """Whether nothing was recorded of a run that was claimed, and it may be made whole."""

    def take(self, outcome: RunOutcome, activity: Activity) -> None:
        """Record a run that is finished, now or at the latest when the journal is closed."""


class Due(IntEnum):
    """What a journal would write now."""

    NOTHING = 0
    FLUSH = 1
    """What has ended."""
    CHECKPOINT = 2
    """That, and where the running segments are."""


class Activity(NamedTuple):
    """What a driver does."""

    n_busy: int
    """Workers that have something to do."""
    steps_per_second: float
    """Model steps a second, the mean since it was begun or resumed."""
    wall_time: float
    """Seconds spent, in all sessions."""


class Elsewhere(NamedTuple):
    """Runs of a study that are not driven here, by number."""

    finished: Mapping[int, RunOutcome]
    unfinished: Mapping[int, str]
    """And who drives them, or what is wrong with them."""
    wall_time: float | None = None
    """Seconds that are recorded, of the runs that are driven here, too; None if nothing is."""


class Journal(Protocol):
    """Where a driver records what happens, and finds what was recorded before."""

    @property
    def wall_time(self) -> float:
        """Seconds that earlier sessions spent."""

    def claim(self, runs: Sequence[int]) -> list[int]:
        """Choose which of these runs the driver is to drive next; none twice, and none if there are no more."""

    def past(self, start: Start) -> Past | None:
        """Find what was recorded of a segment; None if there is nothing."""

    def awaited(self, runs: Sequence[int]) -> dict[int, str]:
        """Say who drives the runs that are neither driven here nor finished: these, and others that are driven."""

    def elsewhere(self) -> Elsewhere:
        """Find what became of the runs of the study that are not driven here, also after `close`."""

    def witnesses(self, runs: Sequence[int]) -> list[Witness]:
        """Choose segments that were recorded, to be computed again before these runs go on.

        Of each run that was begun and is not finished; if there is none, but others are to begin, of any run.
        """

    def begin(self, starts: Iterable[Start]) -> None:
        """Take note of new members of the ensemble."""

    def record(self, progress: Progress) -> None:
        """Take note of what was computed."""

    def decide(self, iteration: Iteration) -> None:
        """Take note of an iteration: who was killed, and who restarts."""

    def due(self) -> Due:
        """Say what should be written now."""

    def write(
        self, splittings: Mapping[int, Splitting], points: Iterable[Point], activity: Activity, *, closing: bool
    ) -> None:
        """Make what was noted last: all ended segments, and those that one of the points goes on from.

        Parameters
        ----------
        splittings
            The runs, by number.
        points
            Where segments are that are running.
        activity
            What the driver does, for those who watch.
        closing
            Whether this is the last time.
        """

    def beat(self, splittings: Mapping[int, Splitting], activity: Activity) -> None:
        """Say that the driver is alive, if it is time to."""

    def close(self) -> None:
        """Leave the runs to others. What has not been written is forgotten."""


class Source(Protocol):
    """Where the trajectories of a result come from: computed again, or read from disk."""

    def courses(self, chains: Sequence[Sequence[Link]], *, states: bool) -> list[Course]:
        """Get trajectories, given the segments they consist of; with the state at every step, if wanted."""
