"""Pictures of reactive trajectories in a plane: two components of the state, or the score, or time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator

from pytams.analysis.colours import BLUE, GREY, ORANGE
from pytams.analysis.curves import step_edges
from pytams.analysis.pictures.axes import COLOURS, new_axes, with_legend
from pytams.core.errors import NothingToDrawError, SettingsError
from pytams.core.settings import choices

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pytams.analysis.result import Result
    from pytams.core.labels import Labels

    Potential = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_BINS = 80
_LEVELS = 40
"""Of the score, at which the mean path is taken."""


def paths(
    result: Result,
    potential: Potential | None = None,
    n_most: int = 10,
    x: str | None = None,
    y: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw reactive paths in a plane.

    Parameters
    ----------
    potential
        Of points, shape ``(points, 2)`` -> ``(points,)``: drawn below the paths, for a state of two numbers.
    n_most
        Draw so many paths at most.
    x, y
        Names of what is on the axes: components of the state, ``"score"`` or ``"time"``. By default the first two
        components, or time and the only one.

    Raises
    ------
    NothingToDrawError
        If nothing has reached the target.
    SettingsError
        If there is no such component.
    """
    plane = _plane(result, n_most, x, y)
    ax = new_axes(ax)
    shown = plane.points
    if potential is not None and plane.is_whole_state:
        _draw_potential(ax, potential, shown)
    ax.add_collection(LineCollection(list(shown), colors=BLUE, linewidths=0.5, alpha=0.6, label="reactive path"))
    ends = np.array([path[np.isfinite(path[:, 0])][-1] for path in shown])
    ax.plot(*shown[:, 0].T, "o", color=ORANGE, markersize=5, label="start")
    ax.plot(*ends.T, "x", color=ORANGE, markersize=5, label="target reached")
    ax.autoscale_view()
    ax.set(xlabel=plane.x, ylabel=plane.y, title=f"{len(shown)} reactive paths")
    ax.grid(visible=False)
    return with_legend(ax)


def density(
    result: Result, n_most: int = 500, x: str | None = None, y: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw where reactive paths spend their time, and their mean path with its spread.

    The density is weighted by what each path stands for. The mean path has, for each level of the score, the mean of
    the points at which paths first exceed it; its spread is their standard deviation across the path.

    Parameters
    ----------
    n_most
        Take so many paths at most, chosen evenly.
    x, y
        As for `paths`.

    Raises
    ------
    NothingToDrawError
        If nothing has reached the target.
    SettingsError
        If there is no such component.
    """
    plane = _plane(result, n_most, x, y)
    ax = new_axes(ax)
    there = np.isfinite(plane.points).all(axis=2)
    weights = np.broadcast_to(plane.weights[:, None], there.shape)[there]
    x_there, y_there = plane.points[there].T
    values, xs, ys = np.histogram2d(x_there, y_there, bins=plane.bins, weights=weights, density=True)
    seen = np.ma.masked_equal(values.T, 0.0)
    drawn = ax.pcolormesh(xs, ys, seen, cmap=COLOURS, norm=PowerNorm(0.5), rasterized=True)
    ax.get_figure(root=True).colorbar(drawn, ax=ax, label="density of reactive paths")  # type: ignore[union-attr] # it has one
    mean, spread = _mean_path(plane)
    ax.plot(*mean.T, color=ORANGE, label="mean path")
    for side, label in ((mean + spread, "its spread"), (mean - spread, None)):
        ax.plot(*side.T, color=ORANGE, linewidth=1.0, linestyle="--", label=label)
    ax.set(xlabel=plane.x, ylabel=plane.y, title=f"Density of {len(plane.points)} reactive paths")
    ax.grid(visible=False)
    return with_legend(ax)


class _Plane(NamedTuple):
    """Paths in a plane."""

    points: NDArray[np.float64]
    """Of shape ``(paths, times, 2)``; NaN past the end of a path."""
    scores: NDArray[np.float64]
    """Of shape ``(paths, times)``."""
    weights: NDArray[np.float64]
    """Of each path, relative to the largest."""
    x: str
    y: str
    bins: list[Any]
    """For a density: of each axis."""
    is_whole_state: bool
    """Whether these are all components of the state, in order."""


def _plane(result: Result, n_most: int, x: str | None, y: str | None) -> _Plane:
    """Get reactive paths, and choose what of them is drawn."""
    if not any(run.n_reached for run in result.runs):
        raise NothingToDrawError("no trajectory has reached the target: there are no paths to draw")
    ensemble = result.ensemble(reached=True, states=not {x, y} <= {"time", "score"}, n_most=n_most)
    if result.settings.spin_up:
        ensemble = _of_the_model(ensemble)
    found = components(ensemble, result.labels)
    own = [name for name in found if name not in {"time", "score"}]
    defaults = own[:2] if len(own) > 1 else ["time", *own] if own else ["time", "score"]
    names = [given or default for given, default in zip((x, y), defaults, strict=True)]
    for axis, name in zip("xy", names, strict=True):
        if name not in found:
            raise SettingsError(axis, f"there is no component {name!r}; there are {choices(name, found)}")
    log_weights = ensemble.log_weight.values
    step_edges_of = partial(step_edges, step_size=result.settings.step_size, n_most=_BINS)
    return _Plane(
        np.stack([found[name] for name in names], axis=-1),
        ensemble.score.values,
        np.exp(log_weights - log_weights.max()),
        result.labels.axis(names[0]),
        result.labels.axis(names[1]),
        [step_edges_of(ensemble.time.values) if name == "time" else _BINS for name in names],
        is_whole_state=names == own,
    )


def _of_the_model(ensemble: Any) -> Any:
    """Leave out what a random start is made of, which a state has beside it: `pytams.Model.start_shape`."""
    own = {"state.array": "state"} if "state.array" in ensemble else {}
    return ensemble.drop_vars("state.normals", errors="ignore").rename(own)


def components(ensemble: Any, labels: Labels) -> dict[str, NDArray[np.float64]]:
    """Name every number of a state, time and the score: each of shape ``(trajectories, times)``."""
    score = ensemble.score.values
    time = np.where(np.isfinite(score), ensemble.time.values, np.nan)
    found: dict[str, NDArray[np.float64]] = {}
    for variable in ensemble.data_vars:
        part, values = str(variable), ensemble[variable].values
        if (part != "state" and not part.startswith("state.")) or values.dtype.kind not in "iufb":
            continue
        for index in np.ndindex(values.shape[2:]):
            found[_name(part, index, labels)] = values[(slice(None), slice(None), *index)]
    return found | {"time": time, "score": score}


def _name(part: str, index: tuple[int, ...], labels: Labels) -> str:
    if part == "state" and len(index) == 1:
        return labels.component(index[0])
    if part == "state" and not index and labels.state_names:
        return labels.component(0)
    return part.removeprefix("state.") + (str(list(index)) if index else "")


def _mean_path(plane: _Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average where paths first exceed levels of the score; and say how far they lie apart across the mean path."""
    scores = np.where(np.isfinite(plane.scores), plane.scores, -np.inf)
    best = np.maximum.accumulate(scores, axis=1)
    levels = np.linspace(best[:, 0].min(), best[:, -1].min(), _LEVELS, endpoint=False)  # all paths exceed them
    scale = np.ptp(plane.points[np.isfinite(plane.points).all(axis=2)], axis=0)
    scale[scale == 0.0] = 1.0
    means, deviations = [], []
    for level in levels:
        first = np.argmax(best > level, axis=1)
        points = plane.points[np.arange(len(first)), first] / scale
        mean = np.average(points, axis=0, weights=plane.weights)
        means.append(mean)
        deviations.append(points - mean)
    path = np.array(means)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), np.finfo(float).tiny)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    apart = np.einsum("lpk,lk->lp", np.array(deviations), across)
    spread = np.sqrt(np.average(apart**2, axis=1, weights=plane.weights))
    return path * scale, across * spread[:, None] * scale


def _draw_potential(ax: Axes, potential: Potential, shown: NDArray[np.float64]) -> None:
    """Draw the potential where the paths are, up to the highest value that they meet."""
    points = shown[np.isfinite(shown[..., 0])]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * (high - low)
    x, y = (np.linspace(a, b, 200) for a, b in zip(low - margin, high + margin, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = np.asarray(potential(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    steps = MaxNLocator(12).tick_values(values.min(), float(np.max(potential(points))))
    filled = ax.contourf(x, y, values, steps, cmap="Greys", alpha=0.5, extend="max")
    ax.contour(x, y, values, steps, colors=GREY, linewidths=0.4, linestyles="solid")
    ax.get_figure(root=True).colorbar(filled, ax=ax, label="potential")  # type: ignore[union-attr] # it has one
