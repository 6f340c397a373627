"""Learned scores in run directories: ``score.npz``, and ``learning/`` with the rounds in which it was learned.

::

    dw.tams/
        score.npz               the score of the study
        learning/plan.json      what was asked for
        learning/score.npz      the score of a pilot that is elsewhere, if it was learned
        learning/round0/        the pilot, with the user's own score: a run directory
        learning/round1/        its runs check the score that was learned from round 0, and teach the next one
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytams.analysis.work import Work
from pytams.core.errors import RunDirectoryError, SettingsError
from pytams.core.settings import Checked, Count, RunCount, Seed
from pytams.models.learned.score import LearnedScore
from pytams.storage.files import cannot_be_written, why_not, write_atomically
from pytams.storage.manifest import LEARNING, SCORE, read_manifest
from pytams.storage.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_BYTES = 2**16
"""Of a ``plan.json``: more is none."""


def score_files(score: LearnedScore | None) -> Mapping[str, bytes]:
    """Give the file of a learned score, by name."""
    if score is None:
        return {}
    content = io.BytesIO()
    score.write(content)
    return {SCORE: content.getvalue()}


def by_seed(score: LearnedScore | None) -> dict[str, list[int]]:
    """Give the runs that taught a score, by seed."""
    found: dict[str, list[int]] = {}
    for seed, run in sorted(score.taught_by if score is not None else ()):
        found.setdefault(str(seed), []).append(run)
    return found


def read_score(path: Path) -> LearnedScore:
    """Read the score of a run directory; StoreError if it is damaged, RunDirectoryError if it is elsewhere."""
    file = path / SCORE
    problem = why_not(file, path)
    if problem is not None:
        raise RunDirectoryError(f"{file} {problem}: nothing is read from it")
    return LearnedScore.load(file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Checked):
    """What is to be learned, and for which study."""

    n_runs: RunCount
    seed: Seed
    pilot_runs: Count
    rounds: Count
    pilot: dict[str, Any] | None = None
    """What is known of a pilot that is elsewhere, its `Work`; None: it is round 0."""
    pilot_path: str | None = None
    """Where that pilot is, seen from the directory of the study."""

    @property
    def pilot_work(self) -> Work | None:
        """The same, checked."""
        return None if self.pilot is None else Work.checked(self.pilot)


class Lessons:
    """The folder with the rounds of a study.

    Parameters
    ----------
    path
        The run directory of the study, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._folder = path, path / LEARNING

    @property
    def are_there(self) -> bool:
        """Whether a score is, or was, learned here."""
        return (self._folder / "plan.json").exists()

    def begin(self, plan: Plan, score: LearnedScore | None = None) -> Plan:
        """Write down what is to be learned, and the score of the pilot if it was learned; or read what was before.

        Raises
        ------
        RunDirectoryError
            If that was something else, or it cannot be written.
        """
        if self.are_there:
            known = self.plan()
            if known != plan:
                raise RunDirectoryError(
                    f"{self._folder} was begun otherwise: {_difference(known, plan)}; go on with it by pytams resume "
                    f"{self.path}, or choose another directory"
                )
            return known
        if self.path.exists() and not (
            self.path.is_dir() and {path.name for path in self.path.iterdir()} <= {LEARNING}
        ):
            raise RunDirectoryError(f"{self.path} exists and is no run directory: choose another one")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, content in score_files(score).items():
                write_atomically(self._folder / name, content)
            write_atomically(self._folder / "plan.json", json.dumps(plan.to_dict(), indent=2).encode())
        except OSError as error:
            what, remedy = cannot_be_written(self._folder, error)
            raise RunDirectoryError(f"{what}; {remedy}, and try again") from error
        return plan

    def plan(self) -> Plan:
        """Read what was asked for."""
        file = self._folder / "plan.json"
        problem = why_not(self._folder, self.path) or why_not(file, self.path)
        if problem is not None:
            raise RunDirectoryError(f"{file} {problem}: nothing is read from it")
        try:
            if file.stat().st_size > _MOST_BYTES:
                raise RunDirectoryError(f"{file} is too large: pytams did not write that")
            plan = Plan.checked(strict_json(file.read_text(encoding="utf-8")))
            plan.pilot_work  # noqa: B018 - is checked
        except (OSError, ValueError, SettingsError) as error:
            raise RunDirectoryError(f"{file} is not what was written: {error}") from error
        return plan

    def round(self, number: int) -> Path:
        """Say where the runs of a round are."""
        return self._folder / f"round{number}"

    def has_begun(self, number: int) -> bool:
        """Whether there are any."""
        return (self.round(number) / "study.json").exists()

    def n_runs(self, number: int) -> int:
        """Say how many runs a round has by now."""
        return read_manifest(self.round(number) / "study.json").n_runs if self.has_begun(number) else 0

    @property
    def where_it_goes_on(self) -> Path:
        """The run directory of the study; while its score is being learned, that of the last round."""
        if (self.path / "study.json").exists() or not self.are_there:
            return self.path
        begun = [number for number in range(self.plan().rounds + 1) if self.has_begun(number)]
        return self.round(begun[-1]) if begun else self.path

    @property
    def pilot_path(self) -> Path | None:
        """Where a pilot is that is elsewhere; None if it is gone."""
        told = self.plan().pilot_path
        path = None if told is None else self.path.resolve() / told
        return path if path is not None and (path / "study.json").exists() else None

    @property
    def pilot_score(self) -> LearnedScore | None:
        """The score of a pilot that is elsewhere, if it was learned."""
        return read_score(self._folder) if (self._folder / SCORE).exists() else None

    def score(self, number: int) -> LearnedScore | None:
        """Read the score that a round checks; None if it has not begun, or is the pilot."""
        return read_score(self.round(number)) if number > 0 and self.has_begun(number) else None


def _difference(known: Plan, plan: Plan) -> str:
    then, now = known.to_dict(), plan.to_dict()
    return ", ".join(f"{name} was {then[name]}, not {now[name]}" for name in then if then[name] != now[name])
