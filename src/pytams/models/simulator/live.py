"""A simulator that is open, and what it answers, checked."""

from __future__ import annotations

import copy
import logging
import math
from contextlib import closing, contextmanager, suppress
from multiprocessing.util import Finalize
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pytams.core.errors import ModelError
from pytams.core.segments import SegmentKey
from pytams.core.states import describe_state, same_layout
from pytams.core.stored import content_of, inline
from pytams.core.streams import SEEDS_PER_CHUNK, Streams
from pytams.models.answers import RAISED, Answers, counted
from pytams.models.simulator.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pytams.core.segments import Point, Problem
    from pytams.core.states import State
    from pytams.models.answers import Where
    from pytams.models.learned.score import LearnedScore
    from pytams.models.simulator.simulator import Simulator

_logger = logging.getLogger("pytams")

_FOLDER = "state"
"""Where a folder that was saved is put, in a simulator's scratch folder, before it is loaded."""


class Holder(Protocol):
    """Who has a simulator in hand."""

    def put_down(self) -> None:
        """Save where it is: somebody else wants it."""


class Moment(NamedTuple):
    """What is known of where a simulator is taken up."""

    step: int
    t: float
    target_score: float


class Live:
    """A simulator that is opened when it is asked something, for one holder at a time, and closed with the last one.

    Parameters
    ----------
    simulator
        The object.
    on_close
        Called when it has been closed.
    """

    def __init__(self, simulator: Simulator, on_close: Callable[[], None]) -> None:
        self.simulator = simulator
        self._on_close = on_close
        self.at: Where | None = None
        """Which segment its holder has it at, and at which step; None if that is not known."""
        self.moment = Moment(0, 0.0, math.nan)
        """Where it was taken up last, or is being taken up."""
        self.asked_at: Where = SegmentKey(0, 0, 0), 0
        """Which segment it was asked of last, and at which step."""
        self.place: Place | None = None
        self._lock = RLock()
        self._holder: Holder | None = None
        self._users: list[Holder] = []
        self._end: Callable[[], object] = str  # there is nothing to end

    def used_by(self, holder: Holder) -> None:
        """Stay open for one more."""
        with self._lock:
            self._users.append(holder)

    @contextmanager
    def held_by(self, holder: Holder) -> Iterator[None]:
        """Be in one hand; who had it before saves first what it holds."""
        with self._lock:
            if self._holder is not holder:
                if self._holder is not None:
                    self._holder.put_down()
                self._holder, self.at = holder, None
            yield

    @property
    def is_open(self) -> bool:
        """Whether it has been opened, and not closed since."""
        return self.place is not None

    def open(self, scratch: Path | None = None, logs: Path | None = None) -> None:
        """Open it, if it is not, to work in a folder of its own in this one."""
        if self.place is None:
            self.place = Place.make(scratch, logs)
            self._end = Finalize(self, _close, (self.simulator, self.place), exitpriority=1)
            self.simulator.open(self.place)

    def left_by(self, holder: Holder) -> None:
        """Close it, if nobody else uses it."""
        with self._lock:
            if holder in self._users:
                self._users.remove(holder)
            if self._holder is holder:
                self._holder, self.at = None, None
            if not self._users:
                self.close()

    def close(self) -> None:
        """Close it, whoever uses it: it is opened again if it is asked again."""
        if self.place is not None:
            self.place, self.at = None, None
            self._end()
            self._on_close()


def _close(simulator: Simulator, place: Place) -> None:
    try:
        simulator.close()
    except RAISED as error:  # nothing depends on it
        _logger.warning("%s.close raised %s: %s", simulator.name, type(error).__name__, error)
    finally:
        place.remove()


class CheckedSimulator:
    """Asks a simulator, in the name of one problem, and checks what it answers.

    Methods take the place that the simulator is at, as (key, step), for messages and seeds.
    """

    def __init__(self, problem: Problem, live: Live, learned: LearnedScore | None = None) -> None:
        self._live, self._simulator, self._learned = live, live.simulator, learned
        self._problem = problem
        self._dt = problem.step_size
        self._streams = Streams(problem.seed)
        self._answers = Answers(self._simulator.name, problem.step_size)
        self._seeds: tuple[SegmentKey | None, int, list[int]] = (None, 0, [])
        self._layout: State | None = None
        self._asked: tuple[str, Where] | None = None
        store = problem.store
        self._folders = (None, None) if store is None else (store.local, store.logs)
        defines = self._simulator.defines
        self._is_perturbed = defines("perturb") and self._simulator.when
        self._branches, self._says_reached = defines("branch"), defines("reached")
        self.may_end, self.makes_many = defines("ended"), defines("steps")
        self._has_features = defines("features") and not self.makes_many
        self._n_features: int | None = None if learned is None else len(learned.names)

    def where(self) -> str:
        """Say what the simulator was asked last."""
        if self._asked is None:
            return self._simulator.name
        method, where = self._asked
        return f"{self._simulator.name}.{method}{self._answers.at(where)}"

    def take(self, point: Point) -> None:
        """Take up a segment where it is, and begin it if it has not begun."""
        key, start_step, step, _, state, *_ = point
        where = key, step
        is_here = self._live.at == where
        self._live.at = None  # until it is
        self._live.moment = Moment(step, step * self._dt, self._problem.target_score)
        begins = state is None or (step == start_step and key.branch > 0)
        if state is None:
            rng = self._streams.initial_state(key.run, key.slot)
            self._ask("start", where, rng)
        elif begins or not is_here:
            self._ask("load", where, self._content(key, state))
        if begins:
            if self._branches:
                self._ask("branch", where, self._streams.branch_seed(*key))
            if self._is_perturbed == "branch":
                self._ask("perturb", where, self._streams.perturbation(*key, 0))
        self._live.at = where

    def step(self, key: SegmentKey, start_step: int, step: int) -> None:
        """Advance from a step to the next."""
        where, number = (key, step), step - start_step
        self._live.at = None
        if self._is_perturbed == "step":
            self._ask("perturb", where, self._streams.perturbation(*key, number))
        seed = self._seed(key, number) if self._simulator.seeding == "step" else None
        self._ask("step", where, seed, step * self._dt, self._dt)
        self._live.at = key, step + 1

    def steps(self, key: SegmentKey, start_step: int, step: int, n: int) -> list[float]:
        """Advance by n steps at once, and give their scores."""
        where = key, step
        self._live.at = None
        seeds = None
        if self._simulator.seeding == "step":
            seeds = [self._seed(key, number) for number in range(step - start_step, step - start_step + n)]
        found = self._ask("steps", where, seeds, step * self._dt, self._dt, n)
        try:
            scores = list(found)
        except TypeError:
            scores = []
        if len(scores) != n:
            raise self._answers.wrong("steps", f"{found!r:.80}", f"it must return {n} scores, one a step", where)
        checked = [self._answers.score(score, (key, step + i)) for i, score in enumerate(scores, start=1)]
        self._live.at = key, step + n
        return checked

    def _seed(self, key: SegmentKey, number: int) -> int:
        chunk, position = divmod(number, SEEDS_PER_CHUNK)
        last_key, last_chunk, seeds = self._seeds
        if (last_key, last_chunk) != (key, chunk):
            seeds = self._streams.seeds(*key, chunk)
            self._seeds = key, chunk, seeds
        return seeds[position]

    def scored(self, where: Where) -> tuple[float, NDArray[np.float64] | None]:
        """Score the state, below the target if it is not the event; and give what a score may be learned from."""
        hers, target = self._answers.score(self._ask("score", where), where), self._problem.target_score
        is_reached = hers >= target
        if self._says_reached:
            found = self._ask("reached", where, where[1] * self._dt)
            is_reached = self._answers.truth("reached", found, where)
            hers = counted(hers, target, is_reached=is_reached)
        if not self._has_features or not (self._problem.traced or self._learned):
            return hers, None
        features = self._features(where)
        score = hers
        if self._learned is not None:
            learned = self._learned.beside(hers, features, where[1] * self._dt)
            score = counted(learned, target, is_reached=is_reached)
        return score, np.array([hers, *features])

    def _features(self, where: Where) -> NDArray[np.float64]:
        """Ask what a learned score may look at."""
        found = self._ask("features", where, where[1] * self._dt)
        try:
            features = np.asarray(found, dtype=np.float64).ravel()
        except (TypeError, ValueError) as error:
            raise self._answers.wrong("features", f"{found!r:.80}", f"numbers are wanted ({error})", where) from error
        if self._n_features not in {None, len(features)} or not np.isfinite(features).all():
            wanted = f"it must return as many finite numbers each time, here {self._n_features or 'some'}"
            raise self._answers.wrong("features", f"{features!r:.80}", wanted, where)
        self._n_features = len(features)
        return features

    def ended(self, where: Where) -> bool:
        """Whether the trajectory ends here."""
        return self._answers.truth("ended", self._ask("ended", where, where[1] * self._dt), where)

    def state(self, where: Where) -> State:
        """Save the state."""
        found = self._ask("save", where)
        if isinstance(found, Path) and self._problem.store is None:
            problem = "there is no store for folders: [states] store (States(store=...))"
            raise self._answers.wrong("save", "a folder", problem, where)
        try:
            state = self._problem.put(where[0], found)
        except TypeError as error:
            raise self._answers.wrong(
                "save", type(found).__name__, f"{error}, or bytes, or a folder", where
            ) from error
        if isinstance(found, bytes | bytearray | memoryview):
            return state  # of any length
        if self._layout is None:
            self._layout = state
        elif not same_layout(self._layout, state):
            wanted = (
                f"it was {describe_state(self._layout)} before: states must keep their lengths, shapes and dtypes"
            )
            raise self._answers.wrong("save", describe_state(state), wanted, where)
        return state

    def _content(self, key: SegmentKey, state: State) -> Any:
        """Get what was saved: a copy, which may be written to."""
        content = self._problem.get(key, state)
        if isinstance(content, bytes):
            return content
        if isinstance(content, Path):
            return self._placed(content)
        return content_of(content)

    def _placed(self, folder: Path) -> Path:
        """Put a folder where the simulator may use it."""
        self._live.open(*self._folders)
        assert self._live.place is not None
        assert self._problem.store is not None
        return self._problem.store.placed(folder, self._live.place.scratch / _FOLDER)

    def _ask(self, method: str, where: Where, *arguments: Any) -> Any:
        self._asked = method, where
        self._live.asked_at = where
        try:
            self._live.open(*self._folders)
            return getattr(self._simulator, method)(*arguments)
        except RAISED as error:
            said = self._live.place.last_words() if self._live.place else ""
            self._live.close()  # who knows what is left of it
            raised = self._answers.raised(method, error, where)
            was_tried = getattr(error, "was_tried", False)
            raise ModelError(f"{raised}{said}", raised.method, raised.place, was_tried=was_tried) from error


def starts(simulator: Simulator, seed: int) -> list[State]:
    """Draw two starts, of a fresh copy; none if it raises: what is wrong is said where it is advanced."""
    streams = Streams(seed)
    found: list[State] = []
    with suppress(*RAISED), closing(Live(copy.deepcopy(simulator), lambda: None)) as live:
        live.open()
        for slot in (0, 1):
            live.simulator.start(streams.initial_state(0, slot))
            found.append(inline(live.simulator.save()))
    return found
