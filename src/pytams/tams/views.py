"""What people see of a study under way: a line, and HTML for notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytams.analysis import summary
from pytams.core.text import printable
from pytams.tams.progress import estimate_text

if TYPE_CHECKING:
    from pytams.core.segments import Problem
    from pytams.tams.study import Study


def study_line(study: Study, problem: Problem) -> str:
    """Say in a line how a study goes."""
    runs = f"{study.n_finished} of {len(study.runs)} runs finished"
    return f"<Study of {printable(problem.model.name)}: {runs}, seed {problem.seed}>"


def study_html(study: Study, problem: Problem) -> str:
    """Show how a study goes: names and values."""
    level, settings = study.lowest_level, study.settings
    passed = "none" if math.isinf(level) else f"{level:.4g}"
    rows = [
        ("study of", printable(problem.model.name)),
        ("event", summary.event(settings)),
        ("ensemble", summary.ensemble(settings)),
        ("runs", f"{study.n_finished} of {len(study.runs)} finished"),
        ("lowest level", f"{passed} of {settings.target_score:g}, {study.n_running} trajectories running"),
        ("running estimate", estimate_text(*study.log_estimate).lstrip(": ")),
        ("cost", f"{study.n_steps:,} model steps, {study.steps_per_second:,.0f} a second"),
        ("seed", str(problem.seed)),
    ]
    return summary.table(rows)
