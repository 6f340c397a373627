"""Settings that have no effect where they are said: nobody is to believe that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.cli.keys import KEYS, NOT_FOR
from pytams.cli.output import say_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytams.cli.config import Config
    from pytams.core.ports import Steppable

_OF_LEARNING = {"score": KEYS["score"].keys() - {"learn"}}
_IN_DIRECTORY = {"runner": {"runs_at_once"}, "trajectory": {"sparse_freq"}, "states": {"keep"}}
"""What concerns a run directory alone, beside ``[database]``."""


def warn(warnings: Iterable[str]) -> None:
    """Say them on standard error."""
    for warning in warnings:
        say_aside(f"warning: {warning}", is_error=True)


def without_effect(config: Config, *, has_directory: bool, begins: bool) -> list[str]:
    """Say what was written for nothing.

    Parameters
    ----------
    config
        The settings.
    has_directory
        Whether the study is written to a run directory.
    begins
        Whether it is no study that goes on.
    """
    said, kind, found = config.said, config.runner.type, []
    if "database" in said and not has_directory:
        found.append("[database] has no effect without --out: nothing is written")
    if "dask" in said and kind != "dask":
        found.append(f"[dask] has no effect: [runner] type is '{kind}'")
    if not has_directory:
        found += [f"{name} has no effect without --out: nothing is written" for name in _said(config, _IN_DIRECTORY)]
    nothing = _said(config, {"runner": NOT_FOR[kind]})
    found += [f"{name} has no effect: [runner] type is '{kind}'" for name in nothing]
    if begins and not config.learning.learn:
        found += [f"{name} has no effect without [score] learn = true" for name in _said(config, _OF_LEARNING)]
    if not begins and "score" in said:
        found.append("[score] has no effect: how a score is learned is said when a study is begun")
    return found


def _said(config: Config, keys: dict[str, set[str]]) -> list[str]:
    """Give those of these keys that were said, as they are called in messages."""
    return [
        f"[{section}] {key}" for section in keys for key in sorted(keys[section] & config.said.get(section, set()))
    ]


def threads_without_effect(config: Config, model: Steppable) -> list[str]:
    """Say whether threads were asked for in this process, and the model has no use for them."""
    runner = config.runner
    if runner.type != "inprocess" or runner.threads == 1 or _can_use_threads(model):
        return []
    return [f"[runner] nthreads has no effect: {model.name} is not compiled; worker processes: type = 'process'"]


def _can_use_threads(model: Steppable) -> bool:
    """Whether it is compiled, or somebody's own way to be a model."""
    from pytams.models.learned.model import her_model  # noqa: PLC0415 - what only needs to be known of threads
    from pytams.models.plain.functions import Functions  # noqa: PLC0415 - likewise
    from pytams.models.sde.model import SDE  # noqa: PLC0415 - likewise
    from pytams.models.simulator.simulator import Simulator  # noqa: PLC0415 - likewise

    hers = her_model(model)
    return hers.compiled if isinstance(hers, SDE) else not isinstance(hers, Functions | Simulator)
