"""What people see of a saved study and of a trajectory: text, and HTML for notebooks."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.analysis import logs, summary
from pytams.core.text import printable
from pytams.storage.recorded import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytams.storage.directory import RunDirectory
    from pytams.storage.reader import SavedStudy
    from pytams.storage.trajectories import SavedTrajectory

_WIDTH, _HEIGHT, _POINTS = 400, 80, 200
"""Of a picture."""


def study_plain(study: SavedStudy, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give plain numbers and text of a saved study, for JSON."""
    info = study.directory.info
    return {
        "directory": str(study.directory.path),
        "model": info.model.name,
        "seed": info.seed,
        "created": info.created,
        "versions": info.versions,
        "result": study.result.to_dict() if study.has_begun else None,
        "runs": list(runs),
    }


def study_text(study: SavedStudy, runs: Sequence[dict[str, Any]]) -> str:
    """Say what a saved study holds, and how far its runs are."""
    info = study.directory.info
    unfinished = [run for run in runs if not run["finished"]]
    n_finished = len(runs) - len(unfinished)
    begun = printable(info.created)
    lines = [f"{study.directory.path}: {n_finished} of {info.n_runs} runs finished, begun {begun}"]
    if study.has_begun:
        lines += ["", str(study.result)]
    if unfinished:
        lines += _lines(unfinished, info.settings.target_score)
        age = _age(study.directory)
        lines += [] if age is None else [f"as of {age:.0f} s ago, when something was written last"]
    return "\n".join(lines)


def _age(directory: RunDirectory) -> float | None:
    """Say how many seconds ago a segment was written last; None if none was."""
    times = [path.stat().st_mtime for path in directory.segment_files.paths() if path.exists()]
    return max(0.0, time.time() - max(times)) if times else None


def _lines(runs: Sequence[dict[str, Any]], target: float) -> list[str]:
    """Say how far runs are, a line each."""
    lines = ["", f"{'run':>5}  {'level':>10} of {target:g}  {'P(above it)':>11}  {'branchings':>10}  driver"]
    for run in runs:
        number, level, chance, branchings, driver = _cells(run)
        lines.append(f"{number:>5}  {level:>10} of {target:g}  {chance:>11}  {branchings:>10}  {driver}")
    return lines


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    level = "-" if run["level"] is None else f"{run['level']:.4g}"
    driver = DAMAGED if run["damaged"] else run["driver"] or "none: pytams resume goes on with it"
    chance = "0" if run["log_weight"] is None else logs.text(run["log_weight"], ".2e")
    chance = "-" if run["level"] is None else chance
    return str(run["run"]), level, chance, str(run["n_branchings"]), driver


def study_html(study: SavedStudy, runs: Sequence[dict[str, Any]]) -> str:
    """Show a saved study: where it is, the result of its finished runs, and how far the others are."""
    info = study.directory.info
    rows = [
        ("run directory", printable(str(study.directory.path))),
        ("finished", f"{study.n_finished} of {info.n_runs} runs"),
        ("begun", printable(info.created)),
    ]
    unfinished = [_cells(run) for run in runs if not run["finished"]]
    heads = "run", f"level of {info.settings.target_score:g}", "P(above it)", "branchings", "driver"
    return summary.table([*rows, *(study.result.rows if study.has_begun else [])]) + (
        summary.grid(heads, unfinished) if unfinished else ""
    )


def trajectory_html(trajectory: SavedTrajectory) -> str:
    """Show a trajectory: which it is, what it consists of, and its scores against time."""
    run, slot, branch = trajectory.name
    scores, target = trajectory.scores, trajectory.settings.target_score
    n = len(trajectory.links)
    rows = [
        ("trajectory", f"run {run}, slot {slot}, branch {branch}"),
        ("consists of", f"{n} segment{'' if n == 1 else 's'}"),
        ("scores", f"{len(scores)}, up to t = {trajectory.times[-1]:g}" if len(scores) else "none yet"),
    ]
    if len(scores):
        rows.append(("highest", f"{scores.max():.4g} of {target:g}"))
    return summary.table(rows) + _sparkline(scores, target)


def _sparkline(scores: NDArray[np.float64], target: float) -> str:
    """Draw scores, of a long trajectory the highest of each part; and the target. Nothing if they cannot be drawn."""
    if len(scores) < 2:
        return ""
    tops = np.array([part.max() for part in np.array_split(scores, min(len(scores), _POINTS))])
    low, high = (float(edge(np.append(tops, target))) for edge in (np.min, np.max))
    if not np.isfinite([low, high, high - low]).all() or low == high:
        return ""
    x = np.linspace(0.0, _WIDTH, len(tops))
    y, line = (_HEIGHT * (high - tops) / (high - low), _HEIGHT * (high - target) / (high - low))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    title = html.escape(f"the score against time; dashed: the target, {target:g}")
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT + 4}' viewBox='0 -2 {_WIDTH} {_HEIGHT + 4}' role='img' fill='none' "
        f"stroke='currentColor'><title>{title}</title><polyline points='{points}'/>"
        f"<line x1='0' x2='{_WIDTH}' y1='{line:.1f}' y2='{line:.1f}' stroke-dasharray='4'/></svg>"
    )
