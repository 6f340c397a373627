"""What a picture looks like, as text: all that is drawn and written, without the numbers that a model gave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex


def described_figure(figure: Any) -> str:
    """Describe all axes of a figure, a paragraph each."""
    width, height = figure.get_size_inches()
    parts = [f"{width:g} x {height:g} inches, {figure.get_layout_engine().__class__.__name__}"]
    return "\n\n".join(parts + ["\n".join(_of_axes(ax)) for ax in figure.axes]) + "\n"


def _of_axes(ax: Any) -> Iterator[str]:
    title = ax.title if ax.get_title() else ax._left_title  # noqa: SLF001 - its padding is nowhere else
    padding = ax.titleOffsetTrans.get_matrix()[1, 2]
    yield f"title: {title.get_text()!r}, {title.get_horizontalalignment()}, {padding:.4g}"
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        ticks = type(axis.get_major_locator()).__name__, type(axis.get_major_formatter()).__name__
        yield f"{name}: {axis.get_label().get_text()!r}, {axis.get_scale()}, {', '.join(ticks)}, grid {_grid(axis)}"
    yield "spines: " + ", ".join(name for name, spine in ax.spines.items() if spine.get_visible())
    legend = ax.get_legend()
    if legend is not None:
        anchor = legend.get_bbox_to_anchor().transformed(ax.transAxes.inverted())
        texts = [text.get_text() for text in legend.get_texts()]
        yield (
            f"legend: {texts}, {legend._loc}, {anchor.x0:.3g} {anchor.y0:.3g}, {legend._ncols} columns, "  # noqa: SLF001
            f"frame {legend.get_frame_on()}, pad {legend.borderaxespad:g}"
        )
    for line in ax.lines:
        yield (
            f"line: {line.get_label()!r}, {_colour(line.get_color())}, {line.get_linestyle()!r}, "
            f"{line.get_linewidth():g}, marker {line.get_marker()} {line.get_markersize():g}"
        )
    for patch in ax.patches:
        yield f"patch: {patch.get_label()!r}, {_look(patch)}"
    for collection in ax.collections:
        kind = type(collection).__name__.removeprefix("FillBetween")  # Matplotlib 3.10 has a class of its own
        yield f"{kind}: {collection.get_label()!r}, {_look(collection)}"
    yield f"bottom at 0: {ax.get_ylim()[0] == 0.0}"


def _grid(axis: Any) -> str:
    shown = axis.get_major_ticks()[0].gridline if axis.get_major_ticks() else None
    return "none" if shown is None or not shown.get_visible() else f"{shown.get_alpha()}"


def _look(artist: Any) -> str:
    if not isinstance(artist, Collection):
        return f"{_colour(artist.get_facecolor())}, alpha {artist.get_alpha()}, width {artist.get_linewidth():g}"
    colours = artist.get_edgecolor() if artist.get_array() is None and not len(artist.get_facecolor()) else []
    few = sorted({_colour(colour) for colour in [*artist.get_facecolor(), *colours]})
    mapped = "" if artist.get_array() is None else f", colours of {artist.get_cmap().name}"
    widths = sorted({f"{width:g}" for width in np.atleast_1d(artist.get_linewidth())})
    shown = few[:1] if len(few) == 1 else [f"{'several' if few else 'no'} colours"]
    return f"{', '.join(shown)}{mapped}, alpha {artist.get_alpha()}, widths {', '.join(widths)}"


def _colour(colour: Any) -> str:
    return to_hex(colour, keep_alpha=False)
