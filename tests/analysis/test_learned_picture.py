"""The picture of a learned score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import pytams


class Known:
    """A committor that is known, of some features."""

    end_time = 4.0

    def __init__(self, *shares: float) -> None:
        self.names = tuple("abc"[: len(shares)])
        self.importance = dict(sorted(zip(self.names, shares, strict=True), key=lambda named: -named[1]))
        self.means = np.full(len(shares), 0.5)
        self.paths = np.cumsum(np.ones((3, 10, len(shares))), axis=1)
        self.paths[1, 5:] = np.nan

    def log10_u(self, features: Any, t: Any) -> Any:
        return np.clip(features.sum(axis=1) - 20.0 - t, -5.0, 0.0)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_over_the_two_features_that_matter_most_with_the_pilots_paths() -> None:
    ax = pytams.plot.score(Known(0.1, 0.3, 0.6))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("c", "b", "Learned score at t = 0")
    [lines] = [found for found in ax.collections if found.get_label() == "paths of the pilot"]
    assert len(lines.get_paths()) == 3
    ax = pytams.plot.score(Known(0.1, 0.3, 0.6), x="a", t=1.5)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("a", "c", "Learned score at t = 1.5")


def test_of_one_feature_over_time() -> None:
    ax = pytams.plot.score(Known(1.0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "t")


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(pytams.SettingsError, match="no feature is called 'z'; there are a, b"):
        pytams.plot.score(Known(0.5, 0.5), y="z")
