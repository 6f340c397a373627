"""A run directory that is read again and again while somebody looks at it: by many at once, and not too often."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from bokeh.embed import json_item

import pytams
from pytams.analysis.interactive import PICTURES
from pytams.cli.output import explained
from pytams.cli.watch import WatchedStudy, driven_by, rows_of
from pytams.storage.ledgers import Ledgers
from pytams.storage.lessons import Lessons
from pytams.storage.recorded import DAMAGED
from pytams.storage.segment_files import SegmentFiles
from pytams.tams.progress import estimate_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.storage.reader import SavedStudy

_SHARE = 0.1
"""Of the time, at most, that is spent reading: the study has a use for the processors, too."""


class Snapshot(NamedTuple):
    """What there was to see of a run directory when it was read."""

    version: int
    """Another one if there was something new."""
    read_at: float
    """By `time.monotonic`."""
    words: str
    """How it goes."""
    rows: list[list[str]]
    """Of unfinished runs: see `pytams.cli.watch.COLUMNS`."""
    saved: SavedStudy | None
    """None before there is a study."""
    error: str = ""
    """Why it cannot be read; then all else is from before."""


class Followed:
    """Reads a run directory if somebody asks, and it is time to.

    Parameters
    ----------
    path
        The run directory.
    interval
        Seconds between two readings, at least; more, if reading takes long.
    url
        Of the database that its ledgers are in: see `pytams.load`.
    """

    def __init__(self, path: Path, interval: float, url: str | None = None) -> None:
        self._path, self._interval, self._url = path, interval, url
        self._lock = Lock()
        self._snapshot = Snapshot(0, monotonic(), "", [], None)
        self._due = -math.inf
        self._watched: WatchedStudy | None = None
        self._place: Path | None = None
        self._files: dict[str, tuple[int, int]] | None = None
        """Times and sizes of those that were read; None if they do not tell whether there is something new."""
        self._drawn: dict[tuple[str, int | None], dict[str, Any]] = {}

    def look(self) -> Snapshot:
        """Say what there is to see: from before, if another thread is reading or drawing just now."""
        if self._lock.acquire(blocking=not self._snapshot.version):
            try:
                if monotonic() >= self._due:
                    self._read()
            finally:
                self._lock.release()
        return self._snapshot

    def picture(self, kind: str, run: int | None) -> dict[str, Any]:
        """Draw what was read last: a figure as `bokeh.embed` has it and a note, or a text that says why not.

        Parameters
        ----------
        kind
            One of `PICTURES`.
        run
            Of this run; None: of all.
        """
        with self._lock:
            if (kind, run) not in self._drawn:
                self._drawn[kind, run] = self._draw(kind, run)
            return self._drawn[kind, run]

    def _draw(self, kind: str, run: int | None) -> dict[str, Any]:
        saved = self._snapshot.saved
        if saved is None or not saved.has_begun:
            return {"why": "No run has begun yet."}
        result = saved.so_far if PICTURES[kind].of_all or run is not None else saved.result
        if run is not None:
            result = replace(result, runs=tuple(one for one in result.runs if one.run == run))
        if not result.runs:
            return {"why": "Nothing of this run is recorded yet."}
        try:
            figure, note = PICTURES[kind].draw(result)
            return {"item": json_item(figure), "note": note}
        except Exception as error:
            return {"why": explained(error)}

    def _read(self) -> None:
        """Read it; the lock is held."""
        begin, before = monotonic(), self._snapshot
        try:
            self._snapshot = self._found(before)
        except Exception as error:  # whatever it is, the page says it
            self._watched = self._files = None
            text = explained(error)
            self._snapshot = before._replace(version=before.version + (text != before.error), error=text)
        if self._snapshot.version != before.version:
            self._drawn = {}
        self._due = monotonic() + max(self._interval, (monotonic() - begin) * (1.0 / _SHARE - 1.0))

    def _found(self, before: Snapshot) -> Snapshot:
        """Find what is new."""
        now, lessons = monotonic(), Lessons(self._path)
        place = lessons.where_it_goes_on
        is_learning = lessons.are_there and not (self._path / "study.json").exists()
        if place != self._place:
            self._place, self._watched, self._files = place, None, None
        if is_learning and not (place / "study.json").exists():
            return Snapshot(before.version or 1, now, "Its score is to be learned; no run has begun yet.", [], None)
        if self._watched is None:
            self._watched = WatchedStudy(place, self._url)
        else:
            self._watched.look()
        files, saved, version = _files(place), before.saved, before.version
        if files != self._files or saved is None or saved.directory.info.database_url is not None:
            saved, version = pytams.load(place, database_url=self._url), version + 1
            if before.saved is not None:
                before.saved.close()
            self._files = files
        words = _words(self._watched, saved)
        if is_learning:
            words = f"Its score is being learned: what follows is of the runs in {place.name} that teach it. {words}"
        return Snapshot(version, now, words, rows_of(self._watched), saved)


def _files(place: Path) -> dict[str, tuple[int, int]]:
    """List the files of a study, each with its time and size."""
    found = {}
    for folder in (place, place / Ledgers.subfolder, place / SegmentFiles.subfolder):
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found[entry.path] = (status.st_mtime_ns, status.st_size)
    return {name: status for name, status in found.items() if not name.endswith("-shm")}  # readers change it, too


def _words(study: WatchedStudy, saved: SavedStudy) -> str:
    """Say how a study goes."""
    n_runs = len(study.runs)
    words = [f"{study.n_finished} of {n_runs} runs finished"]
    driven = driven_by(study)
    if study.n_finished == n_runs:
        words.append("the study has ended")
    elif driven:
        level = "-" if math.isinf(study.lowest_level) else f"{study.lowest_level:.4g}"
        words.append(f"lowest level {level} of {study.target_score:.4g}")
        words.append(f"{study.n_running} trajectories running, {study.steps_per_second:,.0f} steps/s")
        words.append(f"estimate of all runs so far{estimate_text(*study.log_estimate)}")
        words.append(driven)
    else:
        words.append("nobody drives it: pytams resume goes on with it")
    words += [f"run {run} is {DAMAGED}" for run in saved.damaged]
    return "; ".join(words) + "."
