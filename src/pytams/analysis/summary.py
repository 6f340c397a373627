"""A result as people read it, and as programs do."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from pytams.analysis import estimators, logs
from pytams.analysis.logs import LOG_10
from pytams.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.analysis.result import Result
    from pytams.core.settings import Settings

_LOG_MILLION = math.log(1e6)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def comparison(result: Result, reference: float) -> str:
    """Say how far the estimate is from a known probability."""
    if math.isnan(result.relative_error):
        return f"{reference:.4e}: the estimate has no standard error to compare with"
    ratio = logs.number(math.log(reference) - result.log_probability) if reference > 0.0 else 0.0
    return f"{reference:.4e}: the estimate is {(1.0 - ratio) / result.relative_error:+.1f} standard errors off"


def plain(result: Result) -> dict[str, Any]:
    """Plain numbers and text, for JSON: what is not a number is None.

    So is an error, or the end of an interval, that is below the smallest float: its log is a number.
    """
    return {
        "model": result.model,
        "caveat": result.caveat,
        "taught_by": sorted(map(list, result.taught_by)),
        "settings": result.settings.to_dict(),
        "seed": result.seed,
        "provisional": result.is_provisional,
        "probability": result.probability,
        "log_probability": _or_none(result.log_probability),
        "standard_error": _or_none(result.standard_error or math.nan),
        "interval": [_or_none(end or math.nan) for end in result.interval],
        "log_interval": [_or_none(end) for end in result.log_interval],
        "estimates": list(result.estimates),
        "log_estimates": [_or_none(run.log_estimate) for run in result.runs],
        "relative_error": _or_none(result.relative_error),
        "ideal_relative_error": _or_none(result.ideal_relative_error),
        "saving": _or_none(result.saving),
        "log_saving": _or_none(result.log_saving),
        "health": {name: _or_none(getattr(result.health, name)) for name in result.health.__slots__},
        "n_runs": len(result.runs),
        "n_unfinished": result.n_unfinished,
        "n_extinct": result.n_extinct,
        "n_iterations": result.n_iterations,
        "n_steps": result.n_steps,
        "wall_time": result.wall_time,
    }


def probability(result: Result, form: str) -> str:
    """Write the probability, whatever its size."""
    is_plain = logs.is_plain(result.log_probability)
    return format(result.probability, form) if is_plain else logs.text(result.log_probability, form)


def headline(result: Result) -> str:
    """Write the probability with its standard error as in a paper: its digits are those that the error leaves.

    Examples
    --------
    ``(7.5 ± 0.6) x 10⁻³``; ``0.42 ± 0.03``; ``7.5 x 10⁻³, error unknown``.
    """
    log = result.log_probability
    if log == -math.inf:
        return "0: nothing has reached the target" + (" so far" if result.is_provisional else "")
    power = math.floor(log / LOG_10 + 1e-12)
    power = 0 if power == -1 else power
    value, digits, said = math.exp(log - power * LOG_10), 1 + (power == 0), ""
    if not result.is_provisional and math.isfinite(result.relative_error) and result.relative_error > 0.0:
        error = value * result.relative_error
        places = -math.floor(math.log10(error) + 1e-12)
        digits = max(0, places + (f"{error:.0e}"[0] == "1"))
        said = f" ± {error:.{digits}f}"
    text = f"{value:.{digits}f}{said}"
    if power:
        text = f"({text})" if said else text
        text += f" \N{MULTIPLICATION SIGN} 10{str(power).translate(_RAISED)}"
    if result.is_provisional:
        return text + " so far"
    return text if said else f"{text}, error unknown"


def interval(result: Result, form: str) -> str:
    """Write the 95 % interval, whatever its size; nothing if there is none."""
    low, high = result.log_interval
    return "" if math.isnan(low) else f"{logs.text(low, form)} to {logs.text(high, form)}"


def event(settings: Settings) -> str:
    """Say what the probability is of."""
    return f"score >= {settings.target_score:g} within t <= {settings.end_time:g}"


def ensemble(settings: Settings) -> str:
    """Say with which ensemble."""
    return f"N = {settings.n_trajectories}, l = {settings.n_discard}, dt = {settings.step_size:g}"


def rows(result: Result) -> list[tuple[str, str]]:
    """Names and values, as people read them."""
    settings, n = result.settings, len(result.runs)
    n_finished = sum(run.finished for run in result.runs)
    runs = f"{n_finished} finished, {result.n_extinct} extinct"
    if result.is_provisional:
        runs += f", {n - n_finished} that go on, as they are so far{_level(result)}"
    elif result.n_unfinished:
        runs += f", {result.n_unfinished} unfinished and left out (the finished ones tend to be short: biased)"
    cost = f"{result.n_steps:,} model steps, {result.wall_time:.2f} s"
    if math.isfinite(result.log_saving):
        form = ",.1f" if result.log_saving < _LOG_MILLION else ".1e"
        cost += f"; plain Monte Carlo: {logs.text(result.log_saving, form)} times the steps"
    return [
        ("model", printable(result.model)),
        *([("caveat", printable(result.caveat))] if result.caveat else []),
        *([("score", f"learned from {_taught_by(result)}")] if result.taught_by else []),
        ("probability", probability(result, ".4e") + (" so far: PROVISIONAL" if result.is_provisional else "")),
        ("standard error", _error(result)),
        ("95 % interval", interval(result, ".3e") or _why_unknown(result)),
        ("event", event(settings)),
        ("ensemble", ensemble(settings)),
        ("runs", runs),
        ("iterations", f"{result.n_iterations:,} ({result.n_iterations / n:.0f} a run)"),
        ("cost", cost),
        ("health", printable(str(result.health))),
        ("seed", str(result.seed)),
    ]


def _level(result: Result) -> str:
    return f" (all at or above {result.level:.4g})" if result.level > -math.inf else ""


def _taught_by(result: Result) -> str:
    """Name the runs that taught the score: none of them is in the estimate."""
    of_seeds = [
        (seed, sorted(run for of, run in result.taught_by if of == seed)) for seed in {s for s, _ in result.taught_by}
    ]
    return "; ".join(
        f"{len(runs)} other runs, {runs[0]} to {runs[-1]} of seed {seed}" for seed, runs in sorted(of_seeds)
    )


def _error(result: Result) -> str:
    """Write the standard error, and where it is from."""
    if math.isnan(result.relative_error):
        return _why_unknown(result)
    error = logs.text(result.log_probability + math.log(result.relative_error), ".2g")
    error += f" ({result.relative_error:.1%}, at best {result.ideal_relative_error:.1%})"
    if _coincide(result):
        return f"{error}, from the runs' genealogies: the runs coincide"
    return error + (", from one run's genealogy" if len(result.runs) == 1 else "")


def _why_unknown(result: Result) -> str:
    """Say why there is no standard error."""
    if result.log_probability == -math.inf:
        return "unknown: nothing has reached the target"
    if _coincide(result):
        return "unknown: the runs coincide, and their genealogies do not tell it"
    return "unknown: one run's genealogy does not tell it"


def _coincide(result: Result) -> bool:
    return bool(estimators.coincide([run.log_estimate for run in result.runs]))


def text(result: Result) -> str:
    """Lay names and values out in two columns."""
    found = rows(result)
    width = max(len(name) for name, _ in found)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found)


def html_table(result: Result) -> str:
    """Lay names and values out in a table."""
    return table(rows(result))


def table(found: Iterable[tuple[str, str]]) -> str:
    """Make an HTML table of names and values."""
    return _table(_cell("th", name) + _cell("td", value) for name, value in found)


def grid(heads: Iterable[str], found: Iterable[Iterable[str]]) -> str:
    """Make an HTML table of rows below heads."""
    first = "".join(_cell("th", head) for head in heads)
    return _table([first, *("".join(_cell("td", value) for value in row) for row in found)])


def _table(lines: Iterable[str]) -> str:
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(kind: str, text: str) -> str:
    return f"<{kind} style='text-align:left'>{html.escape(text)}</{kind}>"


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
