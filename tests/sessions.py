"""Studies that are left and gone on with, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytams


def sessions(
    make_tams: Callable[[], pytams.TAMS], storage: pytams.Storage, n_runs: int, seed: int, **more: Any
) -> Iterator[pytams.Study]:
    """Go on with a study, each time for ten blocks more, until it is finished; give it after each session."""
    for session in count():
        assert session < 40, "it comes to its end"
        with make_tams().study(n_runs, seed, out=storage, **more) as study:
            for n_blocks, _ in enumerate(study):
                if n_blocks > 5 + 10 * session:
                    break
        yield study
        if study.n_finished == n_runs:
            return
