"""States that are in files, and which of them stay: what nobody has a reference to any more is removed.

Meanwhile workers may be putting the same content there: `StateKeeper.sweep` says how. A run has one driver, and a
folder of its own, so that no other driver's states are in question.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakValueDictionary, finalize

from pytams.core.errors import DamagedFileError, RunDirectoryError, SettingsError, StoreError
from pytams.core.scratch import Scratch
from pytams.core.stored import Reference
from pytams.core.text import size_text
from pytams.storage.files import REPAIR, sync, sync_folder
from pytams.storage.options import States
from pytams.storage.state_content import files_of
from pytams.storage.state_files import MAKE_ROOM, StateFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pytams.core.states import State
    from pytams.core.stored import Content, StateStore
    from pytams.storage.manifest import StudyInfo

_CLOCKS = 1.0
"""Seconds by which clocks of machines that share a file system may differ."""


class StateKeeper:
    """The states of a study: a `pytams.core.stored.StateStore`.

    In the driver's process, a state stays as long as anybody there has the reference that `hold` gave.

    Parameters
    ----------
    options
        What the user has chosen.
    folder
        Where they are; None: a temporary folder is made when it is needed.
    in_memory
        Whether nothing is written of the study itself.
    logs
        Where simulators leave what is to stay.
    """

    def __init__(
        self, options: States, folder: Path | None = None, *, in_memory: bool, logs: Path | None = None
    ) -> None:
        self.options, self._folder, self._in_memory, self.logs = options, folder, in_memory, logs
        self._is_driver = True
        self._known: WeakValueDictionary[tuple[int, str], Reference] = WeakValueDictionary()
        self._released: list[tuple[int, str]] = []
        """Files of which a reference was let go of."""
        self._sizes: dict[tuple[int, str], int] = {}
        """Of the files that were ever held, and are still there."""
        self._left: set[int] = set()
        """Runs that others see to."""
        self._n_bytes, self._seconds = 0, 0.0
        """Bytes of these files; and as `sweep` was told last."""
        self.seconds_synced = 0.0
        """Time that `sync` took."""

    def __reduce__(self) -> tuple[Callable[..., StateKeeper], tuple[States, Path, bool, Path | None]]:
        return _of_worker, (self.options, self._files.path, self._in_memory, self.logs)

    @property
    def reproducible(self) -> bool:
        """Whether the model gives the same bits again."""
        return self.options.reproducible

    @property
    def local(self) -> Path | None:
        """Where simulators work, if that is not where temporary files go."""
        return None if self.options.local is None else Path(self.options.local)

    @cached_property
    def _files(self) -> StateFiles:
        if self._folder is None:
            scratch = Scratch.make(None if self.options.store is None else Path(self.options.store))
            finalize(self, scratch.remove)
            self._folder = scratch.path
        return StateFiles(self._folder, self.options, in_memory=self._in_memory)

    def put(self, run: int, content: Content) -> State:
        """Put a state away, and give the reference to it; one that is small is given back."""
        return self.hold(run, self._files.put(run, content))

    def get(self, run: int, reference: Reference) -> Content:
        """Get the content of a reference: of a folder, where it is; it must not be written to."""
        return self._files.get(run, reference)

    def has(self, run: int, reference: Reference) -> bool:
        """Whether a state is here: it is not looked at."""
        return self._files.has(run, reference)

    def placed(self, folder: Path, where: Path) -> Path:
        """Put a copy of a folder that is here in a place of one's own, and say where it is."""
        return self._files.placed(folder, where)

    def on_trial(self) -> StateStore:
        """Give one that finds what is here, and forgets what is put there when nobody has it any more."""
        return _OnTrial(self, replace(self.options, store=None, max_size=None), in_memory=self._in_memory)

    def hold(self, run: int, state: State) -> State:
        """Keep a state's content here as long as anybody in this process has what this returns.

        Raises
        ------
        StoreError
            If more is here than may be.
        """
        reference = Reference.found_in(state)
        if reference is None or not self._is_driver:
            return state
        name = run, reference.sha256
        known = self._known.get(name)
        if known is not None:
            return known
        self._known[name] = reference
        finalize(reference, self._release, name).atexit = False
        if name not in self._sizes:
            self._sizes[name] = reference.size
            self._n_bytes += reference.size
            self._check_size()
        return reference

    def _release(self, name: tuple[int, str]) -> None:
        self._released.append(name)

    def leave(self, run: int) -> None:
        """Leave a run to its ledger: what that has stays, though nobody here holds it any more."""
        self._left.add(run)

    def take_up(self, run: int) -> None:
        """See to what stays of a run, maybe again."""
        self._left.discard(run)

    def _check_size(self) -> None:
        most = self.options.most_bytes
        if self._n_bytes > most:
            self.sweep(self._seconds)  # what nobody has any more may just be waiting
        if self._n_bytes > most:
            of_runs: Counter[int] = Counter()
            for (run, _), size in self._sizes.items():
                of_runs[run] += size
            largest = ", ".join(f"run {run} {size_text(size)}" for run, size in of_runs.most_common(3))
            raise StoreError(
                f"{self._files.path}: {len(self._sizes)} states take {size_text(self._n_bytes)}, more than [states] "
                f"max_size (States(max_size=...)), {size_text(most)}; most of it: {largest}. Everything before is on "
                f"disk. {MAKE_ROOM}"
            )

    def sweep(self, seconds: float) -> None:
        """Remove what nobody has any more.

        A worker that puts a state here which is here makes its file young; one that is younger than the oldest task
        stays, since nobody knows yet what that task has put here.

        Parameters
        ----------
        seconds
            For how long the oldest task is out. 0: none is.
        """
        self._seconds = seconds
        names, self._released = self._released, []
        for name in names:
            if name in self._known or name[0] in self._left:
                continue
            path = self._files.file(*name)
            self._files.check(path.parent)
            if _removed(path, seconds):
                self._n_bytes -= self._sizes.pop(name, 0)
            else:
                self._released.append(name)

    def close(self) -> None:
        """Remove what nobody has, if it is of a study in memory: else its journal sees to it."""
        if self._in_memory:
            self.sweep(0.0)
        if "_files" in vars(self):  # it was made
            self._files.nearby.close()

    def sync(self, run: int, references: Iterable[Reference]) -> None:
        """See that states last, before anything that is to last says that they are here.

        Raises
        ------
        StoreError
            If one is gone, or the disk fails.
        """
        folders, start = set(), perf_counter()
        try:
            for reference in references:
                path = self._files.file(run, reference.sha256)
                for file in files_of(path) if reference.kind == "folder" else [path]:
                    sync(file)
                    folders.add(file.parent)
                folders |= {path.parent, path.parent.parent}
            for folder in folders:
                sync_folder(folder)
        except FileNotFoundError as error:
            raise DamagedFileError(
                f"{error.filename} is missing: it is the state of a trajectory; {REPAIR}"
            ) from error
        except OSError as error:
            raise StoreError(f"{error.filename} cannot be written for good: {error.strerror}") from error
        self.seconds_synced += perf_counter() - start

    def clean(self, run: int, kept: Collection[str]) -> None:
        """Remove everything of a run but these: what killed processes left. Nobody puts anything here meanwhile."""
        folder = self._files.path / f"{run:05d}"
        for part in (folder, *folder.glob("*")):
            self._files.check(part)  # before anything is removed behind a link
        for path in folder.glob("??/*"):
            if path.name not in kept:
                _remove(path)
                self._n_bytes -= self._sizes.pop((run, path.name), 0)
        for part in (*folder.glob("??"), folder, self._files.path):
            with suppress(OSError):  # something is in it, or it is not there
                part.rmdir()

    def is_whole(self, run: int, reference: Reference) -> bool:
        """Whether a state is here, and what was written."""
        try:
            self.get(run, reference)
        except DamagedFileError:
            return False
        return True


def keeper_of(directory: Path, info: StudyInfo, states: States | None = None) -> StateKeeper | None:
    """Find the states of a study that are in files of their own; None if no state of it ever is.

    Parameters
    ----------
    directory
        The run directory.
    info
        What it says.
    states
        What the user says of them: where they are, if that is not here.

    Raises
    ------
    RunDirectoryError
        If they are elsewhere, and she has not said where.
    SettingsError
        If they are not where she says, or would be mixed with others.
    """
    if info.states_are == "along":
        if states is not None and states != States():
            raise SettingsError("states", f"{directory} was made before states were put into files of their own")
        return None
    options = info.states if states is None else states.of_study(info.states)
    if info.states_are == "here":
        if options.store is not None:
            raise SettingsError("store", f"the states of {directory} are in it, and not in {options.store}")
        return StateKeeper(options, directory / StateFiles.subfolder, in_memory=False, logs=directory / "logs")
    if options.store is None:
        raise RunDirectoryError(
            f"{directory}: its states are in another folder; a directory may come from anybody, so say where that "
            "is: [states] store (States(store=...))"
        )
    folder = Path(options.store) / info.identity
    return StateKeeper(options, folder, in_memory=False, logs=directory / "logs")


class _OnTrial(StateKeeper):
    """What is computed on the side goes to a temporary folder, and only for as long as it is needed."""

    def __init__(self, study: StateStore, options: States, *, in_memory: bool) -> None:
        super().__init__(options, in_memory=in_memory, logs=study.logs)
        self._study = study

    def put(self, run: int, content: Content) -> State:
        self.sweep(0.0)
        return super().put(run, content)

    def get(self, run: int, reference: Reference) -> Content:
        return super().get(run, reference) if self.has(run, reference) else self._study.get(run, reference)


def _of_worker(options: States, folder: Path, in_memory: bool, logs: Path | None) -> StateKeeper:
    keeper = StateKeeper(options, folder, in_memory=in_memory, logs=logs)
    keeper._is_driver = False  # noqa: SLF001 - what stays is the driver's to say
    return keeper


def _removed(path: Path, seconds: float) -> bool:
    """Remove a state, unless somebody may have put it here since; return whether it is gone.

    It is renamed first: who puts the same here after that finds nothing, and writes it; who has found it before has
    made it young.
    """
    doomed = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        if _is_young(path, seconds):
            return False
        path.rename(doomed)
        if _is_young(doomed, seconds):
            if not path.exists():
                doomed.rename(path)
            return False
    except OSError:  # it is gone, or in nobody's way
        return True
    _remove(doomed)
    return True


def _is_young(path: Path, seconds: float) -> bool:
    return seconds > 0.0 and time.time() - path.stat().st_mtime < seconds + _CLOCKS


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
