"""What follows from what is on disk: the decisions of runs, made again from their recorded scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.core.driver import Driver
from pytams.core.ports import NoEngine, NoJournal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytams.core.segments import Past, Start
    from pytams.core.selection import Variant
    from pytams.core.splitting import Splitting
    from pytams.storage.directory import RunDirectory
    from pytams.storage.recorded import Recorded


def decided(directory: RunDirectory, variant: Variant, recorded: Mapping[int, Recorded]) -> dict[int, Splitting]:
    """Make the state machines of runs, as far as their trajectories are on disk; nothing is computed.

    Raises
    ------
    StoreError
        If a file is damaged.
    """

    def past(start: Start) -> Past | None:
        history = recorded[start.key.run].history(start, directory.segment_files)
        return None if history is None else history.past_without_point

    info = directory.info
    driver = Driver(info.settings, info.seed, variant, NoEngine(), NoJournal(past))
    driver.begin(list(recorded))
    return driver.splittings
