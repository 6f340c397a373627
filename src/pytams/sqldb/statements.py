"""The statements of all calls, built once: building one takes longer than executing it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, Integer, Table, bindparam, delete, func, insert, literal_column, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pytams.sqldb.tables import (
    COMPLETED,
    IDLE,
    LOCKED,
    ArchivedTrajectory,
    DiscardedTrajectory,
    LedgerInfo,
    RunLock,
    SegmentFile,
    SplittingIterations,
    StoredState,
    Trajectory,
    TrajectoryLock,
)

if TYPE_CHECKING:
    from sqlalchemy import Select

    from pytams.sqldb.tables import Base


class _Now(FunctionElement[float]):
    """The database's own clock: seconds since 1970."""

    type = Float()
    inherit_cache = True


@compiles(_Now, "sqlite")
def _sqlites_now(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Now, "postgresql")
def _postgres_now(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


_ALL = (
    Trajectory,
    ArchivedTrajectory,
    DiscardedTrajectory,
    SplittingIterations,
    StoredState,
    SegmentFile,
    LedgerInfo,
    TrajectoryLock,
)
_LOCKS, _ITERATIONS, _STATES = map(_table, (TrajectoryLock, SplittingIterations, StoredState))
_INFO, _FILES = _table(LedgerInfo), _table(SegmentFile)
_TRAJECTORIES, _DRIVER = _table(Trajectory), _table(RunLock)
_ZERO, _ONE = (literal_column(number, Integer) for number in "01")
_HERE = _TRAJECTORIES.c.id == bindparam("its_id")

# --- tables of trajectories -------------------------------------------------------------------------------------

ROWS = {model: select(*_table(model).c).order_by(*_table(model).primary_key) for model in _ALL}
"""All of a table, in order."""
COUNT = {model: select(func.count()).select_from(_table(model)) for model in _ALL}
CLEAR = {model: delete(_table(model)) for model in _ALL}
ADD = {model: insert(_table(model)) for model in _ALL}
"""Takes every column."""
NOTE_DISCARDED = insert(_table(DiscardedTrajectory)).values(t_metadata=bindparam("metadata"))
LAST_ID = {
    model: select(func.coalesce(func.max(_table(model).c.id), _ZERO)) for model in (Trajectory, ArchivedTrajectory)
}
"""0 if there is none: ids are given out in order, without gaps."""
FETCH = {
    model: select(_table(model).c.traj_file, _table(model).c.t_metadata).where(
        _table(model).c.id == bindparam("its_id")
    )
    for model in (Trajectory, ArchivedTrajectory)
}
DELETE = {
    model: delete(_table(model)).where(_table(model).c.id == bindparam("its_id"))
    for model in (Trajectory, ArchivedTrajectory, DiscardedTrajectory, TrajectoryLock)
}
EXISTS = select(_TRAJECTORIES.c.id).where(_HERE)
UPDATE = {
    name: update(_TRAJECTORIES).where(_HERE).values({name: bindparam("new")}) for name in ("traj_file", "t_metadata")
}
BLANK = update(_TRAJECTORIES).where(_HERE).values(t_metadata=bindparam("metadata"), traj_file="", status=IDLE)

# --- their status, and who holds them ---------------------------------------------------------------------------

CHANGE_STATUS = (
    update(_TRAJECTORIES)
    .where(_HERE, or_(*(_TRAJECTORIES.c.status == bindparam(name) for name in ("old", "or_old"))))
    .values(status=bindparam("new"))
)
"""Compare and set: the row count tells."""
RELEASE_ALL = update(_TRAJECTORIES).values(status=IDLE)
RELEASE = update(_TRAJECTORIES).where(_HERE, _TRAJECTORIES.c.status == LOCKED).values(status=IDLE)
TAKE_LOCK = insert(_LOCKS).values(id=bindparam("its_id"), owner=bindparam("me"), heartbeat=_Now())
HOLDER = (
    select(_TRAJECTORIES.c.id, _LOCKS.c.owner)
    .select_from(_TRAJECTORIES.outerjoin(_LOCKS, _LOCKS.c.id == _TRAJECTORIES.c.id))
    .where(_HERE)
)
_SECONDS_AGO = _Now() - bindparam("seconds", type_=Float)
HEARTBEAT = update(_LOCKS).where(_LOCKS.c.owner == bindparam("me")).values(heartbeat=_Now())
STALE = select(_LOCKS.c.id).where(_LOCKS.c.heartbeat < _SECONDS_AGO).order_by(_LOCKS.c.id)

# --- splitting iterations ---------------------------------------------------------------------------------------

_LAST = select(func.coalesce(func.max(_ITERATIONS.c.id), _ZERO)).scalar_subquery()
_OF_ITERATIONS = [column.name for column in _ITERATIONS.c if column.name not in {"id", "status"}]
ADD_ITERATION = insert(_ITERATIONS).values(
    id=_LAST + _ONE, status=LOCKED, **{name: bindparam(f"its_{name}") for name in _OF_ITERATIONS}
)
UPDATE_ITERATION = (
    update(_ITERATIONS)
    .where(_ITERATIONS.c.id == _LAST)
    .values({name: bindparam(f"its_{name}") for name in _OF_ITERATIONS})
)
"""The last one."""
COMPLETE_ITERATION = update(_ITERATIONS).where(_ITERATIONS.c.id == _LAST).values(status=COMPLETED)
_AFTER = _ITERATIONS.c.id > bindparam("last")
COMPLETED_AFTER = select(func.count()).where(_AFTER, _ITERATIONS.c.status == COMPLETED)
DELETE_AFTER = delete(_ITERATIONS).where(_AFTER)


@cache
def iterations(*columns: str, last: bool = False) -> Select[Any]:
    """Get columns of all splitting rows in order, or of the last one; the row's id is the first."""
    statement = select(_ITERATIONS.c.id, *(_ITERATIONS.c[name] for name in columns))
    return statement.order_by(_ITERATIONS.c.id.desc()).limit(1) if last else statement.order_by(_ITERATIONS.c.id)


# --- the run ----------------------------------------------------------------------------------------------------

GET_INFO = select(_INFO.c.value).where(_INFO.c.key == bindparam("its_key"))
UPDATE_INFO = update(_INFO).where(_INFO.c.key == bindparam("its_key")).values(value=bindparam("new"))
DELETE_INFO = delete(_INFO).where(_INFO.c.key == bindparam("its_key"))
FORGET_FILE = delete(_FILES).where(_FILES.c.name == bindparam("its_name"))
DROP_STATE = delete(_STATES).where(
    *(_STATES.c[name] == bindparam(f"its_{name}") for name in ("slot", "branch", "step"))
)

DRIVER = select(_DRIVER.c.owner)
DRIVE = insert(_DRIVER).values(id=1, owner=bindparam("me"), heartbeat=_Now())
_IS_STALE = func.coalesce(_DRIVER.c.heartbeat, 0.0) < _SECONDS_AGO  # SQLite keeps NULLs, too
TAKE_OVER = {
    "stale": update(_DRIVER).where(_IS_STALE).values(owner=bindparam("me"), heartbeat=_Now()),
    "dead": update(_DRIVER)
    .where(or_(_IS_STALE, _DRIVER.c.owner == bindparam("old")))
    .values(owner=bindparam("me"), heartbeat=_Now()),
}
RENEW = update(_DRIVER).where(_DRIVER.c.owner == bindparam("me")).values(heartbeat=_Now())
DISCLAIM = delete(_DRIVER).where(_DRIVER.c.owner == bindparam("me"))
SILENCE = select(_Now() - _DRIVER.c.heartbeat)
