"""The statements of frequent calls, built once: building one takes longer than executing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table, bindparam, delete, func, insert, or_, select, update

from pytams.sqldb.tables import ArchivedTrajectory, SplittingIterations, Trajectory, TrajectoryLock

if TYPE_CHECKING:
    from pytams.sqldb.tables import Base


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


_TRAJECTORIES, _LOCKS, _ITERATIONS = map(_table, (Trajectory, TrajectoryLock, SplittingIterations))
_HERE = _TRAJECTORIES.c.id == bindparam("its_id")

LAST_ID = {
    model: select(func.coalesce(func.max(_table(model).c.id), 0))
    for model in (Trajectory, ArchivedTrajectory, SplittingIterations)
}
"""0 if there is none: ids are given out in order, without gaps."""
ADD = {model: insert(_table(model)) for model in (Trajectory, ArchivedTrajectory)}
FETCH = {
    model: select(_table(model).c.traj_file, _table(model).c.t_metadata).where(
        _table(model).c.id == bindparam("its_id")
    )
    for model in (Trajectory, ArchivedTrajectory)
}
COUNT = {model: select(func.count()).select_from(_table(model)) for model in (Trajectory, ArchivedTrajectory)}
EXISTS = select(_TRAJECTORIES.c.id).where(_HERE)
CHANGE_STATUS = (
    update(_TRAJECTORIES)
    .where(_HERE, or_(*(_TRAJECTORIES.c.status == bindparam(name) for name in ("old", "or_old"))))
    .values(status=bindparam("new"))
)
"""Compare and set: the row count tells."""
UPDATE = {
    name: update(_TRAJECTORIES).where(_HERE).values({name: bindparam("new")}) for name in ("traj_file", "t_metadata")
}
UNLOCK = delete(_LOCKS).where(_LOCKS.c.id == bindparam("its_id"))
TAKE_LOCK = insert(_LOCKS)
_LAST_ITERATION = LAST_ID[SplittingIterations].scalar_subquery()
ADD_ITERATION = insert(_ITERATIONS).values(id=_LAST_ITERATION + 1)
UPDATE_LAST_ITERATION = update(_ITERATIONS).where(_ITERATIONS.c.id == _LAST_ITERATION)
