"""Pictures of a result: each function draws into an Axes and returns it.

They need ``pip install "pytams-splitting[plot]"``.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

from pytams.core.distribution import installing
from pytams.core.errors import SettingsError
from pytams.core.settings import choices

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise ImportError(f"pictures need matplotlib: {installing('plot')}") from error

from pytams.analysis.colours import BLUE, GREY, ORANGE
from pytams.analysis.curves import says_of_levels
from pytams.analysis.pictures.axes import AXES_SIZE, with_legend
from pytams.analysis.pictures.learned import score
from pytams.analysis.pictures.levels import levels, weights
from pytams.analysis.pictures.numbers import convergence, estimates, exceedance, reaching_times, return_times
from pytams.analysis.pictures.plane import density, paths
from pytams.analysis.pictures.trajectories import discarded, genealogy, scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pytams.analysis.result import Result

__all__ = [
    "AXES_SIZE", "BLUE", "GREY", "KINDS", "ORANGE", "convergence", "density", "discarded", "draw", "estimates",
    "exceedance", "genealogy", "levels", "overview", "paths", "reaching_times", "return_times", "score", "scores",
    "weights", "with_legend",
]  # fmt: skip

KINDS: dict[str, Callable[..., Axes]] = {
    "levels": levels,
    "weights": weights,
    "exceedance": exceedance,
    "return-times": return_times,
    "estimates": estimates,
    "convergence": convergence,
    "reaching-times": reaching_times,
    "scores": scores,
    "discarded": discarded,
    "genealogy": genealogy,
    "paths": paths,
    "density": density,
}
"""The pictures by name, as `pytams plot --kind` has them."""
OF_STATES = "paths", "density"
"""Those that need states: they may import the model."""
OF_RUNS = "levels", "weights", "scores", "discarded", "genealogy"
"""Those that show how runs go, also of runs that go on beside finished ones."""
_OVERVIEW = (
    "exceedance", "return-times", "levels", "weights", "scores", "genealogy", "estimates", "convergence",
    "reaching-times",
)  # fmt: skip
_OF_SEVERAL_RUNS = "convergence"


def overview(result: Result, reference: float | None = None, figure: Figure | None = None) -> Figure:
    """Draw all pictures that need no states, on one page."""
    kinds = [kind for kind in _OVERVIEW if is_for(kind, result)]
    n_rows = -(-len(kinds) // 2)
    figure = figure or plt.figure(layout="constrained")
    figure.set_size_inches(2 * AXES_SIZE[0], n_rows * AXES_SIZE[1])
    axes: NDArray[Any] = figure.subplots(n_rows, 2, squeeze=False)
    for kind, ax in zip(kinds, axes.flat, strict=False):
        options = {"reference": reference} if "reference" in options_of(kind) else {}
        KINDS[kind](result, ax=ax, **options)
    for ax in axes.flat[len(kinds) :]:
        ax.set_axis_off()
    return figure


def is_for(kind: str, result: Result) -> bool:
    """Whether a picture can be drawn of a result, and says something.

    Of levels on the way only if these are of the user's score; of reactive trajectories if there are any.
    """
    if kind in {"exceedance", "return-times"}:
        return says_of_levels(result)
    if kind in {"reaching-times", *OF_STATES}:
        return any(run.n_reached for run in result.runs)
    if kind == "discarded":
        return result.runs[0].n_branchings > 0
    if kind in {"estimates", _OF_SEVERAL_RUNS} and result.log_probability == -math.inf:
        return False
    return kind != _OF_SEVERAL_RUNS or len(result.runs) > 1


def options_of(kind: str) -> set[str]:
    """Name the options of a picture.

    Raises
    ------
    SettingsError
        If there is no such picture.
    """
    if kind not in KINDS:
        raise SettingsError("kind", f"no picture is called {kind!r}; there are {choices(kind, KINDS)}")
    return set(inspect.signature(KINDS[kind]).parameters) - {"result", "ax"}


def draw(kind: str, result: Result, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw a picture by its name.

    Raises
    ------
    SettingsError
        If there is no such picture, or it has no such option.
    """
    known = options_of(kind)
    for name in options:
        if name not in known:
            raise SettingsError(name, f"the picture {kind!r} has no such option")
    return KINDS[kind](result, ax=ax, **options)
