"""A result as people read it, and as programs do."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from pytams.core.text import printable

if TYPE_CHECKING:
    from pytams.analysis.result import Result


def comparison(result: Result, reference: float) -> str:
    """Say how far the estimate is from a known probability."""
    off = (result.probability - reference) / result.standard_error if result.standard_error else math.nan
    return f"{reference:.4e}: the estimate is {off:+.1f} standard errors off"


def plain(result: Result) -> dict[str, Any]:
    """Plain numbers and text, for JSON: what is not a number is None."""
    low, high = result.interval
    return {
        "model": result.model,
        "settings": result.settings.to_dict(),
        "seed": result.seed,
        "probability": result.probability,
        "standard_error": _or_none(result.standard_error),
        "interval": [_or_none(low), _or_none(high)],
        "estimates": list(result.estimates),
        "relative_error": _or_none(result.relative_error),
        "ideal_relative_error": _or_none(result.ideal_relative_error),
        "saving": _or_none(result.saving),
        "health": {name: _or_none(getattr(result.health, name)) for name in result.health.__slots__},
        "n_runs": len(result.runs),
        "n_unfinished": result.n_unfinished,
        "n_extinct": result.n_extinct,
        "n_iterations": result.n_iterations,
        "n_steps": result.n_steps,
        "wall_time": result.wall_time,
    }


def rows(result: Result) -> list[tuple[str, str]]:
    """Names and values, as people read them."""
    settings, n = result.settings, len(result.runs)
    low, high = result.interval
    error = interval = "unknown: nothing has reached the target"
    if math.isfinite(low):
        error = (
            f"{result.standard_error:.2g} ({result.relative_error:.1%}, at best {result.ideal_relative_error:.1%})"
        )
        error += ", from one run's genealogy" if n == 1 else ""
        interval = f"{low:.3e} to {high:.3e}"
    runs = f"{n} finished, {result.n_extinct} extinct"
    if result.n_unfinished:
        runs += f", {result.n_unfinished} unfinished and left out (the finished ones tend to be short: biased)"
    cost = f"{result.n_steps:,} model steps, {result.wall_time:.2f} s"
    if math.isfinite(result.saving):
        cost += f"; plain Monte Carlo: {result.saving:,.1f} times the steps"
    return [
        ("model", printable(result.model)),
        ("probability", f"{result.probability:.4e}"),
        ("standard error", error),
        ("95 % interval", interval),
        ("event", f"score >= {settings.target_score:g} within t <= {settings.end_time:g}"),
        (
            "ensemble",
            f"N = {settings.n_trajectories}, l = {settings.n_discard}, dt = {settings.step_size:g}",
        ),
        ("runs", runs),
        ("iterations", f"{result.n_iterations:,} ({result.n_iterations / n:.0f} a run)"),
        ("cost", cost),
        ("health", str(result.health)),
        ("seed", str(result.seed)),
    ]


def text(result: Result) -> str:
    """Lay names and values out in two columns."""
    found = rows(result)
    width = max(len(name) for name, _ in found)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found)


def html_table(result: Result) -> str:
    """Lay names and values out in a table."""
    found = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in rows(result)
    )
    return f"<table>{found}</table>"


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
