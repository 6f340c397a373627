"""The picture of a learned score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from pytams.analysis.colours import BLUE, GREY
from pytams.analysis.pictures.axes import COLOURS, new_axes, with_legend
from pytams.core.errors import SettingsError
from pytams.core.settings import choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_POINTS = 150
_LEVELS = 10


class Learned(Protocol):
    """What is drawn: a `pytams.LearnedScore`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its features."""

    @property
    def importance(self) -> Mapping[str, float]:
        """How much it depends on each, the largest first."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Of the features, over the pilot."""

    @property
    def end_time(self) -> float:
        """T."""

    @property
    def paths(self) -> NDArray[np.float64]:
        """Some of the pilot's: (paths, points, features)."""

    def log10_u(self, features: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give log10 of the committor, as far down as it is trusted."""


def score(
    learned: Learned, x: str | None = None, y: str | None = None, t: float = 0.0, ax: Axes | None = None
) -> Axes:
    """Draw a learned score over two features, as log10 of the committor, with its level sets and the pilot's paths.

    Other features have their mean over the pilot.

    Parameters
    ----------
    learned
        The score.
    x, y
        Names of features; None: those that matter most. Of a single feature, y is the time.
    t
        Time, in the model's unit.
    """
    important = list(learned.importance)
    chosen = [_known(name, learned) for name in (x, y) if name is not None]
    chosen += [name for name in important if name not in chosen]
    columns = [learned.names.index(name) for name in chosen[:2]]
    ax = new_axes(ax)
    paths = learned.paths[..., columns]
    if len(columns) == 1:
        times = np.linspace(0.0, learned.end_time, _POINTS)
        across = _span(paths[..., 0])
        grid = np.meshgrid(across, times)
        _draw(ax, learned, columns, [grid[0]], grid[1], (across, times))
        ax.set(xlabel=chosen[0], ylabel="t", title="Learned score")
    else:
        across, along = _span(paths[..., 0]), _span(paths[..., 1])
        grid = np.meshgrid(across, along)
        _draw(ax, learned, columns, list(grid), np.full(grid[0].shape, t), (across, along))
        lines = LineCollection(list(paths), colors=BLUE, linewidths=0.5, alpha=0.6, label="paths of the pilot")
        ax.add_collection(lines)
        ax.set(xlabel=chosen[0], ylabel=chosen[1], title=f"Learned score at t = {t:g}")
        with_legend(ax)
    ax.grid(visible=False)
    return ax


def _known(name: str, learned: Learned) -> str:
    if name not in learned.names:
        raise SettingsError("features", f"no feature is called {name!r}; there are {choices(name, learned.names)}")
    return name


def _span(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, _POINTS)


def _draw(
    ax: Axes,
    learned: Learned,
    columns: list[int],
    grid: list[NDArray[np.float64]],
    t: NDArray[np.float64],
    ticks: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    features = np.tile(learned.means, (t.size, 1))
    for column, values in zip(columns, grid, strict=True):
        features[:, column] = values.ravel()
    log_u = learned.log10_u(features, t.ravel()).reshape(t.shape)
    levels = MaxNLocator(_LEVELS).tick_values(float(log_u.min()), 0.0)
    filled = ax.contourf(*ticks, log_u, levels, cmap=COLOURS, alpha=0.8)
    ax.contour(*ticks, log_u, levels, colors=GREY, linewidths=0.4, linestyles="solid")
    ax.get_figure(root=True).colorbar(filled, ax=ax, label="log10 of the committor")  # type: ignore[union-attr] # it has one
